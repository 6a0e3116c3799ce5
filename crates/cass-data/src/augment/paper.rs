//! The paper's augmentations as transforms.

use super::transform::Transform;

/// Appendix E.1.2: colour jitter and perspective, colour jitter and rotation, flips. `hue` is 0 in
/// the published code, and 0.2, as the others, by the text.
pub(crate) fn paper(hue: f64) -> Vec<Transform> {
    const P: f64 = 0.3;
    let with_jitter = |other| Transform::RandomApply {
        p: P,
        transforms: vec![
            Transform::ColorJitter {
                brightness: 0.2,
                contrast: 0.2,
                saturation: 0.2,
                hue,
            },
            other,
        ],
    };
    vec![
        with_jitter(Transform::RandomPerspective {
            distortion_scale: 0.2,
            p: 0.5,
        }),
        with_jitter(Transform::RandomAffine {
            degrees: 10.0,
            translate: None,
            scale: None,
            shear: None,
        }),
        Transform::RandomVerticalFlip { p: P },
        Transform::RandomHorizontalFlip { p: P },
    ]
}

/// Table 7's blur. The paper gives no arguments: these are those of SimCLR and BYOL at 224 pixels.
pub(crate) fn blur(p: f64) -> Transform {
    Transform::RandomApply {
        p,
        transforms: vec![Transform::GaussianBlur {
            kernel_size: 23,
            sigma: [0.1, 2.0],
        }],
    }
}

/// Table 7's solarisation. The paper gives no arguments: these are those of BYOL and DINO.
pub(crate) fn solarize(p: f64) -> Transform {
    Transform::RandomSolarize { threshold: 128, p }
}
