//! CASS: a CNN and a Transformer are pulled towards the same logits of one view of each image.

mod config;
mod loss;
mod replay;
mod step;
mod views;

pub use config::{CassConfig, Guard};
pub use loss::{cass_loss, variance_penalty};
pub use step::CassStep;
