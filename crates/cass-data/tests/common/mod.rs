//! What the tests share.

#![allow(dead_code, reason = "each test file uses some of it")]
use cass_data::prelude::*;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder with eight training and three test phantoms a class.
pub fn phantoms(size: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    cass_testing::phantoms(folder.path(), 11, [8, 3], size).unwrap();
    folder
}

pub fn open_phantoms(folder: &TempDir) -> Dataset {
    open("brain-mri", folder.path(), false).unwrap()
}

pub fn open(layout: &str, root: &Path, skip_bad: bool) -> cass_data::Result<Dataset> {
    let options = OpenOptions {
        skip_bad,
        ..OpenOptions::default()
    };
    Dataset::open(&Layout::new(layout, root), &options)
}

/// The phantoms, with this cache.
pub fn open_cached(folder: &TempDir, cache: Cache) -> cass_data::Result<Dataset> {
    let options = OpenOptions {
        storage: cache.into(),
        ..OpenOptions::default()
    };
    Dataset::open(&Layout::new("brain-mri", folder.path()), &options)
}

pub fn config(pipeline: Pipeline) -> LoaderConfig {
    LoaderConfig {
        pipeline,
        size: 24,
        batch: 5,
        seed: 3,
        threads: 2,
        ..LoaderConfig::default()
    }
}

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/images")
        .join(name)
}
