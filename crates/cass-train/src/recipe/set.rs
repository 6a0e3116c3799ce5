//! One field of a recipe, by its name.

use super::{Recipe, from_toml, to_toml};
use crate::error::{Error, Result};
use cass_data::recipe::DataRecipe;
use toml::{Table, Value};

impl Recipe {
    /// The recipe with one field changed, as `path = value`: `zero_grad=false`,
    /// `arms.cnn.optimizer.lr=0.01`, `arms.cnn.optimizer={ name = "sgd", momentum = 0.9 }`,
    /// `swa=none`. Text needs no quotes.
    ///
    /// ```
    /// use cass_train::{Method, Recipe};
    /// let recipe = Recipe::paper(Method::Cass).set("arms.vit.schedule.t_max=32").unwrap();
    /// assert_eq!(recipe.deviations(), ["arms.vit.schedule.t_max = 32 (paper: 16)"]);
    /// let error = recipe.set("zero_gard=false").unwrap_err().to_string();
    /// assert!(error.contains("did you mean `zero_grad`?"), "{error}");
    /// ```
    ///
    /// # Errors
    /// If there is no such field (naming the nearest), or its value is of another kind.
    pub fn set(&self, assignment: &str) -> Result<Self> {
        let wrong = |why: &str| Error::Recipe(format!("`{assignment}`: {why}"));
        let (path, text) = assignment
            .split_once('=')
            .ok_or_else(|| wrong("expected FIELD=VALUE"))?;
        let (path, text) = (path.trim(), text.trim());
        let value = match text {
            "none" => None,
            _ => Some(value(text)),
        };
        let mut table: Table = to_toml(self)
            .parse()
            .map_err(|_| wrong("the recipe is no TOML"))?;
        let mut place = &mut table;
        let mut keys: Vec<&str> = path.split('.').collect();
        // As they were called before there was a table `[data]`.
        if let Some((_, field)) = DataRecipe::FLAT.iter().find(|(flat, _)| keys == [*flat]) {
            keys = vec!["data", field];
        }
        let last = keys.pop().unwrap_or_default();
        for key in keys {
            let next = place
                .entry(key)
                .or_insert_with(|| Value::Table(Table::new()));
            place = next
                .as_table_mut()
                .ok_or_else(|| wrong(&format!("`{key}` is no table")))?;
        }
        match value {
            Some(value) => place.insert(last.into(), value),
            None => place.remove(last),
        };
        // The text is not the user's: its line numbers say nothing.
        let read = from_toml(&table.to_string());
        read.map_err(|error| match error {
            Error::Recipe(text) => {
                let message = text
                    .split_once(": ")
                    .filter(|(line, _)| line.starts_with("line "));
                wrong(message.map_or(text.as_str(), |(_, message)| message))
            }
            other => other,
        })
    }
}

/// As TOML, or else as text.
fn value(text: &str) -> Value {
    let table = format!("value = {text}").parse::<Table>();
    let value = table.ok().filter(|table| table.len() == 1);
    let value = value.and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| Value::String(text.into()))
}
