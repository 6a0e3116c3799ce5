//! The augmentation of contrastive methods as transforms.

use super::transform::Transform;

/// MoCo v2's augmentation (Chen et al. 2020) for small medical images: a crop of half of the area or more, where MoCo has a
/// fifth, a flip, colour jitter, grey, and a blur that is half as wide. What decides a diagnosis is often in one
/// place, which smaller crops leave out.
pub(crate) fn crops() -> Vec<Transform> {
    let blur = Transform::GaussianBlur {
        kernel_size: 9,
        sigma: [0.1, 1.0],
    };
    let mut crops = cropped(0.5, 0.4);
    crops.push(Transform::RandomApply {
        p: 0.5,
        transforms: vec![blur],
    });
    crops
}

/// What SimCLR, MoCo v2 and BYOL begin with, by the least share of the area that a crop has, and the jitter of the
/// saturation.
pub(super) fn cropped(area: f64, saturation: f64) -> Vec<Transform> {
    let jitter = Transform::ColorJitter {
        brightness: 0.4,
        contrast: 0.4,
        saturation,
        hue: 0.1,
    };
    vec![
        Transform::RandomResizedCrop {
            scale: [area, 1.0],
            ratio: [3.0 / 4.0, 4.0 / 3.0],
        },
        Transform::RandomHorizontalFlip { p: 0.5 },
        Transform::RandomApply {
            p: 0.8,
            transforms: vec![jitter],
        },
        Transform::RandomGrayscale { p: 0.2 },
    ]
}
