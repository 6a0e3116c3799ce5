//! Differences with their intervals, one below the other.

use crate::colour::NEUTRAL;
use crate::figure::{self, white};
use maud::{Markup, html};

/// A difference of a [forest].
#[derive(Clone)]
pub struct Interval {
    /// What differs, in a line.
    pub name: String,
    /// Number of its colour, as [`QUALITATIVE`](crate::QUALITATIVE) has them; none: neutral.
    pub kind: Option<usize>,
    /// The difference and the ends of its interval.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Width of the drawing, in px: letters stay legible where it fills a phone.
const WIDTH: f64 = 420.0;
/// Room left and right of the intervals.
const SIDE: f64 = 16.0;
/// Height of a row: a line of text and the interval below it.
const ROW: f64 = 36.0;
const TOP: f64 = 8.0;
const AXIS: f64 = 44.0;

/// A file of intervals around a line at 0; `axis` names what differs, and `ends` what lies left and right of it.
pub fn forest(rows: &[Interval], axis: &str, ends: [&str; 2]) -> String {
    let reach = rows
        .iter()
        .flat_map(|row| [row.low.abs(), row.high.abs(), row.value.abs()])
        .filter(|reach| reach.is_finite())
        .fold(0.02, f64::max);
    let step = step(reach);
    let reach = (reach / step).ceil() * step;
    let x = |value: f64| {
        let share = (value.clamp(-reach, reach) / reach + 1.0) / 2.0;
        SIDE + share * (WIDTH - 2.0 * SIDE)
    };
    let bottom = TOP + ROW * rows.len() as f64;
    let height = bottom + AXIS;
    let ticks = (-2..=2).map(|i| f64::from(i) * reach / 2.0);
    let inside = html! {
        @for tick in ticks {
            line x1=(n(x(tick))) x2=(n(x(tick))) y1=(n(TOP)) y2=(n(bottom)) stroke=(if tick == 0.0 { "#555" } else { "#ddd" }) {}
            (text(x(tick), bottom + 15.0, anchor(tick / reach), &format!("{tick:+.2}")))
        }
        @for (place, row) in rows.iter().enumerate() { (interval(row, TOP + ROW * place as f64, &x)) }
        (text(SIDE, bottom + 34.0, "start", &format!("← {}", ends[0])))
        (text(WIDTH / 2.0, bottom + 34.0, "middle", axis))
        (text(WIDTH - SIDE, bottom + 34.0, "end", &format!("{} →", ends[1])))
    };
    white([WIDTH, height], &inside)
}

fn interval(row: &Interval, top: f64, x: &impl Fn(f64) -> f64) -> Markup {
    let colour = row.kind.map_or(NEUTRAL, figure::colour);
    let y = n(top + 24.0);
    let figures = format!("{:+.2} ({:+.2} to {:+.2})", row.value, row.low, row.high);
    html! {
        // Over the lines of the ticks, in a frame of the ground's colour.
        g stroke="#fff" stroke-width="4" stroke-linejoin="round" paint-order="stroke" {
            (text(SIDE, top + 13.0, "start", &row.name))
            (text(WIDTH - SIDE, top + 13.0, "end", &figures))
        }
        line x1=(n(x(row.low))) x2=(n(x(row.high))) y1=(y) y2=(y) stroke=(colour) stroke-width="3" stroke-linecap="round" {}
        circle cx=(n(x(row.value))) cy=(y) r="4.5" fill=(colour) {}
    }
}

/// 1, 2 or 5 times a power of ten, of which a reach takes a few.
fn step(reach: f64) -> f64 {
    let power = 10f64.powf((reach / 2.0).log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|times| times * power);
    steps
        .into_iter()
        .rev()
        .find(|step| 2.0 * step <= reach)
        .unwrap_or(power)
}

/// Which end of a number lies at its tick, from -1 to 1: the outer ones would not fit.
fn anchor(place: f64) -> &'static str {
    match place {
        place if place < -0.9 => "start",
        place if place > 0.9 => "end",
        _ => "middle",
    }
}

/// A length as it is written: tenths are enough.
fn n(length: f64) -> String {
    format!("{length:.1}")
}

fn text(x: f64, y: f64, anchor: &str, words: &str) -> Markup {
    figure::text((x, y), anchor, "#000", words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_lies_around_its_value_and_zero_in_the_middle() {
        let row = |value: f64, low: f64, high: f64| Interval {
            name: "a < b".to_owned(),
            kind: Some(0),
            value,
            low,
            high,
        };
        let svg = forest(
            &[row(0.1, 0.0, 0.2), row(-0.05, -0.1, 0.0)],
            "F1",
            ["worse", "better"],
        );
        // A reach of 0.2: zero at the middle, a value of 0.1 half way to the right end.
        assert!(
            svg.contains(r#"cx="307.0""#)
                && svg.contains(r##"x1="210.0" x2="210.0" y1="8.0" y2="80.0" stroke="#555""##),
            "{svg}"
        );
        assert!(
            svg.contains(r#"x1="210.0" x2="404.0""#) && svg.contains("a &lt; b"),
            "{svg}"
        );
        assert!(svg.contains("+0.10 (+0.00 to +0.20)"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2);
        // The numbers at both ends of the axis lie inside.
        assert!(
            svg.contains(r##"<text x="16.0" y="95.0" text-anchor="start""##),
            "{svg}"
        );
        assert!(
            svg.contains(r##"<text x="404.0" y="95.0" text-anchor="end""##),
            "{svg}"
        );
    }
}
