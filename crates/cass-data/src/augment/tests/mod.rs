//! What torchvision makes of the same images and parameters (fixtures/golden/augment).

mod draws;
mod pixels;
mod text;

use super::Pipeline;
use super::color::{Adjust, JitterDraw};
use super::geometry::{Affine, Corners};
use super::transform::Transform;
use crate::image::Pixels;
use candle_core::{DType, Device, Tensor};
use std::collections::HashMap;

struct Golden(HashMap<String, Tensor>);

impl Golden {
    fn load() -> Self {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../fixtures/golden/augment/golden.safetensors"
        );
        Self(candle_core::safetensors::load(path, &Device::Cpu).unwrap())
    }

    /// Runs `test` on every case of an operation.
    fn cases(&self, name: &str, test: impl Fn(Case)) {
        let count = (0..)
            .take_while(|k| self.0.contains_key(&format!("{name}.{k}.in")))
            .inspect(|k| {
                test(Case {
                    golden: self,
                    name: format!("{name}.{k}"),
                });
            })
            .count();
        assert!(count > 1, "{name}: {count} cases");
    }
}

struct Case<'a> {
    golden: &'a Golden,
    name: String,
}

impl Case<'_> {
    fn tensor(&self, key: &str) -> &Tensor {
        &self.golden.0[&format!("{}.{key}", self.name)]
    }

    fn numbers(&self, key: &str) -> Vec<f64> {
        let flat = self.tensor(key).to_dtype(DType::F64).unwrap();
        flat.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn number(&self, key: &str) -> f64 {
        self.numbers(key)[0]
    }

    fn image(&self, key: &str) -> Pixels {
        let tensor = self.tensor(key);
        let data = tensor.flatten_all().unwrap().to_vec1::<u8>().unwrap();
        match *tensor.dims() {
            [h, w] => Pixels::from_grey(w, h, data),
            [h, w, _] => Pixels::from_rgb(w, h, data),
            _ => panic!("{}.{key}: {:?}", self.name, tensor.dims()),
        }
    }

    fn jitter(&self, order: &str, factors: &str) -> JitterDraw {
        let mut factors = self.numbers(factors);
        factors.resize(4, 0.0); // no hue
        let parts = [
            Adjust::Brightness(factors[0]),
            Adjust::Contrast(factors[1]),
            Adjust::Saturation(factors[2]),
            Adjust::Hue(factors[3]),
        ];
        let order = self.numbers(order);
        std::array::from_fn(|i| parts[order[i] as usize])
    }

    /// The affine map that these keys name; a key that is not there moves nothing.
    fn affine(&self) -> Affine {
        let of = |key: &str, neutral: f64| {
            let there = self.golden.0.contains_key(&format!("{}.{key}", self.name));
            let [first, second] = [0, 1].map(|i| there.then(|| self.numbers(key).get(i).copied()));
            [first, second].map(|v| v.flatten().unwrap_or(neutral))
        };
        Affine {
            degrees: self.number("degrees"),
            translate: of("translate", 0.0),
            scale: of("scale", 1.0)[0],
            shear: of("shear", 0.0),
        }
    }

    fn corners(&self) -> Corners {
        let flat = self.numbers("corners");
        std::array::from_fn(|i| [flat[2 * i] as usize, flat[2 * i + 1] as usize])
    }

    /// At most one grey level off, on 99.9 % of the values.
    fn expect_image(&self, got: &Pixels) {
        let want = self.image("out");
        assert_eq!(
            (got.width, got.height),
            (want.width, want.height),
            "{}",
            self.name
        );
        let (got, want) = (got.to_rgb(), want.to_rgb());
        let worst = got.iter().zip(&want).map(|(a, b)| a.abs_diff(*b)).max();
        let differing = got.iter().zip(&want).filter(|(a, b)| a != b).count();
        println!(
            "{}: {differing} of {} differ, by at most {worst:?}",
            self.name,
            got.len()
        );
        let off = got.iter().zip(&want).filter(|(a, b)| a.abs_diff(**b) > 1);
        let off = off.count();
        assert!(
            off * 1000 <= got.len(),
            "{}: {off} of {} values off by more than one",
            self.name,
            got.len()
        );
    }

    fn expect_floats(&self, key: &str, got: &[f32], tolerance: f64) {
        let want = self.numbers(key);
        assert_eq!(got.len(), want.len(), "{}.{key}", self.name);
        let errors = got
            .iter()
            .zip(&want)
            .map(|(a, b)| (f64::from(*a) - b).abs());
        let worst = errors.fold(0.0, f64::max);
        println!("{}.{key}: off by at most {worst:.1e}", self.name);
        assert!(worst <= tolerance, "{}.{key}: off by {worst}", self.name);
    }
}

/// Every kind of transform, with arguments unlike their defaults.
fn every_transform() -> Vec<Transform> {
    let half = |transform| Transform::RandomApply {
        p: 0.5,
        transforms: vec![transform],
    };
    let mut transforms = Pipeline::PaperHue.transforms().remove(0).into_owned();
    transforms.extend([
        half(Transform::RandomResizedCrop {
            scale: [0.3, 0.9],
            ratio: [0.5, 1.5],
        }),
        half(Transform::RandomAffine {
            degrees: 30.0,
            translate: Some([0.1, 0.3]),
            scale: Some([0.7, 1.4]),
            shear: Some([-10.0, 20.0, 5.0, 8.0]),
        }),
        half(Transform::GaussianBlur {
            kernel_size: 7,
            sigma: [0.3, 1.7],
        }),
        Transform::RandomSolarize {
            threshold: 100,
            p: 0.5,
        },
        Transform::RandomGrayscale { p: 0.4 },
    ]);
    transforms
}
