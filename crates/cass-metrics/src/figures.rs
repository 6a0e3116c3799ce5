//! Metrics to look at, as SVG: plain text, no fonts or scripts of its own.

use crate::{
    MultiLabelPredictions, Predictions, Result, precision_recall_curve, reliability_curve,
    roc_curve,
};
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
        let rows = self.confusion()?.rows().map(<[_]>::to_vec).collect();
        Ok(table(
            &self.classes,
            &self.classes,
            ["true", "predicted"],
            rows,
        ))
    }

    /// How often predictions of some confidence are right, beside the diagonal where confidence is
    /// honest; a point's area is its number of samples. `None` without probabilities.
    pub fn reliability_svg(&self) -> Option<String> {
        let confidence: Option<Vec<f64>> = (self.rows.iter())
            .map(|row| row.probabilities.get(row.predicted).copied())
            .collect();
        let right: Vec<bool> = self.rows.iter().map(|r| r.truth == r.predicted).collect();
        Some(reliability(
            ["mean confidence", "share right"],
            &confidence?,
            &right,
        ))
    }

    /// The ROC curve of each class against the rest; classes without one are left out. `None`
    /// without probabilities.
    pub fn roc_svg(&self) -> Option<String> {
        MultiLabelPredictions::from(self).roc_svg()
    }

    /// The precision-recall curve of each class against the rest; classes without one are left out.
    /// `None` without probabilities.
    pub fn precision_recall_svg(&self) -> Option<String> {
        MultiLabelPredictions::from(self).precision_recall_svg()
    }
}

impl MultiLabelPredictions {
    /// How often each class was found, missed, said where it is not, and rightly not said; a cell's
    /// shade is its share of the images with the class, or without it.
    pub fn confusion_svg(&self) -> String {
        let columns = ["found", "missed", "false alarm", "rightly not"].map(String::from);
        let k = self.classes.len();
        let row = |class: usize| {
            let truth = self.truth.iter().skip(class).step_by(k);
            let pairs = truth.zip(self.predicted.iter().skip(class).step_by(k));
            let mut counts = [0; 4];
            for pair in pairs {
                counts[match pair {
                    (true, true) => 0,
                    (true, false) => 1,
                    (false, true) => 2,
                    (false, false) => 3,
                }] += 1;
            }
            counts.to_vec()
        };
        let rows = (0..k).map(row).collect();
        table(&self.classes, &columns, ["class", ""], rows)
    }

    /// How often a class of some probability is there, over all classes; else as
    /// [`Predictions::reliability_svg`].
    pub fn reliability_svg(&self) -> Option<String> {
        let axes = ["mean probability", "share that is there"];
        let p = self.probabilities.as_ref()?;
        Some(reliability(axes, p, &self.truth))
    }

    /// As [`Predictions::roc_svg`].
    pub fn roc_svg(&self) -> Option<String> {
        let mut plot = Plot::new("false positive rate", "true positive rate");
        plot.diagonal();
        self.curves(plot, roc_curve)
    }

    /// As [`Predictions::precision_recall_svg`].
    pub fn precision_recall_svg(&self) -> Option<String> {
        self.curves(Plot::new("recall", "precision"), precision_recall_curve)
    }

    /// One curve a class.
    fn curves(&self, mut plot: Plot, curve: Curve) -> Option<String> {
        let (k, p) = (self.classes.len(), self.probabilities.as_ref()?);
        for (class, name) in self.classes.iter().enumerate() {
            let scores: Vec<f64> = p.iter().skip(class).step_by(k).copied().collect();
            let positive = self.truth.iter().skip(class).step_by(k);
            let positive: Vec<bool> = positive.copied().collect();
            if let Some(curve) = curve(&scores, &positive) {
                let colour = COLOURS[class % COLOURS.len()];
                plot.curve(&curve, colour);
                plot.name(class, name, colour);
            }
        }
        Some(plot.finish())
    }
}

/// Points of a curve of scores and of which samples are positive.
type Curve = fn(&[f64], &[bool]) -> Option<Vec<(f64, f64)>>;

