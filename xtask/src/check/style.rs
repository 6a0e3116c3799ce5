//! What `rustfmt` leaves open: how `use` lines and modules are written, and that the maps draw what is there.

use super::name;
use crate::checkout::workspace;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// Pages that name every crate.
const MAPS: [&str; 2] = ["README.md", "ARCHITECTURE.md"];

/// Refuses a map that leaves a crate out.
pub fn maps(members: &[PathBuf]) -> Result<()> {
    for map in MAPS {
        let text = fs::read_to_string(workspace().join(map))
            .with_context(|| format!("{map} cannot be read"))?;
        for member in members {
            let name = name(member);
            ensure!(
                text.contains(&name),
                "{map} does not name {name}: expected every crate in its map"
            );
        }
    }
    Ok(())
}

/// Refuses files of a crate that write `use` lines or modules otherwise than the rest.
pub fn check(member: &Path) -> Result<()> {
    let mut folders = vec![member.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry.with_context(|| folder.display().to_string())?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
                if let Some(fault) = fault(&text) {
                    bail!("{}: {fault}", path.display());
                }
                ensure!(
                    !path.with_extension("").is_dir(),
                    "{} has a folder of its name: expected {}/mod.rs",
                    path.display(),
                    path.with_extension("").display()
                );
            }
        }
    }
    Ok(())
}

/// What is not as in the other files.
fn fault(text: &str) -> Option<String> {
    let is_use = |line: &str| line.starts_with("use ");
    let (mut blank_after_use, mut last_was_use) = (false, false);
    for line in text.lines() {
        if is_use(line) && blank_after_use {
            return Some(format!(
                "`{line}` stands apart: expected one block of `use` lines"
            ));
        }
        blank_after_use = line.is_empty() && (last_was_use || blank_after_use);
        // A long statement ends on a line of its own.
        last_was_use = is_use(line)
            || last_was_use && !line.is_empty() && (line.starts_with(' ') || line == "};");
    }
    let nested = text.split("\nuse ").skip(1).find_map(|rest| {
        let statement = rest.split(';').next()?;
        (statement.matches('{').count() > 1).then(|| statement.lines().next().unwrap_or_default())
    })?;
    Some(format!(
        "`use {nested}` nests groups: expected a line for each path's parent"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_ways_to_write_use_lines_are_seen() {
        let good =
            "//! Docs.\n\npub use a::B;\n\nuse a::{\n    B,\n    C,\n};\nuse d::E;\n\nfn f() {}\n";
        assert_eq!(fault(good), None);
        let apart = fault("use a::B;\n\nuse c::D;\n").unwrap();
        assert!(apart.contains("`use c::D;` stands apart"), "{apart}");
        let long = fault("use a::{\n    B,\n};\n\nuse c::D;\n").unwrap();
        assert!(long.contains("stands apart"), "{long}");
        let nested = fault("\nuse a::{b::{C, D}, E};\n").unwrap();
        assert!(nested.contains("nests groups"), "{nested}");
    }
}
