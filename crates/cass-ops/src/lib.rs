//! Differentiable vision ops for Candle.
mod rng;

pub use rng::Rng;
