//! SimSiam: a network predicts, from one view of an image, what it says itself of the other, which no gradient reaches.

mod config;
mod loss;

pub use config::SimsiamConfig;
pub use loss::simsiam_loss;
