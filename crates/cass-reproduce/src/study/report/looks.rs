//! What the networks see: their features as a map of the test images, and where they look.

use super::Report;
use crate::executor::Site;
use crate::store;
use crate::study::cass::{ask, path, words};
use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Pictures for the page; what could not be drawn is left out.
#[derive(Default)]
pub struct Looks {
    /// SVG of the test images' features before and after pretraining, each with its title.
    pub embedding: Vec<(String, String)>,
    /// PNG pictures of where the best network looks.
    pub attention: Vec<(String, Vec<u8>)>,
    /// What the attention's map shows, and in how many places.
    pub resolution: Option<String>,
}

/// Images whose attention is shown.
const SHOWN: usize = 6;

/// Draws them into the study's folder. A report is none the worse without one of them.
pub fn draw(report: &Report, site: &Site) -> Looks {
    let mut looks = Looks::default();
    let Some(best) = &report.best else {
        return looks;
    };
    let pretraining = site.folder(&report.study.pretraining(best.seed).name);
    let page = site.out.join("embedding.html");
    let mut embed = words(&["embed", "--before", "--run"]);
    embed.extend([path(&pretraining), "--arm".to_owned(), best.arm.to_string()]);
    embed.extend(["--out".to_owned(), path(&page)]);
    note("embedding.html", ask::<Value>(site.cass, &embed).map(drop));
    looks.embedding = clouds(&fs::read_to_string(&page).unwrap_or_default());
    for (place, (_, svg)) in looks.embedding.iter().enumerate() {
        let file = site.out.join(format!(
            "embedding-{}.svg",
            ["before", "after"][place.min(1)]
        ));
        note("a figure", store::write(&file, svg.as_bytes()));
    }
    let images = tested(report, SHOWN);
    let folder = site.out.join("attention");
    if !images.is_empty() {
        let mut attend = words(&["attend", "--run"]);
        attend.extend([path(&best.path), "--out".to_owned(), path(&folder)]);
        attend.extend(images.iter().map(|image| path(image)));
        let told: Result<(Attended, bool)> = ask(site.cass, &attend);
        looks.resolution = told
            .as_ref()
            .ok()
            .and_then(|(told, _)| told.resolution(best.size));
        note("attention", told.map(drop));
        looks.attention = pictures(&folder);
    }
    looks
}

fn note(what: &str, done: Result<()>) {
    if let Err(error) = done {
        eprintln!("note: {what} is not drawn: {error:#}");
    }
}

/// The t-SNE pictures of a page of `cass embed`, as files that stand alone.
fn clouds(page: &str) -> Vec<(String, String)> {
    let panels = page.split("<div class=\"tsne\">").skip(1);
    let cloud = |(place, panel): (usize, &str)| {
        let svg = panel.get(panel.find("<svg")?..panel.find("</svg>")? + 6)?;
        let title = ["before pretraining", "after pretraining"][place.min(1)];
        let colours = cass_page::QUALITATIVE.iter().enumerate();
        let rules: String = colours
            .map(|(kind, colour)| format!(".c{kind}{{fill:{colour}}}"))
            .collect();
        let style = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\"><style>.cn{{fill:#8a9199}}{rules}</style>"
        );
        let (head, rest) = svg.split_once('>')?;
        let head = head.replacen("<svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"", 1);
        let style = style.split_once("><").map_or("", |(_, style)| style);
        Some((title.to_owned(), format!("{head}><{style}{rest}\n")))
    };
    panels.enumerate().filter_map(cloud).collect()
}

/// Some of the test images of the best network's run, evenly apart.
fn tested(report: &Report, most: usize) -> Vec<PathBuf> {
    let Some(best) = &report.best else {
        return Vec::new();
    };
    let runs = report.found.cells.iter().flat_map(|cell| &cell.runs);
    let Some(run) = runs.into_iter().find(|run| run.folder == best.run) else {
        return Vec::new();
    };
    let files = &run.predictions.files;
    let table = fs::read_to_string(&report.study.images.table).unwrap_or_default();
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let records = reader.records().flatten();
    let known: Vec<PathBuf> = records
        .filter_map(|r| Some(PathBuf::from(r.get(0)?)))
        .collect();
    let every = files.len().div_ceil(most).max(1);
    let find = |file: &String| {
        known
            .iter()
            .find(|path| path.ends_with(Path::new(file)))
            .cloned()
    };
    files
        .iter()
        .step_by(every)
        .filter_map(find)
        .take(most)
        .collect()
}

fn pictures(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "png"));
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.file_stem()?.to_string_lossy().into_owned();
        Some((name, fs::read(path).ok()?))
    };
    paths.iter().take(SHOWN).filter_map(read).collect()
}

/// What `cass attend` says of its pictures.
#[derive(Deserialize)]
struct Attended {
    pictures: Vec<Picture>,
}

#[derive(Deserialize)]
struct Picture {
    look: String,
    /// Rows of the map, as it is before it is drawn.
    heat: Vec<Value>,
}

impl Attended {
    /// What the maps are, and their true resolution.
    fn resolution(&self, size: u32) -> Option<String> {
        let first = self.pictures.first()?;
        let side = first.heat.len() as u32;
        let what = match first.look.as_str() {
            "rollout" => "Attention, followed through all blocks.",
            "last-block" => "Attention of the last block.",
            _ => "Grad-CAM: what speaks for the predicted class.",
        };
        Some(format!(
            "{what} The map has {side} x {side} values, each for about {each} x {each} of {size} x {size} pixels; it is drawn \
             smoothly, and knows no more than these.",
            each = size.div_ceil(side.max(1))
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clouds_of_a_page_stand_alone() {
        let panel = |circle: &str| {
            format!(
                "<figure><h3>x</h3><div class=\"tsne\"><svg class=\"cloud\" viewBox=\"0 0 4 4\"><circle class=\"{circle}\"></circle></svg></div><div class=\"pca\"><svg></svg></div></figure>"
            )
        };
        let found = clouds(&(panel("c0") + &panel("c1")));
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].0, "after pretraining");
        assert!(found[1].1.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"cloud\" viewBox=\"0 0 4 4\"><style>"), "{}", found[1].1);
        assert!(
            found[1]
                .1
                .trim_end()
                .ends_with("<circle class=\"c1\"></circle></svg>")
        );
        assert!(clouds("").is_empty());
    }
}
