//! Pixels on disk: used when whole, made anew when not, and always the same.
mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use cass_data::{Cache, Dataset, Pixels};
use common::{open_phantoms, phantoms};
use tempfile::TempDir;

const SIZE: usize = 20;

fn cached(folder: &TempDir, pixels: &Path) -> Dataset {
    let folder_of_pixels = pixels.to_owned();
    let cache = Cache::Disk {
        folder: folder_of_pixels,
    };
    open_phantoms(folder).with_cache(cache).unwrap()
}

fn all(dataset: &Dataset) -> Vec<Pixels> {
    let pixels = (0..dataset.len()).map(|i| dataset.pixels(i, SIZE).unwrap());
    pixels.map(|p| (*p).clone()).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn a_second_run_reads_what_the_first_wrote() {
    let (folder, pixels) = (phantoms(32), tempfile::tempdir().unwrap());
    let want = all(&open_phantoms(&folder).with_cache(Cache::Off).unwrap());
    let first = cached(&folder, pixels.path());
    assert_eq!(all(&first), want);
    let written = files(pixels.path());
    assert_eq!(written.len(), 44);
    // Without its images it can only read what was written.
    let second = cached(&folder, pixels.path());
    for sample in &second.samples {
        fs::remove_file(&sample.path).unwrap();
    }
    assert_eq!(all(&second), want);
    assert!(second.pixels(0, SIZE + 1).is_err());
}

#[test]
fn damage_is_noticed_and_mended() {
    let (folder, pixels) = (phantoms(32), tempfile::tempdir().unwrap());
    let want = all(&cached(&folder, pixels.path()));
    let whole: Vec<_> = files(pixels.path())
        .iter()
        .map(|f| fs::read(f).unwrap())
        .collect();
    for (number, file) in files(pixels.path()).iter().enumerate() {
        let mut bytes = fs::read(file).unwrap();
        match number % 6 {
            0 => bytes.truncate(0),
            1 => bytes.truncate(10),
            2 => drop(bytes.pop()),
            3 => bytes.push(0),
            4 => *bytes.last_mut().unwrap() ^= 1,
            _ => bytes[8] = 7,
        }
        fs::write(file, bytes).unwrap();
    }
    assert_eq!(all(&cached(&folder, pixels.path())), want);
    let mended: Vec<_> = files(pixels.path())
        .iter()
        .map(|f| fs::read(f).unwrap())
        .collect();
    assert_eq!(mended, whole);
}

#[test]
fn several_at_once_leave_whole_files_only() {
    let (folder, pixels) = (phantoms(32), tempfile::tempdir().unwrap());
    let want = all(&open_phantoms(&folder));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(all(&cached(&folder, pixels.path())), want));
        }
    });
    let files = files(pixels.path());
    assert_eq!(files.len(), 44, "{files:?}");
}

#[test]
fn a_changed_image_is_never_taken_for_the_old_one() {
    let (folder, pixels) = (phantoms(32), tempfile::tempdir().unwrap());
    let dataset = cached(&folder, pixels.path());
    fs::copy(&dataset.samples[1].path, &dataset.samples[0].path).unwrap();
    let error = dataset.pixels(0, SIZE).unwrap_err().to_string();
    assert!(
        error.contains("has changed since the data set was opened"),
        "{error}"
    );
    assert!(files(pixels.path()).is_empty());
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = phantoms(16);
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let cache = Cache::Disk {
        folder: file.clone(),
    };
    let error = open_phantoms(&folder)
        .with_cache(cache)
        .unwrap_err()
        .to_string();
    assert!(error.contains(&file.display().to_string()), "{error}");
}
