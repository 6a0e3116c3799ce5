//! Which images a job reads: a data set on disk or phantoms drawn for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::profile::Phantom;

/// Images as the plan needs to know them: where they are, which they are, how many.
pub struct Data {
    /// The `--data-root` of every run.
    pub root: PathBuf,
    /// The root as the user gave it.
    pub given: String,
    /// Changes with the images: part of what decides a run.
    pub fingerprint: String,
    /// Training and test.
    pub images: [u64; 2],
    pub phantom: Option<Phantom>,
}

impl Data {
    /// What a data root holds.
    pub const LAYOUT: &str = "Training/<class>/*.jpg and Testing/<class>/*.jpg";

    /// Looks at, and reads no image of, `root/<name>` or `root` itself.
    ///
    /// The fingerprint covers relative paths and sizes, so it is the same on another machine. What the runs
    /// really read is hashed by `cass` (`manifest` in `metrics.json`).
    pub fn files(name: &str, root: &Path) -> Result<Data> {
        let nested = root.join(name);
        let folder = if nested.is_dir() { &nested } else { root };
        for part in ["Training", "Testing"] {
            ensure!(
                folder.join(part).is_dir(),
                "failed to find the data set {name}: expected {}; looked in {} and {}",
                Data::LAYOUT,
                nested.display(),
                root.display(),
            );
        }
        let mut count = [0, 0];
        let mut lines = Vec::new();
        for (count, part) in count.iter_mut().zip(["Training", "Testing"]) {
            let found = list(&folder.join(part))?;
            ensure!(
                !found.is_empty(),
                "failed to find an image under {}: expected {}",
                folder.join(part).display(),
                Data::LAYOUT,
            );
            *count = found.len() as u64;
            lines.extend(
                found
                    .into_iter()
                    .map(|(file, size)| format!("{part}/{file} {size}\n")),
            );
        }
        Ok(Data {
            root: root.to_owned(),
            given: root.display().to_string(),
            fingerprint: short_hash(&lines.concat()),
            images: count,
            phantom: None,
        })
    }

    /// Phantoms, to be written under `out` before the first run.
    pub fn phantom(phantom: &Phantom, out: &Path) -> Data {
        let classes = 4;
        Data {
            root: out.join("data"),
            given: "phantoms drawn by `cass data phantom`".to_owned(),
            fingerprint: short_hash(&phantom_args(phantom).join(" ")),
            images: [phantom.train_per_class, phantom.test_per_class]
                .map(|n| classes * u64::from(n)),
            phantom: Some(phantom.clone()),
        }
    }
}

/// `cass data phantom`'s arguments, without the folder.
pub fn phantom_args(phantom: &Phantom) -> Vec<String> {
    [
        ("--seed", phantom.seed),
        ("--size", phantom.size.into()),
        ("--train-per-class", phantom.train_per_class.into()),
        ("--test-per-class", phantom.test_per_class.into()),
    ]
    .iter()
    .flat_map(|(flag, value)| [flag.to_string(), value.to_string()])
    .collect()
}

/// Draws the phantoms of a job unless they are there. Written aside and renamed, so half a set is never read.
pub fn draw_phantoms(cass: &Path, data: &Data, name: &str) -> Result<()> {
    let Some(phantom) = &data.phantom else {
        return Ok(());
    };
    let arguments = phantom_args(phantom);
    let (stamp, folder) = (data.root.join("phantom.txt"), data.root.join(name));
    if folder.is_dir() && fs::read_to_string(&stamp).is_ok_and(|text| text == arguments.join(" ")) {
        return Ok(());
    }
    let part = data.root.join(format!("{name}.part"));
    for old in [&folder, &part] {
        if old.exists() {
            fs::remove_dir_all(old)
                .with_context(|| format!("failed to clear {}", old.display()))?;
        }
    }
    fs::create_dir_all(&data.root)
        .with_context(|| format!("failed to create {}", data.root.display()))?;
    let output = Command::new(cass)
        .args(["data", "phantom", "--out"])
        .arg(&part)
        .args(&arguments)
        .output()
        .with_context(|| format!("failed to start {}", cass.display()))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let line = words
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or("it wrote no error");
        bail!(
            "failed to draw the phantoms: {}",
            line.trim_start_matches("error: ")
        );
    }
    fs::rename(&part, &folder).with_context(|| format!("failed to write {}", folder.display()))?;
    crate::folder::write(&stamp, arguments.join(" ").as_bytes())
}

/// Eight hexadecimal digits of SHA-256: enough to tell some thousands of runs apart, short enough for a name.
pub fn short_hash(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// `(class/file, bytes)` of every file in the folders of `folder`, sorted.
fn list(folder: &Path) -> Result<Vec<(String, u64)>> {
    let mut files = Vec::new();
    for class in entries(folder)? {
        if !class.is_dir() {
            continue;
        }
        for file in entries(&class)? {
            let name = file.strip_prefix(folder).unwrap_or(&file);
            let Some(name) = name.to_str() else {
                bail!("failed to read {}: its name is not UTF-8", file.display());
            };
            let size = fs::metadata(&file)
                .with_context(|| format!("failed to read {}", file.display()))?
                .len();
            files.push((name.to_owned(), size));
        }
    }
    files.sort();
    Ok(files)
}

/// What a folder holds, hidden files left out.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = || format!("failed to read folder {}", folder.display());
    let mut list = Vec::new();
    for entry in fs::read_dir(folder).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            list.push(entry.path());
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, bytes: usize) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![0; bytes]).unwrap();
    }

    #[test]
    fn the_folder_itself_or_a_folder_of_that_name_is_the_same_data() {
        let dir = tempfile::tempdir().unwrap();
        let nested = dir.path().join("brain-mri");
        write(&nested, "Training/glioma/a.jpg", 3);
        write(&nested, "Training/.DS_Store", 9);
        write(&nested, "Testing/glioma/b.jpg", 4);
        let outer = Data::files("brain-mri", dir.path()).unwrap();
        let inner = Data::files("brain-mri", &nested).unwrap();
        assert_eq!(outer.fingerprint, inner.fingerprint);
        assert_eq!(outer.images, [1, 1]);

        write(&nested, "Testing/glioma/b.jpg", 5);
        let changed = Data::files("brain-mri", &nested).unwrap();
        assert_ne!(changed.fingerprint, inner.fingerprint);
    }

    #[test]
    fn a_missing_layout_says_what_was_expected_and_where() {
        let dir = tempfile::tempdir().unwrap();
        let error = Data::files("brain-mri", dir.path())
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("Training/<class>/*.jpg"), "{error}");
        assert!(
            error.contains(&dir.path().join("brain-mri").display().to_string()),
            "{error}"
        );
    }
}
