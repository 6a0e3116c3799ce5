//! The summary that ends `reproduce`, and `cargo xtask claims`.

use std::fmt::Write;

use super::{notice, pretraining_title, reading, rows, section_title, spread, title, value};
use crate::results::Results;

/// Every table and the verdicts.
pub fn summary(results: &Results) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "\n{} · profile {} · protocol {}",
        title(results),
        results.profile,
        results.protocol.name()
    );
    if let Some(notice) = notice(results) {
        let _ = writeln!(text, "{notice}");
    }
    let several = results.tables.len() > 1;
    for table in &results.tables {
        for &downstream in &table.downstream {
            let name = if several {
                format!("{} {} · ", table.number, table.title)
            } else {
                String::new()
            };
            let _ = writeln!(
                text,
                "\n{name}{} · {} (paper)",
                section_title(table, downstream),
                table.metric_title
            );
            let rows = rows(results, table, downstream);
            let width = rows
                .iter()
                .map(|row| row[0].row.chars().count())
                .max()
                .unwrap_or(0);
            for row in rows {
                let _ = write!(text, "{:<width$}", row[0].row);
                for cell in row {
                    let short =
                        |text: String| text.strip_suffix('0').map(str::to_owned).unwrap_or(text);
                    let mean = cell
                        .mean
                        .map_or("missing".to_owned(), |_| value(cell, cell.mean));
                    let std = spread(cell)
                        .map(|std| format!(" ±{}", short(std)))
                        .unwrap_or_default();
                    let paper = cell
                        .paper_mean
                        .map(|mean| format!(" ({})", short(value(cell, Some(mean)))));
                    let mark = if cell.apart == Some(true) { " ≠" } else { "" };
                    let _ = write!(
                        text,
                        "  {:>5} {:<26}",
                        cell.column,
                        mean + &std + &paper.unwrap_or_default() + mark
                    );
                }
                text.truncate(text.trim_end().len());
                text.push('\n');
            }
        }
    }
    text.push('\n');
    for pretraining in results.pretrainings.iter().filter(|p| p.collapsed) {
        for (arm, both) in pretraining
            .collapse
            .iter()
            .filter(|(_, both)| both.after.collapsed())
        {
            let (before, after) = (reading(both.before), reading(both.after));
            let _ = writeln!(
                text,
                "collapsed: {}, {}, seed {}: effective rank {} → {}, mean cosine {} → {}",
                pretraining_title(pretraining, results.data.len() > 1),
                arm.title(),
                pretraining.seed,
                before.1,
                after.1,
                before.0,
                after.0
            );
        }
    }
    text + &claims(results)
}

/// A line a claim, by table.
pub fn claims(results: &Results) -> String {
    let mut text = String::new();
    let several = results.tables.len() > 1;
    for claim in &results.claims {
        let table = if several {
            format!("{:>3} ", claim.table)
        } else {
            String::new()
        };
        let paper = match claim.paper_agrees {
            Some(false) => " (the paper's own cells contradict it)",
            _ => "",
        };
        let _ = writeln!(
            text,
            "{:>12}  {table}{}{paper}",
            claim.verdict.text(),
            claim.text
        );
    }
    text
}
