//! What is measured.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// One comparison.
pub struct Row {
    pub name: &'static str,
    pub work: Work,
    /// Measured where no rows are named.
    pub usual: bool,
}

pub enum Work {
    /// A training step.
    Step {
        method: &'static str,
        /// Flag and name of each network.
        nets: &'static [(&'static str, &'static str)],
        size: u32,
        batch: u32,
        /// Steps that are timed, after one that is not.
        steps: u32,
    },
    /// Image files to augmented batches.
    Load { size: u32 },
    /// A whole process, from image files to what it leaves.
    Job { job: Job, size: u32 },
}

/// What somebody starts and waits for. PyTorch's side of each is a function of `torch_job.py`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// One epoch of CASS on all images.
    Pretrain,
    /// One epoch on 70 % of the images, with validation and test.
    Finetune,
    /// Features of all images.
    Features,
    /// A table of labels of all images, by a network that was trained before.
    Predict,
    /// Features of all images, and a logistic regression with its penalty chosen.
    Logistic,
}

impl Job {
    /// Its name in `torch_job.py`.
    pub fn name(self) -> &'static str {
        match self {
            Job::Pretrain => "pretrain",
            Job::Finetune => "finetune",
            Job::Features => "features",
            Job::Predict => "predict",
            Job::Logistic => "logistic",
        }
    }
}

const SMALL: &[(&str, &str)] = &[("--cnn", "resnet18"), ("--vit", "vit_tiny_patch16_224")];
const LARGE: &[(&str, &str)] = &[("--cnn", "resnet50"), ("--vit", "vit_base_patch16_384")];
const MOBILE: &[(&str, &str)] = &[
    ("--cnn", "mobilenetv2_100"),
    ("--vit", "vit_small_patch14_dinov2"),
];
const CONVNEXT: &[(&str, &str)] = &[
    ("--cnn", "convnext_tiny"),
    ("--vit", "vit_small_patch16_224"),
];

const fn step(
    name: &'static str,
    method: &'static str,
    nets: &'static [(&'static str, &'static str)],
    [size, batch, steps]: [u32; 3],
    usual: bool,
) -> Row {
    let work = Work::Step {
        method,
        nets,
        size,
        batch,
        steps,
    };
    Row { name, work, usual }
}

const fn load(name: &'static str, size: u32) -> Row {
    let work = Work::Load { size };
    Row {
        name,
        work,
        usual: true,
    }
}

/// A minute or more for each measurement.
const fn job(name: &'static str, job: Job, size: u32) -> Row {
    let work = Work::Job { job, size };
    Row {
        name,
        work,
        usual: false,
    }
}

/// All of them. DINO's for the other networks are there to compare whole runs: a CNN and a Transformer need two.
pub const ROWS: [Row; 17] = [
    step("cass-96", "cass", SMALL, [96, 16, 10], true),
    step("cass-224", "cass", SMALL, [224, 16, 5], true),
    step("cass-384", "cass", LARGE, [384, 2, 3], true),
    step("mobile-112", "cass", MOBILE, [112, 16, 5], false),
    step("convnext-96", "cass", CONVNEXT, [96, 16, 5], false),
    step(
        "dino-96",
        "dino",
        &[("--net", "resnet18")],
        [96, 16, 5],
        true,
    ),
    step(
        "dino-vit-96",
        "dino",
        &[("--net", "vit_tiny_patch16_224")],
        [96, 16, 5],
        false,
    ),
    step(
        "dino-384",
        "dino",
        &[("--net", "resnet50")],
        [384, 2, 3],
        false,
    ),
    step(
        "dino-vit-384",
        "dino",
        &[("--net", "vit_base_patch16_384")],
        [384, 2, 3],
        false,
    ),
    load("loader-96", 96),
    load("loader-224", 224),
    load("loader-384", 384),
    job("job-pretrain", Job::Pretrain, 96),
    job("job-finetune", Job::Finetune, 96),
    job("job-features", Job::Features, 224),
    job("job-predict", Job::Predict, 224),
    job("job-logistic", Job::Logistic, 96),
];

impl Row {
    /// Whether it needs images.
    pub fn loads(&self) -> bool {
        matches!(self.work, Work::Load { .. } | Work::Job { .. })
    }

    /// Description for people.
    pub fn text(&self) -> String {
        match &self.work {
            Work::Step {
                method,
                nets,
                size,
                batch,
                ..
            } => {
                let nets: Vec<_> = nets.iter().map(|(_, name)| *name).collect();
                format!("{method} {}, {size} px, batch {batch}", nets.join(" + "))
            }
            Work::Load { size } => format!("loading, {size} px, an image"),
            Work::Job { job, size } => {
                let nets = match job {
                    Job::Pretrain => "cass resnet18 + vit_tiny_patch16_224",
                    _ => "resnet18",
                };
                format!("whole {}, {nets}, {size} px", job.name())
            }
        }
    }

    /// Packages that PyTorch's side of it imports: module, and name to install.
    pub fn packages(&self) -> Vec<(&'static str, &'static str)> {
        let mut packages = vec![("torch", "torch")];
        match self.work {
            Work::Step { method, .. } => {
                packages.push(("timm", "timm"));
                if method == "dino" {
                    packages.push(("vit_pytorch", "vit-pytorch"));
                }
            }
            Work::Load { .. } => packages.push(("torchvision", "torchvision")),
            Work::Job { .. } => packages.extend([
                ("timm", "timm"),
                ("torchvision", "torchvision"),
                ("sklearn", "scikit-learn"),
            ]),
        }
        packages
    }
}

/// The class folders of the brain MRIs' training images, which both sides load.
pub fn training_folder(root: &Path) -> Result<PathBuf> {
    let folders = [root.join("Training"), root.join("brain-mri/Training")];
    let found = folders.iter().find(|folder| folder.is_dir());
    let found = found.with_context(|| {
        format!(
            "there are no brain MRIs in {}: expected Training or brain-mri/Training in it",
            root.display()
        )
    })?;
    Ok(found.clone())
}
