//! BYOL's two views as transforms.

use super::paper::{blur, solarize};
use super::transform::Transform;

/// Grill et al. 2020, table 6, in the order of `facebookresearch/vicreg`.
pub(crate) fn byol() -> [Vec<Transform>; 2] {
    let jitter = Transform::ColorJitter {
        brightness: 0.4,
        contrast: 0.4,
        saturation: 0.2,
        hue: 0.1,
    };
    let both = vec![
        Transform::RandomResizedCrop {
            scale: [0.08, 1.0],
            ratio: [3.0 / 4.0, 4.0 / 3.0],
        },
        Transform::RandomHorizontalFlip { p: 0.5 },
        Transform::RandomApply {
            p: 0.8,
            transforms: vec![jitter],
        },
        Transform::RandomGrayscale { p: 0.2 },
    ];
    let mut views = [both.clone(), both];
    views[0].push(blur(1.0));
    views[1].extend([blur(0.1), solarize(0.2)]);
    views
}
