//! DINO, as vit-pytorch has it: a network predicts, from crops, what its moving average says of others.

mod config;
mod loss;
mod replay;
mod step;
mod views;

pub use config::DinoConfig;
pub use loss::dino_loss;
pub use step::DinoStep;