fn reliability([x, y]: [&str; 2], confidence: &[f64], right: &[bool]) -> String {
    let bins = reliability_curve(confidence, right);
    let mut plot = Plot::new(x, y);
    plot.diagonal();
    let points: Vec<_> = bins.iter().map(|b| (b.confidence, b.accuracy)).collect();
    plot.curve(&points, COLOURS[0]);
    for bin in bins {
        let share = bin.samples as f64 / right.len() as f64;
        plot.dot((bin.confidence, bin.accuracy), 2.0 + 12.0 * share.sqrt());
    }
    plot.finish()
}

/// Counts, shaded by their share of a row; of a table with other columns than rows each half of a row
/// is a whole.
fn table(
    rows: &[String],
    columns: &[String],
    [side, below]: [&str; 2],
    counts: Vec<Vec<usize>>,
) -> String {
    let [width, height] = [columns, rows].map(|names| SIDE / names.len().max(1) as f64);
    let size = SIDE + 1.5 * MARGIN;
    let mut svg = open(size, size);
    let top = MARGIN / 2.0;
    for (column, name) in columns.iter().enumerate() {
        let stagger = 14.0 + 14.0 * (column % 2) as f64;
        let middle = MARGIN + (column as f64 + 0.5) * width;
        text(&mut svg, (middle, top + SIDE + stagger), "middle", name);
    }
    let whole = if rows == columns {
        columns.len()
    } else {
        columns.len() / 2
    };
    for (row, counts) in counts.iter().enumerate() {
        let y = top + row as f64 * height;
        text(
            &mut svg,
            (MARGIN - 6.0, y + height / 2.0),
            "end",
            &rows[row],
        );
        for (column, &count) in counts.iter().enumerate() {
            let start = column / whole * whole;
            let all = counts[start..start + whole].iter().sum::<usize>().max(1);
            let (x, share) = (MARGIN + column as f64 * width, count as f64 / all as f64);
            let _ = write!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
                 fill=\"#0072b2\" fill-opacity=\"{share:.3}\" stroke=\"#ccc\"/>"
            );
            let ink = if share > 0.5 { "#fff" } else { "#000" };
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"{ink}\">{count}</text>",
                x + width / 2.0,
                y + height / 2.0 + 4.0
            );
        }
    }
    text(
        &mut svg,
        (MARGIN + SIDE / 2.0, top + SIDE + 48.0),
        "middle",
        below,
    );
    text(&mut svg, (MARGIN - 6.0, top - 10.0), "end", side);
    svg + "</svg>\n"
}

/// A square from (0, 0) to (1, 1).
struct Plot {
    svg: String,
}

impl Plot {
    fn new(x: &str, y: &str) -> Self {
        let mut svg = open(SIDE + 1.5 * MARGIN, SIDE + 1.5 * MARGIN);
        let (left, top) = (MARGIN, MARGIN / 2.0);
        let _ = write!(
            svg,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"none\" stroke=\"#888\"/>"
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

    /// A dashed line from (0, 0) to (1, 1).
    fn diagonal(&mut self) {
        let ((left, bottom), (right, top)) = (place((0.0, 0.0)), place((1.0, 1.0)));
        let _ = write!(
            self.svg,
            "<path d=\"M{left} {bottom} L{right} {top}\" stroke=\"#ccc\" stroke-dasharray=\"4\"/>"
        );
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
    // Control characters are not allowed in XML at all.
    let text = text.replace(char::is_control, " ");
    html_escape::encode_quoted_attribute(&text).into_owned()
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
        let svg = p.precision_recall_svg().unwrap();
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(p.reliability_svg().unwrap().matches("<circle").count(), 3);
    }

    #[test]
    fn several_classes_an_image_are_counted_apart() {
        let mut p = MultiLabelPredictions::new(["a", "b"].map(String::from).into());
        p.push("1".into(), &[0, 1], &[0], &[0.9, 0.2]);
        p.push("2".into(), &[], &[0], &[0.8, 0.1]);
        let svg = p.confusion_svg();
        assert_eq!(svg.matches("<rect").count(), 1 + 2 * 4);
        assert!(svg.contains("false alarm"), "{svg}");
        assert_eq!(p.roc_svg().unwrap().matches("<polyline").count(), 2);
        assert_eq!(p.reliability_svg().unwrap().matches("<circle").count(), 4);
    }

    #[test]
    fn bare_predictions_have_no_curves() {
        let p = predictions(true);
        assert_eq!((p.roc_svg(), p.reliability_svg()), (None, None));
    }
}
