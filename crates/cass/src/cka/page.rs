//! The page: a matrix of squares a pair of networks.

use super::Pair;
use crate::page::escape;
use cass_page::sequential;
use std::fmt::Write as _;
use std::path::Path;

/// Side of a square, and what a letter of a name takes, in px.
const CELL: usize = 20;
const LETTER: usize = 7;
/// Above the names of the columns, for the network's.
const LINE: usize = 18;
const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1a1a1a;--soft:#666;--page:#fff}\
@media(prefers-color-scheme:dark){:root{--ink:#e8e8e8;--soft:#a0a0a0;--page:#161616}}\
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);margin:2rem auto;max-width:70rem;\
padding:0 1rem}h1{font-size:1.3rem;margin:0 0 .2rem;overflow-wrap:anywhere}p{color:var(--soft);margin:.2rem 0 1rem;\
max-width:48rem}main{display:flex;flex-wrap:wrap;gap:1.5rem}figure{margin:0;max-width:100%}\
figcaption{font-weight:600}svg{max-width:100%;height:auto;font:11px system-ui,sans-serif;fill:var(--ink)}\
text.axis{font-weight:600}text.v{font-size:9px;pointer-events:none}";

pub(super) fn page(run: &Path, pairs: &[Pair], images: usize, batch: usize) -> String {
    let run = escape(&run.display().to_string());
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{run}, layer by layer</title>\
         <style>{STYLE}</style><h1>{run}</h1><p>Linear CKA of layers on {images} test images in batches \
         of {batch}, unbiased: 100 is the same but for rotation and scale, 0 nothing in common. Layers \
         go from the images (top, left) to the features.</p><main>"
    );
    for pair in pairs {
        let _ = write!(
            page,
            "<figure><figcaption>{}</figcaption>",
            escape(&pair.title)
        );
        matrix(&mut page, pair);
        page += "</figure>";
    }
    page + "</main></html>\n"
}

fn matrix(page: &mut String, pair: &Pair) {
    let (rows, columns) = (&pair.cka.rows, &pair.cka.columns);
    let longest = |names: &[String], title: &str| {
        let letters = names.iter().map(|name| name.chars().count()).max();
        LETTER * letters.unwrap_or(0).max(title.chars().count() + 2) + 12
    };
    let (left, top) = (longest(rows, &pair.rows), LINE + longest(columns, ""));
    let (width, height) = (left + CELL * columns.len() + 8, top + CELL * rows.len() + 8);
    let _ = write!(
        page,
        "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\
         <text class=\"axis\" x=\"{left}\" y=\"12\">{} &#8594;</text>\
         <text class=\"axis\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{} &#8595;</text>",
        escape(&pair.columns),
        left - 6,
        top - 8,
        escape(&pair.rows),
    );
    for (column, name) in columns.iter().enumerate() {
        let x = left + CELL * column + CELL / 2 + 4;
        let y = top - 6;
        let _ = write!(
            page,
            "<text x=\"{x}\" y=\"{y}\" transform=\"rotate(-90 {x} {y})\">{}</text>",
            escape(name)
        );
    }
    for (row, (name, values)) in rows.iter().zip(&pair.cka.values).enumerate() {
        let y = top + CELL * row;
        let _ = write!(
            page,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            left - 6,
            y + CELL / 2 + 4,
            escape(name)
        );
        for (column, value) in values.iter().enumerate() {
            let x = left + CELL * column;
            let (fill, ink, said) = match value {
                Some(value) => {
                    let (fill, ink) = sequential(*value);
                    (fill, ink, format!("{:.0}", 100.0 * value))
                }
                None => ("none".into(), "var(--ink)", "&#8211;".into()),
            };
            let exact = value.map_or("sees all images alike".into(), |v| format!("{v:.4}"));
            let _ = write!(
                page,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{CELL}\" fill=\"{fill}\">\
                 <title>{} x {}: {exact}</title></rect>\
                 <text class=\"v\" x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"{ink}\">{said}</text>",
                escape(name),
                escape(&columns[column]),
                x + CELL / 2,
                y + CELL / 2 + 3,
            );
        }
    }
    page.push_str("</svg>");
}
