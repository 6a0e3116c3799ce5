//! How large the numbers of a recipe may be, and what they may ask of a computer.

use crate::error::{Error, Result};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Display;
use std::fs;
use toml::Value as Toml;

/// The largest value of an integer by the name of its field, in whichever table that is: far above
/// what is of use, and so small that what is computed of it neither overflows nor never ends.
const LARGEST: [(&str, u64); 12] = [
    ("accumulate", 1 << 16),
    ("batch", 1 << 16),
    ("epochs", 1_000_000),
    ("iterations", 1_000_000),
    ("num_classes_k", 1 << 24),
    ("outputs", 1 << 24),
    ("projection_hidden_size", 1 << 16),
    ("projection_layers", 256),
    // TOML knows no larger one.
    ("seed", i64::MAX as u64),
    ("size", 1 << 14),
    ("t_max", 1 << 31),
    ("threads", 1024),
];
/// The largest integer of every other field.
const LARGEST_OTHER: u64 = 1 << 31;

/// Checks every number of a recipe: an integer has to be of use, any other number finite. What a field
/// means decides more, and is for its own crate to check.
///
/// ```
/// use std::collections::BTreeMap;
/// let recipe = BTreeMap::from([("epochs", u64::MAX)]);
/// let error = cass_run::check_numbers(&recipe).unwrap_err().to_string();
/// assert_eq!(error, "`epochs` is 18446744073709551615; expected at most 1000000");
/// ```
///
/// # Errors
/// [`Error::Field`] names the first that is not, in the order of the fields' names; [`Error::Recipe`]
/// says what cannot be written as text, such as a path that is not UTF-8.
pub fn check_numbers(recipe: &impl Serialize) -> Result<()> {
    let unwritable = |error: &dyn std::fmt::Display| Error::Recipe(error.to_string());
    // First as JSON, which has integers that TOML has no room for; then as TOML, which has the NaN and
    // the infinities that JSON has no word for.
    let json = serde_json::to_value(recipe).map_err(|error| unwritable(&error))?;
    integers("", "", &json)?;
    let toml = Toml::try_from(recipe).map_err(|error| unwritable(&error))?;
    floats("", &toml)
}

/// Checks one field: `fits` says whether a run can have its value.
///
/// # Errors
/// [`Error::Field`] if not.
pub fn check_field(
    field: &str,
    value: impl Display,
    fits: bool,
    expected: impl Into<String>,
) -> Result<()> {
    if fits {
        return Ok(());
    }
    Err(Error::field(field, value, expected))
}

fn integers(path: &str, field: &str, value: &Value) -> Result<()> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .try_for_each(|(name, value)| integers(&join(path, name), name, value)),
        // An element is what its list is.
        Value::Array(values) => values
            .iter()
            .enumerate()
            .try_for_each(|(place, value)| integers(&join(path, &place.to_string()), field, value)),
        Value::Number(number) => {
            let known = LARGEST.iter().find(|(name, _)| *name == field);
            let largest = known.map_or(LARGEST_OTHER, |(_, largest)| *largest);
            match number.as_u64() {
                Some(value) if value > largest => {
                    Err(Error::field(path, value, format!("at most {largest}")))
                }
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn floats(path: &str, value: &Toml) -> Result<()> {
    match value {
        Toml::Table(fields) => fields
            .iter()
            .try_for_each(|(name, value)| floats(&join(path, name), value)),
        Toml::Array(values) => values
            .iter()
            .enumerate()
            .try_for_each(|(place, value)| floats(&join(path, &place.to_string()), value)),
        Toml::Float(number) => check_field(path, number, number.is_finite(), "a finite number"),
        _ => Ok(()),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.into()
    } else {
        format!("{path}.{name}")
    }
}

/// Checks that a run that needs at least `bytes` of memory can have them here: physical memory and swap,
/// and where the system sets this process a lower limit, that one. Where the system says nothing,
/// there is no limit.
///
/// # Errors
/// [`Error::Memory`] if not.
pub fn expect_memory(bytes: u128) -> Result<()> {
    match most_memory() {
        Some(most) if bytes > u128::from(most) => Err(Error::Memory { bytes, most }),
        _ => Ok(()),
    }
}

/// The most memory that this process can have, in bytes, where the system tells.
fn most_memory() -> Option<u64> {
    let number = |text: &str| {
        text.split_whitespace()
            .find_map(|word| word.parse::<u64>().ok())
    };
    let line =
        |text: &str, start: &str| number(text.lines().find_map(|line| line.strip_prefix(start))?);
    let there = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let swap = line(&text, "SwapTotal:").unwrap_or_default();
        Some((line(&text, "MemTotal:")? + swap) << 10)
    });
    let container = fs::read_to_string("/sys/fs/cgroup/memory.max");
    let container = container.ok().and_then(|text| number(&text));
    // `unlimited`, or the soft limit first.
    let own = fs::read_to_string("/proc/self/limits")
        .ok()
        .and_then(|text| {
            let limits = text
                .lines()
                .find_map(|line| line.strip_prefix("Max address space"))?;
            limits.split_whitespace().next()?.parse::<u64>().ok()
        });
    [there, container, own].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_number_is_looked_at_wherever_it_stands() {
        #[derive(Serialize)]
        struct Recipe {
            arms: BTreeMap<String, BTreeMap<String, f64>>,
            data: BTreeMap<String, u64>,
            grid: Vec<f64>,
        }
        let recipe = |lr, size, last| Recipe {
            arms: BTreeMap::from([("cnn".into(), BTreeMap::from([("lr".into(), lr)]))]),
            data: BTreeMap::from([("size".into(), size)]),
            grid: vec![0.5, last],
        };
        let said = |lr, size, last| {
            check_numbers(&recipe(lr, size, last))
                .unwrap_err()
                .to_string()
        };
        assert!(check_numbers(&recipe(-1e300, 1 << 14, 0.0)).is_ok());
        let infinite = said(f64::INFINITY, 1, 1.0);
        assert_eq!(infinite, "`arms.cnn.lr` is inf; expected a finite number");
        let large = said(0.0, 1_000_000, 1.0);
        assert_eq!(large, "`data.size` is 1000000; expected at most 16384");
        let none = said(0.0, 1, f64::NAN);
        assert_eq!(none, "`grid.1` is NaN; expected a finite number");
    }

    #[test]
    fn memory_is_bounded_by_what_is_there() {
        assert!(expect_memory(1 << 20).is_ok());
        if most_memory().is_some() {
            let error = expect_memory(1 << 60).unwrap_err().to_string();
            assert!(error.contains("1073741824.0 GiB"), "{error}");
        }
    }
}
