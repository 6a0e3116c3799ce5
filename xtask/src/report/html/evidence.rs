//! What the tables rest on: features, losses, runs, provenance.

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{class, escape, plural};
use crate::progress::duration;
use crate::report::{charts, collapse_rule, pretraining_title, reading};
use crate::results::Results;

/// From so many rows on a list is folded.
const LONG: usize = 24;

/// Opens what is folded if it is long; the closing tag.
fn fold(page: &mut String, rows: usize, summary: &str) -> &'static str {
    if rows < LONG {
        return "";
    }
    let _ = writeln!(page, "<details>\n<summary>{}</summary>", escape(summary));
    "</details>\n"
}

/// What the networks were shown.
pub fn previews(page: &mut String, results: &Results) {
    if results.previews.is_empty() {
        return;
    }
    page.push_str(
        "<section>\n<h2>What the networks see</h2>\n<p class=\"note\">An image of each class, then augmented views \
         of it as pretraining draws them.</p>\n<div class=\"charts views\">\n",
    );
    for (set, png) in &results.previews {
        let Some((width, height)) = size(png) else {
            continue;
        };
        let _ = writeln!(
            page,
            "<figure><svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"Views of {set}\">\
             <image width=\"{width}\" height=\"{height}\" href=\"data:image/png;base64,{}\"/></svg>\
             <figcaption>{set}</figcaption></figure>",
            STANDARD.encode(png)
        );
    }
    page.push_str("</div>\n</section>\n");
}

/// Width and height from a PNG's header.
fn size(png: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize| Some(u32::from_be_bytes(png.get(at..at + 4)?.try_into().ok()?));
    Some((number(16)?, number(20)?))
}

pub fn collapse(page: &mut String, results: &Results) {
    if results.pretrainings.is_empty() {
        return;
    }
    let networks = results.pretrainings.iter().flat_map(|p| &p.collapse);
    let collapsed = networks
        .clone()
        .filter(|(_, both)| both.after.collapsed())
        .count();
    let _ = write!(
        page,
        "<section>\n<h2>Did the features collapse?</h2>\n<p class=\"note\">{} Before → after pretraining: \
         {collapsed} of {} ended collapsed.</p>\n",
        escape(collapse_rule()),
        plural(networks.clone().count(), "network")
    );
    let close = fold(page, networks.count(), "Every pretrained network");
    page.push_str(
        "<div class=\"scroll\">\n<table class=\"list\">\n<tr><th>pretraining</th><th>seed</th>\
         <th class=\"n\">effective rank</th><th class=\"n\">mean cosine</th><th></th></tr>\n",
    );
    for pretraining in &results.pretrainings {
        for (arm, both) in &pretraining.collapse {
            let (before, after) = (reading(both.before), reading(both.after));
            let mark = match (both.before.collapsed(), both.after.collapsed()) {
                (false, true) => "<td class=\"bad\">collapsed</td>",
                (true, true) => "<td class=\"bad\">collapsed, as before training</td>",
                (_, false) => "<td></td>",
            };
            let _ = writeln!(
                page,
                "<tr><td><i class=\"{}\"></i>{}, {}</td><td>{}</td><td class=\"n\">{} → <b>{}</b></td>\
                 <td class=\"n\">{} → <b>{}</b></td>{mark}</tr>",
                class(&pretraining.method.to_string()),
                escape(pretraining_title(pretraining, results.data.len() > 1)),
                arm.title(),
                pretraining.seed,
                before.1,
                after.1,
                before.0,
                after.0,
            );
        }
    }
    let _ = write!(page, "</table>\n</div>\n{close}</section>\n");
}

pub fn losses(page: &mut String, results: &Results) {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for run in &results.pretrainings {
        let title = pretraining_title(run, results.data.len() > 1);
        let key = (run.data, run.method, run.variant.clone(), title);
        groups.entry(key).or_default().push(run);
    }
    if groups.is_empty() {
        return;
    }
    page.push_str(
        "<section>\n<h2>Pretraining losses</h2>\n<p class=\"note\">Mean of each epoch; a line for each seed.</p>\n",
    );
    let close = fold(page, 3 * groups.len(), "Every pretraining");
    page.push_str("<div class=\"charts small\">\n");
    for ((.., name), runs) in groups {
        let name = escape(name);
        let _ = writeln!(
            page,
            "<figure>{}<figcaption>{name}</figcaption></figure>",
            charts::losses(&runs, &format!("Losses of {name}"))
        );
    }
    let _ = write!(page, "</div>\n{close}</section>\n");
}

