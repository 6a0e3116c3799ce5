//! Figures as files of their own: SVG that needs no page, no style sheet and no fonts.

use crate::colour::{QUALITATIVE, rules};
use crate::shell::STYLE;
use maud::{Markup, PreEscaped, html};

/// Side of the drawing, in px.
const SIDE: f64 = 320.0;
/// Room for names and numbers around it, in px.
const MARGIN: f64 = 110.0;
const TOP: f64 = MARGIN / 2.0;
/// Colours of lines that hold no data.
const FRAME: &str = "#888";
const GUIDE: &str = "#ccc";

/// Curves and dots between (0, 0) and (1, 1), whose kinds have the colours of [`QUALITATIVE`] in turn.
#[derive(Clone)]
pub struct Plot {
    axes: [String; 2],
    drawn: Vec<Markup>,
}

impl Plot {
    /// An empty plot; `axes` name what goes to the right and what goes up.
    pub fn new(axes: [&str; 2]) -> Plot {
        Plot {
            axes: axes.map(str::to_owned),
            drawn: Vec::new(),
        }
    }

    /// A dashed line from (0, 0) to (1, 1).
    pub fn diagonal(&mut self) {
        let ((left, bottom), (right, top)) = (place((0.0, 0.0)), place((1.0, 1.0)));
        self.drawn.push(html! {
            path d=(format!("M{left} {bottom} L{right} {top}")) stroke=(GUIDE) stroke-dasharray="4" {}
        });
    }

    /// A line through these points.
    pub fn curve(&mut self, points: &[(f64, f64)], kind: usize) {
        let points = points.iter().map(|&point| place(point));
        let points: Vec<String> = points.map(|(x, y)| format!("{x:.2},{y:.2}")).collect();
        self.drawn.push(html! {
            polyline points=(points.join(" ")) fill="none" stroke=(colour(kind)) stroke-width="1.5" {}
        });
    }

    /// A dot; its radius is in px.
    pub fn dot(&mut self, point: (f64, f64), radius: f64, kind: usize) {
        let (x, y) = place(point);
        self.drawn.push(html! {
            circle cx=(format!("{x:.2}")) cy=(format!("{y:.2}")) r=(format!("{radius:.2}")) fill=(colour(kind))
                fill-opacity="0.5" {}
        });
    }

    /// An entry of the legend, which grows from the lower right corner upwards.
    pub fn name(&mut self, kind: usize, name: &str) {
        let at = place((0.97, 0.04 + 0.05 * kind as f64));
        self.drawn.push(text(at, "end", colour(kind), name));
    }

    /// The file.
    pub fn write(&self) -> String {
        let [x, y] = &self.axes;
        file(&html! {
            rect x=(MARGIN) y=(TOP) width=(SIDE) height=(SIDE) fill="none" stroke=(FRAME) {}
            @for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
                @let (right, up) = place((tick, tick));
                (label((right, TOP + SIDE + 16.0), "middle", &tick.to_string()))
                (label((MARGIN - 6.0, up + 4.0), "end", &tick.to_string()))
            }
            (label((MARGIN + SIDE / 2.0, TOP + SIDE + 36.0), "middle", x))
            (label((MARGIN, TOP - 10.0), "middle", y))
            @for drawn in &self.drawn { (drawn) }
        })
    }
}

