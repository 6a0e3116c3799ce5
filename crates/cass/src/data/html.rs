//! A check as one page without scripts or other files.

use super::check::{imbalance, kinds, shown};
use crate::page::escape;
use cass_data::check::Checkup;
use std::fmt::Write as _;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse;width:100%}td,th{padding:.2rem .6rem;border-bottom:1px solid #8884;text-align:left;\
overflow-wrap:anywhere}td.n,th.n{text-align:right}summary{cursor:pointer;font-weight:600;margin:.6rem 0}";

/// The page.
pub fn page(data: &str, checkup: &Checkup) -> String {
    let root = escape(&checkup.root.display().to_string());
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{data} checked</title>\
         <style>{STYLE}</style><h1>{data}</h1><p>{} images in <code>{root}</code>, {}, {} groups. ",
        checkup.images,
        checkup.task.name(),
        checkup.groups,
        data = escape(data),
    );
    page += &match checkup.findings.len() {
        0 => "Nothing wrong was found.</p>".into(),
        n => format!("{n} findings.</p>"),
    };
    page += "<h2>Classes</h2><table><tr><th>class<th class=n>images<th class=n>train\
             <th class=n>val<th class=n>test<th class=n>no split given</tr>";
    for class in &checkup.classes {
        let [train, val, test] = class.parts;
        let _ = write!(page, "<tr><td>{}", escape(&class.class));
        for count in [class.total(), train, val, test, class.unsplit] {
            let _ = write!(page, "<td class=n>{count}");
        }
        page += "</tr>";
    }
    page += "</table>";
    if let Some(imbalance) = imbalance(checkup) {
        let _ = write!(page, "<p>Largest class / smallest: {imbalance:.1}</p>");
    }
    page += "<h2>Files</h2><table><tr><th>format and mode<th class=n>images</tr>";
    for (mode, n) in &checkup.modes {
        let _ = write!(page, "<tr><td>{}<td class=n>{n}</tr>", escape(mode));
    }
    page += "</table><table><tr><th>width x height<th class=n>images</tr>";
    let mut sizes: Vec<_> = checkup.sizes.iter().collect();
    sizes.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    for ((w, h), n) in sizes.into_iter().take(20) {
        let _ = write!(page, "<tr><td>{w} x {h}<td class=n>{n}</tr>");
    }
    page += "</table><h2>Findings</h2>";
    for (kind, count) in kinds(checkup) {
        let _ = write!(
            page,
            "<details open><summary>{}: {count}</summary><table>",
            kind.name()
        );
        for finding in checkup.findings.iter().filter(|f| f.kind == kind) {
            let file = escape(&shown(checkup, &finding.file));
            let _ = write!(page, "<tr><td>{file}<td>{}</tr>", escape(&finding.detail));
        }
        page += "</table></details>";
    }
    page + "</html>\n"
}
