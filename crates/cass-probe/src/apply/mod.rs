//! Using a finished probe: labels for new images, how well it does on another hospital's, and its network as a folder that timm loads.

mod evaluate;
mod export;
mod predict;
mod shift;

pub use evaluate::Evaluation;
pub use export::export;
pub use predict::{Labelled, Predictor};
pub use shift::Shift;
