//! Bars and loss curves as inline SVG. Colours come from the page's style sheet, so they follow its theme.

use std::fmt::Write;

use crate::results::{Cell, Pretraining};

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
    const CURVE: Frame = Frame {
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

    /// Opens the drawing; `label` is what a screen reader says. Must be escaped.
    fn open(&self, label: &str) -> String {
        format!(
            "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{label}\">",
            self.width, self.height
        )
    }

    /// A grid line with its number.
    fn grid(&self, svg: &mut String, share: f64, label: &str) {
        let y = self.y(share);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            self.left,
            self.width - self.right,
            self.left - 6.0,
            y + 4.0,
        );
    }
}

/// A bar and the paper's mark over it.
pub struct Bar<'a> {
    /// The style sheet's colour.
    pub class: &'static str,
    /// What it is, on hovering.
    pub name: String,
    pub cell: &'a Cell,
}

/// More groups than this make a wide chart.
pub const FEW: usize = 4;

/// Groups of bars from 0 to 1, the paper's mean as a mark.
pub fn bars(groups: &[(String, Vec<Bar>)], label: &str) -> String {
    let frame = if groups.len() > FEW {
        Frame::WIDE
    } else {
        Frame::BARS
    };
    let mut svg = frame.open(label);
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        frame.grid(&mut svg, tick, &format!("{tick}"));
    }
    let count = groups.len() as f64;
    for (index, (name, bars)) in groups.iter().enumerate() {
        let (from, to) = (index as f64 / count, (index + 1) as f64 / count);
        let slot = (to - from) * 0.84 / bars.len().max(1) as f64;
        for (index, one) in bars.iter().enumerate() {
            let start = from + (to - from) * 0.08 + index as f64 * slot;
            let (x0, x1) = (frame.x(start + 0.1 * slot), frame.x(start + 0.9 * slot));
            bar(&mut svg, &frame, one, x0, x1);
        }
        // A long name takes two lines.
        let (first, second) = match name.rsplit_once(' ') {
            Some((first, second)) if name.chars().count() > 9 => (first, second),
            _ => (name.as_str(), ""),
        };
        for (line, text) in [first, second].into_iter().enumerate() {
            let _ = write!(
                svg,
                "<text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                frame.x((from + to) / 2.0),
                frame.height - frame.bottom + 17.0 + 14.0 * line as f64,
                super::html::escape(text)
            );
        }
    }
    let y = frame.y(0.0);
    let _ = write!(
        svg,
        "<line class=\"axis\" x1=\"{}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\"/></svg>",
        frame.left,
        frame.width - frame.right
    );
    svg
}

fn bar(svg: &mut String, frame: &Frame, bar: &Bar, x0: f64, x1: f64) {
    let middle = (x0 + x1) / 2.0;
    let (cell, name) = (bar.cell, super::html::escape(&bar.name));
    match cell.mean {
        Some(mean) => {
            let (top, bottom) = (frame.y(mean.clamp(0.0, 1.0)), frame.y(0.0));
            let _ = write!(
                svg,
                "<rect class=\"{}\" x=\"{x0:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"1.5\">\
                 <title>{name}: {mean:.4}</title></rect>",
                bar.class,
                x1 - x0,
                bottom - top,
            );
            if let Some(std) = cell.std {
                let (high, low) = (
                    frame.y((mean + std).min(1.0)),
                    frame.y((mean - std).max(0.0)),
                );
                let _ = write!(
                    svg,
                    "<path class=\"error\" d=\"M{middle:.1} {high:.1}V{low:.1}M{:.1} {high:.1}h6M{:.1} {low:.1}h6\"/>",
                    middle - 3.0,
                    middle - 3.0,
                );
            }
        }
        None => {
            let _ = write!(
                svg,
                "<text class=\"tick\" x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">×\
                 <title>{name}: missing</title></text>",
                frame.y(0.0) - 4.0
            );
        }
    }
    if let Some(paper) = cell.paper_mean {
        let _ = write!(
            svg,
            "<line class=\"paper-mark\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\">\
             <title>{name}, paper: {paper}</title></line>",
            x0 - 2.0,
            x1 + 2.0,
            y = frame.y(paper.clamp(0.0, 1.0)),
        );
    }
}

