//! What is in a folder, but for what systems leave there.

use crate::{Error, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Files that systems leave in folders.
const LITTER: [&str; 2] = ["thumbs.db", "desktop.ini"];
/// Endings of image files, in the order in which they are preferred.
const ENDINGS: [&str; 7] = ["jpg", "jpeg", "png", "tif", "tiff", "bmp", "dcm"];
/// Folders within folders that are followed; deeper is no data set.
const MAX_DEPTH: usize = 8;

/// The entries of a folder by name, without hidden files and the systems' litter.
pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |source| Error::Io {
        action: "list folder",
        path: folder.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name().to_string_lossy().to_ascii_lowercase();
        if !name.starts_with('.') && !LITTER.contains(&name.as_str()) {
            paths.push(entry.path());
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

/// The folders in a folder.
pub(super) fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(list(folder)?.into_iter().filter(|p| p.is_dir()).collect())
}

/// All files below a folder. A link to a folder that it is in is not followed.
pub(super) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    fn collect(folder: &Path, above: &mut Vec<PathBuf>, files: &mut Vec<PathBuf>) -> Result<()> {
        let real = folder.canonicalize().map_err(|source| Error::Io {
            action: "list folder",
            path: folder.to_owned(),
            source,
        })?;
        if above.contains(&real) {
            return Ok(());
        }
        above.push(real);
        for path in list(folder)? {
            if path.is_dir() && above.len() <= MAX_DEPTH {
                collect(&path, above, files)?;
            } else {
                files.push(path);
            }
        }
        above.pop();
        Ok(())
    }
    let mut files = Vec::new();
    collect(folder, &mut Vec::new(), &mut files)?;
    Ok(files)
}

/// The name of a file or folder.
pub(super) fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The image files of some folders by the names that tables give them: with and without ending.
pub(super) struct Images {
    by_name: BTreeMap<String, PathBuf>,
}

impl Images {
    pub(super) fn of(folders: &[PathBuf]) -> Result<Self> {
        let mut images: Vec<(usize, PathBuf)> = Vec::new();
        for folder in folders {
            for path in list(folder)? {
                let ending = path.extension().unwrap_or_default();
                let ending = ending.to_string_lossy().to_ascii_lowercase();
                let rank = ENDINGS.iter().position(|e| *e == ending);
                images.extend(rank.filter(|_| !path.is_dir()).map(|rank| (rank, path)));
            }
        }
        images.sort_unstable();
        let mut by_name = BTreeMap::new();
        for (_, path) in &images {
            by_name.insert(name(path), path.clone());
        }
        for (_, path) in images {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            by_name.entry(stem.into_owned()).or_insert(path);
        }
        Ok(Self { by_name })
    }

    pub(super) fn get(&self, name: &str) -> Option<&PathBuf> {
        self.by_name.get(name)
    }

    /// Every file once.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let by_name = self.by_name.iter();
        by_name
            .filter(|(key, path)| **key == name(path))
            .map(|(_, path)| path)
    }
}
