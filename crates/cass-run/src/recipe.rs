//! Recipes of any kind as text: TOML out, TOML in, and where two of them differ.

use crate::error::{Error, Result};
use crate::{differ, suggest};
use serde::{Serialize, de::DeserializeOwned};

/// A recipe as TOML text.
///
/// # Panics
/// If its type cannot be a TOML table, which is a mistake in the type.
pub fn to_toml(recipe: &impl Serialize) -> String {
    toml::to_string(recipe).unwrap_or_else(|error| panic!("a recipe is a TOML table: {error}"))
}

/// Reads a recipe's TOML text.
///
/// # Errors
/// [`Error::Recipe`], with the line, and for an unknown key the nearest known one.
pub fn from_toml<T: DeserializeOwned>(text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| Error::Recipe(suggest::explain(&error, text)))
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
