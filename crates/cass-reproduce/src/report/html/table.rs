//! One table: its bars, its cells, its claims, its contradictions.

use super::{capital, colour, heading};
use crate::report::{
    Section, UNCONVERGED_RULE, across, delta, has_unconverged, method_title, networks, rows,
    section_title, sections, signed, spread, value,
};
use crate::results::{Cell, Compared, Judged, Results, TableEntry, Verdict};
use crate::table::Arm;
use cass_page::chart::{self, Bar};
use cass_page::figure::side_by_side;
use maud::{Markup, PreEscaped, html};
use std::collections::BTreeSet;

pub fn table(results: &Results, table: &TableEntry) -> Markup {
    let claims: Vec<&Judged> = (results.claims.iter())
        .filter(|claim| claim.table == table.number)
        .collect();
    html! {
        section.table id={ "table-" (table.number) } {
            h2 { (heading(&table.number, &table.title)) }
            p.note { (table.metric_title) "." }
            @for section in sections(table) {
                h3 {
                    (section_title(table, section.downstream))
                    @if section.downstream == results.headline && table.downstream.len() > 1 {
                        " " small { "headline" }
                    }
                }
                @let rows = rows(results, table, section.downstream);
                (figures(table, &rows))
                (cells(results, table, &rows, &section))
                @if has_unconverged(results, table, section.downstream) { p.note { (UNCONVERGED_RULE) } }
                (confusions(&rows))
            }
            @if !claims.is_empty() {
                h3 { "The paper's claims, in this run" }
                ul.claims { @for claim in claims { (judged(claim)) } }
            }
            @if !table.contradictions.is_empty() {
                h3 { "Where the paper contradicts itself" }
                ul.against { @for text in &table.contradictions { li { (text) } } }
            }
        }
    }
}

