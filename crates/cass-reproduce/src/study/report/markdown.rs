//! The report as text.

use super::{Report, words};
use crate::units::{duration, list};
use std::fmt::Write as _;

/// `report.md`.
pub fn text(report: &Report) -> String {
    let study = report.study;
    let mut text = format!(
        "# Does pretraining help on {}?\n\n",
        plain(&report.dir.display().to_string())
    );
    for verdict in report.headlines() {
        let _ = writeln!(text, "**{}**\n", verdict.sentence);
    }
    for (lost, line) in words::collapse(report) {
        let _ = writeln!(text, "{}{line}\n", if lost { "Warning. " } else { "" });
    }
    if let Some(best) = &report.best {
        let std = best.std.map_or(String::new(), |std| format!(" ± {std:.3}"));
        let path = best.path.display();
        let _ = writeln!(
            text,
            "## The network to use\n\n`{path}`: {}; macro F1 {:.3}{std} on test images.\n\n```\ncass predict --run {path} \
             scans/ > predicted.csv\n```\n",
            best.title(),
            best.mean
        );
    }
    text += "## All comparisons\n\nMacro F1 with pretraining minus without; 95 % intervals.\n\n";
    text += "| network | judged by | without | with | difference | 95 % | trainings |\n|---|---|---|---|---|---|---|\n";
    for v in &report.verdicts {
        let _ = writeln!(
            text,
            "| {} | {}{} | {:.3} | {:.3} | {:+.3} | {:+.3} to {:+.3} | {} |",
            v.network,
            words::judged(v.downstream, v.percent),
            if v.converged { "" } else { " (not converged)" },
            v.without,
            v.with,
            v.difference,
            v.low,
            v.high,
            v.seeds
        );
    }
    let images = study.images;
    let _ = writeln!(
        text,
        "\n## The images\n\n{} images, {} with a label; {}.\n",
        images.images,
        images.labelled,
        list(
            images
                .classes
                .iter()
                .map(|(class, n)| format!("{} {n}", plain(class)))
        )
        .unwrap_or_default()
    );
    for (kind, findings) in &images.findings {
        let _ = writeln!(text, "- {kind}: {}", findings.count);
    }
    if !images.skipped.is_empty() {
        let _ = writeln!(text, "- left out as unusable: {}", images.skipped.len());
    }
    if !report.surer.is_empty() {
        text += "\n## What would make this surer\n\n";
        for line in &report.surer {
            let _ = writeln!(text, "- {line}");
        }
    }
    if !report.failures.is_empty() {
        text += "\n## Runs that failed\n\n";
        for (run, reason) in report.failures {
            let _ = writeln!(text, "- {}: {}", run.name, plain(reason));
        }
    }
    let _ = writeln!(
        text,
        "\n## For a methods section\n\n{}\n",
        words::methods(report)
    );
    text += "## What is not as in the paper\n\n";
    for line in &report.found.deviations {
        let _ = writeln!(text, "- {line}");
    }
    let _ = writeln!(
        text,
        "\n{} of work; {}, {}, commit {}.",
        duration(report.found.seconds),
        report.provenance.cass,
        report.provenance.cpu,
        report.provenance.commit
    );
    cass_run::printable_lines(&text).into_owned()
}

/// A user's text, which draws nothing of its own.
fn plain(text: &str) -> String {
    let line = text.replace(['\n', '\r'], " ");
    let mut plain = String::with_capacity(line.len());
    for letter in line.chars() {
        if "\\`*_{}[]<>#|!".contains(letter) {
            plain.push('\\');
        }
        plain.push(letter);
    }
    plain
}
