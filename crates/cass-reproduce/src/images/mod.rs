//! Which images a job reads: a data set on disk or phantoms drawn for it.

pub mod preview;

use crate::plan::{Facts, Phantom, short_hash};
use crate::store;
use crate::table::DataSet;
use anyhow::{Context, Result, bail, ensure};
use cass_run::rename_whole;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A data set as the plan needs to know it: where it is, which images, how many.
pub struct Data {
    pub set: DataSet,
    /// The `--data-root` of every run.
    pub root: PathBuf,
    pub facts: Facts,
    phantom: Option<Phantom>,
}

impl DataSet {
    /// What a data root holds.
    pub fn layout(self) -> &'static str {
        match self {
            DataSet::BrainMri => "Training/<class>/*.jpg and Testing/<class>/*.jpg",
            DataSet::Isic2019 => {
                "ISIC_2019_Training_Input/*.jpg and ISIC_2019_Training_GroundTruth.csv"
            }
            DataSet::Biopsies => "TIFF images and a CSV file of the cell types in each",
            DataSet::Own => "images",
        }
    }

    /// The folders that hold its images, of which each is counted for itself.
    fn folders(self) -> &'static [&'static str] {
        match self {
            DataSet::BrainMri => &["Training", "Testing"],
            DataSet::Isic2019 => &["ISIC_2019_Training_Input"],
            DataSet::Biopsies | DataSet::Own => &["."],
        }
    }

    fn is_image(self, file: &str) -> bool {
        let extension = file
            .rsplit('.')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        match self {
            DataSet::BrainMri | DataSet::Own => true,
            DataSet::Isic2019 => ["jpg", "jpeg", "png"].contains(&extension.as_str()),
            DataSet::Biopsies => ["tif", "tiff"].contains(&extension.as_str()),
        }
    }

    /// Classes of its phantoms.
    fn classes(self) -> u64 {
        match self {
            DataSet::BrainMri => 4,
            DataSet::Isic2019 => 8,
            DataSet::Biopsies => 5,
            DataSet::Own => 0,
        }
    }
}

impl Data {
    /// Looks at, and reads no image of, `root/<name>` or `root` itself.
    ///
    /// The fingerprint covers relative paths and sizes, so it is the same on another machine. What the runs
    /// really read is hashed by `cass` (`manifest` in `metrics.json`).
    pub fn files(set: DataSet, root: &Path) -> Result<Data> {
        let nested = root.join(set.name());
        let folder = if nested.is_dir() { &nested } else { root };
        let missing = || {
            format!(
                "the data set {set} cannot be found: expected {}; looked in {} and {}",
                set.layout(),
                nested.display(),
                root.display(),
            )
        };
        let mut images = Vec::new();
        let mut lines = Vec::new();
        for part in set.folders() {
            ensure!(folder.join(part).is_dir(), missing());
        }
        for part in set.folders() {
            let inside = folder.join(part);
            let mut found = Vec::new();
            list(&inside, &mut found)?;
            // On top lie tables; images lie in the folders of their classes or in none.
            if set == DataSet::BrainMri {
                found.retain(|(file, _)| file.contains('/'));
            }
            let count = found.iter().filter(|(file, _)| set.is_image(file)).count();
            ensure!(
                count > 0,
                "there is no image under {}: expected {}",
                inside.display(),
                set.layout(),
            );
            images.push(count as u64);
            found.sort();
            let line = |(file, size): (String, u64)| format!("{part}/{file} {size}\n");
            lines.extend(found.into_iter().map(line));
        }
        if set == DataSet::Isic2019 {
            let truth = folder.join("ISIC_2019_Training_GroundTruth.csv");
            let size = fs::metadata(&truth).with_context(missing)?.len();
            lines.push(format!("truth {size}\n"));
        }
        Ok(Data {
            set,
            root: root.to_owned(),
            facts: Facts {
                fingerprint: short_hash(&lines.concat()),
                images,
                phantoms: false,
                root: root.display().to_string(),
            },
            phantom: None,
        })
    }

    /// Images that exist nowhere, as many as the paper has.
    pub fn counted(set: DataSet) -> Data {
        Data {
            set,
            root: PathBuf::new(),
            facts: Facts::counted(set),
            phantom: None,
        }
    }

    /// Phantoms, to be written under `out` before the first run.
    pub fn phantom(set: DataSet, phantom: &Phantom, out: &Path) -> Data {
        let [train, test] =
            [phantom.train_per_class, phantom.test_per_class].map(|n| set.classes() * u64::from(n));
        Data {
            set,
            root: out.join("data"),
            facts: Facts {
                fingerprint: short_hash(&phantom_args(set, phantom).join(" ")),
                images: match set {
                    DataSet::BrainMri => vec![train, test],
                    _ => vec![train + test],
                },
                phantoms: true,
                root: format!(
                    "phantoms drawn by `cass data phantom {}`",
                    phantom_args(set, phantom).join(" ")
                ),
            },
            phantom: Some(phantom.clone()),
        }
    }
}

/// `cass data phantom`'s arguments, without the folder.
fn phantom_args(set: DataSet, phantom: &Phantom) -> Vec<String> {
    let mut arguments = vec!["--data".to_owned(), set.name().to_owned()];
    for (flag, value) in [
        ("--seed", phantom.seed),
        ("--size", phantom.size.into()),
        ("--train-per-class", phantom.train_per_class.into()),
        ("--test-per-class", phantom.test_per_class.into()),
    ] {
        arguments.extend([flag.to_owned(), value.to_string()]);
    }
    arguments.extend(["--style", phantom.style.name()].map(str::to_owned));
    arguments
}

