#![doc = include_str!("../README.md")]

pub mod chart;
mod colour;
pub mod figure;
mod scale;
mod shell;

pub use colour::{NEUTRAL, QUALITATIVE, class, sequential};
pub use shell::Page;
