//! `report.html`: one file, no scripts, nothing fetched.

use super::figures::{self, Figures};
use super::looks::Looks;
use super::{Report, words};
use crate::units::duration;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cass_metrics::compare::Outcome;
use cass_page::Page;
use maud::{Markup, PreEscaped, html};

const STYLE: &str = "
.verdict { font-size: 1.3rem; line-height: 1.4; margin: 1rem 0; max-width: 46rem; }
.verdict.helped { border-left: 4px solid var(--good); padding-left: .9rem; }
.verdict.hurt { border-left: 4px solid var(--bad); padding-left: .9rem; }
.verdict.open { border-left: 4px solid var(--rule); padding-left: .9rem; }
.figure { max-width: 34rem; }
.figure svg, .figures svg { border-radius: .3rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1rem 2rem; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr)); gap: 1rem; }
.pictures img { width: 100%; image-rendering: auto; border-radius: .3rem; }
";

/// The page.
pub fn page(report: &Report, figures: &Figures, looks: &Looks) -> String {
    let dir = report
        .dir
        .file_name()
        .unwrap_or(report.dir.as_os_str())
        .to_string_lossy()
        .into_owned();
    let title = format!("Does pretraining help on {dir}?");
    Page::new(&title).style(STYLE).write(html! {
        (header(report, &title))
        (to_use(report))
        (differences(report, figures))
        (curves(figures))
        (of_best(report, figures))
        (seen(report, looks))
        (table(report))
        (pretraining(report))
        (images(report))
        (surer(report))
        (methods(report))
    })
}

fn figure(figures: &Figures, name: &str) -> Option<Markup> {
    let (_, svg) = figures.iter().find(|(own, _)| *own == name)?;
    // Our own drawing, whose texts are escaped.
    Some(html! { figure { (PreEscaped(svg)) figcaption { a href=(name) { (name) } } } })
}

fn header(report: &Report, title: &str) -> Markup {
    let choice = report.study.choice;
    html! {
        header {
            p.kicker { "CASS · a study of one's own images" }
            h1 { (title) }
            @for v in report.headlines() {
                @let kind = match v.outcome {
                    Outcome::Helped => "helped",
                    Outcome::Hurt => "hurt",
                    _ => "open",
                };
                p class={ "verdict " (kind) } { (v.sentence) }
            }
            @for (lost, line) in words::collapse(report) {
                @if lost { p.notice { (line) } } @else { p.note { (line) } }
            }
            p.note {
                "Judged by logistic regression on frozen features with all labels, which was decided before anything was \
                 measured. " (report.study.images.images) " images, " (report.study.images.labelled) " with a label; "
                (choice.size) " px; " (choice.epochs) " epochs; " (choice.seeds) " trainings; " (duration(report.found.seconds))
                " of work."
            }
            @if !report.failures.is_empty() {
                p.notice { (report.failures.len()) " runs failed; what is said here is of the others." }
            }
        }
    }
}

fn to_use(report: &Report) -> Markup {
    let Some(best) = &report.best else {
        return html! {};
    };
    let path = best.path.display().to_string();
    let std = best.std.map_or(String::new(), |std| format!(" ± {std:.3}"));
    html! {
        section {
            h2 { "The network to use" }
            p { code { (path) } ": " (best.title()) "." }
            p {
                "Macro F1 on test images " b { (format!("{:.3}{std}", best.mean)) } " over " (report.study.choice.seeds)
                " trainings; chosen by validation images (" (format!("{:.3}", best.val_f1_macro)) "), this one is of seed "
                (best.seed) "."
            }
            pre { "cass predict --run " (path) " scans/ > predicted.csv\n"
                  "cass evaluate --run " (path) " --data folder --data-root other-hospital\n"
                  "timm.create_model(\"local-dir:" (path) "\", pretrained=True, num_classes=0)" }
        }
    }
}

fn differences(report: &Report, figures: &Figures) -> Markup {
    html! {
        section {
            h2 { "What pretraining changed" }
            p.note {
                "Macro F1 with pretraining minus without, judged in the same way on the same test images; 95 % intervals over \
                 trainings, patients or groups, and images. An interval that takes in 0 shows no difference."
                @if report.study.choice.seeds < 3 { " Grey: fewer than three trainings, so that nothing is decided." }
            }
            div.figure { (figure(figures, "forest.svg").unwrap_or_default()) }
        }
    }
}

fn curves(figures: &Figures) -> Markup {
    html! {
        @if figures.iter().any(|(name, _)| name.starts_with("curve")) {
            section {
                h2 { "How far few labels go" }
                p.note { "CNN, then Transformer." }
                div.figures {
                    @for name in ["curve-cnn.svg", "curve-vit.svg"] { (figure(figures, name).unwrap_or_default()) }
                }
            }
        }
    }
}

fn of_best(report: &Report, figures: &Figures) -> Markup {
    html! {
        @if let Some(best) = &report.best {
            section {
                h2 { "How the best network errs" }
                p.note { (best.title()) ", seed " (best.seed) ", on its test images." }
                div.figures {
                    @for (name, _) in figures.iter().filter(|(name, _)| name.starts_with("best")) {
                        (figure(figures, name).unwrap_or_default())
                    }
                }
            }
        }
    }
}

