//! Pixels on disk: used when whole, made anew when not, and always the same.

mod common;

use cass_data::image::Pixels;
use cass_data::prelude::*;
use common::{open_cached, open_phantoms, phantoms};
use sha2::Digest as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};
use tempfile::TempDir;

const SIZE: usize = 20;

fn cached(folder: &TempDir, pixels: &Path) -> Dataset {
    let folder_of_pixels = pixels.to_owned();
    let cache = Cache::Disk {
        folder: folder_of_pixels,
    };
    open_cached(folder, cache).unwrap()
}

fn all(dataset: &Dataset) -> Vec<Pixels> {
    all_of(dataset, SIZE)
}

fn all_of(dataset: &Dataset, size: usize) -> Vec<Pixels> {
    let pixels = (0..dataset.len()).map(|i| dataset.pixels(i, size).unwrap());
    pixels.map(|p| (*p).clone()).collect()
}

/// But for the record of what decoded, which is next to the pixels.
fn pixel_files(folder: &Path) -> Vec<PathBuf> {
    let files = files(folder).into_iter();
    files.filter(|file| file.parent() != Some(folder)).collect()
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
    let want = all(&open_cached(&folder, Cache::Off).unwrap());
    let first = cached(&folder, pixels.path());
    assert_eq!(all(&first), want);
    let written = pixel_files(pixels.path());
    assert_eq!(written.len(), 44);
    // Without its images it can only read what was written.
    let second = cached(&folder, pixels.path());
    for sample in &second.samples {
        fs::remove_file(&sample.path).unwrap();
    }
    assert_eq!(all(&second), want);
    assert!(second.pixels(0, SIZE + 1).is_err());
}

/// A record knows images by their content: what is not in it is decoded, whatever its name.
#[test]
fn images_that_decoded_before_are_not_decoded_to_be_checked() {
    let (folder, record) = (phantoms(32), tempfile::tempdir().unwrap());
    let options = OpenOptions {
        skip_bad: true,
        storage: Storage {
            cache: Cache::Off,
            record: Some(record.path().to_owned()),
        },
        ..OpenOptions::default()
    };
    let open = || Dataset::open(&Layout::new("brain-mri", folder.path()), &options).unwrap();
    let first = open();
    let written = files(record.path());
    assert_eq!(written.len(), 1);
    let known = fs::read(&written[0]).unwrap();
    let (rows, sum) = known.split_at(known.len() - 32);
    const ROW: usize = 32 + 17 * 17; // a hash and a thumbnail
    assert_eq!(rows.len(), 44 * ROW);
    assert_eq!(sum, &sha2::Sha256::digest(rows)[..]);
    assert_eq!(open().samples, first.samples);
    // What is no image, but is recorded as one, shows that nothing decodes it.
    let place = &first.samples[0].path;
    fs::write(place, "no image").unwrap();
    assert_eq!(open().skipped.len(), 1);
    let broken = <[u8; 32]>::from(sha2::Sha256::digest("no image"));
    let rows = [&broken, &rows[32..ROW], rows].concat();
    let with_sum = [&rows[..], &sha2::Sha256::digest(&rows)].concat();
    fs::write(&written[0], &with_sum).unwrap();
    assert_eq!(open().len(), 44);
    // A damaged record, whatever is wrong with it, costs time alone.
    let mut flipped = with_sum.clone();
    flipped[40] ^= 1;
    for damaged in [&with_sum[7..], &with_sum[..ROW], &flipped, &[]] {
        fs::write(&written[0], damaged).unwrap();
        assert_eq!(open().skipped.len(), 1);
    }
}

#[test]
fn what_was_decoded_to_be_checked_is_not_decoded_again() {
    let (folder, pixels) = (phantoms(32), tempfile::tempdir().unwrap());
    let want = all(&open_phantoms(&folder));
    let disk = Cache::Disk {
        folder: pixels.path().to_owned(),
    };
    for cache in [Cache::default(), disk] {
        let options = OpenOptions {
            size: Some(SIZE),
            storage: cache.into(),
            ..OpenOptions::default()
        };
        let dataset = Dataset::open(&Layout::new("brain-mri", folder.path()), &options).unwrap();
        let away = folder.path().join("away");
        fs::rename(folder.path().join("Training"), &away).unwrap();
        assert_eq!(all(&dataset), want);
        fs::rename(&away, folder.path().join("Training")).unwrap();
    }
}

