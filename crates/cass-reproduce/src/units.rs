//! Numbers and lists as people read them.

use std::time::Duration;

/// A time of so many seconds as people read it: `45 s`, `12 min`, `7 h 11 min`.
pub fn duration(seconds: f64) -> String {
    let seconds = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    match seconds.as_secs() {
        0..10 => format!("{:.1} s", seconds.as_secs_f64()),
        s @ 10..60 => format!("{s} s"),
        s @ 60..600 => format!("{} min {} s", s / 60, s % 60),
        s @ 600..3600 => format!("{} min", s / 60),
        s => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

/// `850 MiB`, `1.4 GiB`.
pub fn mib(mib: f64) -> String {
    match mib {
        mib if mib < 1000.0 => format!("{mib:.0} MiB"),
        mib if mib < 1000.0 * 1024.0 => format!("{:.1} GiB", mib / 1024.0),
        mib => format!("{:.1} TiB", mib / 1024.0 / 1024.0),
    }
}

/// `a, b and c`; `None` of nothing.
pub fn list(items: impl IntoIterator<Item = String>) -> Option<String> {
    let mut items: Vec<String> = items.into_iter().collect();
    let last = items.pop()?;
    Some(match items.is_empty() {
        true => last,
        false => format!("{} and {last}", items.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (seconds, text) in [
            (3.24, "3.2 s"),
            (59.0, "59 s"),
            (61.0, "1 min 1 s"),
            (25_860.0, "7 h 11 min"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn lists() {
        let of = |items: &[&str]| list(items.iter().map(|item| (*item).to_owned()));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["a"]).as_deref(), Some("a"));
        assert_eq!(of(&["a", "b", "c"]).as_deref(), Some("a, b and c"));
    }
}
