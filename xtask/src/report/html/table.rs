//! One table: its bars, its cells, its claims, its contradictions.

use std::fmt::Write;

use super::{capital, class, escape, heading};
use crate::claims::{Judged, Verdict};
use crate::report::charts::{self, Bar, bars};
use crate::report::{delta, method_title, networks, rows, section_title, signed, spread, value};
use crate::results::{Cell, Results, TableEntry};
use crate::table::Arm;

pub fn table(page: &mut String, results: &Results, table: &TableEntry) {
    let _ = writeln!(
        page,
        "<section class=\"table\" id=\"table-{}\">\n<h2>{}</h2>\n<p class=\"note\">{}.</p>",
        escape(&table.number),
        heading(&table.number, &table.title),
        escape(&table.metric_title),
    );
    for &downstream in &table.downstream {
        let headline = if downstream == results.headline && table.downstream.len() > 1 {
            " <small>headline</small>"
        } else {
            ""
        };
        let _ = writeln!(
            page,
            "<h3>{}{headline}</h3>",
            section_title(table, downstream)
        );
        let rows = rows(results, table, downstream);
        draw(page, table, &rows);
        cells(page, table, &rows, results.seeds.len());
        confusions(page, &rows);
    }
    let own: Vec<&Judged> = (results.claims.iter())
        .filter(|claim| claim.table == table.number)
        .collect();
    claims(page, &own);
    if !table.contradictions.is_empty() {
        page.push_str("<h3>Where the paper contradicts itself</h3>\n<ul class=\"against\">\n");
        for text in &table.contradictions {
            let _ = writeln!(page, "<li>{}</li>", escape(text));
        }
        page.push_str("</ul>\n");
    }
    page.push_str("</section>\n");
}

/// Label fractions and methods make a chart an arm; all else is one, a group a row.
fn draw(page: &mut String, table: &TableEntry, rows: &[Vec<&Cell>]) {
    let cells: Vec<&Cell> = rows
        .iter()
        .flatten()
        .copied()
        .filter(|c| c.metric != "hours")
        .collect();
    if cells.is_empty() {
        return;
    }
    let fractions = rows
        .iter()
        .any(|row| row[0].percent != row[row.len() - 1].percent);
    let mut legend: Vec<(&str, String)> = Vec::new();
    let mut note = |class: &'static str, name: &str| {
        if legend.iter().all(|(_, known)| known != name) {
            legend.push((class, name.to_owned()));
        }
        class
    };
    let mut figures = Vec::new();
    if fractions {
        for arm in Arm::BOTH {
            let mut groups: Vec<(String, Vec<Bar>)> = Vec::new();
            for (index, column) in table.columns.iter().enumerate() {
                let of = cells
                    .iter()
                    .filter(|c| c.arm == Some(arm) && c.place.1 == index);
                let bars = of.map(|cell| Bar {
                    class: note(class(&cell.method), method_title(&cell.method)),
                    name: format!("{} {column}", cell.row),
                    cell,
                });
                groups.push((column.clone(), bars.collect()));
            }
            let of = cells.iter().find(|c| c.arm == Some(arm));
            let name = of.map_or("", |cell| cell.backbone.as_str());
            figures.push((
                bars(&groups, &format!("Scores of the {}", arm.title())),
                format!("{} · {name}", arm.title()),
            ));
        }
    } else {
        let computed = cells.iter().all(|cell| cell.data.is_none());
        let groups: Vec<(String, Vec<Bar>)> = rows
            .iter()
            .map(|row| {
                let bars = row.iter().filter(|c| c.metric != "hours").map(|cell| {
                    let column = table.columns[cell.place.1].as_str();
                    let colour = match (computed, cell.place.1) {
                        (true, _) => class(&cell.method),
                        (_, 0) => "first",
                        _ => "second",
                    };
                    Bar {
                        class: note(colour, column),
                        name: format!("{} {column}", cell.row),
                        cell,
                    }
                });
                (row[0].row.clone(), bars.collect())
            })
            .collect();
        figures.push((
            bars(&groups, &format!("Scores of table {}", table.number)),
            String::new(),
        ));
    }
    page.push_str("<ul class=\"legend\">\n");
    for (class, name) in legend {
        let _ = writeln!(page, "<li><i class=\"{class}\"></i>{}</li>", escape(name));
    }
    page.push_str("<li><i class=\"paper-key\"></i>the paper's mean</li>\n</ul>\n");
    // One small chart alone would be drawn twice as large as two.
    let small = figures.len() == 1 && rows.len() <= charts::FEW;
    let class = if small { "charts one" } else { "charts" };
    let _ = writeln!(page, "<div class=\"{class}\">");
    for (svg, caption) in figures {
        let _ = writeln!(
            page,
            "<figure>{svg}<figcaption>{}</figcaption></figure>",
            escape(caption)
        );
    }
    page.push_str("</div>\n");
}

