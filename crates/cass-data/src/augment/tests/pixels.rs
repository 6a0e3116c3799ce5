//! Pixels against torchvision's, given the same parameters.

use super::{Golden, every_transform};
use crate::augment::Normalization;
use crate::augment::color::Adjust;
use crate::augment::dino::DinoDraw;
use crate::augment::transform::{self, Drawn};
use crate::image::Pixels;
use crate::resample::Crop;
use cass_rng::Rng;

#[test]
fn resize_equals_pil() {
    Golden::load().cases("resize", |case| {
        let size = case.number("size") as usize;
        case.expect_image(&case.image("in").resize(size));
    });
}

#[test]
fn jitter_equals_pil() {
    for name in ["jitter", "hue"] {
        Golden::load().cases(name, |case| {
            let factors = case.numbers("factors");
            let mut image = case.image("in");
            for part in case.numbers("order") {
                let part = match (part as usize, factors.get(part as usize)) {
                    (0, Some(&f)) => Adjust::Brightness(f),
                    (1, Some(&f)) => Adjust::Contrast(f),
                    (2, Some(&f)) => Adjust::Saturation(f),
                    (3, Some(&f)) => Adjust::Hue(f),
                    _ => continue,
                };
                image.jitter(&[part]);
            }
            case.expect_image(&image);
        });
    }
}

#[test]
fn perspective_equals_pil() {
    Golden::load().cases("perspective", |case| {
        case.expect_image(&case.image("in").perspective(&case.corners()));
    });
}

#[test]
fn affine_maps_equal_pil() {
    for name in ["rotate", "affine"] {
        Golden::load().cases(name, |case| {
            case.expect_image(&case.image("in").affine(&case.affine()));
        });
    }
}

#[test]
fn resized_crops_equal_pil() {
    Golden::load().cases("crop", |case| {
        let numbers = case.numbers("box");
        let [top, left, height, width] = [0, 1, 2, 3].map(|i| numbers[i] as usize);
        let image = case.image("in");
        let crop = Crop {
            top,
            left,
            height,
            width,
        };
        case.expect_image(&image.crop(&crop).resize(image.width));
    });
}

#[test]
fn grayscale_equals_pil() {
    Golden::load().cases("grayscale", |case| {
        let mut image = case.image("in");
        image.grayscale();
        case.expect_image(&image);
    });
}

#[test]
fn solarize_equals_pil() {
    Golden::load().cases("solarize", |case| {
        let mut image = case.image("in");
        image.solarize(case.number("threshold") as u8);
        case.expect_image(&image);
    });
}

#[test]
fn gaussian_blur_equals_torchvision_on_pil() {
    Golden::load().cases("blur", |case| {
        let mut image = case.image("in");
        image.gaussian_blur(case.number("kernel") as usize, case.number("sigma"));
        case.expect_image(&image);
    });
}

#[test]
fn paper_pipeline_equals_torchvision() {
    Golden::load().cases("paper", |case| {
        let flips = case.numbers("flips");
        let mut drawn = vec![
            Drawn::Jitter(case.jitter("order1", "factors1")),
            Drawn::Perspective(case.corners()),
            Drawn::Jitter(case.jitter("order2", "factors2")),
            Drawn::Affine(case.affine()),
        ];
        drawn.extend((flips[0] != 0.0).then_some(Drawn::FlipVertically));
        drawn.extend((flips[1] != 0.0).then_some(Drawn::FlipHorizontally));
        let image = case.image("in");
        let mut out = vec![0.0; 3 * image.width * image.height];
        transform::apply(&drawn, &image).normalize_into(&Normalization::IMAGENET, &mut out);
        // Exact but for the last digit of the division by std.
        case.expect_floats("out", &out, 1e-6);
    });
}

#[test]
fn dino_views_equal_torchvision() {
    Golden::load().cases("dino", |case| {
        let (steps, sigma) = (case.numbers("steps"), case.number("sigma"));
        let crops = case.numbers("crops");
        let crop = |i: usize| Crop {
            top: crops[i] as usize,
            left: crops[i + 1] as usize,
            height: crops[i + 2] as usize,
            width: crops[i + 3] as usize,
        };
        let draw = DinoDraw {
            jitter: Some(case.jitter("order", "factors")),
            grayscale: steps[0] != 0.0,
            flip: steps[1] != 0.0,
            blur: (sigma > 0.0).then_some(sigma),
            local: crop(0),
            global: crop(4),
        };
        let image = case.image("in");
        let mut views = [(); 2].map(|()| vec![0.0; 3 * 29 * 29]);
        let [local, global] = &mut views;
        draw.apply(&image, 29, &Normalization::IMAGENET, [local, global]);
        case.expect_floats("local", local, 1e-5);
        case.expect_floats("global", global, 1e-5);
    });
}

#[test]
fn grey_stands_for_three_equal_channels() {
    let grey: Vec<u8> = (0..40 * 40).map(|i| (i * 7 % 251) as u8).collect();
    let one = Pixels::from_grey(40, 40, grey);
    let three = Pixels {
        channels: 3,
        data: one.to_rgb().into(),
        ..one
    };
    let transforms = every_transform();
    for seed in 0..60 {
        let drawn = transform::draw(&transforms, 40, &mut Rng::new(seed, "test", [0, 0], 0));
        let (a, b) = (
            transform::apply(&drawn, &one),
            transform::apply(&drawn, &three),
        );
        assert_eq!(a.to_rgb(), b.to_rgb(), "{drawn:?}");
        let (mut x, mut y) = (vec![0.0; 4800], vec![1.0; 4800]);
        a.normalize_into(&Normalization::IMAGENET, &mut x);
        b.normalize_into(&Normalization::IMAGENET, &mut y);
        assert_eq!(x, y);
    }
    assert_eq!(one.resize(17).to_rgb(), three.resize(17).data[..]);
}
