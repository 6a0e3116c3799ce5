//! The table files against the paper's own text.

use super::book::FILES;
use super::file::File;
use std::fs;
use std::path::Path;
use toml::Spanned;

/// The paper's text: `CASS_PAPER`, or `../shared/paper/cass.md` next to the workspace or its repository.
fn text() -> Option<String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let git = fs::read_to_string(workspace.join(".git")).unwrap_or_default();
    let repository = git
        .trim()
        .strip_prefix("gitdir: ")
        .and_then(|dir| dir.split_once("/.git/"));
    std::env::var_os("CASS_PAPER")
        .map(std::path::PathBuf::from)
        .into_iter()
        .chain([workspace.join("../shared/paper/cass.md")])
        .chain(repository.map(|(root, _)| Path::new(root).join("../shared/paper/cass.md")))
        .find_map(|path| fs::read_to_string(path).ok())
}

/// Every line of every table of the text is a row of ours, to the letter, and there are no others.
#[test]
fn printed_numbers_are_the_papers() {
    let Some(paper) = text() else {
        eprintln!(
            "skipped: set CASS_PAPER to the paper's text, or put it in ../shared/paper/cass.md"
        );
        return;
    };
    let number = |line: &str| line.contains('±') || line.contains("Mins");
    let mut theirs = paper
        .lines()
        .filter(|line| line.contains('\t') && number(line))
        .map(|line| line.replace("<b>", "**").replace("</b>", "**"));
    let mut count = 0;
    for (name, file) in FILES {
        let file: File = toml::from_str(file).unwrap();
        for row in file.row.iter().map(Spanned::get_ref) {
            for printed in &row.in_text {
                assert!(
                    paper.contains(&printed.text),
                    "table {name}: {}",
                    printed.text
                );
            }
            if row.printed.is_empty() {
                continue;
            }
            let mut ours = row.head.clone();
            ours.extend(row.printed.iter().map(|p| p.text.clone()));
            ours.extend((name == "19").then(|| row.tail.clone()));
            assert_eq!(Some(ours.join("\t")), theirs.next(), "table {name}");
            count += row.printed.len();
        }
    }
    assert_eq!(theirs.next(), None, "a line of the paper is in no table");
    assert_eq!(count, 158);
}
