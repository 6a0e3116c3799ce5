//! The command that comes after the one that is done, with the user's own paths.

use cass_data::image::{Frame, Levels, Pages, Reading};
use cass_data::recipe::DataRecipe;
use cass_data::source::{Blank, Uncertain};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A path as one word of a shell.
pub fn word(path: impl AsRef<Path>) -> String {
    let text = path.as_ref().display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,~".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The path of a run next to another: `runs/cass` and `vit` give `runs/cass-vit`.
pub fn beside(run: &Path, name: &str) -> PathBuf {
    let own = run.file_name().unwrap_or_default().to_string_lossy();
    run.with_file_name(format!("{own}-{name}"))
}

/// What pretrains on the images of a recipe.
pub fn pretrain(recipe: &DataRecipe) -> String {
    format!(
        "cass pretrain --method cass {} --out runs/cass",
        images(recipe)
    )
}

/// The flags by which `cass` finds the images of a recipe and reads them alike.
pub fn images(recipe: &DataRecipe) -> String {
    let mut flags = format!("--data {}", recipe.name);
    let roots = std::iter::once(&recipe.root).chain(&recipe.more_roots);
    let mut flag = |name: &str, value: String| {
        let _ = write!(flags, " --{name} {value}"); // a String takes every write
    };
    roots.for_each(|root| flag("data-root", word(root)));
    for (column, name) in &recipe.columns {
        flag("columns", word(format!("{}={name}", column.name())));
    }
    if !recipe.labels.is_empty() {
        flag("labels", word(recipe.labels.join(",")));
    }
    if !recipe.images.is_empty() {
        let folders: Vec<String> = recipe.images.iter().map(word).collect();
        flag("images", folders.join(" "));
    }
    for pattern in &recipe.exclude {
        flag("exclude", word(pattern));
    }
    if let Some(group_by) = &recipe.group_by {
        flag("group-by", word(group_by));
    }
    let read = recipe.reading();
    if read.levels != Levels::default() {
        flag("levels", word(read.levels.to_string()));
    }
    if read.pages != Pages::default() {
        flag("pages", word(read.pages.to_string()));
    }
    if read.frame != Frame::default() {
        flag("frame", read.frame.to_string());
    }
    if read.in_chans != Reading::default().in_chans {
        flag("in-chans", read.in_chans.to_string());
    }
    if read.window_index > 0 {
        flag("window-index", read.window_index.to_string());
    }
    if read.max_megapixels > 0 {
        flag("max-megapixels", read.max_megapixels.to_string());
    }
    for (choice, said) in [
        ("zero", Uncertain::Zero),
        ("one", Uncertain::One),
        ("ignore", Uncertain::Ignore),
    ] {
        if recipe.uncertain == Some(said) {
            flag("uncertain", choice.into());
        }
    }
    for (choice, said) in [("zero", Blank::Zero), ("ignore", Blank::Ignore)] {
        if recipe.blank == Some(said) {
            flag("blank", choice.into());
        }
    }
    if read.exif {
        flags += " --exif";
    }
    if recipe.skip_bad {
        flags += " --skip-bad";
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_to_a_shell() {
        assert_eq!(word("runs/cass-1"), "runs/cass-1");
        assert_eq!(word("my scans"), "'my scans'");
        assert_eq!(word("it's"), r"'it'\''s'");
        assert_eq!(word("scans/**/*.png"), "'scans/**/*.png'");
    }

    #[test]
    fn images_are_found_again_by_the_flags() {
        let mut recipe = DataRecipe::new("csv", "my labels.csv");
        recipe.exclude = vec!["*_mask.*".into()];
        recipe.skip_bad = true;
        assert_eq!(
            images(&recipe),
            "--data csv --data-root 'my labels.csv' --exclude '*_mask.*' --skip-bad"
        );
    }
}
