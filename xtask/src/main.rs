//! Experiments.
fn main() {}
