//! How far the features of new images are from those that a probe was fitted to.

use crate::fit::{FAR, Reference};
use serde::Serialize;
use std::fmt;

/// The shift in features between a probe's training images and others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shift {
    /// Share of the images that are farther from the nearest training image than 95 % of the probe's own test images, in
    /// the space where every feature has deviation 1 over the training images.
    pub farther_share: f64,
    /// The same share where there is no shift.
    pub expected_share: f64,
    /// Maximum mean discrepancy between the images and the training images; 0 where chance explains it.
    pub kernel_distance: f64,
    /// The same of the probe's own test images.
    pub kernel_distance_held_out: f64,
    /// Images that were compared.
    pub images: usize,
    /// Training images that they were compared with.
    pub training_images: usize,
    /// The probe's own test images.
    pub held_out_images: usize,
}

impl Shift {
    /// Of images by their features, row-major (N, D).
    pub(crate) fn of(reference: &Reference, features: &[f32], images: usize) -> Self {
        let distances = reference.distances(features);
        Self {
            farther_share: distances.farther,
            expected_share: FAR,
            kernel_distance: distances.kernel,
            kernel_distance_held_out: reference.apart(),
            images,
            training_images: reference.images(),
            held_out_images: reference.held_out(),
        }
    }

    /// Whether more of the images are far than chance explains: three standard errors of both shares.
    pub fn is_shifted(&self) -> bool {
        let p = self.expected_share;
        let variance = |n: usize| p * (1.0 - p) / n.max(1) as f64;
        let error = (variance(self.images) + variance(self.held_out_images)).sqrt();
        self.farther_share > p + 3.0 * error
    }
}

impl fmt::Display for Shift {
    /// In plain words, a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            farther_share,
            expected_share,
            kernel_distance,
            kernel_distance_held_out,
            held_out_images,
            ..
        } = self;
        let verdict = match self.is_shifted() {
            true => "these images differ from those that the probe was fitted to",
            false => "no shift beyond chance",
        };
        write!(
            f,
            "features: {verdict}: {:.0} % of them are farther from the training images than {:.0} % of the {held_out_images} \
             held-out ones are ({:.0} % would be without a shift); kernel distance {kernel_distance:.3} (held-out images \
             {kernel_distance_held_out:.3})",
            100.0 * farther_share,
            100.0 * (1.0 - expected_share),
            100.0 * expected_share,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_images_have_to_be_far_more_often_to_be_shifted() {
        let of = |farther_share, images| Shift {
            farther_share,
            expected_share: 0.05,
            kernel_distance: 0.1,
            kernel_distance_held_out: 0.0,
            images,
            training_images: 256,
            held_out_images: 512,
        };
        assert!(!of(0.1, 20).is_shifted());
        assert!(of(0.1, 2000).is_shifted());
        assert!(of(0.3, 20).to_string().contains("these images differ"));
        assert!(
            of(0.05, 20)
                .to_string()
                .contains("no shift beyond chance: 5 % of them")
        );
    }
}
