//! Modules that import each other in a circle have no order to be read in: each crate's listing, and its circles.

use super::name;
use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Which modules a module of a crate imports, by name.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// Refuses a crate whose top modules import each other in a circle, tests apart.
pub fn check(member: &Path) -> Result<()> {
    let circle = circle(&listing(&member.join("src"))?);
    ensure!(
        circle.is_empty(),
        "the modules of {} import each other in a circle: {}",
        member.display(),
        circle.join(" -> ")
    );
    Ok(())
}

/// Prints which modules each module of a crate imports.
pub fn print(member: &Path) -> Result<()> {
    println!("{}", name(member));
    for (module, of) in listing(&member.join("src"))? {
        let of: Vec<_> = of.into_iter().collect();
        println!("    {module}: {}", of.join(" "));
    }
    Ok(())
}

/// The imports of each module that `lib.rs` or `main.rs` declares.
fn listing(src: &Path) -> Result<Imports> {
    let root = ["lib.rs", "main.rs"]
        .map(|name| src.join(name))
        .into_iter()
        .find(|path| path.is_file());
    let Some(root) = root else {
        return Ok(Imports::new());
    };
    let root = read(&root)?;
    let modules: BTreeSet<String> = (root.lines())
        .filter_map(|line| {
            let name = line
                .trim_start_matches("pub ")
                .trim_start_matches("(crate) ");
            name.strip_prefix("mod ")?.strip_suffix(';')
        })
        .map(str::to_owned)
        .collect();
    // `pub use module::{Name}` makes `crate::Name` mean that module.
    let mut homes: BTreeMap<String, String> = BTreeMap::new();
    for statement in root.split(';') {
        let Some((_, path)) = statement.rsplit_once("use ") else {
            continue;
        };
        let path = path.trim().trim_start_matches("crate::");
        if let Some((module, names)) = path.split_once("::")
            && modules.contains(module)
        {
            let names = names.split(|c: char| !c.is_alphanumeric() && c != '_');
            homes.extend(names.map(|name| (name.to_owned(), module.to_owned())));
        }
    }
    // What `crate::list::Name` means for a `pub mod list { pub use ... }`, which is no file of its own.
    let lists = root
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(" {"));
    let lists: Vec<String> = lists.map(|name| format!("crate::{name}::")).collect();
    let mut imports = Imports::new();
    for module in &modules {
        let mut named = BTreeSet::new();
        for file in files(src, module)? {
            let text = read(&file)?;
            let through = |text: String, list| text.replace(list, "crate::");
            named.extend(named_in(&lists.iter().fold(text, through)));
        }
        let of = named.iter().filter_map(|name| {
            let module = modules.get(name);
            module.or_else(|| homes.get(name))
        });
        let of = of.filter(|other| *other != module).cloned().collect();
        imports.insert(module.clone(), of);
    }
    Ok(imports)
}

/// `src/module.rs`, and all below `src/module`, but for files of tests.
fn files(src: &Path, module: &str) -> Result<Vec<std::path::PathBuf>> {
    let mut files = vec![src.join(format!("{module}.rs"))];
    let mut folders = vec![src.join(module)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.with_context(|| folder.display().to_string())?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() && name != "tests" {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                files.push(path);
            }
        }
    }
    files.retain(|file| file.is_file());
    Ok(files)
}

/// The source without comments, and without tests.
fn read(path: &Path) -> Result<String> {
    let failed = || format!("{} cannot be read", path.display());
    Ok(code(&fs::read_to_string(path).with_context(failed)?))
}

/// Tests are the end of a file, or a line that names a file of their own.
fn code(text: &str) -> String {
    let mut parts = text.split("#[cfg(test)]\nmod ");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(";\n") {
            Some((name, behind)) if !name.contains('{') => kept.push_str(behind),
            _ => break,
        }
    }
    let lines = kept
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// What stands behind `crate::`, groups taken apart.
fn named_in(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for rest in text.split("crate::").skip(1) {
        let ends = |c: char| !c.is_alphanumeric() && c != '_';
        match rest.strip_prefix('{') {
            None => {
                names.extend(rest.split(ends).next().map(str::to_owned));
            }
            Some(group) => {
                let mut depth = 0;
                let mut start = true;
                for word in group.split_inclusive(ends) {
                    let end = word.chars().last().unwrap_or(' ');
                    if depth == 0 && start && !word.trim_end_matches(ends).is_empty() {
                        names.insert(word.trim_end_matches(ends).to_owned());
                        start = false;
                    }
                    match end {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        _ => {}
                    }
                    if depth < 0 {
                        break;
                    }
                }
            }
        }
    }
    names
}

/// One circle, its first module again at its end; empty where there is none.
fn circle(imports: &Imports) -> Vec<String> {
    fn visit(
        imports: &Imports,
        at: &str,
        path: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> bool {
        if let Some(start) = path.iter().position(|name| name == at) {
            path.drain(..start);
            path.push(at.to_owned());
            return true;
        }
        if done.contains(at) {
            return false;
        }
        path.push(at.to_owned());
        let found = imports[at]
            .iter()
            .any(|next| visit(imports, next, path, done));
        if !found {
            path.pop();
            done.insert(at.to_owned());
        }
        found
    }
    let (mut path, mut done) = (Vec::new(), BTreeSet::new());
    imports
        .keys()
        .any(|module| visit(imports, module, &mut path, &mut done));
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_taken_apart() {
        let text = "use crate::{plan::{Run, Kind}, store, Error};\nfn f(x: crate::table::Arm) {}";
        let names: Vec<_> = named_in(text).into_iter().collect();
        assert_eq!(names, ["Error", "plan", "store", "table"]);
    }

    #[test]
    fn tests_hide_nothing_that_stands_behind_the_line_that_names_their_file() {
        let text = "mod a;\n#[cfg(test)]\nmod check;\n// mod b;\nmod c;\n#[cfg(test)]\nmod tests {\n    use d;\n}\n";
        assert_eq!(code(text), "mod a;\nmod c;");
    }

    #[test]
    fn a_circle_through_a_list_of_names_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(
            "lib.rs",
            "mod low;\nmod high;\n\npub mod names {\n    pub use crate::high::{High, other};\n}\n",
        );
        write("low.rs", "use crate::names::{High, self};\n");
        write("high.rs", "use crate::low::Low;\n");
        let found = circle(&listing(folder.path()).unwrap());
        assert_eq!(found, ["high", "low", "high"]);
    }

    #[test]
    fn a_circle_is_named() {
        let imports = |list: &[(&str, &[&str])]| -> Imports {
            let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            list.iter()
                .map(|(name, of)| ((*name).to_owned(), set(of)))
                .collect()
        };
        let chain = imports(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])]);
        assert!(circle(&chain).is_empty());
        let round = imports(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]);
        assert_eq!(circle(&round), ["b", "c", "b"]);
    }
}
