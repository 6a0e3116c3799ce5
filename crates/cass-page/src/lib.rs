#![doc = include_str!("../README.md")]

pub mod chart;
mod colour;
pub mod figure;
mod forest;
mod scale;
mod shell;

pub use colour::{NEUTRAL, QUALITATIVE, class, heat, sequential};
pub use forest::{Interval, forest};
pub use shell::Page;
