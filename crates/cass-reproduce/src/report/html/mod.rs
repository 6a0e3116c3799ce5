//! `report.html`: one file, no scripts, nothing fetched.

mod evidence;
mod table;

pub use table::picture;

use super::{APART_RULE, VERDICT_RULE, disagreement, notice, table_name, title};
use crate::results::{Results, Verdict};
use crate::units::duration;
use cass_page::Page;
use maud::{Markup, html};

/// The page's class of a method's colour.
fn colour(method: &str) -> &'static str {
    match method {
        "Untrained" => "cn",
        "DINO" => "c1",
        "CASS" => "c0",
        "Supervised" => "c2",
        _ => "c5",
    }
}

pub fn report(results: &Results) -> String {
    let page = html! {
        (header(results))
        (differences(results))
        @if results.tables.len() > 1 { (overview(results)) }
        section.rules {
            p.note {
                "In each cell: ours, " (seeds(results.seeds.len())) "; below it the paper's cell and ours minus the \
                 paper's. " (APART_RULE)
            }
            p.note { (VERDICT_RULE) }
        }
        @for entry in &results.tables { (table::table(results, entry)) }
        (evidence::previews(results))
        (evidence::collapse(results))
        (evidence::losses(results))
        (evidence::runs(results))
        (evidence::provenance(results))
    };
    Page::new(&title(results))
        .style(include_str!("../style.css"))
        .write(page)
}

fn seeds(count: usize) -> String {
    match count {
        1 => "one seed, so without a deviation".to_owned(),
        n => format!("mean ± sample deviation over {n} seeds"),
    }
}

fn header(results: &Results) -> Markup {
    let claims = |verdict| {
        let claims = results.claims.iter();
        claims.filter(|claim| claim.verdict == verdict).count()
    };
    let networks = || {
        let pretrainings = results.pretrainings.iter();
        pretrainings.flat_map(|p| p.collapse.values())
    };
    let collapsed = networks().filter(|both| both.is_collapsed()).count();
    let missing = results.cells.iter().filter(|cell| !cell.missing.is_empty());
    let mut facts = vec![
        (claims(Verdict::Held), "claims held".to_owned()),
        (claims(Verdict::DidNotHold), "did not hold".to_owned()),
        (claims(Verdict::Undecided), "undecided".to_owned()),
        (
            collapsed,
            format!("of {} pretrained networks collapsed", networks().count()),
        ),
    ];
    facts.extend(match missing.count() {
        0 => None,
        count => Some((count, "incomplete cells".to_owned())),
    });
    html! {
        header {
            p.kicker { "CASS · arXiv 2206.04170" }
            h1 { (title(results)) }
            p.lead {
                "Profile " b { (results.profile) } " · protocol " b { (results.protocol.name()) } " · "
                (plural(results.seeds.len(), "seed")) " · " (duration(results.seconds)) " of work"
            }
            p { (results.summary) }
            @if let Some(notice) = notice(results) { p.notice { (notice) } }
            @if !results.seen.is_empty() { ul.seen { @for sentence in &results.seen { li { (sentence) } } } }
            ul.facts { @for (number, text) in facts { li { b { (number) } " " (text) } } }
            @if let Some(line) = disagreement(results) { p.note { (line) } }
        }
    }
}

/// The box at the top: what is not as in the paper, and what the paper does not say.
fn differences(results: &Results) -> Markup {
    // `field = ours (paper: theirs)`
    let parts = |text: &str| -> Option<[String; 3]> {
        let (field, rest) = text.split_once(" = ")?;
        let (ours, paper) = rest.split_once(" (paper: ")?;
        Some([field, ours, paper.strip_suffix(')')?].map(str::to_owned))
    };
    html! {
        section.box {
            h2 { "What differs from the paper" }
            @if results.deviations.is_empty() {
                p { "No setting differs." }
            } @else {
                table.pairs {
                    tr { th { "setting" } th { "here" } th { "paper" } }
                    @for text in &results.deviations {
                        tr {
                            @if let Some(parts) = parts(text) {
                                @for part in parts { td { (part) } }
                            } @else {
                                td colspan="3" { (text) }
                            }
                        }
                    }
                }
            }
            @if !results.chosen.is_empty() {
                h3 { "What its text leaves open and was chosen" }
                ul.chosen { @for text in &results.chosen { li { (text) } } }
            }
        }
    }
}

/// Contents of a page of several tables: where each is, and how its claims fared.
fn overview(results: &Results) -> Markup {
    let count = |number: &str, verdict| {
        let claims = results.claims.iter();
        let of = claims.filter(|claim| claim.table == number && claim.verdict == verdict);
        match of.count() {
            0 => String::new(),
            n => n.to_string(),
        }
    };
    html! {
        nav {
            h2 { "The tables" }
            table.list {
                tr { th {} th {} th.n { "held" } th.n { "did not" } th.n { "undecided" } }
                @for table in &results.tables {
                    @let place = format!("#table-{}", table.number);
                    tr {
                        td.n { a href=(place) { (table.number) } }
                        td { a href=(place) { (table.title) } }
                        td.n.good { (count(&table.number, Verdict::Held)) }
                        td.n.bad { (count(&table.number, Verdict::DidNotHold)) }
                        td.n { (count(&table.number, Verdict::Undecided)) }
                    }
                }
            }
        }
    }
}

fn heading(number: &str, title: &str) -> String {
    format!("{}: {title}", table_name(number))
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
