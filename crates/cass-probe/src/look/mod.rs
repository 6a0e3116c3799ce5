//! Looking at the networks of a finished run: where they place images, what their layers have in common,
//! where in an image they look.

mod attend;
mod cka;
mod embed;
mod layers;
mod project;
mod subject;

pub use attend::{Heat, Look};
pub use cka::{Cka, Gram};
pub use embed::Embedding;
pub use layers::LayerCka;
pub use project::{Pca, pca, tsne};
pub use subject::{Moment, Subject, Subjects};
