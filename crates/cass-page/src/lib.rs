#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod chart;
mod colour;
mod scale;
mod shell;

pub use colour::{NEUTRAL, QUALITATIVE, sequential};
pub use shell::Page;
