//! Whether a finished run's folder still holds what the run left: `metrics.json` says what that was.

use cass_run::{FileSums, Metrics, names};
use std::fs;
use std::path::Path;

/// Larger files are read only if they are younger than `metrics.json`, which is written last: who uses weights
/// compares them in any case.
const LARGE: u64 = 4 << 20;

/// The first thing that is not as the run left it; `None` where all is, or where an earlier version left it without
/// checksums. `from` is the folder of the pretraining that was probed.
pub fn changed(path: &Path, metrics: &Metrics, from: Option<&Path>) -> Option<String> {
    for (name, sum) in &metrics.common().files {
        let file = path.join(name);
        if !(file.exists() || is_needed(name)) || is_old(&file, sum.bytes) {
            continue;
        }
        if let Err(error) = sum.expect(&file) {
            return Some(error.to_string());
        }
    }
    let Metrics::Probe(probe) = metrics else {
        return None;
    };
    let started_from = probe.weights.sha256.as_ref()?;
    let now = weights(&Metrics::read(from?).ok()??.common().files);
    let other = !now.is_empty() && !now.contains(started_from);
    other.then(|| "the pretraining it started from has other weights now".to_owned())
}

/// Whether a run without the file has to be done again, and not one without a chart.
fn is_needed(name: &str) -> bool {
    [names::RECIPE, names::PREDICTIONS].contains(&name) || is_weights(name)
}

fn is_weights(name: &str) -> bool {
    name.ends_with(".safetensors")
}

/// Whether it is a large file of that length that was there before `metrics.json`.
fn is_old(file: &Path, bytes: u64) -> bool {
    let of = |path: &Path| {
        let data = fs::metadata(path).ok()?;
        Some((data.len(), data.modified().ok()?))
    };
    let (now, metrics) = (of(file), of(&file.with_file_name(names::METRICS)));
    bytes > LARGE
        && now
            .zip(metrics)
            .is_some_and(|((length, at), (_, last))| length == bytes && at <= last)
}

/// The hashes of a run's weights.
fn weights(files: &FileSums) -> Vec<String> {
    let weights = files.iter().filter(|(name, _)| is_weights(name));
    weights.map(|(_, sum)| sum.sha256.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cass_run::{FileSum, Origin};
    use cass_testing::runs::{begin, pretrained, probed};
    use std::fs::File;
    use std::time::{Duration, SystemTime};

    /// Leaves a pretraining with such weights.
    fn pretrain(path: &Path, weights: &[u8]) -> Metrics {
        let run = begin(path, "");
        run.write("checkpoint-cnn.safetensors", weights).unwrap();
        run.write("manifest.tsv", b"a line").unwrap();
        let mut metrics = pretrained("cass", 1, 0.5);
        metrics.common.files = run.sums();
        let metrics = Metrics::Pretrain(metrics);
        run.finish(&metrics).unwrap();
        metrics
    }

    #[test]
    fn what_was_changed_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pretrain");
        let metrics = pretrain(&path, &vec![1; 5 << 20]);
        let mut probe = probed("linear", "resnet18", 1.0, 0.5);
        probe.weights = Origin {
            sha256: Some(FileSum::of(&vec![1; 5 << 20]).sha256),
            ..Origin::default()
        };
        let probe = Metrics::Probe(probe);
        let of_probe = || changed(&dir.path().join("probe"), &probe, Some(&path));
        let of_pretrain = || changed(&path, &metrics, None);
        assert_eq!((of_pretrain(), of_probe()), (None, None));
        // Logs may grow, copies have other times, and charts and lists can be done without.
        fs::write(path.join("log.jsonl"), "more").unwrap();
        fs::remove_file(path.join("manifest.tsv")).unwrap();
        let checkpoint = path.join("checkpoint-cnn.safetensors");
        for at in [
            SystemTime::UNIX_EPOCH,
            SystemTime::now() + Duration::from_secs(9),
        ] {
            File::options()
                .write(true)
                .open(&checkpoint)
                .unwrap()
                .set_modified(at)
                .unwrap();
            assert_eq!(of_pretrain(), None);
        }

        let said = |what: &str| {
            let said = of_pretrain().unwrap();
            assert!(
                said.contains("checkpoint-cnn.safetensors") && said.contains(what),
                "{said}"
            );
        };
        fs::write(&checkpoint, vec![1; (5 << 20) - 1]).unwrap();
        said("it has 5242879 bytes");
        let mut bytes = vec![1; 5 << 20];
        bytes[1 << 20] = 2;
        fs::write(&checkpoint, bytes).unwrap();
        said("its SHA-256 is another");
        fs::remove_file(&checkpoint).unwrap();
        said("it is not there");
        fs::remove_dir_all(&path).unwrap();
        assert_eq!(of_probe(), None, "a pretraining that is gone");
        // Trained again, to other weights: what was probed is another network.
        pretrain(&path, &[2; 9]);
        assert!(of_probe().unwrap().contains("other weights"));
    }

    #[test]
    fn a_folder_of_an_earlier_version_is_taken_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Metrics::Pretrain(pretrained("cass", 1, 0.5));
        fs::write(dir.path().join("recipe.toml"), "seed = 1").unwrap();
        assert_eq!(changed(dir.path(), &metrics, None), None);
    }
}