/// Epoch-mean losses of pretrainings that differ in their seed alone. Logarithmic where they span decades.
pub fn losses(runs: &[&Pretraining], label: &str) -> String {
    let frame = Frame::CURVE;
    let mut svg = frame.open(label);
    let losses = || {
        runs.iter()
            .flat_map(|run| run.epochs.iter().filter_map(|e| e.loss))
    };
    let (low, high) = losses().fold((f64::MAX, f64::MIN), |(a, b), l| (a.min(l), b.max(l)));
    if low > high {
        let _ = write!(
            svg,
            "<text class=\"label\" x=\"{}\" y=\"{}\">no loss was logged</text></svg>",
            frame.left,
            frame.height / 2.0
        );
        return svg;
    }
    let scale = Scale::over(low, high);
    for tick in &scale.ticks {
        frame.grid(&mut svg, scale.share(*tick), &scale.label(*tick));
    }
    let last = runs
        .iter()
        .flat_map(|run| run.epochs.iter().map(|e| e.epoch))
        .max()
        .unwrap_or(0);
    let x = |epoch: u32| frame.x(0.03 + 0.94 * f64::from(epoch) / f64::from(last.max(1)));
    for run in runs {
        let points: Vec<(f64, f64)> = run
            .epochs
            .iter()
            .filter_map(|e| Some((x(e.epoch), frame.y(scale.share(e.loss?)))))
            .collect();
        let path: Vec<_> = points
            .iter()
            .map(|(x, y)| format!("{x:.1} {y:.1}"))
            .collect();
        let class = super::html::class(&run.method.to_string());
        let _ = write!(
            svg,
            "<path class=\"curve {class}\" d=\"M{}\"/>",
            path.join("L")
        );
        // Few points are marked, for a single one is no line.
        for (x, y) in points.iter().filter(|_| points.len() <= 12) {
            let _ = write!(
                svg,
                "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\"/>"
            );
        }
    }
    let step = (last / 6).max(1);
    for epoch in (0..=last).step_by(step as usize) {
        let _ = write!(
            svg,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x(epoch),
            frame.height - frame.bottom + 16.0,
            epoch + 1
        );
    }
    let _ = write!(
        svg,
        "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">epoch</text></svg>",
        frame.width - frame.right,
        frame.height - 3.0
    );
    svg
}

/// Values to shares of a height, and where to draw lines.
struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
    ticks: Vec<f64>,
}

impl Scale {
    fn over(low: f64, high: f64) -> Scale {
        if low > 0.0 && high / low > 20.0 {
            let decade = |value: f64, round: fn(f64) -> f64| 10f64.powf(round(value.log10()));
            let (low, high) = (decade(low, f64::floor), decade(high, f64::ceil));
            let decades = (high / low).log10().round() as i32;
            let every = (decades as usize).div_ceil(5);
            let ticks = (0..=decades)
                .step_by(every)
                .map(|d| low * 10f64.powi(d))
                .collect();
            return Scale {
                low,
                high,
                logarithmic: true,
                ticks,
            };
        }
        // 1, 2 or 5 times a power of ten; about four steps.
        let span = if high > low {
            high - low
        } else {
            high.abs().max(1e-6) * 0.1
        };
        let power = 10f64.powf((span / 4.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|times| times * power)
            .find(|step| span / step <= 4.0)
            .unwrap_or(10.0 * power);
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        let last = last.max(first + 1.0);
        let ticks = (0..=(last - first) as i64)
            .map(|i| (first + i as f64) * step)
            .collect();
        Scale {
            low: first * step,
            high: last * step,
            logarithmic: false,
            ticks,
        }
    }

    fn share(&self, value: f64) -> f64 {
        if self.logarithmic {
            (value / self.low).log10() / (self.high / self.low).log10()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }

    fn label(&self, tick: f64) -> String {
        if self.logarithmic {
            let digits = ["⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"];
            let exponent = tick.log10().round() as i32;
            let mut text = String::from(if exponent < 0 { "10⁻" } else { "10" });
            for digit in exponent.abs().to_string().bytes() {
                text += digits[usize::from(digit - b'0')];
            }
            text
        } else {
            let step = (self.high - self.low) / (self.ticks.len() - 1) as f64;
            let decimals = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
            format!("{tick:.decimals$}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decades_where_losses_span_them() {
        let scale = Scale::over(1.8e-5, 3.5e-2);
        assert!(scale.logarithmic);
        let labels: Vec<_> = scale.ticks.iter().map(|t| scale.label(*t)).collect();
        assert_eq!(labels, ["10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "10⁻¹"]);
        assert!((scale.share(1e-3) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn round_steps_elsewhere() {
        let scale = Scale::over(10.62, 11.09);
        let labels: Vec<_> = scale.ticks.iter().map(|t| scale.label(*t)).collect();
        assert_eq!(labels, ["10.6", "10.8", "11.0", "11.2"]);
        for constant in [0.0, 11.0, -2.0] {
            let scale = Scale::over(constant, constant);
            assert!((0.0..=1.0).contains(&scale.share(constant)), "{constant}");
        }
    }
}
