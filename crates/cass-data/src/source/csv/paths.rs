//! From what a table calls an image to the file.

use super::cells::class;
use super::{Choices, Problem, ProblemKind, Row, Table, list, name};
use crate::Result;
use crate::source::Filter;
use crate::source::listing::{self, ENDINGS};
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Where images are looked for.
#[derive(Clone)]
pub(super) struct Places {
    /// Folders that paths may be relative to, nearest first.
    bases: Vec<PathBuf>,
    /// Folders below which a bare name is looked for.
    below: Vec<PathBuf>,
    filter: Filter,
    by_name: OnceCell<BTreeMap<String, Vec<PathBuf>>>,
    /// By paths and names in lower case.
    by_case: OnceCell<BTreeMap<String, Vec<PathBuf>>>,
    /// Paths that are written in another case than their files.
    pub(super) recased: usize,
    /// The folders that a user named, and how many leading names of a path are of another computer:
    /// as many in every row, or `test/1.png` could be `train/1.png`.
    named: Vec<PathBuf>,
    foreign: Option<usize>,
}

impl Places {
    pub(super) fn new(root: &Path, choices: &Choices) -> Result<Self> {
        let root = if root.as_os_str().is_empty() {
            Path::new(".")
        } else {
            root
        };
        let mut bases = choices.images.clone();
        bases.push(root.to_owned());
        // CheXpert's paths begin with the name of the table's own folder.
        bases.push(root.join(".."));
        let below = match &choices.images[..] {
            [] => vec![root.to_owned()],
            images => images.to_vec(),
        };
        Ok(Self {
            bases,
            filter: Filter::new(&choices.exclude)?.below(&below),
            below,
            by_name: OnceCell::new(),
            by_case: OnceCell::new(),
            recased: 0,
            named: choices.images.clone(),
            foreign: None,
        })
    }

    /// The file that a row names.
    pub(super) fn find(
        &mut self,
        table: &Table,
        row: &Row,
        column: usize,
    ) -> Result<PathBuf, Problem> {
        let missing = |expected: &str| Problem {
            kind: ProblemKind::MissingFile,
            ..table.bad_cell(row, column, expected)
        };
        let said = row.fields[column].as_str();
        if said.is_empty() {
            return Err(missing("an image file that is there"));
        }
        for text in spellings(said) {
            if let Some(file) = self.bases.iter().find_map(|base| at(base, &text)) {
                return Ok(file);
            }
        }
        if let Some(file) = self.beyond_foreign_names(said) {
            return Ok(file);
        }
        match self.of_name(said) {
            [] => match self.of_any_case(said) {
                Some(file) => {
                    self.recased += 1;
                    Ok(file)
                }
                None => Err(missing("an image file that is there")),
            },
            [file] => Ok(file.clone()),
            [a, b, ..] => Err(missing(&format!(
                "the name of one image: {} and {} have it (--images DIR or --exclude PATTERN chooses)",
                a.display(),
                b.display()
            ))),
        }
    }

    fn beyond_foreign_names(&mut self, said: &str) -> Option<PathBuf> {
        let said = said.replace('\\', "/");
        let ends = ends_of(&said).enumerate().skip(1);
        let tried = ends.filter(|(count, _)| self.foreign.is_none_or(|known| known == *count));
        let folders = &self.named;
        let mut found = tried.filter_map(|(count, end)| {
            let file = folders.iter().find_map(|folder| at(folder, end));
            file.map(|file| (count, file))
        });
        let (count, file) = found.next()?;
        self.foreign = Some(count);
        Some(file)
    }

    /// The files below that have this name, with or without its ending. Only bare names are looked
    /// for: `test/1.png` is not `train/1.png`.
    fn of_name(&self, said: &str) -> &[PathBuf] {
        if said.contains(['/', '\\']) {
            return &[];
        }
        let by_name = self.by_name.get_or_init(|| self.index());
        by_name.get(said).map_or(&[], Vec::as_slice)
    }

    /// The only file that has this path or bare name if case does not matter, as it does not where the
    /// table was written.
    fn of_any_case(&self, said: &str) -> Option<PathBuf> {
        let by_case = self.by_case.get_or_init(|| self.index_in_lower_case());
        let said = said.replace('\\', "/").to_lowercase();
        match by_case
            .get(said.trim_start_matches("./"))
            .map(Vec::as_slice)
        {
            Some([file]) => Some(file.clone()),
            _ => None,
        }
    }

    fn index_in_lower_case(&self) -> BTreeMap<String, Vec<PathBuf>> {
        let mut by_case: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for base in &self.below {
            for file in listing::files_below(base).unwrap_or_default() {
                if rank(&file).is_none() || !self.filter.keeps(&file) {
                    continue;
                }
                let below = file.strip_prefix(base).unwrap_or(&file);
                let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
                let mut keys = BTreeSet::new();
                for key in [parts.join("/"), name(&file)] {
                    let key = key.to_lowercase();
                    let stem = key.rsplit_once('.').map(|(stem, _)| stem.to_owned());
                    keys.extend(stem.into_iter().chain([key]));
                }
                for key in keys {
                    by_case.entry(key).or_default().push(file.clone());
                }
            }
        }
        by_case
    }

