//! Recipes of any kind as text: TOML out, TOML in, and where two of them differ.

use crate::error::{Error, Result};
use crate::{differ, suggest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// A recipe as TOML text.
///
/// # Panics
/// If its type cannot be a TOML table, which is a mistake in the type.
pub fn to_toml(recipe: &impl Serialize) -> String {
    toml::to_string(recipe).unwrap_or_else(|error| panic!("a recipe is a TOML table: {error}"))
}

/// Reads a recipe's TOML text, one that was written before there was a table `[data]` too.
///
/// # Errors
/// [`Error::Recipe`], with the line, and for an unknown key the nearest known one.
pub fn from_toml<T: DeserializeOwned>(text: &str) -> Result<T> {
    let read = match text.parse::<Table>() {
        Ok(flat) if is_flat(&flat) => nested(flat).try_into(),
        _ => toml::from_str(text),
    };
    read.map_err(|error| Error::Recipe(suggest::explain(&error, text)))
}

/// Where fields of recipes were before these had a table `[data]`: a key of the recipe itself, and
/// the field of the table that it is now.
pub(crate) const FLAT: [(&str, &str); 5] = [
    ("data", "name"),
    ("data_root", "root"),
    ("val_fraction", "val_fraction"),
    ("fraction", "fraction"),
    ("skip_bad", "skip_bad"),
];

/// Whether what decides the images is among a recipe's own keys.
fn is_flat(recipe: &Table) -> bool {
    recipe.get("data").is_some_and(Value::is_str)
}

/// The recipe with its table `[data]`, in whichever form it was written.
pub(crate) fn nested(mut recipe: Table) -> Table {
    if is_flat(&recipe) {
        let fields = FLAT.into_iter();
        let moved = fields.filter_map(|(key, field)| Some((field.into(), recipe.remove(key)?)));
        let data = moved.collect();
        recipe.insert("data".into(), Value::Table(data));
    }
    recipe
}

/// What differs from the paper's recipe, as `field = value (paper: value)`, but for the fields of
/// `own`, which every run chooses for itself.
///
/// ```
/// use std::collections::BTreeMap;
/// let paper = BTreeMap::from([("epochs", 100), ("seed", 0)]);
/// let ours = BTreeMap::from([("epochs", 5), ("seed", 1)]);
/// assert_eq!(cass_run::deviations(&ours, &paper, &["seed"]), ["epochs = 5 (paper: 100)"]);
/// ```
///
/// # Panics
/// As [`to_toml`].
pub fn deviations(recipe: &impl Serialize, paper: &impl Serialize, own: &[&str]) -> Vec<String> {
    let table = |text: String| {
        text.parse()
            .unwrap_or_else(|e| panic!("TOML that was written: {e}"))
    };
    differ::differences(&table(to_toml(recipe)), &table(to_toml(paper)))
        .into_iter()
        .filter(|d| !own.contains(&d.field.as_str()))
        .map(|d| format!("{} = {} (paper: {})", d.field, d.left, d.right))
        .collect()
}

/// The first field in which two recipes' texts differ, as `field = value, not value`; `None` where
/// they say the same.
pub fn first_difference(left: &str, right: &str) -> Option<String> {
    differ::first(left, right)
}
