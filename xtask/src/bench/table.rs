//! Outcomes as aligned text.

use super::outcome::{Outcome, ms, roofline_share, rss_mib};
use super::side::Sample;

const HEAD: [&str; 9] = [
    "row",
    "threads",
    "ours ms",
    "PyTorch ms",
    "compiled ms",
    "time ratio",
    "ours MiB",
    "PyTorch MiB",
    "RSS ratio",
];

/// A line a row; ratios are ours by PyTorch's, the share is of matrix products alone.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut lines: Vec<Vec<String>> = vec![
        HEAD.iter()
            .map(|head| (*head).to_owned())
            .chain(["roofline".to_owned()])
            .collect(),
    ];
    lines.extend(outcomes.iter().map(cells));
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|column| {
            lines
                .iter()
                .map(|line| line[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let text = lines.iter().map(|line| {
        let cells = line.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, &width))| match column {
            0 => format!("{cell:width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ")
    });
    text.collect::<Vec<_>>().join("\n")
}

fn cells(outcome: &Outcome) -> Vec<String> {
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    let time = |samples: &[Sample]| number(ms(samples), 1);
    let rss = |samples: &[Sample]| number(rss_mib(samples), 0);
    let ratio = match (outcome.time_ratio(), outcome.time_ratios()) {
        (Some(ratio), Some((least, most))) => format!("{ratio:.2} ({least:.2} to {most:.2})"),
        _ => "-".to_owned(),
    };
    let share = roofline_share(&outcome.ours);
    vec![
        outcome.row.text(),
        outcome.threads.to_string(),
        time(&outcome.ours),
        time(&outcome.eager),
        time(&outcome.compiled),
        ratio,
        rss(&outcome.ours),
        rss(&outcome.eager),
        number(outcome.rss_ratio(), 2),
        share.map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", 100.0 * share)),
    ]
}

/// Speed-up by threads, for rows that were measured on one thread and on more.
pub fn scaling(outcomes: &[Outcome]) -> Vec<String> {
    let pairs = outcomes.windows(2).filter_map(|pair| {
        let [one, more] = pair else { return None };
        let same = one.row.name == more.row.name && one.threads == 1;
        let gain = |of: fn(&Outcome) -> &[Sample]| Some(ms(of(one))? / ms(of(more))?);
        let ours = gain(|outcome| &outcome.ours)?;
        let torch = gain(|outcome| &outcome.eager)?;
        same.then(|| {
            format!(
                "{}: {} threads are {ours:.2} times as fast as one (PyTorch: {torch:.2})",
                one.row.name, more.threads
            )
        })
    });
    pairs.collect()
}

/// A CASS step against the two DINO steps that train the same networks, where all were measured.
pub fn dino_against_cass(outcomes: &[Outcome]) -> Vec<String> {
    let find = |name: &str| outcomes.iter().rfind(|outcome| outcome.row.name == name);
    let sizes = ["96", "384"].into_iter().filter_map(|size| {
        let cass = find(&format!("cass-{size}"))?;
        let dino = [find(&format!("dino-{size}"))?, find(&format!("dino-vit-{size}"))?];
        let less = |of: fn(&Outcome) -> &[Sample]| {
            let both = ms(of(dino[0]))? + ms(of(dino[1]))?;
            Some(100.0 * (1.0 - ms(of(cass))? / both))
        };
        Some(format!(
            "{size} px: a step of CASS takes {:.0} % less time than one of DINO for each network (PyTorch: {:.0} %; the paper, for whole runs: 69 %)",
            less(|outcome| &outcome.ours)?,
            less(|outcome| &outcome.eager)?,
        ))
    });
    sizes.collect()
}

#[cfg(test)]
mod tests {
    use super::super::row::ROWS;
    use super::*;

    fn outcome(name: &str, threads: usize, ours: f64, eager: f64) -> Outcome {
        let row = ROWS.iter().find(|row| row.name == name).unwrap();
        let sample = |ms| Sample {
            ms,
            rss_mib: Some(100.0 * ms),
            roofline_share: (ms == ours).then_some(0.625),
        };
        let mut outcome = Outcome::new(row, threads);
        outcome.ours = vec![sample(ours)];
        outcome.eager = vec![sample(eager)];
        outcome
    }

    #[test]
    fn columns_are_aligned() {
        let text = table(&[
            outcome("cass-96", 2, 3.0, 4.0),
            outcome("dino-vit-384", 2, 5000.0, 4000.0),
        ]);
        let lines: Vec<_> = text.lines().collect();
        let lengths: Vec<_> = lines.iter().map(|line| line.chars().count()).collect();
        assert_eq!(lengths, [lengths[0]; 3], "{text}");
        assert!(
            lines[1].starts_with("cass resnet18 + vit_tiny_patch16_224, 96 px, batch 16"),
            "{text}"
        );
        assert!(
            lines[1].contains("0.75 (0.75 to 0.75)") && lines[1].contains("62 %"),
            "{text}"
        );
    }

    #[test]
    fn one_thread_and_more() {
        let lines = scaling(&[
            outcome("cass-96", 1, 30.0, 40.0),
            outcome("cass-96", 2, 20.0, 20.0),
            outcome("cass-224", 2, 1.0, 1.0),
        ]);
        assert_eq!(
            lines,
            ["cass-96: 2 threads are 1.50 times as fast as one (PyTorch: 2.00)"]
        );
    }

    #[test]
    fn cass_against_both_dino_runs() {
        let rows = [
            outcome("cass-96", 2, 30.0, 50.0),
            outcome("dino-96", 2, 40.0, 50.0),
            outcome("dino-vit-96", 2, 60.0, 50.0),
        ];
        let lines = dino_against_cass(&rows);
        assert_eq!(lines.len(), 1);
        assert!(
            lines[0].contains("70 % less") && lines[0].contains("PyTorch: 50 %"),
            "{lines:?}"
        );
        assert!(dino_against_cass(&rows[..2]).is_empty());
    }
}
