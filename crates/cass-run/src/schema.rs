//! Files that say which schema they are of.

use crate::error::{Error, Result};
use crate::file::read_text;
use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use std::path::Path;

/// The schema of `metrics.json` as it is written now, under its key `schema`.
///
/// | schema | since | what changed |
/// |---|---|---|
/// | 0, or no key | 0.1 | |
/// | 1 | 0.1 | `schema` itself |
///
/// Keys are only added within a schema. Files of older ones are read, what they lack at its default;
/// files of newer ones are refused.
pub const SCHEMA: u32 = 1;

/// What of a file says its schema.
#[derive(serde::Deserialize)]
struct Head {
    #[serde(default)]
    schema: u32,
}

/// A value as the text of a file for people and programs: keys in alphabetical order.
pub(crate) fn text(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value);
    let value = value.unwrap_or_else(|error| panic!("a JSON object: {error}"));
    format!("{value:#}\n")
}

/// Reads a file that says its schema; `None` where there is none.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Some(text) = read_text(path)? else {
        return Ok(None);
    };
    let damaged = |error: serde_json::Error| Error::Damaged {
        path: path.into(),
        reason: format!("it is not what a finished run leaves ({error})"),
    };
    if !text.trim_start().starts_with('{') {
        return Err(Error::Damaged {
            path: path.into(),
            reason: "it is no JSON object, which a finished run leaves".into(),
        });
    }
    let Head { schema } = serde_json::from_str(&text).map_err(damaged)?;
    if schema > SCHEMA {
        return Err(Error::Newer {
            path: path.into(),
            found: schema,
            known: SCHEMA,
        });
    }
    serde_json::from_str(&text).map(Some).map_err(damaged)
}

/// A number that JSON may have no word for: NaN and the infinities are written as `null`, and `null`
/// is read as NaN.
pub(crate) fn number<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// The same of numbers by name.
pub(crate) fn numbers<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<std::collections::BTreeMap<String, f64>, D::Error> {
    let read = std::collections::BTreeMap::<String, Option<f64>>::deserialize(from)?;
    let named = read.into_iter();
    Ok(named
        .map(|(name, n)| (name, n.unwrap_or(f64::NAN)))
        .collect())
}
