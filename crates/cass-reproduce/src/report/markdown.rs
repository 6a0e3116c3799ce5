//! `report.md`.

use super::{
    APART_RULE, Section, UNCONVERGED_RULE, VERDICT_RULE, across, collapse_rule, delta,
    disagreement, has_unconverged, networks, notice, pretraining_title, reading, rows,
    section_title, sections, spread, table_name, title, value,
};
use crate::plan::Downstream;
use crate::results::{Cell, Results, TableEntry};
use crate::units::duration;
use std::fmt::Write;

/// Text that stays text in a table cell.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    let text = text.replace(['\n', '\r'], " ");
    for c in cass_run::printable(&text).chars() {
        match c {
            '|' | '*' | '_' | '`' | '[' | ']' | '<' | '>' | '#' | '\\' => escaped.extend(['\\', c]),
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
    let _ = writeln!(text, "# {}\n", escape(&title(results)));
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
    list(&mut text, "What one sees", &results.seen);
    if let Some(line) = disagreement(results) {
        let _ = writeln!(text, "\n{line}");
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
    let _ = writeln!(
        text,
        "\nIn the tables: mean ± sample deviation over n seeds; the paper's cell; the difference. {APART_RULE}\n\n\
         {VERDICT_RULE}"
    );
    for table in &results.tables {
        let _ = writeln!(
            text,
            "\n## {}: {}\n\n{}.",
            escape(&table_name(&table.number)),
            escape(&table.title),
            escape(&table.metric_title)
        );
        for section in sections(table) {
            let downstream = section.downstream;
            let note = if downstream == results.headline && table.downstream.len() > 1 {
                " (headline)"
            } else {
                ""
            };
            let _ = writeln!(text, "\n### {}{note}\n", section_title(table, downstream));
            cells(&mut text, results, table, &section);
            if has_unconverged(results, table, downstream) {
                let _ = writeln!(text, "\n{UNCONVERGED_RULE}");
            }
        }
        claims(&mut text, results, table);
        if !table.contradictions.is_empty() {
            text.push_str("\nWhere the paper contradicts itself:\n\n");
            for contradiction in &table.contradictions {
                let _ = writeln!(text, "- {}", escape(contradiction));
            }
        }
    }
    let missing: Vec<String> = results
        .cells
        .iter()
        .flat_map(|cell| {
            let name = format!(
                "table {}, {} {} {}",
                cell.table,
                cell.downstream.name(),
                cell.row,
                cell.column
            );
            cell.missing
                .iter()
                .map(move |reason| format!("{name}, {reason}"))
        })
        .collect();
    list(&mut text, "Missing", &missing);
    collapse(&mut text, results);
    let skipped: Vec<_> = results
        .skipped
        .iter()
        .map(|s| format!("{}: {}", s.file, s.reason))
        .collect();
    list(&mut text, "Images left out", &skipped);
    provenance(&mut text, results);
    text
}

fn cells(text: &mut String, results: &Results, table: &TableEntry, section: &Section) {
    let rows = rows(results, table, section.downstream);
    let Some(first) = rows.first() else { return };
    let mut head = Vec::new();
    for cell in first {
        let column = escape(&table.columns[cell.place.1]);
        let probes = [&[section.downstream], &section.beside[..]].concat();
        let of = across(results, cell, section).len();
        let name = |(nth, probe): (usize, &Downstream)| match nth {
            0 => column.clone(),
            _ => format!("{column} {}", probe.short()),
        };
        head.extend(probes.iter().take(of).enumerate().map(name));
    }
    let _ = writeln!(text, "| | networks here | {} |", head.join(" | "));
    let _ = writeln!(text, "|---|---|{}", "---|".repeat(head.len()));
    for row in rows {
        let name: Vec<_> = table.rows[row[0].place.0]
            .iter()
            .filter(|head| !head.is_empty())
            .map(|head| escape(&head.replace("**", "")))
            .collect();
        let _ = write!(
            text,
            "| {} | {} |",
            name.join(", "),
            escape(&networks(&row))
        );
        for cell in row {
            for cell in across(results, cell, section) {
                let _ = write!(text, " {} |", cell.map(entry).unwrap_or_default());
            }
        }
        text.push('\n');
    }
}

fn entry(cell: &Cell) -> String {
    let mut text = match (cell.mean, spread(cell)) {
        (None, _) => "missing".to_owned(),
        (mean, Some(std)) => format!("**{}** ± {std} (n = {})", value(cell, mean), cell.n),
        (mean, None) => format!("**{}** (n = {})", value(cell, mean), cell.n),
    };
    if let Some(printed) = &cell.paper_printed {
        let _ = write!(text, "; paper {}", printed.trim_matches('*'));
    }
    if let Some(delta) = delta(cell) {
        let _ = write!(text, "; {delta}");
    }
    if cell.apart == Some(true) {
        text.push_str(" ≠");
    }
    if cell.unconverged > 0 {
        text.push_str(" †");
    }
    text
}

fn claims(text: &mut String, results: &Results, table: &TableEntry) {
    let claims: Vec<_> = (results.claims.iter())
        .filter(|claim| claim.table == table.number)
        .collect();
    if claims.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "\n| verdict | claim | why | under logistic regression | the paper's own cells |\n|---|---|---|---|---|"
    );
    for claim in claims {
        let paper = match claim.paper_agrees {
            Some(true) => "agree",
            Some(false) => "**contradict it**",
            None => "",
        };
        let converged = match (&claim.converged, claim.otherwise()) {
            (_, Some(other)) => format!("**{}**", other.verdict.text()),
            (Some(same), None) => same.verdict.text().to_owned(),
            (None, None) => String::new(),
        };
        let _ = writeln!(
            text,
            "| **{}** | {} ({}) | {} | {converged} | {paper} |",
            claim.verdict.text(),
            escape(&claim.text),
            escape(&claim.source),
            escape(&claim.reason)
        );
    }
}

fn collapse(text: &mut String, results: &Results) {
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
                "| {} | {} | {} | {} → {} | {} → {} | {} |",
                escape(&pretraining_title(pretraining, results.data.len() > 1)),
                arm.title(),
                pretraining.seed,
                before.0,
                after.0,
                before.1,
                after.1,
                if both.is_collapsed() {
                    "**collapsed**"
                } else {
                    ""
                }
            );
        }
    }
}

fn provenance(text: &mut String, results: &Results) {
    let _ = writeln!(
        text,
        "\n## Where this came from\n\n{} of work in {} runs, {:.2} core hours.\n",
        duration(results.seconds),
        results.runs.len(),
        results.core_seconds / 3600.0
    );
    for source in &results.provenance {
        let _ = writeln!(
            text,
            "- commit {} · {} · {} · {} ({} cores, {}) · device {}, {} threads",
            escape(&source.commit),
            escape(&source.cass),
            escape(&source.rustc),
            escape(&source.cpu),
            source.cores,
            escape(&source.os),
            escape(&source.device),
            source.threads,
        );
    }
    for (set, facts) in &results.data {
        let _ = writeln!(text, "- data {set}: {}", escape(&facts.root));
    }
    for (what, lines) in [
        ("data manifest", &results.manifests),
        ("weights", &results.weights),
    ] {
        for line in lines {
            let _ = writeln!(text, "- {what} {}", escape(line));
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn markup_in_text_stays_text() {
        assert_eq!(super::escape("a|b <i> *c*\n"), "a\\|b \\<i\\> \\*c\\* ");
    }
}
