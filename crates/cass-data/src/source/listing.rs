//! What is in a folder, but for what systems and programs leave there.

use crate::{Error, Result};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Files and folders, in lower case, that systems and programs leave in folders; so are all whose
/// names begin with a dot, `._*` of macOS and `.ipynb_checkpoints` among them.
const LITTER: [&str; 10] = [
    "thumbs.db",
    "desktop.ini",
    "__macosx",
    "@eadir",
    "#recycle",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "__pycache__",
    "dicomdir",
];
/// Endings of image files, in the order in which they are preferred.
pub(super) const ENDINGS: [&str; 15] = [
    "jpg", "jpeg", "png", "tif", "tiff", "bmp", "dcm", "dicom", "pgm", "ppm", "pnm", "webp", "gif",
    "jpe", "jfif",
];
/// Endings of images that are told what to be converted to.
const FOREIGN: [&str; 7] = ["nii", "gz", "heic", "heif", "avif", "jp2", "mha"];
/// Folders within folders that are followed, from the system's root; deeper is no data set.
const MAX_DEPTH: usize = 128;

/// Whether this is a name of what systems and programs leave in folders.
pub(super) fn is_litter(name: &str) -> bool {
    name.starts_with('.') || LITTER.contains(&name.to_ascii_lowercase().as_str())
}

/// The entries of a folder by name, without litter.
pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |source| Error::Io {
        action: "listed",
        path: folder.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if !is_litter(&entry.file_name().to_string_lossy()) {
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

/// All files below a folder, images or not. Links are followed, but for one to a folder that it is
/// in: that would lead in a circle.
pub(super) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    fn real(folder: &Path) -> Result<PathBuf> {
        folder.canonicalize().map_err(|source| Error::Io {
            action: "listed",
            path: folder.to_owned(),
            source,
        })
    }
    fn collect(folder: &Path, above: &mut Vec<PathBuf>, files: &mut Vec<PathBuf>) -> Result<()> {
        for path in list(folder)? {
            if !path.is_dir() {
                files.push(path);
                continue;
            }
            let inside = real(&path)?;
            if !above.contains(&inside) && above.len() <= MAX_DEPTH {
                above.push(inside);
                collect(&path, above, files)?;
                above.pop();
            }
        }
        Ok(())
    }
    let mut above: Vec<PathBuf> = real(folder)?.ancestors().map(Path::to_owned).collect();
    let mut files = Vec::new();
    collect(folder, &mut above, &mut files)?;
    Ok(files)
}

/// Whether a file is an image by its ending or, where that says nothing, by its content: scanners
/// write DICOM without an ending.
pub(super) fn is_image(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    let ending = ending.to_ascii_lowercase();
    if ENDINGS.contains(&ending.as_str()) || FOREIGN.contains(&ending.as_str()) {
        return true;
    }
    const LOOKED_AT: u64 = 512;
    let mut start = Vec::new();
    let regular = fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    let mut read = || {
        fs::File::open(path)?
            .take(LOOKED_AT)
            .read_to_end(&mut start)
    };
    regular && read().is_ok() && crate::decode::is_image(&start)
}

/// The images of what a command was given: a file as it is, and of a folder all images at any depth,
/// in order, with those of folders that links lead to, without what systems leave there and without
/// files that are no images.
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let root = folder.path();
/// # std::fs::create_dir(root.join("__MACOSX")).unwrap();
/// # for name in ["1.png", "notes.txt", "__MACOSX/1.png"] { std::fs::write(root.join(name), "").unwrap(); }
/// let images = cass_data::source::images_at(root).unwrap();
/// assert_eq!(images.len(), 1);
/// ```
///
/// # Errors
/// A folder that cannot be listed.
pub fn images_at(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = files_below(path)?;
    files.retain(|file| is_image(file));
    Ok(files)
}

/// Patterns of what is left out.
#[derive(Debug, Default, Clone)]
pub(super) struct Filter {
    patterns: GlobSet,
    /// Folders of the data set, of whose own names and those above no pattern is.
    roots: Vec<PathBuf>,
}

impl Filter {
    /// A pattern without a slash is of a name, of a file or any folder above it; one with a slash is
    /// of the end of a path.
    pub(super) fn new(patterns: &[String]) -> Result<Self> {
        let wrong = |pattern: &str| Error::Setting {
            name: "exclude",
            value: format!("{pattern:?}"),
            expected: "a pattern such as *_mask.* or masks/**",
        };
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            let from = pattern.trim_start_matches('/');
            for whole in [format!("**/{from}"), format!("**/{from}/**")] {
                let glob = GlobBuilder::new(&whole).literal_separator(true).build();
                set.add(glob.map_err(|_| wrong(pattern))?);
            }
        }
        let patterns = set.build().map_err(|_| wrong(&patterns.join(" ")))?;
        let roots = Vec::new();
        Ok(Self { patterns, roots })
    }

    /// The patterns, for what is below these folders.
    pub(super) fn below<'a>(self, roots: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        let roots = roots.into_iter().cloned().collect();
        Self { roots, ..self }
    }

    pub(super) fn keeps(&self, path: &Path) -> bool {
        let below = |root: &PathBuf| path.strip_prefix(root).ok();
        let shortest = |path: &&Path| path.components().count();
        let below = self.roots.iter().filter_map(below).min_by_key(shortest);
        !self.patterns.is_match(below.unwrap_or(path))
    }
}

/// The name of a file or folder.
pub(super) fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// One line on files that are left out, if there are any.
pub(super) fn left_out(files: &BTreeSet<PathBuf>, why: &str) -> Option<String> {
    const NAMED: usize = 3;
    let named: Vec<_> = files.iter().take(NAMED).map(|file| name(file)).collect();
    let more = if files.len() > NAMED { " ..." } else { "" };
    let (count, named) = (files.len(), named.join(", "));
    (count > 0).then(|| format!("{count} files {why} are left out: {named}{more}"))
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