pub fn runs(page: &mut String, results: &Results) {
    let finished = results
        .runs
        .iter()
        .filter(|run| run.seconds.is_some())
        .count();
    let gpu = results
        .provenance
        .iter()
        .any(|source| source.device.starts_with("cuda"));
    let cost = if gpu {
        format!("{:.2} GPU hours", results.seconds / 3600.0)
    } else {
        format!("{:.2} core hours", results.core_seconds / 3600.0)
    };
    let _ = write!(
        page,
        "<section>\n<h2>Runs</h2>\n<p class=\"note\">{finished} of {} finished, {} of work together, {cost}.</p>\n",
        plural(results.runs.len(), "run"),
        duration(results.seconds)
    );
    let failed: Vec<_> = results
        .runs
        .iter()
        .filter(|run| run.missing.is_some())
        .collect();
    if !failed.is_empty() {
        page.push_str("<ul class=\"failed\">\n");
        for run in failed {
            let reason = run.missing.as_deref().unwrap_or_default();
            let _ = writeln!(
                page,
                "<li><code>{}</code> {}",
                escape(&run.name),
                escape(reason)
            );
            if run.log.len() > 1 {
                let _ = writeln!(
                    page,
                    "<details><summary>the end of its log</summary><pre>{}</pre></details>",
                    escape(run.log.join("\n"))
                );
            }
            page.push_str("</li>\n");
        }
        page.push_str("</ul>\n");
    }
    page.push_str("<details>\n<summary>Wall time of each run</summary>\n<table class=\"list\">\n");
    for run in &results.runs {
        let _ = writeln!(
            page,
            "<tr><td><code>{}</code></td><td class=\"n\">{}</td></tr>",
            escape(&run.name),
            run.seconds.map_or("—".to_owned(), duration)
        );
    }
    page.push_str("</table>\n</details>\n");
    if !results.skipped.is_empty() {
        let _ = write!(
            page,
            "<h3>{} left out</h3>\n<ul class=\"failed\">\n",
            plural(results.skipped.len(), "image")
        );
        for skipped in &results.skipped {
            let (file, reason) = (escape(&skipped.file), escape(&skipped.reason));
            let _ = writeln!(page, "<li><code>{file}</code> {reason}</li>");
        }
        page.push_str("</ul>\n");
    }
    page.push_str("</section>\n");
}

pub fn provenance(page: &mut String, results: &Results) {
    page.push_str("<section>\n<h2>Where this came from</h2>\n");
    for source in &results.provenance {
        page.push_str("<dl>\n");
        for (name, value) in [
            ("commit", source.commit.clone()),
            ("program", format!("{} · {}", source.cass, source.rustc)),
            (
                "machine",
                format!("{} · {} cores · {}", source.cpu, source.cores, source.os),
            ),
            (
                "device",
                format!("{} · {}", source.device, plural(source.threads, "thread")),
            ),
        ] {
            let _ = writeln!(page, "<dt>{name}</dt><dd>{}</dd>", escape(value));
        }
        page.push_str("</dl>\n");
    }
    page.push_str("<dl>\n");
    let seeds: Vec<_> = results.seeds.iter().map(u64::to_string).collect();
    let _ = writeln!(page, "<dt>seeds</dt><dd>{}</dd>", seeds.join(", "));
    for (set, facts) in &results.data {
        let _ = writeln!(page, "<dt>{set}</dt><dd>{}</dd>", escape(&facts.root));
    }
    for (name, lines) in [
        ("manifest", &results.manifests),
        ("weights", &results.weights),
    ] {
        for line in lines {
            let _ = writeln!(
                page,
                "<dt>{name}</dt><dd><code>{}</code></dd>",
                escape(line)
            );
        }
    }
    page.push_str("</dl>\n</section>\n");
}