/// Colours and what they stand for.
#[derive(Default)]
struct Legend(Vec<(&'static str, String)>);

impl Legend {
    fn note(&mut self, colour: &'static str, name: &str) -> &'static str {
        if self.0.iter().all(|(_, known)| known != name) {
            self.0.push((colour, name.to_owned()));
        }
        colour
    }
}

/// Bars under their name.
type Groups = Vec<(String, Vec<Bar>)>;

/// The charts of a table's first section, a file by itself; none of times.
pub fn picture(results: &Results, table: &TableEntry) -> Option<String> {
    let section = sections(table).into_iter().next()?;
    let Charts { legend, figures } = charts(table, &rows(results, table, section.downstream))?;
    let figure = |(groups, label, caption): (Groups, String, String)| {
        (chart::bars(&groups, &label), caption)
    };
    let figures: Vec<_> = figures.into_iter().map(figure).collect();
    Some(side_by_side(&figures, &legend.0))
}

/// Charts of groups of bars, with label and caption, and what their colours stand for.
struct Charts {
    legend: Legend,
    figures: Vec<(Groups, String, String)>,
}

/// Label fractions and methods make a chart an arm; all else is one, a group a row.
fn charts(table: &TableEntry, rows: &[Vec<&Cell>]) -> Option<Charts> {
    let cells = rows.iter().flatten().copied();
    let cells: Vec<&Cell> = cells.filter(|c| c.metric != "hours").collect();
    if cells.is_empty() {
        return None;
    }
    let mut legend = Legend::default();
    let mut figures: Vec<(Groups, String, String)> = Vec::new();
    let several = |row: &Vec<&Cell>| row[0].percent != row[row.len() - 1].percent;
    if rows.iter().any(several) {
        for arm in Arm::BOTH {
            let of = cells.iter().find(|c| c.arm == Some(arm));
            let name = of.map_or("", |cell| cell.backbone.as_str());
            figures.push((
                by_fraction(table, &cells, arm, &mut legend),
                format!("Scores of the {}", arm.title()),
                format!("{} · {name}", arm.title()),
            ));
        }
    } else {
        figures.push((
            by_row(table, rows, &mut legend),
            format!("Scores of table {}", table.number),
            String::new(),
        ));
    }
    Some(Charts { legend, figures })
}

fn figures(table: &TableEntry, rows: &[Vec<&Cell>]) -> Markup {
    let Some(Charts { legend, figures }) = charts(table, rows) else {
        return html! {};
    };
    // One small chart alone would be drawn twice as large as two.
    let one = figures.len() == 1 && rows.len() <= chart::FEW;
    html! {
        ul.legend {
            @for (colour, name) in legend.0 { li { i.(colour) {} (name) } }
            @if rows.iter().flatten().any(|cell| cell.metric != "hours" && cell.paper_mean.is_some()) { li { i.mark-key {} "the paper's mean" } }
        }
        div.charts.one[one] {
            @for (groups, label, caption) in figures {
                figure { (chart::bars(&groups, &label)) figcaption { (caption) } }
            }
        }
    }
}

fn by_fraction(table: &TableEntry, cells: &[&Cell], arm: Arm, legend: &mut Legend) -> Groups {
    let group = |(index, column): (usize, &String)| {
        let of = cells.iter();
        let of = of.filter(|c| c.arm == Some(arm) && c.place.1 == index);
        let bars = of.map(|cell| {
            let colour = legend.note(colour(&cell.method), method_title(&cell.method));
            bar(colour, format!("{} {column}", cell.row), cell)
        });
        (column.clone(), bars.collect())
    };
    table.columns.iter().enumerate().map(group).collect()
}

fn by_row(table: &TableEntry, rows: &[Vec<&Cell>], legend: &mut Legend) -> Groups {
    let computed = rows.iter().flatten().all(|cell| cell.data.is_none());
    let group = |row: &Vec<&Cell>| {
        let bars = row.iter().filter(|c| c.metric != "hours").map(|cell| {
            let column = table.columns[cell.place.1].as_str();
            let colour = match (computed, cell.place.1) {
                (true, _) => colour(&cell.method),
                (_, 0) => "c0",
                _ => "c1",
            };
            let colour = legend.note(colour, column);
            bar(colour, format!("{} {column}", cell.row), cell)
        });
        (row[0].row.clone(), bars.collect())
    };
    rows.iter().map(group).collect()
}

fn bar(colour: &'static str, name: String, cell: &Cell) -> Bar {
    Bar {
        colour,
        name,
        value: cell.mean,
        spread: cell.std,
        mark: cell.paper_mean,
    }
}

fn cells(results: &Results, table: &TableEntry, rows: &[Vec<&Cell>], section: &Section) -> Markup {
    // The columns of each column of the paper: one, or the paper's probe and ours next to it.
    let columns = |index: usize| {
        let mut cells = rows.iter().flatten().filter(|cell| cell.place.1 == index);
        let times = cells.all(|cell| cell.metric == "hours");
        if times { 1 } else { 1 + section.beside.len() }
    };
    let names = [&[section.downstream], &section.beside[..]].concat();
    html! {
        div.scroll {
            table.scores.wide[!section.beside.is_empty()] {
                tr.group {
                    th {}
                    @for (index, column) in table.columns.iter().enumerate() { th colspan=(columns(index)) { (column) } }
                }
                @if !section.beside.is_empty() {
                    tr.group.probes {
                        th {}
                        @for index in 0..table.columns.len() {
                            @for name in &names[..columns(index)] { th { small { (name.short()) } } }
                        }
                    }
                }
                @for row in rows {
                    tr.own[is_of(row, "CASS")].start[is_of(row, "Untrained")] {
                        th { (head(table, row)) }
                        @for cell in row {
                            @for cell in across(results, cell, section) {
                                td { @if let Some(cell) = cell { (entry(cell, results.seeds.len())) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Whether all of a row is of one method.
fn is_of(row: &[&Cell], method: &str) -> bool {
    row[0].data.is_some() && row.iter().all(|cell| cell.method == method)
}

fn head(table: &TableEntry, row: &[&Cell]) -> Markup {
    let head = &table.rows[row[0].place.0];
    let names = head.iter().map(|name| name.replace("**", ""));
    let mut names = names.filter(|name| !name.is_empty());
    let first = names.next().unwrap_or_default();
    let here = networks(row);
    let here = (!here.is_empty()).then(|| format!("here {here}"));
    let rest: Vec<String> = names.chain(here).collect();
    let method = row[0].method.as_str();
    let marked = is_of(row, method)
        && head.len() > 1
        && table.downstream.len() > 1
        && first == method_title(method);
    html! {
        @if marked { i.(colour(method)) {} }
        (first) " " small { (rest.join(", ")) }
    }
}

fn entry(cell: &Cell, seeds: usize) -> Markup {
    html! {
        @if cell.mean.is_some() {
            span.ours { (value(cell, cell.mean)) }
            @if let Some(std) = spread(cell) { span.std { " ±" (std) } }
            @if cell.apart == Some(true) {
                span.apart title="the 95 % intervals do not overlap" { " ≠" }
            }
            @if cell.unconverged > 0 {
                span.std title={ "not converged in " (cell.unconverged) " of " (cell.n) " seeds" } { " †" }
            }
            @if cell.n != seeds { span.std { " n = " (cell.n) } }
        } @else {
            span.missing { "missing" }
        }
        @if let Some(text) = &cell.paper_printed { span.paper { (printed(cell, text)) } }
        @if let Some(delta) = delta(cell) { span.delta { (delta) } }
        @for reason in reasons(cell) { span.reason { (reason) } }
    }
}

/// Why seeds are missing; what is the same but for the seed once.
fn reasons(cell: &Cell) -> Vec<&String> {
    fn what(reason: &str) -> &str {
        reason.split_once(": ").map_or(reason, |(_, what)| what)
    }
    let mut told = BTreeSet::new();
    let reasons = cell.missing.iter();
    reasons.filter(|reason| told.insert(what(reason))).collect()
}

/// The paper's cell; bold where it prints bold.
fn printed(cell: &Cell, text: &str) -> Markup {
    let inner = text.trim_matches('*');
    let (mean, std) = inner.split_once('±').unwrap_or((inner, ""));
    let bare = html! {
        @if cell.metric == "hours" || std.is_empty() {
            (inner)
        } @else {
            // A narrow column may break before the deviation.
            (mean.replace(' ', "")) (PreEscaped("<wbr>")) "±" (std.replace(' ', ""))
        }
    };
    html! { @if text.starts_with("**") { b { (bare) } } @else { (bare) } }
}

/// Confusion matrices of the cells with the most labels.
fn confusions(rows: &[Vec<&Cell>]) -> Markup {
    let cells = || rows.iter().flatten();
    let most = cells().map(|cell| cell.percent).max();
    let shown: Vec<&&Cell> = cells()
        .filter(|cell| Some(cell.percent) == most && cell.confusion.is_some())
        .collect();
    let share = |count: u64, row: &[u64]| {
        let sum = row.iter().sum::<u64>().max(1) as f64;
        format!("--share:{:.0}%", 100.0 * count as f64 / sum)
    };
    html! {
        @if !shown.is_empty() {
            details {
                summary { "Confusion matrices, summed over the seeds: true classes down, predicted ones across" }
                div.matrices {
                    @for cell in shown {
                        figure {
                            table.confusion {
                                @for row in cell.confusion.iter().flatten() {
                                    tr { @for &count in row { td style=(share(count, row)) { (count) } } }
                                }
                            }
                            figcaption { (cell.row) ", " (cell.column) }
                        }
                    }
                }
            }
        }
    }
}

fn judged(claim: &Judged) -> Markup {
    let (class, mark) = match claim.verdict {
        Verdict::Held => ("held", "✓"),
        Verdict::DidNotHold => ("failed", "✕"),
        Verdict::Undecided => ("open", "○"),
    };
    html! {
        li.(class) {
            span.verdict { (mark) " " (claim.verdict.text()) }
            div {
                (claim.text) " " small { (claim.source) }
                p {
                    (capital(&claim.reason))
                    @match claim.paper_agrees {
                        Some(true) => "; the paper's own cells agree",
                        Some(false) => { "; " b { "the paper's own cells contradict it" } }
                        None => {}
                    }
                    "."
                }
                @if let Some(converged) = &claim.converged {
                    p.bad[claim.otherwise().is_some()] {
                        "Under logistic regression: " (converged.verdict.text()) ". " (capital(&converged.reason)) "."
                    }
                }
                (comparisons(claim.test, &claim.comparisons))
                @if let Some(converged) = &claim.converged {
                    (comparisons("the same under logistic regression", &converged.comparisons))
                }
            }
        }
    }
}

/// Left minus right, with what it was tested with.
fn comparisons(test: &str, comparisons: &[Compared]) -> Markup {
    let number = |value: Option<f64>| value.map_or("—".to_owned(), signed);
    let interval = |interval: Option<[f64; 2]>| match interval {
        Some([low, high]) => format!("{} to {}", signed(low), signed(high)),
        None => "—".to_owned(),
    };
    html! {
        @if !comparisons.is_empty() {
            details {
                summary { (test) }
                table.list {
                    tr { th { "comparison" } th.n { "difference" } th.n { "interval" } th.n { "paper" } }
                    @for compared in comparisons {
                        tr {
                            td { (compared.text) }
                            td.n { (number(compared.difference)) }
                            td.n { (interval(compared.interval)) }
                            td.n { (number(compared.paper)) }
                        }
                    }
                }
            }
        }
    }
}
