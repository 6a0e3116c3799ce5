//! The command that comes after the one that is done, with the user's own paths.

use crate::images::{BLANK, UNCERTAIN};
use cass_data::recipe::DataRecipe;
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

/// The flags by which `cass` finds the images of a recipe, divides them and reads them alike.
pub fn images(recipe: &DataRecipe) -> String {
    // By every field, so that a new one is not forgotten here.
    let DataRecipe {
        name,
        root,
        val_fraction,
        fraction: _, // how much a run learns from is its own matter
        skip_bad,
        test_fraction,
        more_roots,
        images,
        labels,
        uncertain,
        blank,
        exclude,
        group_by,
        exclude_test_of,
        levels,
        exif,
        pages,
        frame,
        window_index,
        max_megapixels,
        in_chans,
        columns,
    } = recipe;
    let usual = DataRecipe::default();
    let mut flags = format!("--data {name}");
    let mut flag = |name: &str, value: String| {
        let _ = write!(flags, " --{name} {value}"); // a String takes every write
    };
    let roots = std::iter::once(root).chain(more_roots);
    roots.for_each(|root| flag("data-root", word(root)));
    for (column, name) in columns {
        flag("columns", word(format!("{}={name}", column.name())));
    }
    if !labels.is_empty() {
        flag("labels", word(labels.join(",")));
    }
    if !images.is_empty() {
        let folders: Vec<String> = images.iter().map(word).collect();
        flag("images", folders.join(" "));
    }
    for pattern in exclude {
        flag("exclude", word(pattern));
    }
    if let Some(group_by) = group_by {
        flag("group-by", word(group_by));
    }
    if let Some(of) = exclude_test_of {
        flag("exclude-test-of", word(of));
    }
    if let Some(test) = test_fraction {
        let shares = [1.0 - val_fraction - test, *val_fraction, *test];
        // Without the last digits, which no percentage was given by.
        let percent = shares.map(|share| ((share * 1e8).round() / 1e6).to_string());
        flag("split", percent.join("/"));
    }
    if *levels != usual.levels {
        flag("levels", word(levels.to_string()));
    }
    if *pages != usual.pages {
        flag("pages", word(pages.to_string()));
    }
    if *frame != usual.frame {
        flag("frame", frame.to_string());
    }
    if *in_chans != usual.in_chans {
        flag("in-chans", in_chans.to_string());
    }
    if *window_index != usual.window_index {
        flag("window-index", window_index.to_string());
    }
    if *max_megapixels != usual.max_megapixels {
        flag("max-megapixels", max_megapixels.to_string());
    }
    for (choice, name, _) in UNCERTAIN {
        if *uncertain == Some(choice) {
            flag("uncertain", name.into());
        }
    }
    for (choice, name, _) in BLANK {
        if *blank == Some(choice) {
            flag("blank", name.into());
        }
    }
    if *exif {
        flags += " --exif";
    }
    if *skip_bad {
        flags += " --skip-bad";
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::DataArgs;
    use clap::Parser;

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

    #[test]
    fn the_flags_of_a_recipe_make_the_same_recipe() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            images: DataArgs,
        }
        let given = "cass --data csv --data-root a.csv --data-root b.csv --columns path=file --group-column who \
            --labels x,y --images here there --uncertain one --blank zero --exclude mask_ --group-by none \
            --split 65/7/28 --levels window:-40,400 --exif --pages 3,1,2 --frame middle --window-index 2 \
            --in-chans 5 --max-megapixels 200 --exclude-test-of runs/probe --skip-bad";
        let read = |line: &str| {
            let line = Line::try_parse_from(line.split_whitespace()).unwrap();
            line.images.recipe().unwrap()
        };
        let recipe = read(given);
        assert_eq!(read(&format!("cass {}", images(&recipe))), recipe);
        assert_eq!(recipe.test_fraction, Some(0.28));
    }
}