#[test]
fn damage_is_noticed_and_mended() {
    let (folder, pixels) = (phantoms(32), tempfile::tempdir().unwrap());
    let want = all(&cached(&folder, pixels.path()));
    let whole: Vec<_> = pixel_files(pixels.path())
        .iter()
        .map(|f| fs::read(f).unwrap())
        .collect();
    for (number, file) in pixel_files(pixels.path()).iter().enumerate() {
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
    let mended: Vec<_> = pixel_files(pixels.path())
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
    let files = pixel_files(pixels.path());
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
    assert!(pixel_files(pixels.path()).is_empty());
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = phantoms(16);
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let cache = Cache::Disk {
        folder: file.clone(),
    };
    let error = open_cached(&folder, cache).unwrap_err().to_string();
    assert!(error.contains(&file.display().to_string()), "{error}");
}

const ORDERS: &str = "CASS_DATA_TEST_CACHE";

/// Starts a process that fills the cache at `pixels` with images of these sizes.
fn another(folder: &TempDir, pixels: &Path, sizes: Range<usize>) -> Child {
    let (folder, pixels) = (folder.path().display(), pixels.display());
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "what_another_process_does"])
        .env(
            ORDERS,
            format!("{folder}\n{pixels}\n{}\n{}", sizes.start, sizes.end),
        )
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn what_another_process_does() {
    let Ok(orders) = env::var(ORDERS) else {
        return; // this is no other process
    };
    let orders: Vec<_> = orders.lines().collect();
    let cache = Cache::Disk {
        folder: PathBuf::from(orders[1]),
    };
    let options = OpenOptions {
        storage: cache.into(),
        ..OpenOptions::default()
    };
    let dataset = Dataset::open(&Layout::new("brain-mri", orders[0]), &options).unwrap();
    for size in orders[2].parse().unwrap()..orders[3].parse().unwrap() {
        all_of(&dataset, size);
    }
}

#[test]
fn two_processes_may_fill_one_cache() {
    let (folder, pixels) = (phantoms(32), tempfile::tempdir().unwrap());
    let mut both = [(); 2].map(|()| another(&folder, pixels.path(), SIZE..SIZE + 3));
    for process in &mut both {
        assert!(process.wait().unwrap().success());
    }
    let plain = open_cached(&folder, Cache::Off).unwrap();
    let want = [0, 1, 2].map(|more| all_of(&plain, SIZE + more));
    assert_eq!(pixel_files(pixels.path()).len(), 3 * 44);
    let dataset = cached(&folder, pixels.path());
    for sample in &dataset.samples {
        fs::remove_file(&sample.path).unwrap();
    }
    assert_eq!([0, 1, 2].map(|more| all_of(&dataset, SIZE + more)), want);
}

#[test]
fn a_process_that_is_killed_leaves_nothing_half_written() {
    const SIZES: Range<usize> = 150..156;
    let (folder, pixels) = (phantoms(32), tempfile::tempdir().unwrap());
    let plain = open_cached(&folder, Cache::Off).unwrap();
    let want: Vec<_> = SIZES.map(|size| all_of(&plain, size)).collect();
    // Killed at several points of the work, each time going on from what the last one left.
    for enough in [3, 60, 130] {
        // It would take hours to finish.
        let mut process = another(&folder, pixels.path(), SIZES.start..10_000);
        let start = Instant::now();
        while pixel_files(pixels.path()).len() < enough {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "it writes nothing"
            );
            thread::sleep(Duration::from_millis(1));
        }
        process.kill().unwrap(); // SIGKILL
        process.wait().unwrap();
    }
    let of_sizes = |file: &&PathBuf| {
        let folder = file.parent().and_then(Path::parent).unwrap();
        let size: usize = folder
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        file.extension().is_none() && SIZES.contains(&size)
    };
    let named = pixel_files(pixels.path()).iter().filter(of_sizes).count();
    assert!(named > 100, "{named} files");
    // What has its name is whole; nothing else is taken for anything.
    let dataset = cached(&folder, pixels.path());
    let aside = tempfile::tempdir().unwrap();
    for (number, sample) in dataset.samples.iter().enumerate() {
        fs::rename(&sample.path, aside.path().join(number.to_string())).unwrap();
    }
    let mut there = 0;
    for (size, want) in SIZES.zip(&want) {
        for (sample, want) in want.iter().enumerate() {
            if let Ok(pixels) = dataset.pixels(sample, size) {
                assert_eq!(*pixels, *want);
                there += 1;
            }
        }
    }
    assert_eq!(there, named);
    for (number, sample) in dataset.samples.iter().enumerate() {
        fs::rename(aside.path().join(number.to_string()), &sample.path).unwrap();
    }
    assert!(
        another(&folder, pixels.path(), SIZES)
            .wait()
            .unwrap()
            .success()
    );
    for (size, want) in SIZES.zip(want) {
        assert_eq!(all_of(&dataset, size), want);
    }
}
