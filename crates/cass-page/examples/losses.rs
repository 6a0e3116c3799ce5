//! A page with a chart of one's own numbers: `cargo run -p cass-page --example losses > losses.html`.

use cass_page::chart::{Line, lines};
use cass_page::{Page, class};
use maud::html;

fn main() {
    let loss = |start: f64| (0..20).map(move |epoch| (epoch, start / f64::from(epoch + 1)));
    let runs = [("first", 2.0), ("second", 5.0)];
    let drawn: Vec<Line> = (runs.iter().enumerate())
        .map(|(kind, (_, start))| Line {
            colour: class(kind),
            points: loss(*start).collect(),
        })
        .collect();
    let page = Page::new("Losses").write(html! {
        h1 { "Losses of two runs" }
        ul.legend { @for (kind, (name, _)) in runs.iter().enumerate() { li { i.(class(kind)) {} (name) } } }
        div.charts.one { figure { (lines(&drawn, "epoch", "Losses over epochs")) } }
    });
    println!("{page}");
}
