//! The summary that ends `reproduce`, and `claims`.

use super::{
    UNCONVERGED_RULE, disagreement, has_unconverged, method_title, notice, pretraining_title,
    reading, rows, section_title, title,
};
use crate::results::{Cell, Results, TableEntry};
use crate::units::duration;
use std::fmt::Write;

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
                "\n{name}{} · {}{}",
                section_title(table, downstream),
                table.metric_title,
                if downstream.is_papers() {
                    " (paper)"
                } else {
                    ""
                }
            );
            for row in rows(results, table, downstream) {
                line(&mut text, table, &row);
            }
            if has_unconverged(results, table, downstream) {
                let _ = writeln!(text, "{UNCONVERGED_RULE}");
            }
        }
    }
    text.push('\n');
    for pretraining in results.pretrainings.iter().filter(|p| p.collapsed) {
        for (arm, both) in pretraining
            .collapse
            .iter()
            .filter(|(_, both)| both.is_collapsed())
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
    text += &claims(results);
    if let Some(line) = disagreement(results) {
        let _ = writeln!(text, "{line}");
    }
    if !results.seen.is_empty() {
        let _ = writeln!(text, "\nWhat one sees");
    }
    for sentence in &results.seen {
        let _ = writeln!(text, "- {sentence}");
    }
    text
}

/// A row: what it is of, then a column each.
fn line(text: &mut String, table: &TableEntry, row: &[&Cell]) {
    let first = row[0];
    let methods = row.iter().all(|cell| cell.arm == first.arm) && table.downstream.len() > 1;
    match first.arm.filter(|_| methods) {
        Some(arm) => {
            let method = method_title(&first.method);
            let _ = write!(text, "{method:<15}{:<12}", arm.title());
        }
        None => {
            let _ = write!(text, "{:<27}", first.row);
        }
    }
    for cell in row {
        let short = |value: Option<f64>| match value {
            Some(hours) if cell.metric == "hours" => duration(3600.0 * hours),
            Some(value) => format!("{value:.3}"),
            None => "missing".to_owned(),
        };
        let std = cell.std.map(|std| format!(" ±{}", short(Some(std))));
        let paper = cell
            .paper_mean
            .map(|mean| format!(" ({})", short(Some(mean))));
        let mark = if cell.apart == Some(true) { " ≠" } else { "" }.to_owned()
            + if cell.unconverged > 0 { " †" } else { "" };
        let _ = write!(
            text,
            "  {:>5} {:<21}",
            table.columns[cell.place.1],
            short(cell.mean) + &std.unwrap_or_default() + &paper.unwrap_or_default() + &mark
        );
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
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
        let other = claim
            .otherwise()
            .map(|other| format!(" (under logistic regression: {})", other.verdict.text()));
        let other = other.unwrap_or_default();
        let _ = writeln!(
            text,
            "{:>12}  {table}{}{paper}{other}",
            claim.verdict.text(),
            claim.text
        );
    }
    text
}
