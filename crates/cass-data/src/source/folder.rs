//! One folder a class, with or without folders of parts above them: torchvision's `ImageFolder`.

use super::listing::{files_below, folders, is_image, left_out, list, name};
use super::{Choices, Filter, Found, Item, Problem, ProblemKind, images, locate};
use crate::Result;
use crate::source::{Part, Task};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub(crate) const NAME: &str = "folder";
/// For `--labels`: that folders are classes, whatever their names.
const BY_FOLDER: &str = "by-folder";
/// Of a path that is looked down; links may go in circles.
const MOST_NAMES: usize = 64;

/// Lists the images below the class folders of `data_root`. A folder without class folders is one of
/// images without labels.
pub(crate) fn find(data_root: &Path, choices: &Choices) -> Result<Found> {
    if choices.labels == ["none"] {
        return images::find(data_root, choices);
    }
    let expected = "folders <class>, or train/<class> and perhaps val/<class> and test/<class>, or \
                    images without labels";
    let filter = Filter::new(&choices.exclude)?;
    let holds = |root: &Path| list(root).is_ok_and(|l| l.iter().any(|p| p.is_dir() || is_image(p)));
    let root = locate(data_root, NAME, expected, holds)?;
    let filter = filter.below([&root]);
    let top = kept(&filter, &root)?;
    let by_folder = choices.labels == [BY_FOLDER];
    if top.is_empty() || !by_folder && top.iter().all(|folder| is_date(&name(folder))) {
        let mut found = images::find(&root, choices)?;
        if !top.is_empty() {
            let note = "the folders are named by dates: images without labels (--labels by-folder \
                        takes them for classes)";
            found.notes.push(note.into());
        }
        return Ok(found);
    }
    let mut tree = Tree {
        filter,
        others: BTreeSet::new(),
        problems: Vec::new(),
    };
    let parts = tree.parts(&root, top);
    let mut classes: BTreeMap<String, Vec<(Option<Part>, PathBuf)>> = BTreeMap::new();
    for (part, folder) in &parts {
        for class in kept(&tree.filter, folder)? {
            classes
                .entry(name(&class))
                .or_default()
                .push((*part, class));
        }
        tree.find_strays(folder)?;
    }
    tree.find_copies(&classes);
    let mut notes = Vec::new();
    if let [(class, folders)] = &classes.iter().collect::<Vec<_>>()[..] {
        tree.find_deeper(class, folders);
    }
    let names: Vec<String> = classes.keys().cloned().collect();
    let mut of_parts: BTreeMap<Option<Part>, Vec<Item>> = BTreeMap::new();
    let mut patients = Patients::default();
    for (label, (_, folders)) in classes.iter().enumerate() {
        for (part, folder) in folders {
            let files = tree.images(folder)?;
            patients.look(folder, &files);
            let items = files
                .into_iter()
                .map(|path| Item::file(path).label(label).part(*part));
            of_parts.entry(*part).or_default().extend(items);
        }
    }
    // The parts one after the other, in the order of their folders.
    let mut items: Vec<Item> = Vec::new();
    for (part, _) in &parts {
        items.extend(of_parts.remove(part).unwrap_or_default());
    }
    let too_deep = |problem: &Problem| problem.kind == ProblemKind::TooDeep;
    if choices.group_by.is_none() && !tree.problems.iter().any(too_deep) {
        notes.extend(patients.give(&mut items));
    }
    notes.extend(left_out(&tree.others, "that are no images"));
    Ok(Found {
        root,
        classes: names,
        task: Task::MultiClass,
        items,
        problems: tree.problems,
        notes,
    })
}

/// The folders in a folder that are not left out.
fn kept(filter: &Filter, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut all = folders(folder)?;
    all.retain(|folder| filter.keeps(folder));
    Ok(all)
}

/// What is come across.
struct Tree {
    filter: Filter,
    /// Files that are no images.
    others: BTreeSet<PathBuf>,
    problems: Vec<Problem>,
}

impl Tree {
    /// The folders of the parts, or the root where there are none.
    fn parts(&mut self, root: &Path, top: Vec<PathBuf>) -> Vec<(Option<Part>, PathBuf)> {
        if !top.iter().any(|f| part(&name(f)) == Some(Part::Train)) {
            if top.len() > 1 && top.iter().all(|f| part(&name(f)).is_some()) {
                let detail = "training images, as the other folders are parts of a data set";
                self.problem(ProblemKind::UnknownClass, &top[0], detail.into());
            }
            return vec![(None, root.to_owned())];
        }
        let mut parts = Vec::new();
        for folder in top {
            match part(&name(&folder)) {
                Some(part) => parts.push((Some(part), folder)),
                None => self.problem(
                    ProblemKind::UnknownClass,
                    &folder,
                    "train, val and test, as there is a folder train".into(),
                ),
            }
        }
        parts
    }

    fn problem(&mut self, kind: ProblemKind, path: &Path, detail: String) {
        let path = path.to_owned();
        self.problems.push(Problem { kind, path, detail });
    }

    /// The images below a class folder; what is none is put aside.
    fn images(&mut self, folder: &Path) -> Result<Vec<PathBuf>> {
        let mut files = files_below(folder)?;
        files.retain(|file| self.filter.keeps(file));
        let (images, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| is_image(file));
        self.others.extend(others);
        Ok(images)
    }

