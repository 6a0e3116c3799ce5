//! Metrics to look at, as SVG: plain text, no fonts or scripts of its own.

use crate::{Confusion, Predictions, Result, reliability_curve, roc_curve};
use std::fmt::Write as _;

/// Side of a plot, in px.
const SIDE: f64 = 320.0;
/// Room for names and numbers around it, in px.
const MARGIN: f64 = 110.0;
/// Okabe and Ito's, which colour-blind readers can tell apart.
const COLOURS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999", "#000000",
];

impl Predictions {
    /// The confusion matrix, a cell's shade its share of the true class.
    ///
    /// # Errors
    /// As [`Predictions::confusion`].
    pub fn confusion_svg(&self) -> Result<String> {
        Ok(confusion(&self.classes, &self.confusion()?))
    }

    /// How often predictions of some confidence are right, beside the diagonal where confidence is
    /// honest; a point's area is its number of samples. `None` without probabilities.
    pub fn reliability_svg(&self) -> Option<String> {
        let confidence: Option<Vec<f64>> = (self.rows.iter())
            .map(|row| row.probabilities.get(row.predicted).copied())
            .collect();
        let right: Vec<bool> = self.rows.iter().map(|r| r.truth == r.predicted).collect();
        let bins = reliability_curve(&confidence?, &right);
        let mut plot = Plot::new("mean confidence", "share right");
        let points: Vec<_> = bins.iter().map(|b| (b.confidence, b.accuracy)).collect();
        plot.curve(&points, COLOURS[0]);
        for bin in bins {
            let share = bin.samples as f64 / self.rows.len() as f64;
            plot.dot((bin.confidence, bin.accuracy), 2.0 + 12.0 * share.sqrt());
        }
        Some(plot.finish())
    }

    /// The ROC curve of each class against the rest; classes without one are left out. `None`
    /// without probabilities.
    pub fn roc_svg(&self) -> Option<String> {
        let mut plot = Plot::new("false positive rate", "true positive rate");
        for (class, name) in self.classes.iter().enumerate() {
            let scores: Option<Vec<f64>> = (self.rows.iter())
                .map(|row| row.probabilities.get(class).copied())
                .collect();
            let positive: Vec<bool> = self.rows.iter().map(|r| r.truth == class).collect();
            if let Some(curve) = roc_curve(&scores?, &positive) {
                let colour = COLOURS[class % COLOURS.len()];
                plot.curve(&curve, colour);
                plot.name(class, name, colour);
            }
        }
        Some(plot.finish())
    }
}

fn confusion(classes: &[String], confusion: &Confusion) -> String {
    let cell = SIDE / classes.len().max(1) as f64;
    let size = SIDE + 1.5 * MARGIN;
    let mut svg = open(size, size);
    for (row, counts) in confusion.rows().enumerate() {
        let all = counts.iter().sum::<usize>().max(1);
        let y = MARGIN / 2.0 + row as f64 * cell;
        text(
            &mut svg,
            (MARGIN - 6.0, y + cell / 2.0),
            "end",
            &classes[row],
        );
        let below = MARGIN / 2.0 + SIDE + 14.0 + 14.0 * (row % 2) as f64;
        let middle = MARGIN + (row as f64 + 0.5) * cell;
        text(&mut svg, (middle, below), "middle", &classes[row]);
        for (column, &count) in counts.iter().enumerate() {
            let (x, share) = (MARGIN + column as f64 * cell, count as f64 / all as f64);
            let _ = write!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{cell:.1}\" height=\"{cell:.1}\" \
                 fill=\"#0072b2\" fill-opacity=\"{share:.3}\" stroke=\"#ccc\"/>"
            );
            let ink = if share > 0.5 { "#fff" } else { "#000" };
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"{ink}\">{count}</text>",
                x + cell / 2.0,
                y + cell / 2.0 + 4.0
            );
        }
    }
    let bottom = MARGIN / 2.0 + SIDE + 48.0;
    text(
        &mut svg,
        (MARGIN + SIDE / 2.0, bottom),
        "middle",
        "predicted",
    );
    text(&mut svg, (MARGIN - 6.0, MARGIN / 2.0 - 10.0), "end", "true");
    svg + "</svg>\n"
}

