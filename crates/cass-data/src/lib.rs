//! Medical images from folders to batches: checked before use, split by seed, augmented as
//! torchvision does it, ready ahead of the training step.
//!
//! A [`source`] lists images; [`Dataset::open`](dataset::Dataset::open) makes sure that each decodes,
//! so that a broken one is named before any training. [`Dataset::split`](dataset::Dataset::split) and
//! [`split::fraction`] choose samples, and a [`loader::Loader`] makes batches of them by an
//! [`augment::Pipeline`]. What a run sees of a data set is a [`recipe::DataRecipe`], which
//! [`recipe::RunImages`] carries out. [`phantom`] draws a data set where there is none.
//!
//! ```
//! use std::sync::Arc;
//! use cass_data::{phantom::{PhantomConfig, write_phantom}, prelude::*};
//!
//! # fn main() -> cass_data::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let root = folder.path().join("phantoms");
//! write_phantom(&root, &PhantomConfig { seed: 1, train_per_class: 4, test_per_class: 1, size: 32, style: Default::default() })?;
//! let source = Layout::new("brain-mri", &root);
//! let dataset = Arc::new(Dataset::open(&source, &OpenOptions::default())?);
//! let split = dataset.split(1, 0.1);
//! let config = LoaderConfig { size: 32, batch: 8, seed: 1, ..LoaderConfig::default() };
//! let loader = Loader::new(dataset, split.train, config)?;
//! for batch in loader.epoch(0) {
//!     let batch = batch?;
//!     println!("{:?} labels {:?}", batch.images().shape(), batch.labels);
//! }
//! # Ok(())
//! # }
//! ```

pub mod augment;
pub mod cache;
mod channels;
pub mod check;
pub mod dataset;
mod decode;
mod encode;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod likeness;
pub mod loader;
pub mod phantom;
mod phases;
mod pixels;
pub mod preview;
pub mod recipe;
mod resample;
pub mod source;
pub mod split;

pub use error::{Error, Result};

/// Images in memory, and files of images.
pub mod image {
    pub use crate::decode::{Frame, Levels, Pages, Reading, decode, decode_as};
    pub use crate::pixels::Pixels;
}

/// What most programs need.
pub mod prelude {
    pub use crate::augment::Pipeline;
    pub use crate::cache::{Cache, Storage};
    pub use crate::dataset::{Dataset, OpenOptions, Part, Sample, Task};
    pub use crate::loader::{Batch, Loader, LoaderConfig};
    pub use crate::recipe::{DataRecipe, RunImages};
    pub use crate::source::Layout;
    pub use crate::split::{Split, fraction};
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
