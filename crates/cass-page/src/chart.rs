//! Charts as inline SVG: bars from 0 to 1, lines over steps, matrices of shares, clouds of points. Colours are the page's
//! classes.

use crate::colour::sequential;
use crate::scale::Scale;
use maud::{Markup, html};

/// A drawing area inside its axes, in SVG units.
struct Frame {
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Frame {
    const BARS: Frame = Frame {
        width: 420.0,
        height: 240.0,
        left: 34.0,
        right: 6.0,
        top: 12.0,
        bottom: 40.0,
    };
    const WIDE: Frame = Frame {
        width: 780.0,
        ..Frame::BARS
    };
    const LINES: Frame = Frame {
        width: 320.0,
        height: 190.0,
        left: 50.0,
        right: 10.0,
        top: 12.0,
        bottom: 36.0,
    };

    fn x(&self, share: f64) -> f64 {
        self.left + share * (self.width - self.left - self.right)
    }

    fn y(&self, share: f64) -> f64 {
        self.height - self.bottom - share * (self.height - self.top - self.bottom)
    }

    /// The drawing; `label` is what a screen reader says.
    fn draw(&self, label: &str, inside: &Markup) -> Markup {
        html! {
            svg viewBox={ "0 0 " (self.width) " " (self.height) } role="img" aria-label=(label) { (inside) }
        }
    }

    /// A grid line with its number.
    fn grid(&self, share: f64, label: &str) -> Markup {
        let y = n(self.y(share));
        html! {
            line.grid x1=(n(self.left)) x2=(n(self.width - self.right)) y1=(y) y2=(y) {}
            text.tick x=(n(self.left - 6.0)) y=(n(self.y(share) + 4.0)) text-anchor="end" { (label) }
        }
    }
}

/// A length as it is written: tenths are enough.
fn n(length: f64) -> String {
    format!("{length:.1}")
}

/// A bar of a [group](bars).
#[derive(Clone, Default)]
pub struct Bar {
    /// The page's class of its colour: `c0` to `c7`, or `cn`.
    pub colour: &'static str,
    /// Text that is shown on hovering.
    pub name: String,
    /// Value from 0 to 1; without one there is a cross.
    pub value: Option<f64>,
    /// Half the length of the whisker.
    pub spread: Option<f64>,
    /// Another value of the same thing, as a mark across the bar.
    pub mark: Option<f64>,
}

/// More groups than this make a wide chart.
pub const FEW: usize = 4;

/// Named groups of bars on an axis from 0 to 1; `label` is what a screen reader says.
pub fn bars(groups: &[(String, Vec<Bar>)], label: &str) -> Markup {
    let frame = if groups.len() > FEW {
        Frame::WIDE
    } else {
        Frame::BARS
    };
    let count = groups.len() as f64;
    let ends = |index: usize| (index as f64 / count, (index + 1) as f64 / count);
    let y = n(frame.y(0.0));
    let inside = html! {
        @for tick in [0.0, 0.25, 0.5, 0.75, 1.0] { (frame.grid(tick, &tick.to_string())) }
        @for (index, (name, bars)) in groups.iter().enumerate() {
            @let (from, to) = ends(index);
            @let slot = (to - from) * 0.84 / bars.len().max(1) as f64;
            @for (index, one) in bars.iter().enumerate() {
                @let start = from + (to - from) * 0.08 + index as f64 * slot;
                (bar(&frame, one, frame.x(start + 0.1 * slot), frame.x(start + 0.9 * slot)))
            }
            @for (line, text) in two_lines(name).into_iter().enumerate() {
                text.label x=(n(frame.x(f64::midpoint(from, to))))
                    y=(n(frame.height - frame.bottom + 17.0 + 14.0 * line as f64)) text-anchor="middle" { (text) }
            }
        }
        line.axis x1=(n(frame.left)) x2=(n(frame.width - frame.right)) y1=(y) y2=(y) {}
    };
    frame.draw(label, &inside)
}

/// A long name takes two lines.
fn two_lines(name: &str) -> Vec<&str> {
    match name.rsplit_once(' ') {
        Some((first, second)) if name.chars().count() > 9 => vec![first, second],
        _ => vec![name],
    }
}

fn bar(frame: &Frame, bar: &Bar, x0: f64, x1: f64) -> Markup {
    let middle = f64::midpoint(x0, x1);
    let whisker = |value: f64, spread: f64| {
        let (high, low) = ((value + spread).min(1.0), (value - spread).max(0.0));
        let (high, low, left) = (n(frame.y(high)), n(frame.y(low)), n(middle - 3.0));
        format!("M{} {high}V{low}M{left} {high}h6M{left} {low}h6", n(middle))
    };
    html! {
        @if let Some(value) = bar.value {
            @let top = frame.y(value.clamp(0.0, 1.0));
            rect.(bar.colour) x=(n(x0)) y=(n(top)) width=(n(x1 - x0)) height=(n(frame.y(0.0) - top)) rx="1.5" {
                title { (bar.name) ": " (format!("{value:.4}")) }
            }
            @if let Some(spread) = bar.spread { path.error d=(whisker(value, spread)) {} }
        } @else {
            text.tick x=(n(middle)) y=(n(frame.y(0.0) - 4.0)) text-anchor="middle" {
                "×" title { (bar.name) ": missing" }
            }
        }
        @if let Some(mark) = bar.mark {
            @let y = n(frame.y(mark.clamp(0.0, 1.0)));
            line.mark x1=(n(x0 - 2.0)) x2=(n(x1 + 2.0)) y1=(y) y2=(y) { title { (bar.name) ", paper: " (mark) } }
        }
    }
}

/// A line of a [chart](lines): its class of colour, and a value at each step, counted from 0.
#[derive(Clone)]
pub struct Line {
    /// The page's class of its colour: `c0` to `c7`, or `cn`.
    pub colour: &'static str,
    /// Step and value; steps without a value are left out.
    pub points: Vec<(u32, f64)>,
}

/// Lines over steps of one kind, such as epochs; the axis is logarithmic where the values span decades.
pub fn lines(lines: &[Line], step: &str, label: &str) -> Markup {
    let frame = Frame::LINES;
    let all = || lines.iter().flat_map(|line| &line.points);
    let (low, high) = all().fold((f64::MAX, f64::MIN), |(low, high), (_, value)| {
        (low.min(*value), high.max(*value))
    });
    if low > high {
        let nothing = html! {
            text.label x=(n(frame.left)) y=(n(frame.height / 2.0)) { "nothing was logged" }
        };
        return frame.draw(label, &nothing);
    }
    let scale = Scale::over(low, high);
    let last = all().map(|(step, _)| *step).max().unwrap_or(0);
    let x = |step: u32| frame.x(0.03 + 0.94 * f64::from(step) / f64::from(last.max(1)));
    let place = |&(step, value): &(u32, f64)| (n(x(step)), n(frame.y(scale.share(value))));
    let path = |line: &Line| {
        let points = line.points.iter().map(place);
        let points: Vec<String> = points.map(|(x, y)| format!("{x} {y}")).collect();
        format!("M{}", points.join("L"))
    };
    let inside = html! {
        @for tick in &scale.ticks { (frame.grid(scale.share(*tick), &scale.label(*tick))) }
        @for line in lines.iter().filter(|line| !line.points.is_empty()) {
            path.line.(line.colour) d=(path(line)) {}
            // Few points are marked, for a single one is no line.
            @if line.points.len() <= 12 {
                @for (x, y) in line.points.iter().map(place) { circle.(line.colour) cx=(x) cy=(y) r="2.6" {} }
            }
        }
        @for step in (0..=last).step_by((last / 6).max(1) as usize) {
            text.tick x=(n(x(step))) y=(n(frame.height - frame.bottom + 16.0)) text-anchor="middle" { (step + 1) }
        }
        text.tick x=(n(frame.width - frame.right)) y=(n(frame.height - 3.0)) text-anchor="end" { (step) }
    };
    frame.draw(label, &inside)
}

/// A square of a [matrix].
#[derive(Clone)]
pub struct Square {
    /// Decides its colour, from 0 to 1; none: an empty square.
    pub share: Option<f64>,
    /// Text that is written on it, a few letters.
    pub text: String,
    /// Text that is shown on hovering.
    pub name: String,
}

/// Side of a square, and what a letter of a name takes, in SVG units.
const SQUARE: usize = 20;
const LETTER: usize = 7;
/// Above the names of the columns, for what they are.
const TITLE: usize = 18;

/// Squares in rows and columns, light to dark by their share. `names` and `axes` are of the rows, then of the columns.
pub fn matrix(names: [&[String]; 2], axes: [&str; 2], squares: &[Vec<Square>]) -> Markup {
    let longest = |names: &[String], title: usize| {
        let letters = names.iter().map(|name| name.chars().count()).max();
        LETTER * letters.unwrap_or(0).max(title) + 12
    };
    let (left, top) = (
        longest(names[0], axes[0].chars().count() + 2),
        TITLE + longest(names[1], 0),
    );
    let (width, height) = (
        left + SQUARE * names[1].len() + 8,
        top + SQUARE * names[0].len() + 8,
    );
    html! {
        svg.matrix viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height) role="img"
            aria-label={ (axes[0]) " by " (axes[1]) } {
            text.axis-name x=(left) y="12" { (axes[1]) " →" }
            text.axis-name x=(left - 6) y=(top - 8) text-anchor="end" { (axes[0]) " ↓" }
            @for (column, name) in names[1].iter().enumerate() {
                @let (x, y) = (left + SQUARE * column + SQUARE / 2 + 4, top - 6);
                text x=(x) y=(y) transform={ "rotate(-90 " (x) " " (y) ")" } { (name) }
            }
            @for (row, (name, squares)) in names[0].iter().zip(squares).enumerate() {
                @let y = top + SQUARE * row;
                text x=(left - 6) y=(y + SQUARE / 2 + 4) text-anchor="end" { (name) }
                @for (column, square) in squares.iter().enumerate() {
                    @let x = left + SQUARE * column;
                    @let (fill, ink) = square.share.map_or(("none".to_owned(), "currentColor"), sequential);
                    rect x=(x) y=(y) width=(SQUARE) height=(SQUARE) fill=(fill) { title { (square.name) } }
                    text.value x=(x + SQUARE / 2) y=(y + SQUARE / 2 + 3) text-anchor="middle" fill=(ink) {
                        (square.text)
                    }
                }
            }
        }
    }
}

