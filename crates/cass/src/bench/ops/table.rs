//! The measurements in aligned columns.

use super::measure::{Measured, Rate};
use super::roofline::Rooflines;

const HEAD: [&str; 8] = [
    "operation",
    "input",
    "pass",
    "ms",
    "(min to max)",
    "rate",
    "share",
    "Candle",
];

/// One line a pass, under a line that tells what the shares are of.
pub fn table(all: &[Measured], rooflines: &Rooflines) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(all.iter().map(|measured| row(measured, rooflines)));
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or_default()
    };
    let widths: [usize; 8] = std::array::from_fn(width);
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| match column {
            0..=2 | 7 => format!("{cell:width$}"), // words
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    let head = format!(
        "{} threads; a matrix product reaches {:.0} GFLOP/s, a copy {:.1} GB/s\n\n",
        cass_ops::threads::threads(),
        rooflines.gflops,
        rooflines.gb_per_s
    );
    head + &lines.collect::<Vec<_>>().join("\n")
}

fn row(measured: &Measured, rooflines: &Rooflines) -> [String; 8] {
    let ours = measured.ours;
    let (rate, share) = match measured.rate(rooflines) {
        Rate::Gflops(rate, share) => (format!("{rate:.0} GFLOP/s"), share),
        Rate::GbPerS(rate, share) => (format!("{rate:.1} GB/s"), share),
    };
    let candle = measured.rival.as_ref().map(|rival| {
        let said = match (rival.time, &rival.wrong) {
            (Some(time), _) => format!(
                "{:.2} ms, {:.1} times ours",
                time.median,
                measured.times().unwrap_or(f64::NAN)
            ),
            (None, wrong) => wrong.clone().unwrap_or_default(),
        };
        format!("{}: {said}", rival.what)
    });
    [
        measured.op.to_owned(),
        measured.shape.clone(),
        measured.pass.to_owned(),
        format!("{:.2}", ours.median),
        format!("{:.2} to {:.2}", ours.min, ours.max),
        rate,
        format!("{:.0} %", 100.0 * share),
        candle.unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::ops::measure::{Rival, Work};
    use crate::bench::spread::Spread;

    #[test]
    fn columns_are_aligned_and_rates_are_of_what_limits() {
        let measured = |op, flops, rival| Measured {
            op,
            shape: "4x8".into(),
            pass: "forward",
            ours: Spread::of(&[2.0]),
            work: Work {
                flops,
                bytes: 30_000_000,
            },
            rival: Some(rival),
        };
        let fast = Rival {
            what: "Linear",
            time: Some(Spread::of(&[3.0])),
            wrong: None,
        };
        let none = Rival {
            what: "LayerNorm",
            time: None,
            wrong: Some("no gradient".into()),
        };
        let all = [
            measured("linear", 100_000_000, fast),
            measured("layer_norm", 0, none),
        ];
        let rooflines = Rooflines {
            gflops: 200.0,
            gb_per_s: 30.0,
        };
        let text = table(&all, &rooflines);
        let lines: Vec<_> = text.lines().skip(2).collect();
        assert!(
            lines[1].contains("50 GFLOP/s   25 %  Linear: 3.00 ms, 1.5 times ours"),
            "{text}"
        );
        assert!(
            lines[2].contains("15.0 GB/s   50 %  LayerNorm: no gradient"),
            "{text}"
        );
        let column = lines[0].find("Candle");
        assert_eq!(column, lines[1].find("Linear:"));
        assert_eq!(column, lines[2].find("LayerNorm:"));
    }
}
