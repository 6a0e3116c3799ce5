//! `docs/run-folder.md` describes every key that a run writes.

use std::fs;
use std::path::{Path, PathBuf};

/// The keys of the structs and variants that are written, as their source declares them.
fn keys(source: &str) -> Vec<&str> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut keys = Vec::new();
    let (mut written, mut flat) = (false, false);
    for line in code.lines() {
        if line.starts_with("#[derive(") {
            written = line.contains("Serialize");
        } else if line.starts_with('}') {
            written = false;
        }
        let inside = line.trim_start();
        let Some((key, _)) = inside.trim_start_matches("pub ").split_once(": ") else {
            flat |= inside.contains("serde(flatten)");
            continue;
        };
        let is_field = written
            && inside.ends_with(',')
            && !inside.starts_with("//")
            && (line.starts_with("    pub ") || line.starts_with("        "))
            && key
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if is_field && !flat {
            keys.push(key);
        }
        flat = false;
    }
    keys
}

/// The files of a folder of sources, at any depth.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap();
    let paths = paths.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => sources(&path),
            false => vec![path],
        })
        .collect()
}

#[test]
fn every_key_of_a_run_is_described() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("../../docs/run-folder.md")).unwrap();
    let mut described = 0;
    for path in sources(&root.join("src")) {
        for key in keys(&fs::read_to_string(&path).unwrap()) {
            let place = path.display();
            let row = format!("| `{key}` |");
            assert!(page.contains(&row), "{place}: the page lacks {key}");
            described += 1;
        }
    }
    assert!(described > 80, "{described} keys were found");
    let schema = format!("| {} | 0.1 |", cass_run::SCHEMA);
    assert!(page.contains(&schema), "the page lacks the present schema");
}
