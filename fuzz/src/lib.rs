//! What is given to a fuzzer, of the crates whose readers are public: each takes any bytes and must return. The readers
//! of images and tables of labels are in `cass_data::fuzzing`.

use cass_models::{Model, ModelOptions};
use cass_probe::fit::ProbeRecipe;
use cass_run::{Finished, Metrics, RunDir};
use cass_train::Recipe;
use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::{fs, process, thread};

/// Reads a recipe of either kind; one that is valid comes back as it was written.
///
/// # Panics
/// If it does not.
pub fn recipe(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if let Ok(recipe) = Recipe::from_toml(text)
        && let Ok(valid) = recipe.validate()
    {
        let again = Recipe::from_toml(&valid.to_toml()).ok();
        assert_eq!(again.as_ref(), Some(&*valid));
        let _ = (valid.deviations(), valid.chosen());
    }
    if let Ok(recipe) = ProbeRecipe::from_toml(text)
        && recipe.validate().is_ok()
    {
        let again = ProbeRecipe::from_toml(&recipe.to_toml()).ok();
        assert_eq!(again, Some(recipe.clone()));
        let _ = (recipe.deviations(), recipe.chosen());
    }
}

/// Reads a table file.
pub fn table_file(bytes: &[u8]) {
    cass_reproduce::read_any_table(&String::from_utf8_lossy(bytes));
}

/// Reads weights: safetensors, or of `torch.save`.
pub fn weights(bytes: &[u8]) {
    thread_local!(static MODEL: OnceCell<Model> = const { OnceCell::new() });
    let options = ModelOptions {
        num_classes: 2,
        input_size: 16,
        ..ModelOptions::default()
    };
    let folder = scratch("weights");
    let file = folder.join("model.safetensors");
    write(&file, bytes);
    MODEL.with(|model| {
        let new =
            || Model::new("vit_tiny_patch16_224", &options).expect("a network of the registry");
        let _ = model.get_or_init(new).load(&file);
    });
}

/// Reads a run's folder: the bytes are its recipe, its metrics and its log, one after the other, with a zero between.
pub fn run_folder(bytes: &[u8]) {
    let folder = scratch("run");
    let mut parts = bytes.splitn(3, |&byte| byte == 0);
    for name in ["recipe.toml", "metrics.json", "log.jsonl"] {
        write(&folder.join(name), parts.next().unwrap_or_default());
    }
    if let Ok(finished) = Finished::open(&folder) {
        for name in finished.sums().keys() {
            let _ = finished.intact(name);
        }
    }
    let _ = Metrics::read(&folder);
    let _ = cass_run::expect_intact(&folder.join("log.jsonl"));
    if let Ok(run) = RunDir::open(&folder, "epochs = 1\n") {
        let _ = run.metrics::<Metrics>();
        if let Ok(log) = run.log_from(bytes.len() as u64) {
            let _ = log.events::<cass_run::PretrainEvent>();
        }
    }
    let _ = fs::remove_dir_all(&folder);
}

/// A folder of this thread's own.
fn scratch(name: &str) -> PathBuf {
    let thread = format!("{:?}", thread::current().id());
    let number: String = thread.chars().filter(char::is_ascii_digit).collect();
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() {
        memory.to_path_buf()
    } else {
        std::env::temp_dir()
    };
    let folder = base.join(format!("cass-fuzz-{name}-{}-{number}", process::id()));
    fs::create_dir_all(&folder).expect("a folder for a fuzzed file");
    folder
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("room for a fuzzed file");
}
