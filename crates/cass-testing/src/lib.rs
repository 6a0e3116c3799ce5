//! What the tests of this workspace share; it is not published, and nothing but tests uses it.
//!
//! - [`golden`] and [`golden_json`] read `fixtures/golden`, [`relative_error`] and [`assert_close`]
//!   hold a result against it.
//! - [`commands_on_pages`] finds the command lines that the guide shows.
//! - [`assert_slopes`] holds gradients against finite differences.
//! - `hub` (feature `hub`): a Hugging Face Hub on loopback.
//! - `small_network` (feature `networks`): the networks whose goldens are small; `stir` gives them values that hide nothing.
//! - `phantoms` (feature `phantoms`): a data set of synthetic images.
//! - `runs` (feature `runs`): run folders that nothing was computed for.
//!
//! Functions here panic where a test should fail.

mod closeness;
mod golden;
#[cfg(feature = "hub")]
pub mod hub;
#[cfg(feature = "networks")]
mod networks;
mod pages;
#[cfg(feature = "phantoms")]
mod phantoms;
#[cfg(feature = "runs")]
pub mod runs;
mod slopes;

pub use closeness::{assert_close, relative_error};
pub use golden::{Tensors, golden, golden_folder, golden_json};
#[cfg(feature = "networks")]
pub use networks::{SMALL_NETWORKS, export_of, normal_images, small_network, stir};
pub use pages::{CommandLine, commands_on_pages};
#[cfg(feature = "phantoms")]
pub use phantoms::phantoms;
pub use slopes::assert_slopes;
