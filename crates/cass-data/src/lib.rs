//! Medical images from folders to batches: checked before use, split by seed, augmented as
//! torchvision does it, ready ahead of the training step.
//!
//! [`open`] finds the files of a data set and decodes each once, so that a broken one is named
//! before any training. [`Dataset::split`] and [`fraction`] choose samples; a [`Loader`] makes
//! [`Batch`]es of them by a [`Pipeline`]. [`write_phantom`] draws a data set where there is none.
//!
//! ```
//! use std::sync::Arc;
//! use cass_data::{Loader, LoaderConfig, PhantomConfig, Pipeline, open, write_phantom};
//!
//! # fn main() -> cass_data::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let root = folder.path().join("phantoms");
//! write_phantom(&root, &PhantomConfig { seed: 1, train_per_class: 4, test_per_class: 1, size: 32 })?;
//! let dataset = Arc::new(open("brain-mri", &root, false)?);
//! let split = dataset.split(1, 0.1);
//! let config = LoaderConfig {
//!     pipeline: Pipeline::Paper,
//!     size: 32,
//!     batch: 8,
//!     seed: 1,
//!     shuffle: true,
//!     drop_last: false,
//!     threads: 2,
//!     device: candle_core::Device::Cpu,
//!     prefetch: 2,
//! };
//! let loader = Loader::new(dataset, split.train, config)?;
//! for batch in loader.epoch(0) {
//!     let batch = batch?;
//!     println!("{:?} labels {:?}", batch.images().shape(), batch.labels);
//! }
//! # Ok(())
//! # }
//! ```
mod augment;
mod cache;
mod check;
mod dataset;
mod decode;
#[cfg(feature = "dicom")]
mod dicom;
mod encode;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod loader;
mod manifest;
mod phantom;
mod pixels;
mod preview;
mod resample;
mod sources;
mod split;
mod stages;

pub use augment::{
    Pipeline,
    normalize::{MEAN, STD},
    stage::Stage,
};
pub use cache::Cache;
pub use candle_core::Device;
pub use check::{Checkup, ClassCount, Finding, FindingKind, check};
pub use dataset::{Dataset, Part, Sample, Task, open, task_of};
pub use decode::decode;
pub use error::{Error, Result};
pub use loader::{Batch, Epoch, Loader, LoaderConfig};
pub use manifest::{Manifest, ManifestRow};
pub use phantom::{PhantomConfig, write_phantom, write_phantom_of};
pub use pixels::Pixels;
pub use preview::{PreviewConfig, preview};
pub use split::{Split, fraction};
pub use stages::StageTimes;
