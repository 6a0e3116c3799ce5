//! BYOL: a network predicts, from one view of an image, what its moving average says of the other.

mod config;
mod step;

pub use config::ByolConfig;
