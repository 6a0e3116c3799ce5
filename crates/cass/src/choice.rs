//! Flags that take one of a library's values, by its name.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// Reads one of these values, each with its name and what `--help` says of it.
pub fn one_of<T: Clone + Send + Sync + 'static>(
    values: impl IntoIterator<Item = (T, &'static str, &'static str)>,
) -> impl TypedValueParser<Value = T> {
    let values: Vec<_> = values.into_iter().collect();
    let shown = values
        .iter()
        .map(|(_, name, help)| PossibleValue::new(*name).help(*help));
    PossibleValuesParser::new(shown.collect::<Vec<_>>()).try_map(move |said| {
        let named = values.iter().find(|(_, name, _)| *name == said);
        named.map(|(value, ..)| value.clone()).ok_or(said)
    })
}
