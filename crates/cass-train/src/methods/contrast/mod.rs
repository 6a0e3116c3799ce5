//! CASS by contrast: each network tells an image in one view from the others of its batch, by its own projections and by
//! those of the other network, of another view.

mod arm;
mod config;
mod loss;
mod replay;
mod step;
mod views;

pub use config::ContrastConfig;
pub use loss::{contrast_loss, prediction_loss};
pub use step::ContrastStep;
