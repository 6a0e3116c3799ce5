//! What the networks see: their features as a map of the test images, and where they look.

use super::Report;
use crate::executor::Site;
use crate::store;
use crate::study::cass::{ask, path, words};
use anyhow::Result;
use cass_page::chart::{self, Point};
use cass_page::class;
use cass_page::figure::alone;
use maud::Markup;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// Pictures for the page; what could not be drawn is left out.
#[derive(Default)]
pub struct Looks {
    /// The test images' features before and after pretraining, each with its title.
    pub embedding: Vec<(&'static str, Markup)>,
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
    let mut embed = words(&["embed", "--before", "--run"]);
    embed.extend([path(&pretraining), "--arm".to_owned(), best.arm.to_string()]);
    let page = path(&site.out.join("embedding.html"));
    embed.extend(["--out".to_owned(), page]);
    let drawn = ask(site.cass, &embed).and_then(|(told, _): (Embedded, bool)| {
        looks.embedding = told.clouds();
        for ((_, cloud), when) in looks.embedding.iter().zip(["before", "after"]) {
            let file = site.out.join(format!("embedding-{when}.svg"));
            store::write(&file, alone(cloud).as_bytes())?;
        }
        Ok(())
    });
    note("embedding.html", drawn);
    let images = tested(report, site);
    if !images.is_empty() {
        let mut attend = words(&["attend", "--run"]);
        attend.extend([path(&best.path), "--out".to_owned()]);
        attend.push(path(&site.out.join("attention")));
        attend.extend(images.iter().map(|image| path(image)));
        let seen = ask(site.cass, &attend).map(|(told, _): (Attended, bool)| {
            looks.resolution = told.resolution(best.size);
            looks.attention = told.pictures.iter().filter_map(Picture::read).collect();
        });
        note("attention", seen);
    }
    looks
}

fn note(what: &str, done: Result<()>) {
    if let Err(error) = done {
        eprintln!("note: {what} is not drawn: {error:#}");
    }
}

/// Some of the test images of the best network's run, evenly apart.
fn tested(report: &Report, site: &Site) -> Vec<PathBuf> {
    let run = report.best.as_ref().map(|best| &best.run);
    let mut runs = report.found.cells.iter().flat_map(|cell| &cell.runs);
    let Some(run) = runs.find(|of| Some(&of.folder) == run) else {
        return Vec::new();
    };
    let files = &run.predictions.files;
    let every = files.len().div_ceil(SHOWN).max(1);
    // Names are below the folder of `images.csv`, or whole paths.
    files
        .iter()
        .step_by(every)
        .map(|file| site.out.join(file))
        .collect()
}

/// What `cass embed` says of its page.
#[derive(Deserialize)]
struct Embedded {
    networks: Vec<Places>,
    images: Vec<Shown>,
}

#[derive(Deserialize)]
struct Places {
    when: String,
    tsne: Vec<[f64; 2]>,
}

#[derive(Deserialize)]
struct Shown {
    /// The true class, or classes.
    r#true: Value,
}

impl Embedded {
    fn clouds(&self) -> Vec<(&'static str, Markup)> {
        let kinds: BTreeSet<String> = self
            .images
            .iter()
            .map(|image| image.r#true.to_string())
            .collect();
        let kind = |image: &Shown| {
            let name = image.r#true.to_string();
            kinds
                .iter()
                .position(|kind| *kind == name)
                .unwrap_or_default()
        };
        let cloud = |places: &Places| {
            let point = |(&place, image): (&[f64; 2], &Shown)| Point {
                colour: class(kind(image)),
                place,
                ringed: false,
            };
            let points: Vec<Point> = places.tsne.iter().zip(&self.images).map(point).collect();
            match places.when.as_str() {
                "before" => (
                    "before pretraining",
                    chart::cloud(&points, "t-SNE before pretraining"),
                ),
                _ => (
                    "after pretraining",
                    chart::cloud(&points, "t-SNE after pretraining"),
                ),
            }
        };
        self.networks.iter().map(cloud).collect()
    }
}

/// What `cass attend` says of its pictures.
#[derive(Deserialize)]
struct Attended {
    pictures: Vec<Picture>,
}

#[derive(Deserialize)]
struct Picture {
    out: PathBuf,
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

impl Picture {
    /// Its name and its bytes.
    fn read(&self) -> Option<(String, Vec<u8>)> {
        let name = self.out.file_stem()?.to_string_lossy().into_owned();
        Some((name, fs::read(&self.out).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_has_one_colour_before_and_after() {
        let told = r#"{"images": [{"true": "b"}, {"true": "a"}], "networks": [
            {"when": "before", "tsne": [[0, 0], [1, 1]]}, {"when": "after", "tsne": [[3, 0], [1, 1]]}]}"#;
        let told: Embedded = serde_json::from_str(told).unwrap();
        let clouds = told.clouds();
        assert_eq!(clouds.len(), 2);
        for (_, cloud) in &clouds {
            let svg = alone(cloud);
            assert!(
                svg.contains(r#"class="c1" cx"#) && svg.contains(r#"class="c0" cx"#),
                "{svg}"
            );
        }
        assert_eq!(clouds[1].0, "after pretraining");
    }
}