/// Draws the phantoms of a job unless they exist, every one as it was drawn. Written aside and renamed, so half a
/// set is never read.
pub fn draw_phantoms(cass: &Path, data: &Data) -> Result<()> {
    let Some(phantom) = &data.phantom else {
        return Ok(());
    };
    let (name, arguments) = (data.set.name(), phantom_args(data.set, phantom));
    let stamp = data.root.join(format!("{name}.txt"));
    let folder = data.root.join(name);
    let stamped = |sum: &str| format!("{}\n{sum}\n", arguments.join(" "));
    if folder.is_dir()
        && let Ok(text) = fs::read_to_string(&stamp)
        && text == stamped(&sum_of(&folder)?)
    {
        return Ok(());
    }
    let part = data.root.join(format!("{name}.part"));
    for old in [&folder, &part] {
        if old.exists() {
            fs::remove_dir_all(old)
                .with_context(|| format!("{} cannot be cleared", old.display()))?;
        }
    }
    fs::create_dir_all(&data.root)
        .with_context(|| format!("{} cannot be created", data.root.display()))?;
    let output = Command::new(cass)
        .args(["data", "phantom", "--out"])
        .arg(&part)
        .args(&arguments)
        .output()
        .with_context(|| format!("{} cannot be started", cass.display()))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let line = words
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or("it wrote no error");
        bail!(
            "the phantoms cannot be drawn: {}",
            line.trim_start_matches("error: ")
        );
    }
    rename_whole(&part, &folder)
        .with_context(|| format!("{} cannot be written", folder.display()))?;
    store::write(&stamp, stamped(&sum_of(&folder)?).as_bytes())
}

/// SHA-256 of the names and contents of all files under `folder`.
fn sum_of(folder: &Path) -> Result<String> {
    let mut files = Vec::new();
    list(folder, &mut files)?;
    files.sort();
    let mut lines = String::new();
    for (name, _) in files {
        let path = folder.join(&name);
        let sum = cass_run::sha256_of(&path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        lines += &format!("{name} {sum}\n");
    }
    Ok(cass_run::sha256(lines))
}

/// `(path/file, bytes)` of every file under `folder`.
fn list(folder: &Path, files: &mut Vec<(String, u64)>) -> Result<()> {
    fn inside(
        root: &Path,
        folder: &Path,
        depth: usize,
        files: &mut Vec<(String, u64)>,
    ) -> Result<()> {
        const DEEPEST: usize = 6;
        for path in entries(folder)? {
            if path.is_dir() {
                if depth < DEEPEST {
                    inside(root, &path, depth + 1, files)?;
                }
                continue;
            }
            let name = path.strip_prefix(root).unwrap_or(&path);
            let Some(name) = name.to_str() else {
                bail!("{} cannot be read: its name is not UTF-8", path.display());
            };
            let size = fs::metadata(&path)
                .with_context(|| format!("{} cannot be read", path.display()))?
                .len();
            files.push((name.to_owned(), size));
        }
        Ok(())
    }
    inside(folder, folder, 0, files)
}

/// What a folder holds, hidden files left out.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = || format!("{} cannot be read", folder.display());
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
        let outer = Data::files(DataSet::BrainMri, dir.path()).unwrap();
        let inner = Data::files(DataSet::BrainMri, &nested).unwrap();
        assert_eq!(outer.facts.fingerprint, inner.facts.fingerprint);
        assert_eq!(outer.facts.images, [1, 1]);

        write(&nested, "Testing/glioma/b.jpg", 5);
        let changed = Data::files(DataSet::BrainMri, &nested).unwrap();
        assert_ne!(changed.facts.fingerprint, inner.facts.fingerprint);
    }

    #[test]
    fn the_three_layouts_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let isic = dir.path().join("isic2019");
        write(&isic, "ISIC_2019_Training_Input/a.jpg", 3);
        write(&isic, "ISIC_2019_Training_Input/inner/b.jpg", 3);
        write(&isic, "ISIC_2019_Training_Input/ATTRIBUTION.txt", 3);
        let error = Data::files(DataSet::Isic2019, dir.path()).err().unwrap();
        assert!(error.to_string().contains("GroundTruth.csv"), "{error}");
        write(&isic, "ISIC_2019_Training_GroundTruth.csv", 9);
        let data = Data::files(DataSet::Isic2019, dir.path()).unwrap();
        assert_eq!(data.facts.images, [2]);
        write(&isic, "ISIC_2019_Training_GroundTruth.csv", 8);
        let changed = Data::files(DataSet::Isic2019, dir.path()).unwrap();
        assert_ne!(changed.facts.fingerprint, data.facts.fingerprint);
        let parts = |images: &[u64]| {
            Facts {
                images: images.to_vec(),
                ..data.facts.clone()
            }
            .parts()
        };
        assert_eq!(parts(&[100]), [80.0, 10.0, 10.0]);
        assert_eq!(parts(&[100, 7]), [90.0, 10.0, 7.0]);

        write(&dir.path().join("biopsies"), "labels.csv", 3);
        write(&dir.path().join("biopsies"), "images/a.tif", 3);
        let data = Data::files(DataSet::Biopsies, dir.path()).unwrap();
        assert_eq!(data.facts.images, [1]);
    }

    #[test]
    fn a_missing_layout_says_what_was_expected_and_where() {
        let dir = tempfile::tempdir().unwrap();
        let error = Data::files(DataSet::BrainMri, dir.path())
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
