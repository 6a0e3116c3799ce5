//! Files that say which schema they are of.

use crate::error::{Error, Result};
use crate::file::read_text;
use crate::hash::sha256;
use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::Value;
use std::path::Path;

/// The schema of `metrics.json` as it is written now, under its key `schema`.
///
/// | schema | since | what changed |
/// |---|---|---|
/// | 0, or no key | 0.1 | |
/// | 1 | 0.1 | `schema` itself |
/// | 2 | 0.1 | `files`, what the run's other files were; `seal`, the same of this one |
///
/// Keys are only added within a schema. Files of older ones are read, what they lack at its default;
/// files of newer ones are refused.
pub const SCHEMA: u32 = 2;

/// The first schema whose files are sealed.
const SEALED: u32 = 2;
/// Where a file holds its own SHA-256, which is computed with [`OPEN`] in its place.
const SEAL: &str = "seal";
const OPEN: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What of a file says its schema.
#[derive(serde::Deserialize)]
struct Head {
    #[serde(default)]
    schema: u32,
    seal: Option<String>,
}

/// A value as the text of a file for people and programs: keys in alphabetical order.
pub(crate) fn text(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value);
    let value = value.unwrap_or_else(|error| panic!("a JSON object: {error}"));
    format!("{value:#}\n")
}

/// The [`text`] of a file that says its schema, with its own SHA-256 under `seal`: any later change of it is
/// noticed.
pub(crate) fn sealed_text(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value);
    let mut value = value.unwrap_or_else(|error| panic!("a JSON object: {error}"));
    if let Value::Object(object) = &mut value {
        object.insert(SEAL.into(), OPEN.into());
    }
    let open = text(&value);
    let seal = sha256(&open);
    open.replacen(&line(OPEN), &line(&seal), 1)
}

/// The seal as it stands in a file.
fn line(seal: &str) -> String {
    format!("\"{SEAL}\": \"{seal}\"")
}

/// Why a file is not the one that was sealed.
fn broken(text: &str, head: &Head) -> Option<&'static str> {
    match &head.seal {
        Some(seal) => {
            let open = text.replacen(&line(seal), &line(OPEN), 1);
            let whole = sha256(open) == *seal;
            (!whole).then_some("it was changed since its run finished: its seal is of another text")
        }
        None if head.schema >= SEALED => {
            Some("it was changed since its run finished: its seal is gone")
        }
        None => None,
    }
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
    let head: Head = serde_json::from_str(&text).map_err(damaged)?;
    if head.schema > SCHEMA {
        return Err(Error::Newer {
            path: path.into(),
            found: head.schema,
            known: SCHEMA,
        });
    }
    if let Some(reason) = broken(&text, &head) {
        return Err(Error::Damaged {
            path: path.into(),
            reason: reason.into(),
        });
    }
    serde_json::from_str(&text).map(Some).map_err(damaged)
}

/// A number that JSON may have no word for: NaN and the infinities are written as `null`, and `null`
/// is read as NaN.
pub(crate) fn number<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// Numbers by name, each as [`number`] reads it.
pub(crate) fn numbers<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<std::collections::BTreeMap<String, f64>, D::Error> {
    let read = std::collections::BTreeMap::<String, Option<f64>>::deserialize(from)?;
    let named = read.into_iter();
    Ok(named
        .map(|(name, n)| (name, n.unwrap_or(f64::NAN)))
        .collect())
}