/// The file of a table of counts, each shaded by its share of its row. `names` and `axes` are of the rows, then of the
/// columns. Where rows and columns differ, each half of a row is a whole of its own.
pub fn counts(names: [&[String]; 2], axes: [&str; 2], counts: &[Vec<usize>]) -> String {
    let [rows, columns] = names;
    let [height, width] = names.map(|names| SIDE / names.len().max(1) as f64);
    let whole = columns.len() / if rows == columns { 1 } else { 2 };
    let share = |counts: &[usize], column: usize| {
        let start = column / whole * whole;
        let all = counts[start..start + whole].iter().sum::<usize>().max(1);
        counts[column] as f64 / all as f64
    };
    file(&html! {
        @for (column, name) in columns.iter().enumerate() {
            // Neighbours take turns, so that long names do not touch.
            @let stagger = 14.0 + 14.0 * (column % 2) as f64;
            (label((MARGIN + (column as f64 + 0.5) * width, TOP + SIDE + stagger), "middle", name))
        }
        @for (row, (name, counts)) in rows.iter().zip(counts).enumerate() {
            @let y = TOP + row as f64 * height;
            (label((MARGIN - 6.0, y + height / 2.0), "end", name))
            @for (column, count) in counts.iter().enumerate() {
                @let (x, share) = (MARGIN + column as f64 * width, share(counts, column));
                rect x=(format!("{x:.1}")) y=(format!("{y:.1}")) width=(format!("{width:.1}"))
                    height=(format!("{height:.1}")) fill=(colour(0)) fill-opacity=(format!("{share:.3}")) stroke=(GUIDE) {}
                @let ink = if share > 0.5 { "#fff" } else { "#000" };
                (text((x + width / 2.0, y + height / 2.0 + 4.0), "middle", ink, &count.to_string()))
            }
        }
        (label((MARGIN + SIDE / 2.0, TOP + SIDE + 48.0), "middle", axes[1]))
        (label((MARGIN - 6.0, TOP - 10.0), "end", axes[0]))
    })
}

/// A kind's colour; beyond the last they begin again.
pub(crate) fn colour(kind: usize) -> &'static str {
    QUALITATIVE[kind % QUALITATIVE.len()]
}

/// From values in [0, 1] to px.
fn place((x, y): (f64, f64)) -> (f64, f64) {
    (MARGIN + x * SIDE, TOP + (1.0 - y) * SIDE)
}

fn label(at: (f64, f64), anchor: &str, words: &str) -> Markup {
    text(at, anchor, "#000", words)
}

pub(crate) fn text((x, y): (f64, f64), anchor: &str, ink: &str, words: &str) -> Markup {
    html! {
        text x=(format!("{x:.1}")) y=(format!("{y:.1}")) text-anchor=(anchor) fill=(ink) {
            // XML allows no control characters at all.
            (words.replace(char::is_control, " "))
        }
    }
}

fn file(inside: &Markup) -> String {
    let size = SIDE + 1.5 * MARGIN;
    white([size, size], inside)
}

/// A file of that width and height, in px, on white.
pub(crate) fn white([width, height]: [f64; 2], inside: &Markup) -> String {
    finished(&html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height)
            font-family="sans-serif" font-size="12" {
            rect width="100%" height="100%" fill="#fff" {}
            (inside)
        }
    })
}

