//! The grid of images and views.

mod common;

use cass_data::Error;
use cass_data::prelude::*;
use cass_data::preview::{PreviewConfig, preview};
use common::phantoms;

const CONFIG: PreviewConfig = PreviewConfig {
    per_class: 2,
    views: 3,
};

fn open(root: &std::path::Path) -> RunImages {
    let config = LoaderConfig {
        size: 40,
        seed: 4,
        ..LoaderConfig::default()
    };
    let recipe = DataRecipe::new("brain-mri", root);
    RunImages::open(&recipe, config, &Storage::default()).unwrap()
}

#[test]
fn a_grid_shows_images_as_they_are_and_augmented() {
    let folder = phantoms(40);
    let images = open(folder.path());
    let dataset = &images.dataset;
    let file = folder.path().join("grid.png");
    preview(&images, &CONFIG, &file).unwrap();
    let grid = image::open(&file).unwrap().into_rgb8();
    let (width, rows) = (4 + 4 * 44, 4 * 2);
    assert_eq!(grid.dimensions(), (width, 18 + rows * (40 + 14 + 4)));
    // The first column holds the images themselves, of phantoms of this very size.
    let cell = |column: u32, row: u32| {
        image::imageops::crop_imm(&grid, 4 + column * 44, 32 + row * 58, 40, 40)
            .to_image()
            .into_raw()
    };
    let all: Vec<_> = (0..dataset.len())
        .map(|i| dataset.pixels(i, 40).unwrap().to_rgb())
        .collect();
    for row in 0..rows {
        let place = all.iter().position(|pixels| *pixels == cell(0, row));
        let place = place.unwrap_or_else(|| panic!("row {row} shows no image as it is"));
        assert!(images.part(Part::Train).contains(&place), "row {row}");
        assert_eq!(dataset.samples[place].label() as u32, row / 2);
    }
    let changed =
        (0..rows).filter(|&row| cell(1, row) != cell(0, row) || cell(2, row) != cell(0, row));
    assert!(changed.count() > 4);
    preview(&images, &CONFIG, &folder.path().join("again.png")).unwrap();
    let [a, b] = ["grid.png", "again.png"].map(|f| std::fs::read(folder.path().join(f)).unwrap());
    assert_eq!(a, b);
}

#[test]
fn settings_out_of_range_are_named() {
    let folder = phantoms(16);
    let images = open(folder.path());
    for (config, name) in [
        (
            PreviewConfig {
                per_class: 0,
                ..CONFIG
            },
            "per-class",
        ),
        (PreviewConfig { views: 0, ..CONFIG }, "views"),
        (
            PreviewConfig {
                views: usize::MAX / 2,
                ..CONFIG
            },
            "picture side",
        ),
    ] {
        let error = preview(&images, &config, &folder.path().join("x.png")).unwrap_err();
        assert!(
            matches!(error, Error::Setting { name: found, .. } if found == name),
            "{error}"
        );
    }
}
