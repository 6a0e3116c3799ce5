//! Example views for the report: what `cass data preview` draws of each data set.

use super::Data;
use crate::table::DataSet;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A larger picture is left out of a report.
const LARGEST: u64 = 4 << 20;

fn path(out: &Path, set: DataSet) -> PathBuf {
    out.join(format!("preview-{set}.png"))
}

/// Draws what is not there yet. A report does without what cannot be drawn.
pub fn draw(cass: &Path, data: &Data, out: &Path) {
    let file = path(out, data.set);
    if file.is_file() {
        return;
    }
    let drawn = Command::new(cass)
        .args(["data", "preview", "--data", data.set.name(), "--data-root"])
        .arg(&data.root)
        .args(["--size", "80", "--per-class", "1", "--views", "6", "--out"])
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !drawn.is_ok_and(|status| status.success()) {
        eprintln!("no example views of {} could be drawn", data.set);
    }
}

/// The pictures that lie in these folders.
pub fn read(dirs: &[PathBuf], sets: impl Iterator<Item = DataSet>) -> BTreeMap<DataSet, Vec<u8>> {
    let find = |set| {
        let files = dirs.iter().map(|dir| path(dir, set));
        let mut pictures = files.filter_map(|file| {
            let small = fs::metadata(&file).is_ok_and(|data| data.len() <= LARGEST);
            fs::read(&file)
                .ok()
                .filter(|bytes| small && bytes.starts_with(b"\x89PNG"))
        });
        pictures.next()
    };
    sets.filter_map(|set| Some((set, find(set)?))).collect()
}
