//! What a few labels can read from a network's features: recipes, classifiers, and how well they do.

mod counts;
mod epochs;
mod features;
mod head;
mod judge;
mod knn;
mod learner;
mod logistic;
mod parts;
mod probe;
mod recipe;
mod reference;
mod stopping;
mod vector;
mod warnings;
mod ways;

pub use judge::{AnyMetrics, PartMetrics, Said};
pub(crate) use judge::{Decision, Judged};
pub use knn::{KNN_NEIGHBOURS, Knn};
pub use logistic::{Labels, Logistic, LogisticConfig, Standard};
pub(crate) use parts::{groups_of, pretrained_on};
pub(crate) use probe::load_backbone;
pub use probe::probe;
pub use recipe::{ClassWeights, LogisticRecipe, ProbeMode, ProbeRecipe, Stopping};
pub(crate) use reference::{FAR, Reference};
pub(crate) use vector::numbers;
pub(crate) use ways::decide;
