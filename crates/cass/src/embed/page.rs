//! The page: a picture a network, twice, and what to show over each point.

use super::{Panel, Shown};
use crate::page::escape;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Side of a picture, in its own units, and the room around the points.
const SIDE: f64 = 400.0;
const MARGIN: f64 = 14.0;
/// Okabe and Ito's, which colour-blind readers can tell apart; in place of their black, which is lost
/// on a dark page, Tol's purple.
const COLOURS: [&str; 8] = [
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#aa4499", "#999933",
];
/// Of sets of classes beyond those with a colour.
const OTHERS: &str = "#888888";

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1a1a1a;--soft:#666;--line:#ccc;--page:#fff;--card:#fafafa}\
@media(prefers-color-scheme:dark){:root{--ink:#e8e8e8;--soft:#a0a0a0;--line:#444;--page:#161616;--card:#1e1e1e}}\
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);margin:2rem auto;max-width:70rem;\
padding:0 1rem}h1{font-size:1.3rem;margin:0 0 .2rem;overflow-wrap:anywhere}p{color:var(--soft);margin:.2rem 0 1rem;\
max-width:48rem}\
fieldset{border:0;padding:0;margin:0 0 .6rem;display:inline-flex;gap:1rem}label{cursor:pointer}\
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;margin:0 0 1rem;padding:0;list-style:none}\
.legend li{cursor:default}.legend i{display:inline-block;width:.7rem;height:.7rem;border-radius:50%;\
margin-right:.4rem}.legend b{font-weight:400;color:var(--soft);margin-left:.3rem}\
main{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(26rem,100%),1fr));gap:1rem}\
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.6rem;max-width:36rem}\
figcaption{font-weight:600}figcaption span{display:block;font-weight:400;font-size:.85rem;color:var(--soft);\
min-height:1.3rem}svg{width:100%;height:auto;display:block}\
circle{fill-opacity:.75;stroke-width:0}circle.w{stroke:var(--ink);stroke-width:1}\
circle.at{stroke:var(--ink);stroke-width:2;fill-opacity:1}.dim circle{fill-opacity:.08;stroke-opacity:.15}\
.dim circle.lit{fill-opacity:.9;stroke-opacity:1}\
body:has(#t:checked) .pca,body:has(#p:checked) .tsne{display:none}\
#tip{position:fixed;display:none;pointer-events:none;background:var(--card);border:1px solid var(--line);\
border-radius:6px;padding:.4rem;font-size:.8rem;max-width:16rem;box-shadow:0 2px 8px #0004;overflow-wrap:anywhere}\
#tip img{display:block;width:128px;height:128px;image-rendering:auto;margin-bottom:.3rem}";

/// Shows the image over a point, and one class alone over its name.
const SCRIPT: &str = "\
const D=JSON.parse(document.getElementById('data').textContent),T=document.getElementById('tip'),\
all=s=>document.querySelectorAll(s);\
document.addEventListener('pointerover',e=>{const c=e.target.closest('circle');all('.at').forEach(a=>a.classList.remove('at'));\
if(!c){T.style.display='none';return}const d=D[c.dataset.i];\
all('circle[data-i=\"'+c.dataset.i+'\"]').forEach(a=>a.classList.add('at'));T.replaceChildren();\
const m=new Image;m.src='data:image/jpeg;base64,'+d[3];m.alt='';T.append(m);\
[d[0],'true: '+d[1]].concat(d[2]===null?[]:['predicted: '+d[2]]).forEach(t=>{const l=document.createElement('div');\
l.textContent=t;T.append(l)});T.style.display='block'});\
document.addEventListener('pointermove',e=>{const w=T.offsetWidth,h=T.offsetHeight;\
T.style.left=Math.max(4,e.clientX+16+w>innerWidth?e.clientX-w-16:e.clientX+16)+'px';\
T.style.top=Math.max(4,Math.min(e.clientY+12,innerHeight-h-4))+'px'});\
all('.legend li').forEach(l=>{l.onpointerenter=()=>{document.body.classList.add('dim');\
all('circle.'+l.dataset.c).forEach(c=>c.classList.add('lit'))};l.onpointerleave=()=>{\
document.body.classList.remove('dim');all('.lit').forEach(c=>c.classList.remove('lit'))}});";

/// The page of some networks, each of which placed all `shown`.
pub(super) fn page(run: &Path, panels: &[Panel], shown: &[Shown]) -> String {
    let kinds = Kinds::of(shown);
    let run = escape(&run.display().to_string());
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{run}, embedded</title>\
         <style>{STYLE}{}</style><h1>{run}</h1><p>Features of {} test images. In t-SNE neighbours are \
         alike, while distances between groups and sizes of groups mean little; PCA keeps distances \
         as far as two directions can.{}</p>",
        kinds.style(),
        shown.len(),
        if shown.iter().any(is_wrong) {
            " Rings are images that the probe labels otherwise."
        } else {
            ""
        }
    );
    page += "<fieldset><label><input type=\"radio\" name=\"by\" id=\"t\" checked> t-SNE</label>\
             <label><input type=\"radio\" name=\"by\" id=\"p\"> PCA</label></fieldset>";
    page += &kinds.legend();
    page += "<main>";
    for panel in panels {
        let [first, second] = panel.embedding.pca.explained.map(|share| 100.0 * share);
        let _ = write!(
            page,
            "<figure><figcaption>{}<span class=\"pca\">PCA: {first:.1} % of the variance to the right, \
             {second:.1} % up</span><span class=\"tsne\">t-SNE</span></figcaption>\
             <svg viewBox=\"0 0 {SIDE} {SIDE}\" role=\"img\">",
            escape(&panel.title)
        );
        points(&mut page, "tsne", &panel.embedding.tsne, shown, &kinds);
        points(&mut page, "pca", &panel.embedding.pca.points, shown, &kinds);
        page += "</svg></figure>";
    }
    let data: Vec<_> = shown
        .iter()
        .map(|s| json!([s.file, s.truth, s.predicted, s.thumbnail]))
        .collect();
    // Inside a script element only `</` would end it, and `<!--` confuse it.
    let data = json!(data).to_string().replace('<', "\\u003c");
    let _ = writeln!(
        page,
        "</main><div id=\"tip\"></div><script type=\"application/json\" id=\"data\">{data}</script>\
         <script>{SCRIPT}</script></html>"
    );
    page
}

