//! States of a training that it can continue from: files in the run folder's `resume`.

use crate::error::{Error, Result};
use candle_core::{Device, Tensor};
use cass_run::names::{self, RESUME, is_of_state, state, step_of};
use cass_run::{Action, Hasher, RunDir, read_bounded, sha256};
use safetensors::SafeTensors;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The key of the header's metadata that holds all that is no tensor, as JSON.
const ABOUT: &str = "about";
/// A damaged one is passed over for the one before.
const KEPT: usize = 2;

/// The states of one run. Each is a safetensors file, `step-000000120.safetensors`, next to its
/// SHA-256 in the form of `sha256sum`; a state is complete or does not exist.
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
            folder: run.file(RESUME),
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
        let path = self.run.resume_folder()?.join(state(step));
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
            let mut hasher = Hasher::default();
            hasher.read(&mut file)?;
            Ok(hasher.finish())
        })?;
        let line = format!("{digest}  {}\n", name_of(&path));
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
                    "the checkpoint {} cannot be used ({why}); continuing from the one before",
                    path.display()
                )
            });
            match whole {
                Err(text) => warn(text),
                Ok((about, tensors)) => {
                    let about = serde_json::from_str(&about).map_err(|error| {
                        let path = path.display();
                        Error::Mismatch(format!(
                            "{path} cannot be continued from: it is of another version: {error}"
                        ))
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
            if step_of(&name_of(&path)) > Some(step) {
                self.run.remove(&path)?;
            }
        }
        Ok(())
    }

    /// Whole states, in the order of their steps.
    fn files(&self) -> Result<Vec<PathBuf>> {
        let states = self.entries()?.into_iter();
        let mut states: Vec<_> = states
            .filter_map(|path| Some((step_of(&name_of(&path))?, path)))
            .collect();
        states.sort();
        Ok(states.into_iter().map(|(_, path)| path).collect())
    }

    fn entries(&self) -> Result<Vec<PathBuf>> {
        let wrong = |error| Error::from(cass_run::Error::io(Action::Read, &self.folder)(error));
        match fs::read_dir(&self.folder) {
            Ok(entries) => entries.map(|e| Ok(e.map_err(wrong)?.path())).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(wrong(error)),
        }
    }

    /// Leaves the last two states and nothing of any other, writes that a killed process began among
    /// them.
    fn prune(&self) -> Result<()> {
        let states = self.files()?;
        let mut kept = states[states.len().saturating_sub(KEPT)..].to_vec();
        kept.extend(kept.iter().map(|path| checksum(path)).collect::<Vec<_>>());
        for path in self.entries()? {
            if is_of_state(&name_of(&path)) && !kept.contains(&path) {
                self.run.remove(&path)?;
            }
        }
        Ok(())
    }
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn checksum(state: &Path) -> PathBuf {
    state.with_file_name(names::checksum(&name_of(state)))
}

/// Reads a state, what it says and its tensors, if it is what was written.
fn read(path: &Path) -> Result<(String, HashMap<String, Tensor>), String> {
    let sum = read_bounded(&checksum(path), 1 << 10).map_err(|e| format!("no checksum: {e}"))?;
    let sum = String::from_utf8_lossy(&sum);
    let bytes = read_bounded(path, u64::MAX).map_err(|e| e.to_string())?;
    if sum.split_whitespace().next() != Some(&sha256(&bytes)) {
        return Err("its SHA-256 is another: it was truncated or altered".into());
    }
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| e.to_string())?;
    let about = metadata.metadata().as_ref().and_then(|m| m.get(ABOUT));
    let about = about.ok_or("it says nothing about the training")?.clone();
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu);
    Ok((about, tensors.map_err(|e| e.to_string())?))
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
        for left in [".step-000000050.safetensors.new.0", ".tmpk3JQz9"] {
            fs::write(run.file("resume").join(left), "half").unwrap();
        }
        states.remove_after(10).unwrap();
        states.write(11, &11, &tensors(1.0)).unwrap();
        assert_eq!(states.entries().unwrap().len(), 4, "{:?}", states.entries());
        assert_eq!(last(&run), (Some((11, 1.0)), vec![]));
        run.clear_resume().unwrap();
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
            error.contains(
                "step-000000001.safetensors cannot be continued from: it is of another version"
            ),
            "{error}"
        );
    }

    #[test]
    fn an_owner_that_was_taken_over_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::open(folder.path(), "").unwrap();
        // As another process does it: its own file first.
        let [own, next] =
            [0, 1].map(|on| run.file(&format!(".owner.{}", run.lock().generation() + on)));
        fs::rename(own, next).unwrap();
        let error = States::of(&run).write(1, &1, &tensors(1.0)).unwrap_err();
        assert!(
            matches!(error, Error::Run(cass_run::Error::Fenced { .. })),
            "{error}"
        );
        assert!(States::of(&run).entries().unwrap().is_empty());
        assert!(run.write("x", b"x").is_err());
    }
}
