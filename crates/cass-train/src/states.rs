//! States of a training that it can go on from: files in the run folder's `resume`.

use crate::error::{Error, Result};
use crate::run_dir::RunDir;
use base16ct::lower::encode_string as hex;
use candle_core::{Device, Tensor};
use safetensors::SafeTensors;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

const FOLDER: &str = "resume";
/// Of the header's metadata: all that is no tensor, as JSON.
const ABOUT: &str = "about";
/// A damaged one is passed over for the one before.
const KEPT: usize = 2;

/// The states of one run. Each is a safetensors file, `step-000000120.safetensors`, beside its
/// SHA-256 in the form of `sha256sum`; a state is there as a whole or not at all.
pub(crate) struct States<'a> {
    run: &'a RunDir,
    folder: PathBuf,
}

/// What a training was when its state was written.
pub(crate) struct State<A> {
    pub(crate) about: A,
    pub(crate) tensors: HashMap<String, Tensor>,
}

impl<'a> States<'a> {
    pub(crate) fn of(run: &'a RunDir) -> Self {
        Self {
            run,
            folder: run.file(FOLDER),
        }
    }

    /// Writes the state after `step` steps, and removes all but the last two.
    ///
    /// # Errors
    /// If the disk is full or read-only, or another process has taken the folder over; the states
    /// before are untouched then.
    pub(crate) fn write(
        &self,
        step: u64,
        about: &impl Serialize,
        tensors: &HashMap<String, Tensor>,
    ) -> Result<()> {
        let path = self.path(step);
        fs::create_dir_all(&self.folder).map_err(Error::io("create folder", &self.folder))?;
        let digest = self.run.make_beside(&path, |beside| {
            let about = HashMap::from([(ABOUT.to_string(), serde_json::to_string(about)?)]);
            safetensors::serialize_to_file(tensors, Some(about), beside).map_err(|error| {
                match error {
                    safetensors::SafeTensorError::IoError(error) => error,
                    other => io::Error::other(other),
                }
            })?;
            let mut file = File::open(beside)?;
            file.sync_all()?;
            sha256(&mut file)
        })?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let line = format!("{digest}  {name}\n");
        // First the checksum, so that no state is ever without.
        self.run.replace(&checksum(&path), |beside| {
            fs::write(beside, &line)?;
            File::open(beside)?.sync_all()
        })?;
        self.run.put_in_place(&path)?;
        self.prune()
    }

    /// The last state that is whole, if there is any; of those that are not `warn` hears.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub(crate) fn last<A: DeserializeOwned>(
        &self,
        warn: &mut dyn FnMut(String),
    ) -> Result<Option<State<A>>> {
        for path in self.files()?.iter().rev() {
            let whole = read(path).map_err(|why| {
                format!(
                    "the checkpoint {} cannot be used ({why}); going on from the one before",
                    path.display()
                )
            });
            match whole {
                Err(text) => warn(text),
                Ok((about, tensors)) => {
                    let about = serde_json::from_str(&about).map_err(|error| {
                        let path = path.display();
                        Error::Mismatch(format!("go on with {path}: of another version: {error}"))
                    })?;
                    return Ok(Some(State { about, tensors }));
                }
            }
        }
        Ok(None)
    }

    /// Removes the states of later steps, which are damaged if the one of `step` was the last.
    ///
    /// # Errors
    /// If that fails.
    pub(crate) fn remove_after(&self, step: u64) -> Result<()> {
        for path in self.files()? {
            if path > self.path(step) {
                self.run.remove(&path)?;
            }
        }
        Ok(())
    }

    fn path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("step-{step:09}.safetensors"))
    }

    /// Removes all states: the run is finished, or starts anew.
    ///
    /// # Errors
    /// If that fails.
    pub(crate) fn clear(&self) -> Result<()> {
        self.run.lock().check()?;
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", &self.folder)(error))
            }
            _ => Ok(()),
        }
    }

    /// Whole states, in the order of their steps.
    fn files(&self) -> Result<Vec<PathBuf>> {
        let mut files: Vec<_> = self
            .entries()?
            .into_iter()
            .filter(|p| is_state(p))
            .collect();
        files.sort();
        Ok(files)
    }

    fn entries(&self) -> Result<Vec<PathBuf>> {
        let wrong = |error| Error::io("read", &self.folder)(error);
        match fs::read_dir(&self.folder) {
            Ok(entries) => entries.map(|e| Ok(e.map_err(wrong)?.path())).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(wrong(error)),
        }
    }

    /// Leaves the last two states and nothing of any other, writes that a killed process began
    /// among them.
    fn prune(&self) -> Result<()> {
        let states = self.files()?;
        let mut kept = states[states.len().saturating_sub(KEPT)..].to_vec();
        kept.extend(kept.iter().map(|path| checksum(path)).collect::<Vec<_>>());
        for path in self.entries()? {
            if !kept.contains(&path) {
                self.run.remove(&path)?;
            }
        }
        Ok(())
    }
}

fn is_state(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let number = name.and_then(|n| n.strip_prefix("step-")?.strip_suffix(".safetensors"));
    number.is_some_and(|n| n.parse::<u64>().is_ok())
}

