//! What the tables rest on: features, losses, runs, provenance.

use super::{colour, plural};
use crate::report::{collapse_rule, pretraining_title, reading};
use crate::results::{Pretraining, Results};
use crate::units::duration;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cass_page::chart::{self, Line};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// Rows from which on a list is folded.
const LONG: usize = 24;

/// Folds what is long.
fn fold(rows: usize, summary: &str, inside: &Markup) -> Markup {
    html! {
        @if rows < LONG {
            (inside)
        } @else {
            details { summary { (summary) } (inside) }
        }
    }
}

/// What the networks were shown.
pub fn previews(results: &Results) -> Markup {
    let pictures = results.previews.iter();
    let pictures: Vec<_> = pictures
        .filter_map(|(set, png)| Some((set, size(png)?, STANDARD.encode(png))))
        .collect();
    html! {
        @if !pictures.is_empty() {
            section {
                h2 { "What the networks see" }
                p.note { "An image of each class, then augmented views of it as pretraining draws them." }
                div.charts.views {
                    @for (set, (width, height), png) in pictures {
                        figure {
                            svg viewBox={ "0 0 " (width) " " (height) } role="img" aria-label={ "Views of " (set) } {
                                image width=(width) height=(height) href={ "data:image/png;base64," (png) } {}
                            }
                            figcaption { (set) }
                        }
                    }
                }
            }
        }
    }
}

/// Width and height from a PNG's header.
fn size(png: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize| Some(u32::from_be_bytes(png.get(at..at + 4)?.try_into().ok()?));
    Some((number(16)?, number(20)?))
}

pub fn collapse(results: &Results) -> Markup {
    let networks = || {
        let pretrainings = results.pretrainings.iter();
        pretrainings.flat_map(|p| p.collapse.iter().map(move |(arm, both)| (p, arm, both)))
    };
    let count = networks().count();
    let collapsed = networks().filter(|(.., both)| both.is_collapsed());
    let collapsed = collapsed.count();
    let list = html! {
        div.scroll {
            table.list {
                tr { th { "pretraining" } th { "seed" } th.n { "effective rank" } th.n { "mean cosine" } th {} }
                @for (pretraining, arm, both) in networks() {
                    @let (before, after) = (reading(both.before), reading(both.after));
                    tr {
                        td {
                            i.(colour(&pretraining.method_name())) {}
                            (pretraining_title(pretraining, results.data.len() > 1)) ", " (arm.title())
                        }
                        td { (pretraining.seed) }
                        td.n { (before.1) " → " b { (after.1) } }
                        td.n { (before.0) " → " b { (after.0) } }
                        @match (both.was_collapsed(), both.is_collapsed()) {
                            (false, true) => { td.bad { "collapsed" } }
                            (true, true) => { td.bad { "collapsed, as before training" } }
                            (_, false) => { td {} }
                        }
                    }
                }
            }
        }
    };
    html! {
        @if !results.pretrainings.is_empty() {
            section {
                h2 { "Did the features collapse?" }
                p.note {
                    (collapse_rule()) " Before → after pretraining: " (collapsed) " of " (plural(count, "network"))
                    " ended collapsed."
                }
                (fold(count, "Every pretrained network", &list))
            }
        }
    }
}

pub fn losses(results: &Results) -> Markup {
    let mut groups = BTreeMap::<_, Vec<&Pretraining>>::new();
    for run in &results.pretrainings {
        let title = pretraining_title(run, results.data.len() > 1);
        let key = (run.data, run.method, run.variant.clone(), title);
        groups.entry(key).or_default().push(run);
    }
    let curve = |run: &&Pretraining| Line {
        colour: colour(&run.method_name()),
        points: (run.epochs.iter())
            .filter_map(|epoch| {
                epoch
                    .loss
                    .is_finite()
                    .then_some((epoch.epoch as u32, epoch.loss))
            })
            .collect(),
    };
    let charts = html! {
        div.charts.small {
            @for ((.., name), runs) in &groups {
                @let curves: Vec<Line> = runs.iter().map(curve).collect();
                figure {
                    (chart::lines(&curves, "epoch", &format!("Losses of {name}")))
                    figcaption { (name) }
                }
            }
        }
    };
    html! {
        @if !groups.is_empty() {
            section {
                h2 { "Pretraining losses" }
                p.note { "Mean of each epoch; a line for each seed." }
                (fold(3 * groups.len(), "Every pretraining", &charts))
            }
        }
    }
}

pub fn runs(results: &Results) -> Markup {
    let finished = results.runs.iter().filter(|run| run.seconds.is_some());
    let failed = || results.runs.iter().filter(|run| run.missing.is_some());
    let mut devices = results.provenance.iter();
    let cost = if devices.any(|source| source.device.starts_with("cuda")) {
        format!("{:.2} GPU hours", results.seconds / 3600.0)
    } else {
        format!("{:.2} core hours", results.core_seconds / 3600.0)
    };
    html! {
        section {
            h2 { "Runs" }
            p.note {
                (finished.count()) " of " (plural(results.runs.len(), "run")) " finished, " (duration(results.seconds))
                " of work together, " (cost) "."
            }
            @if failed().next().is_some() {
                ul.failed {
                    @for run in failed() {
                        li {
                            code { (run.name) } " " (run.missing.as_deref().unwrap_or_default())
                            @if run.log.len() > 1 {
                                details { summary { "the end of its log" } pre { (run.log.join("\n")) } }
                            }
                        }
                    }
                }
            }
            details {
                summary { "Wall time of each run" }
                table.list {
                    @for run in &results.runs {
                        tr { td { code { (run.name) } } td.n { (run.seconds.map_or("—".to_owned(), duration)) } }
                    }
                }
            }
            @if !results.skipped.is_empty() {
                h3 { (plural(results.skipped.len(), "image")) " left out" }
                ul.failed {
                    @for skipped in &results.skipped { li { code { (skipped.file) } " " (skipped.reason) } }
                }
            }
        }
    }
}

pub fn provenance(results: &Results) -> Markup {
    let seeds: Vec<_> = results.seeds.iter().map(u64::to_string).collect();
    html! {
        section {
            h2 { "Where this came from" }
            @for source in &results.provenance {
                dl {
                    dt { "commit" } dd { (source.commit) }
                    dt { "program" } dd { (source.cass) " · " (source.rustc) }
                    dt { "machine" } dd { (source.cpu) " · " (source.cores) " cores · " (source.os) }
                    dt { "device" } dd { (source.device) " · " (plural(source.threads, "thread")) }
                }
            }
            dl {
                dt { "seeds" } dd { (seeds.join(", ")) }
                @for (set, facts) in &results.data { dt { (set) } dd { (facts.root) } }
                @for line in &results.manifests { dt { "manifest" } dd { code { (line) } } }
                @for line in &results.weights { dt { "weights" } dd { code { (line) } } }
            }
        }
    }
}
