//! One table of scores, with its bars.

use std::fmt::Write;

use super::{class, escape};
use crate::plan::Downstream;
use crate::report::{charts, method_title, percent, rows, score, signed};
use crate::results::{Cell, Results};
use crate::table::Arm;

pub fn scores(page: &mut String, results: &Results, downstream: Downstream) {
    let cells: Vec<&Cell> = results
        .cells
        .iter()
        .filter(|cell| cell.downstream == downstream)
        .collect();
    let headline = if downstream == results.headline {
        " <small>headline</small>"
    } else {
        ""
    };
    let over = match results.seeds.len() {
        1 => "One seed, so without a deviation".to_owned(),
        n => format!("Mean ± sample deviation over {n} seeds"),
    };
    let _ = write!(
        page,
        "<section>\n<h2>{}{headline}</h2>\n<p class=\"note\">{}, by share of the labels. {over}; below it \
         the paper's cell and ours minus the paper's.</p>\n",
        downstream.title(),
        escape(&results.metric_title),
    );
    page.push_str("<ul class=\"legend\">\n");
    for &method in downstream.methods() {
        let _ = writeln!(
            page,
            "<li><i class=\"{}\"></i>{}</li>",
            class(method),
            method_title(method)
        );
    }
    page.push_str(
        "<li><i class=\"paper-key\"></i>the paper's mean</li>\n</ul>\n<div class=\"charts\">\n",
    );
    for arm in Arm::BOTH {
        let of: Vec<&Cell> = cells
            .iter()
            .copied()
            .filter(|cell| cell.arm == arm)
            .collect();
        let Some(first) = of.first() else { continue };
        let _ = writeln!(
            page,
            "<figure>{}<figcaption>{} · {}</figcaption></figure>",
            charts::bars(&of, arm),
            arm.title(),
            escape(&first.backbone)
        );
    }
    page.push_str("</div>\n<div class=\"scroll\">\n<table class=\"scores\">\n");
    let mut arm = None;
    for row in rows(&results.cells)
        .into_iter()
        .filter(|row| row[0].downstream == downstream)
    {
        if arm != Some(row[0].arm) {
            arm = Some(row[0].arm);
            let _ = write!(
                page,
                "<tr class=\"group\"><th>{} <small>{}<br>paper: {}</small></th>",
                row[0].arm.title(),
                escape(&row[0].backbone),
                escape(&row[0].paper_backbone)
            );
            for cell in row {
                let _ = write!(page, "<th>{}</th>", percent(cell.percent));
            }
            page.push_str("</tr>\n");
        }
        let method = row[0].method;
        let _ = write!(
            page,
            "<tr class=\"{}\"><th><i class=\"{}\"></i>{}</th>",
            class(method),
            class(method),
            method_title(method)
        );
        for cell in row {
            entry(page, cell, results.seeds.len());
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n</div>\n</section>\n");
}

fn entry(page: &mut String, cell: &Cell, seeds: usize) {
    page.push_str("<td>");
    match cell.mean {
        Some(_) => {
            let _ = write!(page, "<span class=\"ours\">{}</span>", score(cell.mean));
            if let Some(std) = cell.std {
                let _ = write!(page, "<span class=\"std\"> ±{std:.4}</span>");
            }
            if cell.n != seeds {
                let _ = write!(page, "<span class=\"std\"> n = {}</span>", cell.n);
            }
        }
        None => page.push_str("<span class=\"missing\">missing</span>"),
    }
    if let Some(printed) = &cell.paper_printed {
        // A narrow column may break before the deviation.
        let text = escape(printed.trim_matches('*').replace(' ', "")).replace('±', "<wbr>±");
        let text = if printed.starts_with("**") {
            format!("<b>{text}</b>")
        } else {
            text
        };
        let _ = write!(page, "<span class=\"paper\">{text}</span>");
    }
    if let Some(delta) = cell.delta {
        let _ = write!(page, "<span class=\"delta\">{}</span>", signed(delta));
    }
    for reason in &cell.missing {
        let _ = write!(page, "<span class=\"reason\">{}</span>", escape(reason));
    }
    page.push_str("</td>");
}
