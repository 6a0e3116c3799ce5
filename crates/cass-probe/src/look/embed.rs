//! The test images of a run, placed in two dimensions by their features.

use super::project::{Pca, pca, tsne};
use super::subject::Subject;
use crate::Result;
use cass_data::recipe::RunImages;

/// Places that one network gives the images, in two dimensions.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// Name that the run has for the network.
    pub name: String,
    /// timm's name of it.
    pub network: String,
    /// Principal components.
    pub pca: Pca,
    /// Places by t-SNE, which starts from the PCA.
    pub tsne: Vec<[f64; 2]>,
}

impl Embedding {
    /// Places the images at `indices` by what `subject` makes of them.
    ///
    /// # Errors
    /// Fewer than two images, one that cannot be read, or features that are not finite.
    pub fn of(subject: &Subject, images: &RunImages, indices: &[usize]) -> Result<Self> {
        let features = subject.features(&images.plain(indices.to_vec())?)?;
        let dim = subject.model.feature_dim();
        let pca = pca(&features, dim)?;
        Ok(Self {
            name: subject.name.clone(),
            network: subject.model.name().to_string(),
            tsne: tsne(&features, dim, &pca)?,
            pca,
        })
    }
}