/// A square from (0, 0) to (1, 1) with its diagonal.
struct Plot {
    svg: String,
}

impl Plot {
    fn new(x: &str, y: &str) -> Self {
        let mut svg = open(SIDE + 1.5 * MARGIN, SIDE + 1.5 * MARGIN);
        let (left, top) = (MARGIN, MARGIN / 2.0);
        let _ = write!(
            svg,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"none\" stroke=\"#888\"/>\
             <path d=\"M{left} {} L{} {top}\" stroke=\"#ccc\" stroke-dasharray=\"4\"/>",
            top + SIDE,
            left + SIDE
        );
        for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let (px, py) = place((tick, tick));
            text(
                &mut svg,
                (px, top + SIDE + 16.0),
                "middle",
                &tick.to_string(),
            );
            text(&mut svg, (left - 6.0, py + 4.0), "end", &tick.to_string());
        }
        text(
            &mut svg,
            (left + SIDE / 2.0, top + SIDE + 36.0),
            "middle",
            x,
        );
        text(&mut svg, (left, top - 10.0), "middle", y);
        Self { svg }
    }

    fn curve(&mut self, points: &[(f64, f64)], colour: &str) {
        self.svg += "<polyline points=\"";
        for &point in points {
            let (x, y) = place(point);
            let _ = write!(self.svg, "{x:.2},{y:.2} ");
        }
        let _ = write!(
            self.svg,
            "\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>"
        );
    }

    fn dot(&mut self, point: (f64, f64), radius: f64) {
        let ((x, y), colour) = (place(point), COLOURS[0]);
        let _ = write!(
            self.svg,
            "<circle cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"{radius:.2}\" fill=\"{colour}\" fill-opacity=\"0.5\"/>"
        );
    }

    /// An entry of the legend, from the lower right corner up.
    fn name(&mut self, line: usize, name: &str, colour: &str) {
        let (x, y) = place((0.97, 0.04 + 0.05 * line as f64));
        let _ = write!(
            self.svg,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\" fill=\"{colour}\">{}</text>",
            escape(name)
        );
    }

    fn finish(self) -> String {
        self.svg + "</svg>\n"
    }
}

/// From values in [0, 1] to px.
fn place((x, y): (f64, f64)) -> (f64, f64) {
    (MARGIN + x * SIDE, MARGIN / 2.0 + (1.0 - y) * SIDE)
}

fn open(width: f64, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"
    )
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    let text = escape(text);
    let _ = write!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}

/// Text as it may stand in markup: names of classes and files are anybody's.
pub(crate) fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            // Not allowed in XML at all.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Prediction;

    fn predictions(bare: bool) -> Predictions {
        let row = |truth, predicted, p: f64| Prediction {
            file: "x".into(),
            truth,
            predicted,
            probabilities: if bare { vec![] } else { vec![p, 1.0 - p] },
        };
        Predictions {
            classes: ["a<b".to_string(), "c&d".into()].into(),
            rows: vec![row(0, 0, 0.9), row(0, 1, 0.4), row(1, 1, 0.2)],
        }
    }

    #[test]
    fn figures_show_every_count_and_class() {
        let p = predictions(false);
        let svg = p.confusion_svg().unwrap();
        assert_eq!(svg.matches("<rect").count(), 1 + 4);
        assert!(svg.contains("a&lt;b") && svg.contains("c&amp;d") && !svg.contains("a<b"));
        let svg = p.roc_svg().unwrap();
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(p.reliability_svg().unwrap().matches("<circle").count(), 3);
    }

    #[test]
    fn bare_predictions_have_no_curves() {
        let p = predictions(true);
        assert_eq!((p.roc_svg(), p.reliability_svg()), (None, None));
    }
}
