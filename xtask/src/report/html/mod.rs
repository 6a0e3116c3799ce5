//! `report.html`: one file, no scripts, nothing fetched.

mod evidence;
mod table;

use std::fmt::{Display, Write};

use super::{APART_RULE, VERDICT_RULE, notice, table_name, title};
use crate::claims::Verdict;
use crate::progress::duration;
use crate::results::Results;

/// Text as HTML text or attribute value.
pub(in crate::report) fn escape(text: impl Display) -> String {
    html_escape::encode_quoted_attribute(&text.to_string()).into_owned()
}

/// The style sheet's name for a method.
pub(in crate::report) fn class(method: &str) -> &'static str {
    match method {
        "Untrained" => "untrained",
        "DINO" => "dino",
        "CASS" => "cass",
        _ => "supervised",
    }
}

pub fn report(results: &Results) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>\n{}</style>\n\
         </head>\n<body>\n<main>\n",
        escape(title(results)),
        include_str!("../style.css"),
    );
    let page = &mut page;
    header(page, results);
    differences(page, results);
    overview(page, results);
    let _ = writeln!(
        page,
        "<section class=\"rules\">\n<p class=\"note\">In each cell: ours, {}; below it the paper&#39;s cell and ours minus the paper&#39;s. {}</p>\n<p class=\"note\">{}</p>\n</section>",
        match results.seeds.len() {
            1 => "one seed, so without a deviation".to_owned(),
            n => format!("mean ± sample deviation over {n} seeds"),
        },
        escape(APART_RULE),
        escape(VERDICT_RULE)
    );
    for entry in &results.tables {
        table::table(page, results, entry);
    }
    evidence::previews(page, results);
    evidence::collapse(page, results);
    evidence::losses(page, results);
    evidence::runs(page, results);
    evidence::provenance(page, results);
    page.push_str("</main>\n</body>\n</html>\n");
    std::mem::take(page)
}

fn header(page: &mut String, results: &Results) {
    let _ = write!(
        page,
        "<header>\n<p class=\"kicker\">CASS · arXiv 2206.04170</p>\n<h1>{}</h1>\n\
         <p class=\"lead\">Profile <b>{}</b> · protocol <b>{}</b> · {} · {} of work</p>\n<p>{}</p>\n",
        escape(title(results)),
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

/// Of several tables: where each is, and how its claims fared.
fn overview(page: &mut String, results: &Results) {
    if results.tables.len() < 2 {
        return;
    }
    page.push_str("<nav>\n<h2>The tables</h2>\n<table class=\"list\">\n<tr><th></th><th></th><th class=\"n\">held</th>\
         <th class=\"n\">did not</th><th class=\"n\">undecided</th></tr>\n");
    for table in &results.tables {
        let count = |verdict| {
            let claims = results.claims.iter();
            let count = claims
                .filter(|claim| claim.table == table.number && claim.verdict == verdict)
                .count();
            if count == 0 {
                String::new()
            } else {
                count.to_string()
            }
        };
        let _ = writeln!(
            page,
            "<tr><td class=\"n\"><a href=\"#table-{0}\">{0}</a></td><td><a href=\"#table-{0}\">{1}</a></td>\
             <td class=\"n good\">{2}</td><td class=\"n bad\">{3}</td><td class=\"n\">{4}</td></tr>",
            escape(&table.number),
            escape(&table.title),
            count(Verdict::Held),
            count(Verdict::DidNotHold),
            count(Verdict::Undecided)
        );
    }
    page.push_str("</table>\n</nav>\n");
}

fn heading(number: &str, title: &str) -> String {
    format!("{}: {}", escape(table_name(number)), escape(title))
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
            "&lt;script&gt;&quot;a&quot; &amp; &#x27;b&#x27;&lt;/script&gt;"
        );
    }
}