fn is_wrong(shown: &Shown) -> bool {
    shown.predicted.as_ref().is_some_and(|p| *p != shown.truth)
}

/// A group of circles that fill the picture, one scale for both axes.
fn points(page: &mut String, class: &str, places: &[[f64; 2]], shown: &[Shown], kinds: &Kinds) {
    let ends = [0, 1].map(|axis| {
        let of = places.iter().map(|p| p[axis]);
        (
            of.clone().fold(f64::INFINITY, f64::min),
            of.fold(f64::NEG_INFINITY, f64::max),
        )
    });
    let longest = ends
        .map(|(low, high)| high - low)
        .into_iter()
        .fold(0.0, f64::max);
    let scale = if longest > 0.0 {
        (SIDE - 2.0 * MARGIN) / longest
    } else {
        0.0
    };
    let radius = if shown.len() > 600 { 2.6 } else { 3.6 };
    let at = |axis: usize, v: f64| (v - f64::midpoint(ends[axis].0, ends[axis].1)) * scale;
    let _ = write!(page, "<g class=\"{class}\">");
    for (i, (place, image)) in places.iter().zip(shown).enumerate() {
        let wrong = if is_wrong(image) { " w" } else { "" };
        let _ = write!(
            page,
            "<circle class=\"{}{wrong}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius}\" data-i=\"{i}\"/>",
            kinds.class(&image.truth),
            SIDE / 2.0 + at(0, place[0]),
            SIDE / 2.0 - at(1, place[1]),
        );
    }
    page.push_str("</g>");
}

/// The classes, or sets of classes, by how often they occur.
struct Kinds {
    by_count: Vec<(String, usize)>,
}

impl Kinds {
    fn of(shown: &[Shown]) -> Self {
        let mut counts = BTreeMap::<&str, usize>::new();
        for image in shown {
            *counts.entry(&image.truth).or_default() += 1;
        }
        let counts = counts.into_iter().map(|(name, n)| (name.to_string(), n));
        let mut by_count: Vec<_> = counts.collect();
        if by_count.len() > COLOURS.len() {
            by_count.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        }
        Self { by_count }
    }

    /// The CSS class of a kind: `k0` …, or `ko` of those without a colour of their own.
    fn class(&self, truth: &str) -> String {
        let place = self.by_count.iter().position(|(name, _)| name == truth);
        match place {
            Some(place) if place < COLOURS.len() => format!("k{place}"),
            _ => "ko".into(),
        }
    }

    fn style(&self) -> String {
        let colours = COLOURS.iter().enumerate();
        let rule =
            |class: &str, colour: &str| format!(".{class}{{fill:{colour};background:{colour}}}");
        let rules: String = colours.map(|(i, c)| rule(&format!("k{i}"), c)).collect();
        rules + &rule("ko", OTHERS)
    }

    fn legend(&self) -> String {
        let mut legend = String::from("<ul class=\"legend\">");
        let mut item = |class: &str, name: &str, n: usize| {
            let name = escape(name);
            let _ = write!(
                legend,
                "<li data-c=\"{class}\"><i class=\"{class}\"></i>{name}<b>{n}</b></li>"
            );
        };
        let (own, others) = self
            .by_count
            .split_at(COLOURS.len().min(self.by_count.len()));
        for (i, (name, n)) in own.iter().enumerate() {
            item(&format!("k{i}"), name, *n);
        }
        if !others.is_empty() {
            let n = others.iter().map(|(_, n)| n).sum();
            item("ko", &format!("{} others", others.len()), n);
        }
        legend + "</ul>"
    }
}
