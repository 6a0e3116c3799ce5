//! What the tests share.
#![allow(dead_code, reason = "each test file uses some of it")]
use std::path::{Path, PathBuf};

use cass_data::{Dataset, LoaderConfig, Pipeline, open};
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

pub fn config(pipeline: Pipeline) -> LoaderConfig {
    LoaderConfig {
        pipeline,
        size: 24,
        batch: 5,
        seed: 3,
        shuffle: true,
        drop_last: false,
        threads: 2,
        device: candle_core::Device::Cpu,
        prefetch: 2,
    }
}

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/images")
        .join(name)
}
