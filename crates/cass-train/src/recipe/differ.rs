//! Where two recipes differ.

use super::Recipe;
use std::collections::BTreeMap;
use toml::Value;

/// One field that differs; `none` where a side lacks it.
pub(super) struct Difference {
    /// The path of the field, with dots.
    pub(super) field: String,
    pub(super) left: String,
    pub(super) right: String,
}

/// Every differing field, in alphabetical order.
pub(super) fn differences(left: &Recipe, right: &Recipe) -> Vec<Difference> {
    let (left, right) = (flat(left), flat(right));
    let fields = left
        .keys()
        .chain(right.keys().filter(|field| !left.contains_key(*field)));
    let show = |side: &BTreeMap<String, String>, field: &String| {
        side.get(field).cloned().unwrap_or_else(|| "none".into())
    };
    let mut differences: Vec<_> = fields
        .filter(|field| left.get(*field) != right.get(*field))
        .map(|field| Difference {
            field: field.clone(),
            left: show(&left, field),
            right: show(&right, field),
        })
        .collect();
    differences.sort_by(|a, b| a.field.cmp(&b.field));
    differences
}

/// `a.b.c` → the value's text.
fn flat(recipe: &Recipe) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    if let Ok(value) = Value::try_from(recipe) {
        walk(String::new(), &value, &mut fields);
    }
    fields
}

fn walk(path: String, value: &Value, fields: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                walk(path, value, fields);
            }
        }
        Value::String(text) => drop(fields.insert(path, text.clone())),
        other => drop(fields.insert(path, other.to_string())),
    }
}
