//! Using a finished probe: labels for new images, and its network as a folder that timm loads.

mod export;
mod predict;

pub use export::export;
pub use predict::{Labelled, Predictor};
