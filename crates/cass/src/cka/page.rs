//! The page: a matrix of squares a pair of networks.

use super::Pair;
use cass_page::Page;
use cass_page::chart::{Square, matrix};
use maud::{Markup, html};
use std::path::Path;

pub(super) fn page(run: &Path, pairs: &[Pair], images: usize, batch: usize) -> String {
    let run = run.display().to_string();
    Page::new(&format!("{run}, layer by layer")).write(html! {
        h1 { (run) }
        p.note {
            "Linear CKA of layers on " (images) " test images in batches of " (batch) ", unbiased: 100 is the same but for \
             rotation and scale, 0 nothing in common. Layers go from the images (top, left) to the features."
        }
        div.charts.views { @for pair in pairs { (figure(pair)) } }
    })
}

fn figure(pair: &Pair) -> Markup {
    let cka = &pair.cka;
    let square = |row: &str, column: &str, value: Option<f64>| Square {
        share: value,
        text: value.map_or("–".to_owned(), |v| format!("{:.0}", 100.0 * v)),
        name: match value {
            Some(v) => format!("{row} x {column}: {v:.4}"),
            None => format!("{row} x {column}: sees all images alike"),
        },
    };
    let squares = cka.rows.iter().zip(&cka.values).map(|(row, values)| {
        let squares = cka.columns.iter().zip(values);
        squares
            .map(|(column, value)| square(row, column, *value))
            .collect()
    });
    let squares: Vec<Vec<Square>> = squares.collect();
    html! {
        figure {
            h3 { (pair.title) }
            (matrix([&cka.rows, &cka.columns], [&pair.rows, &pair.columns], &squares))
        }
    }
}
