//! One field of a recipe, by its name.

use crate::error::{Error, Result};
use crate::moved::path_today;
use crate::recipe::to_toml;
use crate::suggest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// A recipe with one field changed, as `path = value`: `zero_grad=false`,
/// `arms.cnn.optimizer.lr=0.01`, `arms.cnn.optimizer={ name = "sgd", momentum = 0.9 }`,
/// `swa=none`. Text needs no quotes.
///
/// # Errors
/// [`Error::Assignment`] if there is no such field (naming the nearest), or its value is of another
/// kind.
///
/// # Panics
/// As [`to_toml`].
pub fn assign<R: Serialize + DeserializeOwned>(recipe: &R, assignment: &str) -> Result<R> {
    let wrong = |reason: String| Error::Assignment {
        assignment: assignment.into(),
        reason,
    };
    let (path, text) = assignment
        .split_once('=')
        .ok_or_else(|| wrong("expected FIELD=VALUE".into()))?;
    let (path, text) = (path.trim(), text.trim());
    let value = match text {
        "none" => None,
        _ => Some(value(text)),
    };
    let mut table: Table = to_toml(recipe)
        .parse()
        .map_err(|_| wrong("the recipe is no TOML".into()))?;
    let mut keys = path_today(path, &table);
    let mut place = &mut table;
    let last = keys.pop().unwrap_or_default();
    for key in keys {
        let next = place
            .entry(key)
            .or_insert_with(|| Value::Table(Table::new()));
        place = next
            .as_table_mut()
            .ok_or_else(|| wrong(format!("`{key}` is no table")))?;
    }
    match value {
        Some(value) => place.insert(last.into(), value),
        None => place.remove(last),
    };
    let read = toml::from_str(&table.to_string());
    // The text is not the user's: its line numbers say nothing.
    read.map_err(|error| wrong(suggest::message(&error)))
}

/// The value that a text stands for: TOML, or else the text itself.
fn value(text: &str) -> Value {
    let table = format!("value = {text}").parse::<Table>();
    let value = table.ok().filter(|table| table.len() == 1);
    let value = value.and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| Value::String(text.into()))
}
