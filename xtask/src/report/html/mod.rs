//! `report.html`: one file, no scripts, nothing fetched.

mod scores;

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use super::markdown::share;
use super::{VERDICT_RULE, charts, collapse_rule, notice, reading};
use crate::claims::Verdict;
use crate::progress::duration;
use crate::results::Results;
use crate::table::Method;

/// Text as HTML text or attribute value.
fn escape(text: impl Display) -> String {
    let mut escaped = String::new();
    for c in text.to_string().chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The style sheet's name for a method.
pub(in crate::report) fn class(method: Method) -> &'static str {
    match method {
        Method::Untrained => "untrained",
        Method::Dino => "dino",
        Method::Cass => "cass",
        Method::Supervised => "supervised",
    }
}

pub fn report(results: &Results) -> String {
    let title = format!("Table {}: {}", results.table, results.title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>\n{}</style>\n\
         </head>\n<body>\n<main>\n",
        escape(&title),
        include_str!("../style.css"),
    );
    let page = &mut page;
    header(page, results);
    differences(page, results);
    for &downstream in &results.downstream {
        scores::scores(page, results, downstream);
    }
    claims(page, results);
    collapse(page, results);
    losses(page, results);
    if !results.contradictions.is_empty() {
        let _ = write!(
            page,
            "<section>\n<h2>Where the paper contradicts itself</h2>\n<ul>\n"
        );
        for text in &results.contradictions {
            let _ = writeln!(page, "<li>{}</li>", escape(text));
        }
        page.push_str("</ul>\n</section>\n");
    }
    runs(page, results);
    provenance(page, results);
    page.push_str("</main>\n</body>\n</html>\n");
    std::mem::take(page)
}

fn header(page: &mut String, results: &Results) {
    let _ = write!(
        page,
        "<header>\n<p class=\"kicker\">CASS · table {}</p>\n<h1>{}</h1>\n\
         <p class=\"lead\">Profile <b>{}</b> · protocol <b>{}</b> · {} · {} of work</p>\n<p>{}</p>\n",
        escape(&results.table),
        escape(&results.title),
        escape(&results.profile),
        results.protocol.name(),
        plural(results.seeds.len(), "seed"),
        duration(results.seconds),
        escape(&results.summary),
    );
    if let Some(notice) = notice(results) {
        let _ = writeln!(page, "<p class=\"notice\">{}</p>", escape(notice));
    }
    let count = |verdict| {
        results
            .claims
            .iter()
            .filter(|claim| claim.verdict == verdict)
            .count()
    };
    let networks = || {
        results
            .pretrainings
            .iter()
            .flat_map(|p| p.collapse.values())
    };
    let collapsed = networks().filter(|both| both.after.collapsed()).count();
    let missing = results
        .cells
        .iter()
        .filter(|cell| !cell.missing.is_empty())
        .count();
    let mut facts = vec![
        (count(Verdict::Held), "claims held".to_owned()),
        (count(Verdict::DidNotHold), "did not hold".to_owned()),
        (count(Verdict::Undecided), "undecided".to_owned()),
        (
            collapsed,
            format!("of {} pretrained networks collapsed", networks().count()),
        ),
    ];
    if missing > 0 {
        facts.push((missing, "incomplete cells".to_owned()));
    }
    page.push_str("<ul class=\"facts\">\n");
    for (number, text) in facts {
        let _ = writeln!(page, "<li><b>{number}</b> {text}</li>");
    }
    page.push_str("</ul>\n</header>\n");
}

/// The box at the top: what is not as in the paper, and what the paper does not say.
fn differences(page: &mut String, results: &Results) {
    page.push_str("<section class=\"box\">\n<h2>What differs from the paper</h2>\n");
    if results.deviations.is_empty() {
        page.push_str("<p>No setting differs.</p>\n");
    } else {
        page.push_str(
            "<table class=\"pairs\">\n<tr><th>setting</th><th>here</th><th>paper</th></tr>\n",
        );
        for text in &results.deviations {
            let split = text
                .split_once(" = ")
                .and_then(|(field, rest)| Some((field, rest.split_once(" (paper: ")?)))
                .and_then(|(field, (ours, paper))| Some((field, ours, paper.strip_suffix(')')?)));
            let _ = match split {
                Some((field, ours, paper)) => writeln!(
                    page,
                    "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
                    escape(field),
                    escape(ours),
                    escape(paper)
                ),
                None => writeln!(page, "<tr><td colspan=\"3\">{}</td></tr>", escape(text)),
            };
        }
        page.push_str("</table>\n");
    }
    if !results.chosen.is_empty() {
        page.push_str("<h3>What its text leaves open and was chosen</h3>\n<ul class=\"chosen\">\n");
        for text in &results.chosen {
            let _ = writeln!(page, "<li>{}</li>", escape(text));
        }
        page.push_str("</ul>\n");
    }
    page.push_str("</section>\n");
}

