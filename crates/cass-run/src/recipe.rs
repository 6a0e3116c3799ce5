//! Recipes of any kind as text: TOML out, TOML in, and where two of them differ.

use crate::error::{Error, Result};
use crate::moved::{is_flat, nested};
use crate::{differ, suggest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use toml::Table;

/// A recipe as TOML text.
///
/// # Panics
/// If its type cannot be a TOML table, which is a mistake in the type.
pub fn to_toml(recipe: &impl Serialize) -> String {
    toml::to_string(recipe).unwrap_or_else(|error| panic!("a recipe is a TOML table: {error}"))
}

/// Reads a recipe's TOML text, one that was written before there were tables `[data]` and `[method]` too.
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

/// The fields of a recipe's text by their paths, with dots, as they are called today; nothing of a
/// text that is not TOML.
///
/// ```
/// let fields = cass_run::fields("method = \"cass\"\n[data]\nname = \"folder\"\n");
/// assert_eq!(fields["method.name"], "cass");
/// assert_eq!(fields["data.name"], "folder");
/// ```
pub fn fields(text: &str) -> BTreeMap<String, String> {
    let table = text.parse().map(nested).unwrap_or_default();
    differ::flat(&table)
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
/// they say the same of the result: `threads` decides nothing of it.
///
/// ```
/// use cass_run::first_difference;
/// assert_eq!(first_difference("seed = 1\nthreads = 2", "seed = 1\nthreads = 8"), None);
/// assert_eq!(first_difference("seed = 1", "seed = 2").as_deref(), Some("seed = 1, not 2"));
/// ```
pub fn first_difference(left: &str, right: &str) -> Option<String> {
    differ::first(left, right)
}
