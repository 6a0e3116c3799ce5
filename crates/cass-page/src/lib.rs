#![doc = include_str!("../README.md")]

pub mod chart;
mod colour;
pub mod figure;
mod scale;
mod shell;

pub use colour::{NEUTRAL, QUALITATIVE, class, heat, sequential};
pub use shell::Page;