/// A point of a [cloud].
#[derive(Clone)]
pub struct Point {
    /// The page's class of its colour: `c0` to `c7`, or `cn`.
    pub colour: &'static str,
    /// Its coordinates: to the right, up.
    pub place: [f64; 2],
    /// Whether it has a ring around it.
    pub ringed: bool,
}

/// Side of a cloud and the room around its points, in SVG units.
const CLOUD: f64 = 400.0;
const ROOM: f64 = 14.0;
/// More points than this are drawn smaller.
const MANY: usize = 600;

/// Points that fill a square, one scale for both axes. A circle's `data-i` is its place in `points`; `label` is what a
/// screen reader says.
pub fn cloud(points: &[Point], label: &str) -> Markup {
    let ends = [0, 1].map(|axis| {
        let of = points.iter().map(|point| point.place[axis]);
        of.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
            (low.min(v), high.max(v))
        })
    });
    let longest = ends
        .iter()
        .fold(0.0, |longest: f64, (low, high)| longest.max(high - low));
    let scale = if longest > 0.0 {
        (CLOUD - 2.0 * ROOM) / longest
    } else {
        0.0
    };
    let from_middle = |axis: usize, v: f64| (v - f64::midpoint(ends[axis].0, ends[axis].1)) * scale;
    let radius = if points.len() > MANY { "2.6" } else { "3.6" };
    html! {
        svg.cloud viewBox={ "0 0 " (CLOUD) " " (CLOUD) } role="img" aria-label=(label) {
            @for (i, point) in points.iter().enumerate() {
                @let (x, y) = (from_middle(0, point.place[0]), from_middle(1, point.place[1]));
                circle.(point.colour).ringed[point.ringed] cx=(n(CLOUD / 2.0 + x)) cy=(n(CLOUD / 2.0 - y)) r=(radius)
                    data-i=(i) {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_text_and_what_is_missing_is_said() {
        let bar = Bar {
            colour: "c0",
            name: "<i>".to_owned(),
            ..Bar::default()
        };
        let svg = bars(&[("a".to_owned(), vec![bar])], "scores").into_string();
        assert!(
            svg.contains("&lt;i&gt;: missing") && !svg.contains("<i>"),
            "{svg}"
        );
        assert!(
            lines(&[], "epoch", "losses")
                .into_string()
                .contains("nothing was logged")
        );
    }

    #[test]
    fn a_cloud_fills_its_square_with_one_scale() {
        let point = |x, y| Point {
            colour: "c0",
            place: [x, y],
            ringed: x > 1.0,
        };
        let svg = cloud(&[point(0.0, 0.0), point(2.0, 1.0)], "places").into_string();
        assert!(svg.contains(r#"class="c0" cx="14.0" cy="293.0""#), "{svg}");
        assert!(
            svg.contains(r#"class="c0 ringed" cx="386.0" cy="107.0""#),
            "{svg}"
        );
        let alone = cloud(&[point(3.0, 3.0)], "place").into_string();
        assert!(alone.contains(r#"cx="200.0" cy="200.0""#), "{alone}");
    }

    #[test]
    fn a_matrix_has_a_square_a_pair() {
        let names = ["a", "b"].map(str::to_owned);
        let square = |share| Square {
            share,
            text: String::new(),
            name: String::new(),
        };
        let squares = vec![vec![square(Some(0.5)), square(None)]; 2];
        let svg = matrix([&names, &names], ["x", "y"], &squares).into_string();
        assert_eq!(svg.matches("<rect").count(), 4);
        assert_eq!(svg.matches("fill=\"none\"").count(), 2);
        // The style sheet leaves the numbers the ink that suits their squares.
        assert_eq!(svg.matches("class=\"value\"").count(), 4);
        assert_eq!(svg.matches("fill=\"#fff\"").count(), 2);
        let rules = include_str!("style.css").lines();
        let mut inks = rules.filter(|rule| rule.contains("text") && rule.contains("fill:"));
        assert!(inks.all(|rule| rule.contains(":not([fill])")));
    }
}
