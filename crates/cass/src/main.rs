//! The `cass` command.
fn main() {}