/// A [chart](crate::chart) as a file that needs no page: with the style of pages in it.
pub fn alone(chart: &Markup) -> String {
    let style = html! { style { (PreEscaped(STYLE)) (PreEscaped(rules())) } }.into_string();
    let svg = chart
        .0
        .replacen("<svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"", 1);
    let end_of_tag = svg.find('>').map_or(0, |place| place + 1);
    let (tag, rest) = svg.split_at(end_of_tag);
    finished(&PreEscaped(format!("{tag}{style}{rest}")))
}

/// Room between charts next to each other and for a line of text above and below, in SVG units.
const GAP: f64 = 24.0;
const LINE: f64 = 28.0;
/// What a letter of the legend takes.
const LETTER: f64 = 7.0;

/// [Charts](crate::chart) next to each other, each over its caption, under one legend of classes of colour and what they stand
/// for: a file that needs no page.
pub fn side_by_side(charts: &[(Markup, String)], legend: &[(&str, String)]) -> String {
    let sizes: Vec<[f64; 2]> = charts.iter().map(|(chart, _)| size(&chart.0)).collect();
    let width = sizes.iter().map(|size| size[0] + GAP).sum::<f64>() - GAP;
    let height = sizes.iter().map(|size| size[1]).fold(0.0, f64::max) + 2.0 * LINE;
    let mut left = 0.0;
    let mut place = |length: f64| {
        left += length;
        left - length
    };
    let names = legend.iter().scan(0.0, |at, (class, name)| {
        let start = *at;
        *at += 36.0 + LETTER * name.chars().count() as f64;
        Some((start, *class, name))
    });
    let drawing = html! {
        svg viewBox={ "0 0 " (width) " " (height) } role="img" aria-label="Charts next to each other" {
            rect width=(width) height=(height) style="fill: var(--page)" {}
            @for (start, class, name) in names {
                rect.(class) x=(start + 8.0) y="8" width="11" height="11" rx="2" {}
                text x=(start + 25.0) y="18" { (name.replace(char::is_control, " ")) }
            }
            @for ((chart, caption), [width, height]) in charts.iter().zip(&sizes) {
                @let left = place(width + GAP);
                (PreEscaped(moved(&chart.0, [left, LINE])))
                text x=(left + width / 2.0) y=(LINE + height + 18.0) text-anchor="middle" {
                    (caption.replace(char::is_control, " "))
                }
            }
        }
    };
    alone(&drawing)
}

/// Width and height by a chart's `viewBox`.
fn size(chart: &str) -> [f64; 2] {
    let from = chart
        .split_once("viewBox=\"0 0 ")
        .map_or("", |(_, rest)| rest);
    let mut numbers = from
        .split(['"', ' '])
        .map(|number| number.parse().unwrap_or(0.0));
    [(); 2].map(|()| numbers.next().unwrap_or(0.0))
}

/// A chart as a group of a larger drawing, with its class.
fn moved(chart: &str, [x, y]: [f64; 2]) -> String {
    let (tag, inside) = chart.split_once('>').unwrap_or(("", chart));
    let inside = inside.strip_suffix("</svg>").unwrap_or(inside);
    let class = tag
        .split_once("class=\"")
        .and_then(|(_, rest)| rest.split_once('"'));
    let class = class.map_or(String::new(), |(class, _)| format!(" class=\"{class}\""));
    format!("<g{class} transform=\"translate({x} {y})\">{inside}</g>")
}

/// A file by itself is as safe to read as a page.
fn finished(svg: &Markup) -> String {
    cass_run::printable_lines(&svg.0).into_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_text_in_a_file_that_is_xml() {
        let mut plot = Plot::new(["<x>", "y\u{1}"]);
        plot.curve(&[(0.0, 0.0), (1.0, 1.0)], 9);
        plot.name(9, "a&b");
        let svg = plot.write();
        assert!(svg.contains("&lt;x&gt;") && svg.contains("a&amp;b") && !svg.contains('\u{1}'));
        assert!(
            svg.contains(&format!("stroke=\"{}\"", QUALITATIVE[1])),
            "{svg}"
        );
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }

    #[test]
    fn a_count_is_shaded_by_its_share_of_the_row() {
        let names = ["a", "b"].map(str::to_owned);
        let svg = counts(
            [&names, &names],
            ["true", "said"],
            &[vec![3, 1], vec![0, 0]],
        );
        for share in ["0.750", "0.250", "0.000"] {
            assert!(svg.contains(&format!("fill-opacity=\"{share}\"")), "{svg}");
        }
        assert_eq!(svg.matches("<rect").count(), 1 + 4);
    }

    #[test]
    fn charts_stand_next_to_each_other_under_one_legend() {
        use crate::chart::{Bar, Point, bars, cloud};
        let point = Point {
            colour: "c1",
            place: [0.0; 2],
            ringed: false,
        };
        let groups = [("a".to_owned(), vec![Bar::default()])];
        let charts = [
            (bars(&groups, "scores"), "left <one>".to_owned()),
            (cloud(&[point], "places"), "right".to_owned()),
        ];
        let svg = side_by_side(&charts, &[("c1", "DINO & co".to_owned())]);
        assert!(svg.contains("viewBox=\"0 0 844 456\""), "{svg}");
        assert_eq!(svg.matches("<svg").count(), 1);
        assert!(
            svg.contains("<g class=\"cloud\" transform=\"translate(444 28)\">"),
            "{svg}"
        );
        assert!(
            svg.contains("left &lt;one&gt;") && svg.contains("DINO &amp; co"),
            "{svg}"
        );
        assert_eq!(svg.matches("<g").count(), svg.matches("</g>").count());
    }

    #[test]
    fn a_chart_alone_brings_its_colours() {
        let chart = crate::chart::cloud(&[], "places");
        let svg = alone(&chart);
        assert!(
            svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"cloud\""),
            "{svg}"
        );
        let style = svg
            .find("><style>")
            .zip(svg.find(&format!("circle.c0 {{ fill: {}; }}", QUALITATIVE[0])));
        assert!(
            style.is_some_and(|(style, colour)| style < colour)
                && svg.trim_end().ends_with("</svg>")
        );
    }
}
