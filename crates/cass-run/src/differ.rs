//! Where two recipes differ.

use crate::moved::nested;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// One field that differs, with the value it has where a side does not write it.
pub(crate) struct Difference {
    /// The path of the field, with dots.
    pub(crate) field: String,
    pub(crate) left: String,
    pub(crate) right: String,
}

/// Fields that change no result, so that a run may continue with others: loops and sums are cut by size, never by
/// thread.
const FREE: [&str; 1] = ["threads"];

/// The first field in which two recipes' texts differ, as `field = value, not value`, but for those that change no
/// result.
pub(crate) fn first(left: &str, right: &str) -> Option<String> {
    match (left.parse::<Table>(), right.parse::<Table>()) {
        (Ok(left), Ok(right)) => differences(&nested(left), &nested(right))
            .iter()
            .find(|d| !FREE.contains(&d.field.as_str()))
            .map(|d| format!("{} = {}, not {}", d.field, d.left, d.right)),
        _ => (left != right).then(|| "it is not TOML".into()),
    }
}

/// Every differing field, in alphabetical order.
pub(crate) fn differences(left: &Table, right: &Table) -> Vec<Difference> {
    let (left, right) = (flat(left), flat(right));
    let fields: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    fields
        .into_iter()
        .filter(|field| left.get(*field) != right.get(*field))
        .map(|field| Difference {
            field: field.clone(),
            left: left.get(field).cloned().unwrap_or_else(|| unwritten(field)),
            right: right
                .get(field)
                .cloned()
                .unwrap_or_else(|| unwritten(field)),
        })
        .collect()
}

/// What a recipe means that does not write a field.
fn unwritten(field: &str) -> String {
    let value = match field {
        "accumulate" => "1",
        "precision" => "f32",
        "data.in_chans" => "3",
        "normalization" => "imagenet",
        "normalization.mean" => "[0.485, 0.456, 0.406]",
        "normalization.std" => "[0.229, 0.224, 0.225]",
        _ if field.ends_with(".frozen") || field.ends_with("frozen_statistics") => "false",
        _ if field == "train" || field.ends_with(".train") => "all",
        _ => "none",
    };
    value.into()
}

/// Each value's text by its path, `a.b.c`.
pub(crate) fn flat(table: &Table) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    table
        .iter()
        .for_each(|(key, value)| walk(key.clone(), value, &mut fields));
    fields
}

fn walk(path: String, value: &Value, fields: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(table) => {
            table
                .iter()
                .for_each(|(key, value)| walk(format!("{path}.{key}"), value, fields));
        }
        Value::String(text) => drop(fields.insert(path, text.clone())),
        other => drop(fields.insert(path, other.to_string())),
    }
}
