//! The names of what a run leaves in its folder, in one place.

/// Everything that decides the run, as TOML text. Written first.
pub const RECIPE: &str = "recipe.toml";
/// What happens in the run, one JSON object a line: [`PretrainEvent`](crate::PretrainEvent) or
/// [`ProbeEvent`](crate::ProbeEvent).
pub const LOG: &str = "log.jsonl";
/// What the run measured: [`Metrics`](crate::Metrics). Written last: a folder with this file is
/// finished.
pub const METRICS: &str = "metrics.json";
/// Where the result came from: [`Provenance`](crate::Provenance).
pub const PROVENANCE: &str = "provenance.json";
/// Which image is in which part of the data set.
pub const MANIFEST: &str = "manifest.tsv";
/// What a probe said of each test image.
pub const PREDICTIONS: &str = "predictions.csv";
/// The patient or other group of each test image of a probe, where there are any.
pub const GROUPS: &str = "groups.csv";
/// The labelled features of a probe by nearest neighbours.
pub const NEIGHBOURS: &str = "neighbours.safetensors";
/// What the features of a probe's own images are like, to compare those of others with.
pub const REFERENCE: &str = "reference.safetensors";
/// The network of a probe, with its fitted classifier.
pub const CHECKPOINT: &str = "checkpoint.safetensors";
/// The scalars of the run for TensorBoard, which finds the file by the `tfevents` in its name.
pub const TENSORBOARD: &str = "events.out.tfevents.cass";
/// What stands before the owner's generation in the name of an unfinished file, `.NAME.new.N`.
pub(crate) const BEGUN: &str = ".new.";
/// Folder of the states that an unfinished pretraining continues from.
pub const RESUME: &str = "resume";
/// Folder of the features that probes of a pretraining keep for each other.
pub const FEATURES: &str = "features";

/// The state after `step` steps, in [`RESUME`]: `step-000000120.safetensors`.
pub fn state(step: u64) -> String {
    format!("step-{step:09}.safetensors")
}

/// After how many steps the state of this name was; `None` where it is none of a state.
pub fn step_of(name: &str) -> Option<u64> {
    let number = name.strip_prefix("step-")?.strip_suffix(".safetensors")?;
    number.parse().ok()
}

/// Whether a name in [`RESUME`] is one that a run writes: a state, its checksum, or either in the
/// making. A process that is killed while safetensors serialises leaves that crate's own temporary
/// file, `.tmp` and six letters or digits, which may be as large as the state.
pub fn is_of_state(name: &str) -> bool {
    let drawn = name.strip_prefix(".tmp");
    if drawn
        .is_some_and(|drawn| drawn.len() == 6 && drawn.bytes().all(|b| b.is_ascii_alphanumeric()))
    {
        return true;
    }
    let made = name.strip_prefix('.').and_then(|name| {
        let (name, generation) = name.rsplit_once(BEGUN)?;
        generation.parse::<u64>().is_ok().then_some(name)
    });
    let whole = made.unwrap_or(name);
    step_of(whole.strip_suffix(".sha256").unwrap_or(whole)).is_some()
}

/// The checksum of a file of this name, in the form of `sha256sum`.
pub fn checksum(name: &str) -> String {
    format!("{name}.sha256")
}

/// The network of a pretraining's arm, `checkpoint-ARM.safetensors`.
pub fn checkpoint(arm: &str) -> String {
    format!("checkpoint-{arm}.safetensors")
}

/// What those who start a run leave in its folder, next to what the run itself leaves (`seal.json` in earlier versions).
pub const OF_STARTERS: [&str; 4] = ["run.json", "seal.json", "stderr.log", "failures.txt"];
