//! The page: two pictures a network, and what to show over each point.

use super::{Panel, Shown};
use cass_page::chart::{Point, cloud};
use cass_page::figure::side_by_side;
use cass_page::{Page, QUALITATIVE, class};
use cass_run::printable;
use maud::{Markup, PreEscaped, html};
use serde_json::json;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

pub(super) fn page(run: &Path, panels: &[Panel], shown: &[Shown]) -> String {
    let run = run.display().to_string();
    let kinds = Kinds::of(shown);
    Page::new(&format!("{run}, embedded"))
        .style(include_str!("style.css"))
        .write(html! {
            h1 { (run) }
            p.note {
                "Features of " (shown.len()) " test images. In t-SNE neighbours are alike, while distances between groups \
                 and sizes of groups mean little; PCA keeps distances as far as two directions can."
                @if shown.iter().any(is_wrong) { " Rings are images that the probe labels otherwise." }
            }
            fieldset {
                label { input type="radio" name="by" id="t" checked; " t-SNE" }
                label { input type="radio" name="by" id="p"; " PCA" }
            }
            (kinds.legend())
            div.charts.views { @for panel in panels { (figure(panel, shown, &kinds)) } }
            div #tip {}
            script type="application/json" id="data" { (PreEscaped(data(shown))) }
            script { (PreEscaped(include_str!("script.js"))) }
        })
}

/// t-SNE of each network next to each other.
pub(super) fn picture(panels: &[Panel], shown: &[Shown]) -> String {
    let kinds = Kinds::of(shown);
    let cloud = |panel: &Panel| {
        let points = points(&panel.embedding.tsne, shown, &kinds);
        (cloud(&points, &panel.title), panel.title.clone())
    };
    let clouds: Vec<_> = panels.iter().map(cloud).collect();
    side_by_side(&clouds, &kinds.coloured())
}

fn points(places: &[[f64; 2]], shown: &[Shown], kinds: &Kinds) -> Vec<Point> {
    let point = |(&place, image): (&[f64; 2], &Shown)| Point {
        colour: kinds.class(&image.truth),
        place,
        ringed: is_wrong(image),
    };
    places.iter().zip(shown).map(point).collect()
}

fn figure(panel: &Panel, shown: &[Shown], kinds: &Kinds) -> Markup {
    let [right, up] = panel.embedding.pca.explained.map(|share| 100.0 * share);
    let points = |places: &[[f64; 2]]| points(places, shown, kinds);
    html! {
        figure {
            h3 { (panel.title) }
            div.tsne { (cloud(&points(&panel.embedding.tsne), "t-SNE")) figcaption { "t-SNE" } }
            div.pca {
                (cloud(&points(&panel.embedding.pca.points), "PCA"))
                figcaption { (format!("PCA: {right:.1} % of the variance to the right, {up:.1} % up")) }
            }
        }
    }
}

/// What the script shows over a point: file, true class, predicted class, picture.
fn data(shown: &[Shown]) -> String {
    let rows: Vec<_> = (shown.iter())
        .map(|s| {
            let predicted = s.predicted.as_deref().map(printable);
            (
                printable(&s.file),
                printable(&s.truth),
                predicted,
                &s.thumbnail,
            )
        })
        .collect();
    // Inside a script element only `</` would end it, and `<!--` confuse it.
    json!(rows).to_string().replace('<', "\\u003c")
}

fn is_wrong(shown: &Shown) -> bool {
    shown.predicted.as_ref().is_some_and(|p| *p != shown.truth)
}

/// The classes, or sets of classes, and how many images each has; by that number where there are more than colours.
struct Kinds(Vec<(String, usize)>);

impl Kinds {
    fn of(shown: &[Shown]) -> Self {
        let mut counts = BTreeMap::<&str, usize>::new();
        for image in shown {
            *counts.entry(&image.truth).or_default() += 1;
        }
        let counts = counts.into_iter().map(|(name, n)| (name.to_owned(), n));
        let mut kinds: Vec<_> = counts.collect();
        if kinds.len() > QUALITATIVE.len() {
            kinds.sort_by_key(|(_, n)| Reverse(*n));
        }
        Self(kinds)
    }

    /// The page's class of a kind's colour.
    fn class(&self, truth: &str) -> &'static str {
        let place = self.0.iter().position(|(name, _)| name == truth);
        class(place.unwrap_or(usize::MAX))
    }

    /// The kinds that have a colour of their own, each with its class.
    fn coloured(&self) -> Vec<(&'static str, String)> {
        let own = self.0.iter().take(QUALITATIVE.len()).enumerate();
        own.map(|(kind, (name, _))| (class(kind), printable(name).into_owned()))
            .collect()
    }

    fn legend(&self) -> Markup {
        let (own, others) = self.0.split_at(QUALITATIVE.len().min(self.0.len()));
        let item = |class: &str, name: &str, n: usize| {
            html! { li data-c=(class) { i.(class) {} (name) " " small { (n) } } }
        };
        html! {
            ul.legend {
                @for (kind, (name, n)) in own.iter().enumerate() { (item(class(kind), name, *n)) }
                @if !others.is_empty() {
                    (item("cn", &format!("{} others", others.len()), others.iter().map(|(_, n)| n).sum()))
                }
            }
        }
    }
}
