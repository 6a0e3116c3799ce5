//! Numbers as the paper prints them.

use anyhow::{Context, Result};
use serde::Deserialize;

/// A published number as printed, and read: `**0.9909± 0.0032**` is bold 0.9909 ± 0.0032, `1 Hour 13 Mins` is
/// 1.2167 hours.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Printed {
    pub text: String,
    pub mean: f64,
    /// Times are printed without.
    pub std: Option<f64>,
}

impl TryFrom<String> for Printed {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        let bold = text.strip_prefix("**").and_then(|t| t.strip_suffix("**"));
        let inner = bold.unwrap_or(&text);
        if let Some(mean) = hours(inner) {
            return Ok(Printed {
                mean,
                std: None,
                text,
            });
        }
        let (mean, std) = inner.split_once('±').with_context(|| {
            format!("`{text}` is neither `mean±deviation` nor a time like `1 Hour 13 Mins`")
        })?;
        let number = |part: &str| -> Result<f64> {
            part.trim()
                .parse()
                .with_context(|| format!("`{part}` in `{text}` is not a number"))
        };
        Ok(Printed {
            mean: number(mean)?,
            std: Some(number(std)?),
            text,
        })
    }
}

/// `7 Hours 11 Mins`, `21 Mins`, `10 hours`.
fn hours(text: &str) -> Option<f64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut hours = None;
    for pair in words.chunks(2) {
        let &[number, unit] = pair else { return None };
        let number: f64 = number.parse().ok()?;
        let each = match unit.to_ascii_lowercase().trim_end_matches('s') {
            "hour" => 1.0,
            "min" | "minute" => 60.0,
            _ => return None,
        };
        hours = Some(hours.unwrap_or(0.0) + number / each);
    }
    hours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times() {
        let read = |text: &str| Printed::try_from(text.to_owned());
        let bold = read("**0.9909± 0.0032**").unwrap();
        assert_eq!((bold.mean, bold.std), (0.9909, Some(0.0032)));
        assert_eq!(bold.text, "**0.9909± 0.0032**");
        assert_eq!(read("0.518±3.9e-08").unwrap().std, Some(3.9e-8));
        let time = |text: &str| (60.0 * read(text).unwrap().mean).round();
        assert_eq!(time("**21 Mins**"), 21.0);
        assert_eq!(time("26 Hours 21 Mins"), 1581.0);
        assert_eq!(time("5 hour 24 minutes"), 324.0);
        assert!(read("0.52").unwrap_err().to_string().contains("neither"));
        assert!(read("0.5x±0.1").is_err());
    }
}