fn checksum(state: &Path) -> PathBuf {
    state.with_extension("safetensors.sha256")
}

/// Reads a state, what it says and its tensors, if it is what was written.
fn read(path: &Path) -> Result<(String, HashMap<String, Tensor>), String> {
    let sum = fs::read_to_string(checksum(path)).map_err(|e| format!("no checksum: {e}"))?;
    let bytes = fs::read(path).map_err(|e| e.to_string())?;
    if sum.split_whitespace().next() != Some(&hex(&Sha256::digest(&bytes))) {
        return Err("its SHA-256 is another: it was truncated or altered".into());
    }
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| e.to_string())?;
    let about = metadata.metadata().as_ref().and_then(|m| m.get(ABOUT));
    let about = about.ok_or("it says nothing about the training")?.clone();
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu);
    Ok((about, tensors.map_err(|e| e.to_string())?))
}

fn sha256(from: &mut impl Read) -> io::Result<String> {
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(value: f32) -> HashMap<String, Tensor> {
        let tensor = Tensor::new(&[value, -value], &Device::Cpu).unwrap();
        HashMap::from([("x".to_string(), tensor)])
    }

    fn last(run: &RunDir) -> (Option<(u64, f32)>, Vec<String>) {
        let mut warnings = Vec::new();
        let state = States::of(run).last::<u64>(&mut |text| warnings.push(text));
        let value = |state: State<u64>| {
            let values = state.tensors["x"].to_vec1::<f32>().unwrap();
            (state.about, values[0])
        };
        (state.unwrap().map(value), warnings)
    }

    #[test]
    fn the_last_two_are_kept_and_a_damaged_one_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::open(folder.path(), "").unwrap();
        let states = States::of(&run);
        assert_eq!(last(&run), (None, vec![]));
        for step in [9, 10, 100] {
            states.write(step, &step, &tensors(step as f32)).unwrap();
        }
        assert_eq!(states.files().unwrap().len(), 2);
        assert_eq!(last(&run), (Some((100, 100.0)), vec![]));

        let newest = run.file("resume/step-000000100.safetensors");
        let whole = fs::read(&newest).unwrap();
        let mut altered = whole.clone();
        *altered.last_mut().unwrap() ^= 1;
        for damaged in [&altered[..], &whole[..whole.len() - 4], &[]] {
            fs::write(&newest, damaged).unwrap();
            let (state, warnings) = last(&run);
            assert_eq!(state, Some((10, 10.0)));
            assert_eq!(warnings.len(), 1);
            assert!(warnings[0].contains("step-000000100"), "{warnings:?}");
        }
        fs::write(&newest, &whole).unwrap();
        fs::remove_file(checksum(&newest)).unwrap();
        assert_eq!(last(&run).0, Some((10, 10.0)));

        // What a killed process left goes with the next write, the damaged with its being passed over.
        fs::write(run.file("resume/.tmp1"), "half").unwrap();
        states.remove_after(10).unwrap();
        states.write(11, &11, &tensors(1.0)).unwrap();
        assert_eq!(states.entries().unwrap().len(), 4, "{:?}", states.entries());
        assert_eq!(last(&run), (Some((11, 1.0)), vec![]));
        states.clear().unwrap();
        assert_eq!(last(&run), (None, vec![]));
    }

    #[test]
    fn a_state_of_another_version_is_no_damage() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::open(folder.path(), "").unwrap();
        States::of(&run).write(1, &"text", &tensors(1.0)).unwrap();
        let state = States::of(&run).last::<u64>(&mut |text| panic!("{text}"));
        let error = state.err().unwrap().to_string();
        assert!(
            error.contains("step-000000001.safetensors: of another version"),
            "{error}"
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_leaves_the_states_before() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::open(folder.path(), "").unwrap();
        let states = States::of(&run);
        states.write(1, &1, &tensors(1.0)).unwrap();
        // The name that the sum is made under; of the state itself see the command's tests.
        let link = run.file("resume/.step-000000002.safetensors.sha256.new.1");
        std::os::unix::fs::symlink("/dev/full", &link).unwrap();
        let error = states.write(2, &2, &tensors(2.0)).unwrap_err().to_string();
        assert!(
            error.contains("step-000000002") && error.contains("No space left"),
            "{error}"
        );
        assert_eq!(last(&run), (Some((1, 1.0)), vec![]));
        states.write(2, &2, &tensors(2.0)).unwrap();
        assert_eq!(last(&run), (Some((2, 2.0)), vec![]));
    }

    #[test]
    fn an_owner_that_was_taken_over_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::open(folder.path(), "").unwrap();
        let own = format!(".owner.{}", run.lock().generation());
        fs::remove_file(run.file(&own)).unwrap();
        let error = States::of(&run).write(1, &1, &tensors(1.0)).unwrap_err();
        assert!(matches!(error, Error::Fenced { .. }), "{error}");
        assert!(States::of(&run).entries().unwrap().is_empty());
        assert!(matches!(run.write("x", b"x"), Err(Error::Fenced { .. })));
    }
}
