//! VICReg: what a network says of two views of an image is alike, varies over the images, and is not redundant.

mod config;
mod loss;

pub use config::VicregConfig;
pub(super) use loss::spread;
pub use loss::vicreg_loss;