    /// Images next to class folders are of no class.
    fn find_strays(&mut self, folder: &Path) -> Result<()> {
        for path in list(folder)? {
            if !path.is_dir() && self.filter.keeps(&path) && is_image(&path) {
                let detail = "is next to the class folders, in none of them".into();
                self.problem(ProblemKind::UnlabelledFile, &path, detail);
            }
        }
        Ok(())
    }

    /// A class folder that holds all the other classes is the archive, unpacked into itself.
    fn find_copies(&mut self, classes: &BTreeMap<String, Vec<(Option<Part>, PathBuf)>>) {
        for (class, places) in classes {
            let others: BTreeSet<&String> = classes.keys().filter(|c| *c != class).collect();
            for (_, folder) in places {
                let inside = folders(folder).unwrap_or_default();
                let inside: BTreeSet<String> = inside.iter().map(|f| name(f)).collect();
                if others.len() > 1 && others.iter().all(|class| inside.contains(*class)) {
                    let others: Vec<_> = others.iter().map(|o| o.as_str()).collect();
                    let detail = format!(
                        "holds {} again, as an archive that was unpacked into itself; expected class \
                         folders alone (--exclude {class} leaves it out)",
                        others.join(", ")
                    );
                    self.problem(ProblemKind::Copy, folder, detail);
                }
            }
        }
    }

    /// A single class whose folders look like the classes.
    fn find_deeper(&mut self, class: &str, places: &[(Option<Part>, PathBuf)]) {
        let [(_, folder), ..] = places else { return };
        let mut folder = folder.clone();
        let mut inside = folders(&folder).unwrap_or_default();
        let has_images = |folder: &Path| {
            let files = list(folder).unwrap_or_default();
            files.iter().any(|file| !file.is_dir() && is_image(file))
        };
        // An archive in an archive.
        while let [only] = &inside[..]
            && !has_images(&folder)
            && only.components().count() < MOST_NAMES
        {
            folder = only.clone();
            inside = folders(&folder).unwrap_or_default();
        }
        if inside.len() > 1 && !has_images(&folder) {
            const NAMED: usize = 4;
            let named: Vec<_> = inside.iter().take(NAMED).map(|f| name(f)).collect();
            let detail = format!(
                "is the only class ({class:?}); its folders, such as {}, may be the classes: is it \
                 --data-root {}?",
                named.join(", "),
                folder.display()
            );
            self.problem(ProblemKind::TooDeep, &folder, detail);
        }
    }
}

/// The folders below class folders, where these may be patients.
#[derive(Default)]
struct Patients {
    /// By image.
    of: BTreeMap<PathBuf, String>,
    no: bool,
}

impl Patients {
    /// Folders are patients if every image of every class is in one, and every class has several.
    fn look(&mut self, class: &Path, files: &[PathBuf]) {
        let mut found = BTreeSet::new();
        for file in files {
            let below = file.strip_prefix(class).unwrap_or(file);
            let mut parts = below.components();
            let first = parts.next().map(|c| c.as_os_str().to_string_lossy());
            match (first, parts.next()) {
                (Some(folder), Some(_)) => {
                    found.insert(folder.to_string());
                    self.of.insert(file.clone(), folder.into());
                }
                _ => self.no = true,
            }
        }
        self.no |= found.len() < 2 && !files.is_empty();
    }

    fn give(self, items: &mut [Item]) -> Option<String> {
        if self.no || self.of.is_empty() {
            return None;
        }
        for item in items {
            item.group = self.of.get(&item.path).cloned();
        }
        let patients: BTreeSet<_> = self.of.into_values().collect();
        Some(format!(
            "the {} folders below the classes are taken for patients, whom no split divides \
             (--group-by none does not)",
            patients.len()
        ))
    }
}

/// Whether a folder's name is a year, or a date that begins with one.
pub(super) fn is_date(name: &str) -> bool {
    let mut numbers = name.split(['-', '_', '.']);
    let year = |text: &str| {
        text.bytes().all(|b| b.is_ascii_digit())
            && [4, 6, 8].contains(&text.len())
            && ["19", "20"].contains(&&text[..2])
    };
    let two = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    numbers.next().is_some_and(year) && numbers.all(two)
}

/// The part that a word names, as in `train`, `Training` or `test_set`.
pub(super) fn part(word: &str) -> Option<Part> {
    let word = word.to_ascii_lowercase();
    let ends = ["set", "data", "images", "imgs"];
    let short = ends.iter().find_map(|end| word.strip_suffix(end));
    let short = short.map(|short| short.trim_end_matches(['_', '-', ' ']));
    match short.unwrap_or(&word) {
        "train" | "training" => Some(Part::Train),
        "val" | "valid" | "validation" => Some(Part::Val),
        "test" | "testing" => Some(Part::Test),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_from_classes() {
        for (word, want) in [
            ("train", Some(Part::Train)),
            ("Training", Some(Part::Train)),
            ("train_set", Some(Part::Train)),
            ("TestData", Some(Part::Test)),
            ("valid-images", Some(Part::Val)),
            ("trained", None),
            ("set", None),
            ("latest", None),
            ("onset", None),
        ] {
            assert_eq!(part(word), want, "{word}");
        }
    }

    #[test]
    fn dates_are_told_from_classes() {
        for name in ["2021", "2021-03", "20210304", "1999_12_31", "202103"] {
            assert!(is_date(name), "{name}");
        }
        for name in ["0", "2", "yes", "12345", "2021-a", "2021a", "20", "3021"] {
            assert!(!is_date(name), "{name}");
        }
    }
}