fn claims(page: &mut String, results: &Results) {
    let _ = write!(
        page,
        "<section>\n<h2>The paper's claims, in this run</h2>\n<p class=\"note\">{VERDICT_RULE}</p>\n\
         <ul class=\"claims\">\n"
    );
    for claim in &results.claims {
        let (class, mark) = match claim.verdict {
            Verdict::Held => ("held", "✓"),
            Verdict::DidNotHold => ("failed", "✕"),
            Verdict::Undecided => ("open", "○"),
        };
        let paper = match claim.paper_agrees {
            Some(true) => "; the paper's own cells agree",
            Some(false) => "; <b>the paper's own cells contradict it</b>",
            None => "",
        };
        let _ = writeln!(
            page,
            "<li class=\"{class}\"><span class=\"verdict\">{mark} {}</span><div>{} <small>{}</small>\
             <p>{}{paper}.</p></div></li>",
            claim.verdict.text(),
            escape(&claim.text),
            escape(&claim.source),
            escape(capital(&claim.reason)),
        );
    }
    page.push_str("</ul>\n</section>\n");
}

fn collapse(page: &mut String, results: &Results) {
    if results.pretrainings.is_empty() {
        return;
    }
    let _ = write!(
        page,
        "<section>\n<h2>Did the features collapse?</h2>\n<p class=\"note\">{} Before → after pretraining.</p>\n\
         <div class=\"scroll\">\n<table class=\"list\">\n<tr><th>pretraining</th><th>seed</th>\
         <th class=\"n\">effective rank</th><th class=\"n\">mean cosine</th><th></th></tr>\n",
        escape(collapse_rule())
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
                "<tr><td><i class=\"{}\"></i>{}{}, {}</td><td>{}</td><td class=\"n\">{} → <b>{}</b></td>\
                 <td class=\"n\">{} → <b>{}</b></td>{mark}</tr>",
                class(pretraining.method),
                pretraining.method,
                share(pretraining.percent),
                arm.title(),
                pretraining.seed,
                before.1,
                after.1,
                before.0,
                after.0,
            );
        }
    }
    page.push_str("</table>\n</div>\n</section>\n");
}

fn losses(page: &mut String, results: &Results) {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for run in &results.pretrainings {
        groups
            .entry((run.method, run.arm, run.percent))
            .or_default()
            .push(run);
    }
    if groups.is_empty() {
        return;
    }
    page.push_str(
        "<section>\n<h2>Pretraining losses</h2>\n<p class=\"note\">Mean of each epoch; a line for each seed.</p>\n\
         <div class=\"charts small\">\n",
    );
    for ((method, arm, percent), runs) in groups {
        let arm = arm
            .map(|arm| format!(", {}", arm.title()))
            .unwrap_or_default();
        let name = format!("{method}{arm}{}", share(percent));
        let _ = writeln!(
            page,
            "<figure>{}<figcaption>{name}</figcaption></figure>",
            charts::losses(&runs, &format!("Losses of {name}"))
        );
    }
    page.push_str("</div>\n</section>\n");
}

fn runs(page: &mut String, results: &Results) {
    let finished = results
        .runs
        .iter()
        .filter(|run| run.seconds.is_some())
        .count();
    let _ = write!(
        page,
        "<section>\n<h2>Runs</h2>\n<p class=\"note\">{finished} of {} finished, {} of work together.</p>\n",
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
                "<li><code>{}</code> {}</li>",
                escape(&run.name),
                escape(reason)
            );
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

fn provenance(page: &mut String, results: &Results) {
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
            ("data", source.data_root.clone()),
        ] {
            let _ = writeln!(page, "<dt>{name}</dt><dd>{}</dd>", escape(value));
        }
        page.push_str("</dl>\n");
    }
    page.push_str("<dl>\n");
    let seeds: Vec<_> = results.seeds.iter().map(u64::to_string).collect();
    let _ = writeln!(page, "<dt>seeds</dt><dd>{}</dd>", seeds.join(", "));
    for manifest in &results.manifests {
        let _ = writeln!(
            page,
            "<dt>manifest</dt><dd><code>{}</code></dd>",
            escape(manifest)
        );
    }
    page.push_str("</dl>\n</section>\n");
}

fn plural(n: usize, noun: &str) -> String {
    if n == 1 {
        format!("{n} {noun}")
    } else {
        format!("{n} {noun}s")
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn markup_in_text_stays_text() {
        let text = super::escape("<script>\"a\" & 'b'</script>");
        assert_eq!(
            text,
            "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/script&gt;"
        );
    }
}
