//! The command lines that pages show, as a shell would split them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A command line of a page.
#[derive(Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// `docs/tables.md:5`.
    pub place: String,
    /// The program and its arguments.
    pub words: Vec<String>,
}

/// Every line in a `sh` block of README, CONTRIBUTING, the guide and the crates' pages that starts `program`, a word or
/// several such as `cargo xtask`, together with the lines that continue it. The variable of a loop has the first of its values.
///
/// # Panics
/// If a page cannot be read, or none shows such a line.
pub fn commands_on_pages(program: &str) -> Vec<CommandLine> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md"]
        .map(|page| root.join(page))
        .into();
    let inside = |folder: &str| {
        let entries = fs::read_dir(root.join(folder)).unwrap_or_else(|e| panic!("{folder}: {e}"));
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let guide = inside("docs").into_iter();
    pages.extend(guide.filter(|page| page.extension().is_some_and(|end| end == "md")));
    let crates = inside("crates")
        .into_iter()
        .map(|folder| folder.join("README.md"));
    pages.extend(crates.filter(|page| page.is_file()));
    let mut lines = Vec::new();
    for page in pages {
        let text = fs::read_to_string(&page).unwrap_or_else(|e| panic!("{}: {e}", page.display()));
        let name = page
            .strip_prefix(&root)
            .unwrap_or(&page)
            .display()
            .to_string();
        lines.extend(commands_in(&text, &name, program));
    }
    assert!(!lines.is_empty(), "no page shows a line with `{program}`");
    lines
}

fn commands_in(text: &str, page: &str, program: &str) -> Vec<CommandLine> {
    let mut found = Vec::new();
    let mut in_shell = false;
    let mut variables = BTreeMap::new();
    let mut lines = text.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            in_shell = language.trim() == "sh";
            continue;
        }
        if !in_shell {
            continue;
        }
        let mut command = line.to_owned();
        while let Some(begun) = command.strip_suffix('\\') {
            let Some((next, _)) = lines.next() else { break };
            command = format!("{begun} {next}");
        }
        let words = split(&command, &variables);
        if let [start, name, within, value, ..] = &words[..]
            && [start, within] == ["for", "in"]
        {
            variables.insert(name.clone(), value.clone());
        }
        let start: Vec<&str> = program.split(' ').collect();
        if words.len() >= start.len() && words.iter().zip(&start).all(|(a, b)| a == b) {
            let place = format!("{page}:{number}");
            found.push(CommandLine { place, words });
        }
    }
    found
}

/// Words up to a comment or the end of the command; quotes are taken off.
fn split(command: &str, variables: &BTreeMap<String, String>) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut letters = command.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '#' if word.is_none() => break,
            ';' | '&' | '>' | '<' => break,
            ' ' | '\t' => words.extend(word.take()),
            '\'' | '"' => {
                let inside: String = letters.by_ref().take_while(|&c| c != letter).collect();
                word.get_or_insert_default().push_str(&inside);
            }
            '$' => {
                let mut name = String::new();
                while let Some(c) = letters.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                let value = variables.get(&name).map_or("", String::as_str);
                word.get_or_insert_default().push_str(value);
            }
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[test]
fn lines_are_split_as_a_shell_does() {
    let page = "cass no\n```sh\ncass a 'b c'   # d\nfor x in 1 2; do\n  cass e-$x \\\n      --f \"g\"; done\ncassette\n```\n\
                ```text\ncass no\n```\n";
    let found = commands_in(page, "p.md", "cass");
    let words: Vec<_> = found.iter().map(|line| line.words.join("|")).collect();
    assert_eq!(words, ["cass|a|b c", "cass|e-1|--f|g"]);
    assert_eq!(found[1].place, "p.md:5");
    assert_eq!(
        commands_in("```sh\ncargo xtask a\n```", "p.md", "cargo xtask").len(),
        1
    );
}
