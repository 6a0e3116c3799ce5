//! A check as one page without scripts or other files.

use super::check::{imbalance, kinds, shown};
use cass_data::check::{Checkup, FindingKind};
use cass_page::Page;
use maud::{Markup, html};
use std::cmp::Reverse;

/// Sizes of images that are listed, the most frequent ones.
const SIZES: usize = 20;

/// The page.
pub fn page(data: &str, checkup: &Checkup) -> String {
    let found = match checkup.findings.len() {
        0 => "Nothing wrong was found.".to_owned(),
        n => format!("{n} findings."),
    };
    let mut sizes: Vec<_> = checkup.sizes.iter().collect();
    sizes.sort_by_key(|(_, n)| Reverse(**n));
    let sizes = sizes.into_iter().take(SIZES);
    Page::new(&format!("{data} checked")).write(html! {
        h1 { (data) }
        p {
            (checkup.images) " images in " code { (checkup.root.display()) } ", " (checkup.task.name()) ", "
            (checkup.groups) " groups. " (found)
        }
        h2 { "Classes" }
        (classes(checkup))
        @if let Some(imbalance) = imbalance(checkup) {
            p { "Largest class / smallest: " (format!("{imbalance:.1}")) }
        }
        h2 { "Files" }
        (counts("format and mode", checkup.modes.iter().map(|(mode, n)| (mode.clone(), *n))))
        (counts("width x height", sizes.map(|((w, h), n)| (format!("{w} x {h}"), *n))))
        h2 { "Findings" }
        @for (kind, count) in kinds(checkup) { (findings(checkup, kind, count)) }
    })
}

fn classes(checkup: &Checkup) -> Markup {
    html! {
        table.list {
            tr {
                th { "class" }
                @for name in ["images", "train", "val", "test", "no split given"] { th.n { (name) } }
            }
            @for class in &checkup.classes {
                @let [train, val, test] = class.parts;
                tr {
                    td { (class.class) }
                    @for count in [class.total(), train, val, test, class.unsplit] { td.n { (count) } }
                }
            }
        }
    }
}

fn counts(of: &str, rows: impl Iterator<Item = (String, usize)>) -> Markup {
    html! {
        table.list {
            tr { th { (of) } th.n { "images" } }
            @for (name, count) in rows { tr { td { (name) } td.n { (count) } } }
        }
    }
}

fn findings(checkup: &Checkup, kind: FindingKind, count: usize) -> Markup {
    html! {
        details open {
            summary { (kind.name()) ": " (count) }
            table.list {
                @for finding in checkup.findings.iter().filter(|f| f.kind == kind) {
                    tr { td { (shown(checkup, &finding.file)) } td { (finding.detail) } }
                }
            }
        }
    }
}