fn cells(page: &mut String, table: &TableEntry, rows: &[Vec<&Cell>], seeds: usize) {
    page.push_str(
        "<div class=\"scroll\">\n<table class=\"scores\">\n<tr class=\"group\"><th></th>",
    );
    for column in &table.columns {
        let _ = write!(page, "<th>{}</th>", escape(column));
    }
    page.push_str("</tr>\n");
    for row in rows {
        let head = &table.rows[row[0].place.0];
        let mut names = head
            .iter()
            .map(|name| name.replace("**", ""))
            .filter(|name| !name.is_empty());
        let first = names.next().unwrap_or_default();
        let rest: Vec<String> = names
            .chain((!networks(row).is_empty()).then(|| format!("here {}", networks(row))))
            .collect();
        let methods = row
            .iter()
            .all(|cell| cell.method == row[0].method && row[0].data.is_some());
        let class = if methods { class(&row[0].method) } else { "" };
        let mark = if methods
            && head.len() > 1
            && table.downstream.len() > 1
            && first == method_title(&row[0].method)
        {
            format!("<i class=\"{class}\"></i>")
        } else {
            String::new()
        };
        let _ = write!(
            page,
            "<tr class=\"{class}\"><th>{mark}{} <small>{}</small></th>",
            escape(first),
            escape(rest.join(", "))
        );
        for cell in row {
            entry(page, cell, seeds);
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n</div>\n");
}

fn entry(page: &mut String, cell: &Cell, seeds: usize) {
    page.push_str("<td>");
    match cell.mean {
        Some(_) => {
            let _ = write!(
                page,
                "<span class=\"ours\">{}</span>",
                value(cell, cell.mean)
            );
            if let Some(std) = spread(cell) {
                let _ = write!(page, "<span class=\"std\"> ±{std}</span>");
            }
            if cell.apart == Some(true) {
                page.push_str(
                    "<span class=\"apart\" title=\"the 95 % intervals do not overlap\"> ≠</span>",
                );
            }
            if cell.n != seeds {
                let _ = write!(page, "<span class=\"std\"> n = {}</span>", cell.n);
            }
        }
        None => page.push_str("<span class=\"missing\">missing</span>"),
    }
    if let Some(printed) = &cell.paper_printed {
        // A narrow column may break before the deviation.
        let text = if cell.metric == "hours" {
            escape(printed.trim_matches('*'))
        } else {
            escape(printed.trim_matches('*').replace(' ', "")).replace('±', "<wbr>±")
        };
        let text = if printed.starts_with("**") {
            format!("<b>{text}</b>")
        } else {
            text
        };
        let _ = write!(page, "<span class=\"paper\">{text}</span>");
    }
    if let Some(delta) = delta(cell) {
        let _ = write!(page, "<span class=\"delta\">{delta}</span>");
    }
    // Seeds that lack for the same reason are told once.
    let mut told: Vec<&str> = Vec::new();
    for reason in &cell.missing {
        let what = reason
            .split_once(": ")
            .map_or(reason.as_str(), |(_, what)| what);
        if !told.contains(&what) {
            told.push(what);
            let _ = write!(page, "<span class=\"reason\">{}</span>", escape(reason));
        }
    }
    page.push_str("</td>");
}

/// Of the cells with the most labels.
fn confusions(page: &mut String, rows: &[Vec<&Cell>]) {
    let most = rows.iter().flatten().map(|cell| cell.percent).max();
    let shown: Vec<&&Cell> = rows
        .iter()
        .flatten()
        .filter(|cell| Some(cell.percent) == most && cell.confusion.is_some())
        .collect();
    if shown.is_empty() {
        return;
    }
    page.push_str(
        "<details>\n<summary>Confusion matrices, summed over the seeds: true classes down, predicted ones \
         across</summary>\n<div class=\"matrices\">\n",
    );
    for cell in shown {
        let _ = write!(page, "<figure>\n<table class=\"confusion\">\n");
        for row in cell.confusion.iter().flatten() {
            let sum = row.iter().sum::<u64>().max(1) as f64;
            page.push_str("<tr>");
            for count in row {
                let share = 100.0 * *count as f64 / sum;
                let _ = write!(page, "<td style=\"--share:{share:.0}%\">{count}</td>");
            }
            page.push_str("</tr>\n");
        }
        let _ = writeln!(
            page,
            "</table>\n<figcaption>{}, {}</figcaption>\n</figure>",
            escape(&cell.row),
            escape(&cell.column)
        );
    }
    page.push_str("</div>\n</details>\n");
}

fn claims(page: &mut String, claims: &[&Judged]) {
    if claims.is_empty() {
        return;
    }
    page.push_str("<h3>The paper's claims, in this run</h3>\n<ul class=\"claims\">\n");
    for claim in claims {
        let (class, mark) = match claim.verdict {
            Verdict::Held => ("held", "✓"),
            Verdict::DidNotHold => ("failed", "✕"),
            Verdict::Undecided => ("open", "○"),
        };
        let paper = match claim.paper_agrees {
            Some(true) => "; the paper's own cells agree",
            Some(false) => "; <b>the paper's own cells contradict it</b>",
            None => "",
        };
        let _ = write!(
            page,
            "<li class=\"{class}\"><span class=\"verdict\">{mark} {}</span><div>{} <small>{}</small>\
             <p>{}{paper}.</p>",
            claim.verdict.text(),
            escape(&claim.text),
            escape(&claim.source),
            escape(capital(&claim.reason)),
        );
        comparisons(page, claim);
        page.push_str("</div></li>\n");
    }
    page.push_str("</ul>\n");
}

/// Left minus right, with what it was tested with.
fn comparisons(page: &mut String, claim: &Judged) {
    if claim.comparisons.is_empty() {
        return;
    }
    let _ = write!(
        page,
        "<details>\n<summary>{}</summary>\n<table class=\"list\">\n\
         <tr><th>comparison</th><th class=\"n\">difference</th><th class=\"n\">interval</th>\
         <th class=\"n\">paper</th></tr>\n",
        escape(claim.test)
    );
    for compared in &claim.comparisons {
        let number = |value: Option<f64>| value.map_or("—".to_owned(), signed);
        let interval = compared.interval.map_or("—".to_owned(), |[low, high]| {
            format!("{} to {}", signed(low), signed(high))
        });
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{interval}</td><td class=\"n\">{}</td></tr>",
            escape(&compared.text),
            number(compared.difference),
            number(compared.paper)
        );
    }
    page.push_str("</table>\n</details>\n");
}
