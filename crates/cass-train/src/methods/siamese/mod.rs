//! What methods share that show one network two views of each image: views, step and replay. Such a method is a
//! [`SiameseConfig`].

mod config;
mod replay;
mod step;

pub(super) use config::{SiameseConfig, adam, heads};
pub(super) use replay::Start;
pub(super) use step::{Heads, Objective, Online};
