//! Tells the program what it was built from: `CASS_COMMIT`, `CASS_CANDLE`, `CASS_RUSTC`.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=CASS_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    // Whatever changes the program or moves the commit.
    println!("cargo::rerun-if-changed=..");
    if let Some(head) = output("git", &["rev-parse", "--git-path", "logs/HEAD"])
        && std::path::Path::new(&head).exists()
    {
        println!("cargo::rerun-if-changed={head}");
    }
    let given = std::env::var("CASS_COMMIT").ok();
    let commit = given.or_else(commit).unwrap_or_else(|| "unknown".into());
    println!("cargo::rustc-env=CASS_COMMIT={commit}");
    let rustc = std::env::var("RUSTC").ok();
    let rustc = rustc.and_then(|rustc| output(&rustc, &["--version"]));
    let rustc = rustc.unwrap_or_else(|| "unknown".into());
    println!("cargo::rustc-env=CASS_RUSTC={rustc}");
    let lock = std::fs::read_to_string("../../Cargo.lock").unwrap_or_default();
    let candle = locked(&lock, "candle-core").unwrap_or("unknown");
    println!("cargo::rustc-env=CASS_CANDLE={candle}");
}

/// The commit, and `-modified` where files differ from it.
fn commit() -> Option<String> {
    let commit = output("git", &["rev-parse", "HEAD"])?;
    let changes = output("git", &["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changes.is_empty() {
        commit
    } else {
        commit + "-modified"
    })
}

fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_string())
}

/// The version of a package in Cargo.lock.
fn locked<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let (_, after) = lock.split_once(&format!("name = \"{package}\"\n"))?;
    after.split('"').nth(1)
}
