//! What stands in a field: labels, numbers, or nothing.

use std::collections::BTreeSet;

/// What pandas takes for "not there", as it writes and reads it.
const NOTHING: [&str; 15] = [
    "", "#N/A", "#N/A N/A", "#NA", "-NaN", "-nan", "<NA>", "N/A", "NA", "NULL", "NaN", "None",
    "n/a", "nan", "null",
];

/// What a row says of an image's classes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// No label.
    Nothing,
    /// Of these, and of those perhaps.
    Names {
        of: Vec<String>,
        unknown: Vec<String>,
    },
}

impl Said {
    pub(super) fn names(&self) -> &[String] {
        match self {
            Self::Nothing => &[],
            Self::Names { of, .. } => of,
        }
    }
}

pub(super) fn is_nothing(field: &str) -> bool {
    NOTHING.contains(&field)
}

/// A number, with a decimal comma or point.
fn number(field: &str) -> Option<f64> {
    let number = field.parse().or_else(|_| field.replace(',', ".").parse());
    number.ok().filter(|number: &f64| number.is_finite())
}

/// What stands in a 0/1 column: a number, or pandas' and people's words for 1 and 0.
pub(super) fn mark(field: &str) -> Option<f64> {
    match field.to_ascii_lowercase().as_str() {
        "true" | "yes" => Some(1.0),
        "false" | "no" => Some(0.0),
        _ => number(field),
    }
}

/// A class' name as it is shown: a whole number without the `.0` that pandas gives it where a row
/// of the column is empty.
pub(super) fn class(field: &str) -> String {
    let (whole, zeros) = field.split_once('.').unwrap_or((field, "0"));
    let is_whole = whole.parse::<i64>().is_ok() && zeros.bytes().all(|digit| digit == b'0');
    if is_whole { whole } else { field }.to_owned()
}

/// Names in the order of their labels: as numbers where all are whole ones.
pub(super) fn in_order(names: BTreeSet<String>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().collect();
    let numbers: Option<Vec<i64>> = names.iter().map(|name| name.parse().ok()).collect();
    if let Some(numbers) = numbers {
        let mut both: Vec<_> = numbers.into_iter().zip(names).collect();
        both.sort();
        names = both.into_iter().map(|(_, name)| name).collect();
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_points_or_commas() {
        for (field, want) in [
            ("1", Some(1.0)),
            ("1,0", Some(1.0)),
            ("-1.0", Some(-1.0)),
            ("1e0", Some(1.0)),
            ("nan", None),
            ("1,0,0", None),
        ] {
            assert_eq!(number(field), want, "{field}");
            assert_eq!(mark(field), want, "{field}");
        }
        for (field, want) in [("True", 1.0), ("FALSE", 0.0), ("yes", 1.0), ("No", 0.0)] {
            assert_eq!((number(field), mark(field)), (None, Some(want)), "{field}");
        }
    }

    #[test]
    fn whole_numbers_sort_as_numbers_and_others_as_text() {
        let order = |names: &[&str]| in_order(names.iter().map(|n| class(n)).collect());
        assert_eq!(order(&["10", "9.0", "-1", "2"]), ["-1", "2", "9", "10"]);
        assert_eq!(order(&["10", "9", "b"]), ["10", "9", "b"]);
        assert_eq!(order(&["1.5", "10"]), ["1.5", "10"]);
    }
}
