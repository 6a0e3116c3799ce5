//! Where a campaign happens: images, undisturbed runs, and the user's own files that nothing may change.

use crate::process::{Allowed, Running};
use crate::subject::Subject;
use anyhow::{Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// Eight steps of two small networks; a checkpoint after each.
const PRETRAIN: &str = "pretrain --method cass --cnn vit_tiny_patch16_224 --vit deit_tiny_patch16_224 \
    --weights random --data-root ../data --size 16 --epochs 2 --batch 8 --threads 1 --device cpu \
    --checkpoint-every 1";
/// A classifier on features that are kept beside the run.
const PROBE: &str = "probe --weights random --arch vit_tiny_patch16_224 --mode linear --size 16 --epochs 4 \
    --batch 8 --threads 1 --device cpu --data-root ../data --feature-cache kept";
/// One seed of a table of two runs.
const REPRODUCE: &str = "reproduce --table ../small.toml --profile demo --seeds 1 --device cpu --threads 1 \
    --downstream linear --set size=16 --set epochs=1";
/// A row of one pretraining and one probe.
const TABLE: &str = include_str!("small.toml");

/// Everything that cases share.
pub(crate) struct Ground {
    pub(crate) cass: PathBuf,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) subjects: Vec<Subject>,
    /// What the undisturbed probe says of the images.
    pub(crate) labels: String,
    /// SHA-256 of the undisturbed pretraining's network, exported.
    pub(crate) exported: String,
}

/// The permissions of a folder that everybody may enter and its owner write to.
pub(crate) const ALL: u32 = 0o755;
/// Those of one that nobody may write to.
pub(crate) const READ_ONLY: u32 = 0o555;

/// Gives a folder permissions, where there are any.
pub(crate) fn permit(folder: &Path, mode: u32) -> Result<()> {
    #[cfg(unix)]
    fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    #[cfg(not(unix))]
    let _ = (folder, mode);
    Ok(())
}

/// Labels the images by a probe.
pub(crate) fn predict(run: &Path) -> Vec<String> {
    words("predict --threads 1 --device cpu ../data --run", run)
}

/// Exports a network of a pretraining to `out`.
pub(crate) fn export(run: &Path, out: &Path) -> Vec<String> {
    let mut args = words("export --arm cnn --run", run);
    args.extend(["--out".into(), out.display().to_string()]);
    args
}

fn words(start: &str, last: &Path) -> Vec<String> {
    let words = start.split_whitespace().map(str::to_owned);
    words.chain([last.display().to_string()]).collect()
}

impl Ground {
    pub(crate) fn new(cass: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("cass-torture-").tempdir()?;
        permit(folder.path(), ALL)?;
        let cass = fs::canonicalize(cass)?;
        let whole = folder.path().join("whole");
        fs::create_dir(&whole)?;
        fs::write(folder.path().join("small.toml"), TABLE)?;
        let draw = "data phantom --out ../data --train-per-class 6 --test-per-class 2 --size 24";
        let draw: Vec<String> = draw.split(' ').map(str::to_owned).collect();
        let drawn = Running::start(&cass, &whole, &draw, Allowed::All)?.end()?;
        ensure!(
            drawn.code == Some(0),
            "no images can be drawn: {}",
            drawn.said
        );
        let mut subjects = Vec::new();
        for (name, args) in [
            ("pretrain", PRETRAIN),
            ("probe", PROBE),
            ("reproduce", REPRODUCE),
        ] {
            let subject = Subject::new(name, args, &cass, &whole)?;
            eprintln!(
                "{name} takes {:.1} s undisturbed",
                subject.time.as_secs_f64()
            );
            subjects.push(subject);
        }
        let mut ground = Self {
            cass,
            folder,
            subjects,
            labels: String::new(),
            exported: String::new(),
        };
        let said = ground
            .start(&predict(&ground.whole("probe")), &whole)?
            .end()?;
        ensure!(
            said.code == Some(0),
            "the images cannot be labelled: {}",
            said.said
        );
        ground.labels = said.out;
        let out = whole.join("exported");
        let said = ground
            .start(&export(&ground.whole("pretrain"), &out), &whole)?
            .end()?;
        ensure!(
            said.code == Some(0),
            "no network can be exported: {}",
            said.said
        );
        ground.exported = cass_run::sha256_of(&out.join("model.safetensors"))?;
        Ok(ground)
    }

    pub(crate) fn start(&self, args: &[String], folder: &Path) -> Result<Running> {
        Running::start(&self.cass, folder, args, Allowed::All)
    }

    /// The folder of an undisturbed run.
    pub(crate) fn whole(&self, name: &str) -> PathBuf {
        self.folder
            .path()
            .join("whole")
            .join(format!("whole-{name}"))
    }
}