    fn index(&self) -> BTreeMap<String, Vec<PathBuf>> {
        let mut files = BTreeSet::new();
        for folder in &self.below {
            files.extend(listing::files_below(folder).unwrap_or_default());
        }
        let ranked = |path: PathBuf| Some((rank(&path)?, path));
        let mut files: Vec<_> = files.into_iter().filter_map(ranked).collect();
        files.sort();
        let mut by_name: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for (_, file) in files {
            if !self.filter.keeps(&file) {
                continue;
            }
            by_name.entry(name(&file)).or_default().push(file.clone());
            let stem = file.file_stem().unwrap_or_default().to_string_lossy();
            let of_stem = by_name.entry(stem.into_owned()).or_default();
            // In one folder the preferred ending is meant.
            if of_stem.iter().all(|other| other.parent() != file.parent()) {
                of_stem.push(file);
            }
        }
        by_name
    }

    /// What to say where no row's image is there: an example, and where it may be.
    pub(super) fn nowhere(&self, said: &str, rows: usize) -> String {
        let looked: Vec<_> = self.bases.iter().map(|base| shown(base)).collect();
        let guess = self.guess(said).map_or(String::new(), |folder| {
            format!(
                "; is it --images {}, where such a file is?",
                folder.display()
            )
        });
        format!(
            "none of its {rows} images is there, such as {said:?}; looked in {}{guess}",
            looked.join(", ")
        )
    }

    /// A folder near the table from which the end of this path leads to a file.
    fn guess(&self, said: &str) -> Option<PathBuf> {
        let said = said.replace('\\', "/");
        let mut near: Vec<PathBuf> = Vec::new();
        for base in &self.bases {
            near.push(base.clone());
            near.extend(listing::folders(base).unwrap_or_default());
        }
        const LOOKED_AT: usize = 1000;
        near.truncate(LOOKED_AT);
        let mut found = ends_of(&said).flat_map(|end| {
            near.iter()
                .find(|folder| !end.starts_with('/') && at(folder, end).is_some())
        });
        found.next().map(|folder| PathBuf::from(shown(folder)))
    }

    /// Images next to those that the table names, and that it does not.
    pub(super) fn unnamed(
        &self,
        named: &BTreeMap<PathBuf, (PathBuf, u64)>,
        tables: &str,
    ) -> Vec<Problem> {
        let real = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
        let folders: BTreeSet<_> = named.keys().filter_map(|path| path.parent()).collect();
        let named: BTreeSet<_> = named.keys().map(real).collect();
        let files = folders.into_iter().flat_map(|folder| list(folder).ok());
        let files = files.flatten().filter(|path| {
            rank(path).is_some() && self.filter.keeps(path) && !named.contains(&real(path))
        });
        let of = |path: PathBuf| Problem {
            kind: ProblemKind::UnlabelledFile,
            path,
            detail: format!("has no row in {tables}"),
        };
        files.filter(|path| path.is_file()).map(of).collect()
    }
}

/// The path, and what is left of it without its first names.
fn ends_of(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |rest| Some(rest.split_once('/')?.1))
        .filter(|end| !end.is_empty())
}

/// The path as it is written, and with the other system's separators.
fn spellings(said: &str) -> Vec<String> {
    let mut texts = vec![said.to_owned()];
    if said.contains('\\') {
        texts.push(said.replace('\\', "/"));
    }
    // A number that pandas wrote with a fraction.
    let whole = class(said);
    if whole != said {
        texts.push(whole);
    }
    texts
}

/// The file at this path from `base`, or with an ending more.
fn at(base: &Path, said: &str) -> Option<PathBuf> {
    let path = base.join(said);
    if path.is_file() {
        return Some(clean(path));
    }
    let file = path.file_name()?.to_string_lossy().into_owned();
    let endings = ENDINGS.iter();
    let endings = endings.flat_map(|ending| [ending.to_string(), ending.to_ascii_uppercase()]);
    let mut paths = endings.map(|ending| path.with_file_name(format!("{file}.{ending}")));
    paths.find(|path| path.is_file()).map(clean)
}

/// The path without the detour over the folder that the table is in.
fn clean(path: PathBuf) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        let detour = part == std::path::Component::ParentDir
            && matches!(
                clean.components().next_back(),
                Some(std::path::Component::Normal(_))
            );
        match part {
            _ if detour => drop(clean.pop()),
            std::path::Component::CurDir => {}
            part => clean.push(part),
        }
    }
    if clean.is_file() { clean } else { path }
}

fn shown(base: &Path) -> String {
    let real = base.canonicalize();
    real.unwrap_or_else(|_| base.to_owned())
        .display()
        .to_string()
}

/// The place of a file's ending among those of images.
fn rank(path: &Path) -> Option<usize> {
    let ending = path.extension()?.to_string_lossy().to_ascii_lowercase();
    ENDINGS.iter().position(|known| *known == ending)
}
