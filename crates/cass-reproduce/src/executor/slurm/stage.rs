//! Images copied to a node's own disk, once a node, and compared with what was submitted.

use super::scripts::quote;
use crate::images::Data;
use anyhow::{Context, Result, ensure};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder that holds a data set's files themselves.
fn source(data: &Data) -> PathBuf {
    let nested = data.root.join(data.set.name());
    if nested.is_dir() {
        nested
    } else {
        data.root.clone()
    }
}

/// What its copy is called in the scratch folder: other images, another name.
pub fn name(data: &Data) -> String {
    format!("cass-{}-{}", data.set.name(), data.facts.fingerprint)
}

/// The images' copy on a node as a word of sh, which knows `scratch`.
pub fn root(data: &Data) -> String {
    format!("\"$scratch\"/{}", name(data))
}

/// The file of its checksums next to the scripts.
pub fn sums_file(data: &Data) -> String {
    format!("{}.sha256", name(data))
}

/// SHA-256 of every file, as `sha256sum --check` reads it: the manifest that a copy must match.
pub fn sums(data: &Data) -> Result<String> {
    let source = source(data);
    let mut files = Vec::new();
    walk(&source, &mut files)?;
    files.sort();
    let mut text = String::new();
    for file in files {
        let name = file.strip_prefix(&source).unwrap_or(&file);
        let name = name
            .to_str()
            .filter(|name| !name.contains(['\n', '\r', '\\']));
        ensure!(
            name.is_some(),
            "{} cannot be listed: expected a UTF-8 name without backslashes",
            file.display()
        );
        let _ = writeln!(
            text,
            "{}  ./{}",
            cass_run::sha256_of(&file)
                .with_context(|| format!("{} cannot be read", file.display()))?,
            name.unwrap_or_default()
        );
    }
    Ok(text)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let failed = || format!("{} cannot be read", folder.display());
    for entry in fs::read_dir(folder).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// `stage.sh`: sets `scratch`, and defines `stage NAME`.
pub fn script<'a>(scratch: &str, data: impl Iterator<Item = &'a Data>) -> Result<String> {
    let mut cases = String::new();
    for data in data {
        let source = std::path::absolute(source(data)).unwrap_or_else(|_| source(data));
        let _ = writeln!(
            cases,
            "    {}) source={} ;;",
            name(data),
            quote(&source.display().to_string())?
        );
    }
    Ok(format!(
        "# Copies images to this node's own disk: one task a node does, the others wait for it.\n\
         scratch=\"{scratch}\"\n\
         stage() {{ # NAME\n    \
             case $1 in\n{cases}    esac\n    \
             mkdir -p \"$scratch\" || return\n    \
             (\n        \
                 flock 9 || exit\n        \
                 [ ! -d \"$scratch/$1\" ] || exit 0\n        \
                 rm -rf \"$scratch/$1.part\"\n        \
                 cp -RL \"$source\" \"$scratch/$1.part\" || exit\n        \
                 sums=$PWD/$1.sha256\n        \
                 (cd \"$scratch/$1.part\" && sha256sum --check --strict --quiet \"$sums\") || exit\n        \
                 mv \"$scratch/$1.part\" \"$scratch/$1\"\n    \
             ) 9> \"$scratch/$1.lock\"\n\
         }}\n"
    ))
}
