//! `report.md`, and the summary that ends `reproduce`.

use std::fmt::Write;

use super::{
    VERDICT_RULE, collapse_rule, method_title, notice, percent, reading, rows, score, signed,
};
use crate::plan::Downstream;
use crate::progress::duration;
use crate::results::{Cell, Results};

/// Text that stays text in a table cell.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '|' | '*' | '_' | '`' | '[' | ']' | '<' | '>' | '#' | '\\' => escaped.extend(['\\', c]),
            '\n' | '\r' => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

fn list(text: &mut String, title: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n## {title}\n");
    for item in items {
        let _ = writeln!(text, "- {}", escape(item));
    }
}

pub fn report(results: &Results) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "# Table {}: {}\n",
        results.table,
        escape(&results.title)
    );
    let _ = writeln!(
        text,
        "Profile **{}**, protocol **{}**, seeds: {}. {}\n",
        escape(&results.profile),
        results.protocol.name(),
        results.seeds.len(),
        escape(&results.summary)
    );
    if let Some(notice) = notice(results) {
        let _ = writeln!(text, "> **{notice}**");
    }
    list(
        &mut text,
        "What differs from the paper",
        &results.deviations,
    );
    list(
        &mut text,
        "What the text leaves open and was chosen",
        &results.chosen,
    );
    for &downstream in &results.downstream {
        let note = if downstream == results.headline {
            " (headline)"
        } else {
            ""
        };
        let _ = writeln!(text, "\n## {}{note}\n", downstream.title());
        let _ = writeln!(
            text,
            "{}: mean ± sample deviation over n seeds, the paper's cell, the difference.\n",
            escape(&results.metric_title)
        );
        table(&mut text, results, downstream);
    }
    let missing: Vec<String> = results
        .cells
        .iter()
        .flat_map(|cell| {
            let name = format!(
                "{} {} {} {}",
                cell.downstream.name(),
                method_title(cell.method),
                cell.arm.title(),
                percent(cell.percent)
            );
            cell.missing
                .iter()
                .map(move |reason| format!("{name}, {reason}"))
        })
        .collect();
    list(&mut text, "Missing", &missing);

    let _ = writeln!(
        text,
        "\n## The paper's claims, in this run\n\n{VERDICT_RULE}\n"
    );
    let _ = writeln!(
        text,
        "| verdict | claim | why | the paper's own cells |\n|---|---|---|---|"
    );
    for claim in &results.claims {
        let paper = match claim.paper_agrees {
            Some(true) => "agree",
            Some(false) => "**contradict it**",
            None => "",
        };
        let _ = writeln!(
            text,
            "| **{}** | {} ({}) | {} | {paper} |",
            claim.verdict.text(),
            escape(&claim.text),
            escape(&claim.source),
            escape(&claim.reason)
        );
    }
    list(
        &mut text,
        "Where the paper contradicts itself",
        &results.contradictions,
    );

    let _ = writeln!(text, "\n## Collapse\n\n{}\n", collapse_rule());
    let _ = writeln!(
        text,
        "| pretraining | arm | seed | mean cosine | effective rank | |\n|---|---|---|---|---|---|"
    );
    for pretraining in &results.pretrainings {
        for (arm, both) in &pretraining.collapse {
            let (before, after) = (reading(both.before), reading(both.after));
            let _ = writeln!(
                text,
                "| {}{} | {} | {} | {} → {} | {} → {} | {} |",
                pretraining.method,
                share(pretraining.percent),
                arm.title(),
                pretraining.seed,
                before.0,
                after.0,
                before.1,
                after.1,
                if both.after.collapsed() {
                    "**collapsed**"
                } else {
                    ""
                }
            );
        }
    }

    let skipped: Vec<_> = results
        .skipped
        .iter()
        .map(|s| format!("{}: {}", s.file, s.reason))
        .collect();
    list(&mut text, "Images left out", &skipped);
    let _ = writeln!(
        text,
        "\n## Where this came from\n\n{} of work in {} runs.\n",
        duration(results.seconds),
        results.runs.len()
    );
    for source in &results.provenance {
        let _ = writeln!(
            text,
            "- commit {} · {} · {} · {} ({} cores, {}) · device {}, {} threads · data {}",
            escape(&source.commit),
            escape(&source.cass),
            escape(&source.rustc),
            escape(&source.cpu),
            source.cores,
            escape(&source.os),
            escape(&source.device),
            source.threads,
            escape(&source.data_root)
        );
    }
    for manifest in &results.manifests {
        let _ = writeln!(text, "- data manifest {}", escape(manifest));
    }
    text
}

