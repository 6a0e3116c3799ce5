//! The guide as a book.

use crate::checkout::{succeed, workspace};
use anyhow::{Result, bail};
use std::process::{Command, ExitCode, Stdio};

#[derive(clap::Args)]
pub struct Args {
    /// Open it in the browser when it is built.
    #[arg(long)]
    open: bool,
}

/// Builds `target/book/index.html`.
pub fn build(args: &Args) -> Result<ExitCode> {
    let mut version = Command::new("mdbook");
    version
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if !version.status().is_ok_and(|status| status.success()) {
        bail!(
            "mdbook is not installed, which makes the book: cargo install mdbook --locked; docs/ can be read without it, from docs/SUMMARY.md on"
        );
    }
    let mut build = Command::new("mdbook");
    build.arg("build").arg(workspace().join("docs"));
    if args.open {
        build.arg("--open");
    }
    succeed(&mut build)?;
    println!("{}", workspace().join("target/book/index.html").display());
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;

    #[test]
    fn the_summary_names_every_page_of_the_guide_and_no_other() {
        let folder = workspace().join("docs");
        let summary = fs::read_to_string(folder.join("SUMMARY.md")).unwrap();
        let named = |line: &str| Some(line.split_once("](")?.1.strip_suffix(')')?.to_owned());
        let named: BTreeSet<String> = summary.lines().filter_map(named).collect();
        let pages = fs::read_dir(folder).unwrap();
        let pages = pages.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let pages: BTreeSet<String> = pages
            .filter(|name| name.ends_with(".md") && name != "SUMMARY.md")
            .collect();
        assert_eq!(named, pages);
    }
}