fn seen(report: &Report, looks: &Looks) -> Markup {
    html! {
        @if !looks.embedding.is_empty() {
            section {
                h2 { "The test images as the network places them" }
                p.note {
                    "t-SNE of the features"
                    @if let Some(best) = &report.best { " of the " (words::network(report, best.arm)) }
                    ", coloured by class: neighbours are alike, distances between groups mean little. "
                    a href="embedding.html" { "embedding.html" } " names each point."
                }
                div.figures { @for (title, svg) in &looks.embedding {
                    figure { (svg) figcaption { (title) } }
                } }
            }
        }
        @if !looks.attention.is_empty() {
            section {
                h2 { "Where the best network looks" }
                @if let Some(text) = &looks.resolution { p.note { (text) } }
                div.pictures { @for (name, png) in &looks.attention {
                    figure {
                        img alt=(name) src={ "data:image/png;base64," (STANDARD.encode(png)) };
                        figcaption { (name) }
                    }
                } }
            }
        }
    }
}

fn table(report: &Report) -> Markup {
    html! {
        section {
            h2 { "All scores" }
            p.note { "Macro F1 on test images, mean ± sample deviation over trainings. "
                a href="results.csv" { "results.csv" } " has every training, " a href="verdicts.csv" { "verdicts.csv" } " every comparison." }
            div.scroll {
                table.list {
                    tr { th { "arm" } th { "start" } th { "judged by" } th.n { "labels" } th.n { "macro F1" } }
                    @for cell in &report.found.cells {
                        @let (mean, std) = cell.mean_and_std();
                        @let open = cell.runs.iter().filter(|run| !run.converged).count();
                        tr {
                            td { (cell.arm.title()) }
                            td { (words::start(cell.method)) }
                            td { (cell.downstream.short()) }
                            td.n { (cell.percent) " % (" (cell.runs[0].labels) ")" }
                            td.n {
                                (format!("{mean:.3}")) @if let Some(std) = std { (format!(" ± {std:.3}")) }
                                @if open > 0 { small { " " (open) " not converged" } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn pretraining(report: &Report) -> Markup {
    html! {
        section {
            h2 { "Pretraining" }
            ul { @for (_, line) in words::collapse(report) { li { (line) } } }
            div.charts.one { figure { (figures::losses(report)) figcaption { a href="losses.svg" { "loss, a line a seed" } } } }
        }
    }
}

fn images(report: &Report) -> Markup {
    let images = report.study.images;
    html! {
        section {
            h2 { "The images" }
            p {
                (images.images) " images, " (images.labelled) " with a label"
                @if images.groups > 0 { ", " (images.groups) " patients or groups" }
                @if images.copies > 0 { "; " (images.copies) " have a copy, or nearly one, and were kept together" }
                ". " a href="images.csv" { "images.csv" } " is what every run read."
            }
            @if images.leaked > 0 {
                p.notice {
                    (images.leaked) " of the " (images.test) " test images are of a patient who is also learned from, or copies \
                     of such an image: every score here is too good."
                }
            }
            table.list {
                tr { th { "class" } th.n { "images" } }
                @for (name, count) in &images.classes { tr { td { (name) } td.n { (count) } } }
            }
            @if !images.findings.is_empty() {
                h3 { "What was found" }
                ul { @for (kind, findings) in &images.findings {
                    li { (kind) ": " (findings.count) @if let Some(first) = findings.first.first() { small { " such as " (first) } } }
                } }
            }
            @if !images.skipped.is_empty() {
                details { summary { (images.skipped.len()) " images were left out as unusable" }
                    ul { @for one in &images.skipped { li { (one.file) ": " (one.reason) } } }
                }
            }
        }
    }
}

fn surer(report: &Report) -> Markup {
    html! {
        @if !report.surer.is_empty() {
            section { h2 { "What would make this surer" } ul { @for line in &report.surer { li { (line) } } } }
        }
    }
}

fn methods(report: &Report) -> Markup {
    let provenance = report.provenance;
    html! {
        section {
            h2 { "For a methods section" }
            p { (words::methods(report)) }
            h3 { "What is not as in the paper" }
            ul { @for line in &report.found.deviations { li { (line) } } }
            @if !report.found.chosen.is_empty() {
                h3 { "What its text leaves open and was chosen" }
                ul { @for line in &report.found.chosen { li { (line) } } }
            }
            @if !report.failures.is_empty() {
                h3 { "Runs that failed" }
                ul { @for (run, reason) in report.failures { li { code { (run.name) } ": " (reason) } } }
            }
            h3 { "Where it was made" }
            dl {
                dt { "program" } dd { (provenance.cass) ", commit " (provenance.commit) }
                dt { "machine" } dd { (provenance.cpu) ", " (provenance.cores) " cores, " (provenance.os) }
                dt { "computed on" } dd { (provenance.device) ", " (provenance.threads) " threads" }
            }
        }
    }
}