/// ` on 10 %` where a pretraining did not see every image.
pub(super) fn share(percent: u32) -> String {
    if percent == 100 {
        String::new()
    } else {
        format!(" on {percent} %")
    }
}

fn table(text: &mut String, results: &Results, downstream: Downstream) {
    let cells: Vec<&Cell> = results
        .cells
        .iter()
        .filter(|cell| cell.downstream == downstream)
        .collect();
    let mut percents: Vec<u32> = cells.iter().map(|cell| cell.percent).collect();
    percents.sort_unstable();
    percents.dedup();
    let head: Vec<_> = percents.iter().map(|&p| percent(p)).collect();
    let _ = writeln!(text, "| method | network | {} |", head.join(" | "));
    let _ = writeln!(text, "|---|---|{}", "---|".repeat(head.len()));
    for row in rows(&results.cells)
        .into_iter()
        .filter(|row| row[0].downstream == downstream)
    {
        let _ = write!(
            text,
            "| {} | {} |",
            method_title(row[0].method),
            escape(&row[0].backbone)
        );
        for cell in row {
            let _ = write!(text, " {} |", entry(cell));
        }
        text.push('\n');
    }
}

fn entry(cell: &Cell) -> String {
    let mut text = match (cell.mean, cell.std) {
        (None, _) => "missing".to_owned(),
        (mean, Some(std)) => format!("**{}** ± {std:.4} (n = {})", score(mean), cell.n),
        (mean, None) => format!("**{}** (n = {})", score(mean), cell.n),
    };
    if let Some(printed) = &cell.paper_printed {
        let _ = write!(text, "; paper {}", printed.trim_matches('*'));
    }
    if let Some(delta) = cell.delta {
        let _ = write!(text, "; {}", signed(delta));
    }
    text
}

/// The headline table and the verdicts, for a terminal.
pub fn summary(results: &Results) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "\nTable {}: {} · profile {} · protocol {}",
        results.table,
        results.title,
        results.profile,
        results.protocol.name()
    );
    if let Some(notice) = notice(results) {
        let _ = writeln!(text, "{notice}");
    }
    for &downstream in &results.downstream {
        let _ = writeln!(
            text,
            "\n{} · {} (paper)",
            downstream.title(),
            results.metric_title
        );
        for row in rows(&results.cells)
            .into_iter()
            .filter(|row| row[0].downstream == downstream)
        {
            let _ = write!(
                text,
                "{:<15}{:<12}",
                method_title(row[0].method),
                row[0].arm.title()
            );
            for cell in row {
                let std = cell
                    .std
                    .map(|std| format!(" ±{std:.3}"))
                    .unwrap_or_default();
                let mean = cell
                    .mean
                    .map_or("missing".to_owned(), |mean| format!("{mean:.3}"));
                let paper = cell
                    .paper_mean
                    .map(|mean| format!(" ({mean:.3})"))
                    .unwrap_or_default();
                let _ = write!(
                    text,
                    "  {:>5} {:<21}",
                    percent(cell.percent),
                    mean + &std + &paper
                );
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
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
                "collapsed: {} {}, seed {}: effective rank {} → {}, mean cosine {} → {}",
                pretraining.method,
                arm.title(),
                pretraining.seed,
                before.1,
                after.1,
                before.0,
                after.0
            );
        }
    }
    for claim in &results.claims {
        let _ = writeln!(text, "{:>12}  {}", claim.verdict.text(), claim.text);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn markup_in_text_stays_text() {
        assert_eq!(super::escape("a|b <i> *c*\n"), "a\\|b \\<i\\> \\*c\\* ");
    }
}
