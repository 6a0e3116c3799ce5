//! What a finished run left, to the byte: so that a folder which was changed behind our back is noticed.

use super::files::{self, hash};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

/// `seal.json`, written once a run is found finished.
#[derive(Serialize, Deserialize)]
pub struct Seal {
    files: BTreeMap<String, Stamp>,
    /// The weights it started from, where they are another run's.
    from: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Stamp {
    bytes: u64,
    /// Nanoseconds since 1970.
    modified: u64,
    sha256: String,
}

const FILE: &str = "seal.json";
/// Larger files are read again only if their time has changed.
const LARGE: u64 = 4 << 20;

impl Seal {
    /// Seals a finished run's folder. `from` is the pretraining's.
    pub fn put(path: &Path, from: Option<&Path>) -> Result<()> {
        let mut files = BTreeMap::new();
        for name in names(path)? {
            files.insert(name.clone(), Stamp::of(&path.join(name))?);
        }
        let seal = Seal {
            files,
            from: from.and_then(weights),
        };
        files::write(&path.join(FILE), &serde_json::to_vec_pretty(&seal)?)
    }

    /// The first thing that is not as it was sealed; `None` where all is, or where there is no seal yet.
    pub fn broken(path: &Path, from: Option<&Path>) -> Option<String> {
        let seal = match read(path) {
            Ok(Some(seal)) => seal,
            Ok(None) => return None,
            Err(error) => return Some(format!("{error:#}")),
        };
        for (name, stamp) in &seal.files {
            let file = path.join(name);
            match stamp.fits(&file) {
                Ok(true) => {}
                Ok(false) => return Some(format!("{name} was changed")),
                Err(_) => return Some(format!("{name} is gone")),
            }
        }
        let now = from.and_then(weights);
        let other = seal.from.is_some() && now.is_some() && seal.from != now;
        other.then(|| "the pretraining it started from has other weights now".to_owned())
    }

    pub fn exists(path: &Path) -> bool {
        path.join(FILE).is_file()
    }
}

impl Stamp {
    fn of(path: &Path) -> Result<Stamp> {
        let (bytes, modified) = size_and_time(path)?;
        Ok(Stamp {
            bytes,
            modified,
            sha256: hash(path)?,
        })
    }

    fn fits(&self, path: &Path) -> Result<bool> {
        let (bytes, modified) = size_and_time(path)?;
        if bytes != self.bytes {
            return Ok(false);
        }
        let unread = bytes > LARGE && modified == self.modified;
        Ok(unread || hash(path)? == self.sha256)
    }
}

/// What a run leaves for good: not its logs, nor what others keep in its folder.
fn names(path: &Path) -> Result<Vec<String>> {
    let failed = || format!("{} cannot be read", path.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(path).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kept = ["recipe.toml", "metrics.json", "predictions.csv"].contains(&name.as_str())
            || name.ends_with(".safetensors");
        if kept && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The hashes of a folder's weights, as they were sealed.
fn weights(path: &Path) -> Option<String> {
    let seal = read(path).ok()??;
    let hashes: Vec<String> = seal
        .files
        .into_iter()
        .filter(|(name, _)| name.ends_with(".safetensors"))
        .map(|(_, stamp)| stamp.sha256)
        .collect();
    (!hashes.is_empty()).then(|| hashes.join(" "))
}

fn read(path: &Path) -> Result<Option<Seal>> {
    files::read_json(&path.join(FILE))
}

fn size_and_time(path: &Path) -> Result<(u64, u64)> {
    let data = fs::metadata(path)?;
    let since = data.modified()?.duration_since(SystemTime::UNIX_EPOCH);
    let nanoseconds = since.map_or(0, |since| since.as_nanos() as u64);
    Ok((data.len(), nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn what_was_changed_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (pretrain, probe) = (dir.path().join("pretrain"), dir.path().join("probe"));
        for path in [&pretrain, &probe] {
            fs::create_dir(path).unwrap();
            fs::write(path.join("metrics.json"), "{}").unwrap();
            fs::write(path.join("stderr.log"), "a line").unwrap();
            assert_eq!(Seal::broken(path, None), None, "nothing was sealed");
        }
        let checkpoint = pretrain.join("checkpoint-cnn.safetensors");
        fs::write(&checkpoint, vec![1; 5 << 20]).unwrap();
        Seal::put(&pretrain, None).unwrap();
        Seal::put(&probe, Some(&pretrain)).unwrap();
        let broken = || {
            (
                Seal::broken(&pretrain, None),
                Seal::broken(&probe, Some(&pretrain)),
            )
        };
        assert_eq!(broken(), (None, None));
        // Logs may grow, copies have other times.
        fs::write(probe.join("stderr.log"), "more").unwrap();
        let later = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
        File::open(&checkpoint)
            .unwrap()
            .set_modified(later)
            .unwrap();
        assert_eq!(broken(), (None, None));

        let changed = Some("checkpoint-cnn.safetensors was changed".to_owned());
        fs::write(&checkpoint, vec![1; (5 << 20) - 1]).unwrap();
        assert_eq!(broken().0, changed, "truncated");
        let mut bytes = vec![1; 5 << 20];
        bytes[1 << 20] = 2;
        fs::write(&checkpoint, bytes).unwrap();
        assert_eq!(broken().0, changed, "a byte edited");
        // Trained again, to other weights: what was probed is another network.
        Seal::put(&pretrain, None).unwrap();
        let (of_pretrain, of_probe) = broken();
        assert_eq!(of_pretrain, None);
        assert!(of_probe.unwrap().contains("other weights"));
        fs::remove_file(probe.join("metrics.json")).unwrap();
        assert_eq!(broken().1.unwrap(), "metrics.json is gone");
    }
}
