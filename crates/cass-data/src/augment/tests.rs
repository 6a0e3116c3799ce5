//! Pixels against torchvision's (fixtures/golden/augment), parameters against their distributions.
use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use cass_ops::Rng;

use super::{
    color::{Adjust, JitterDraw},
    dino::DinoDraw,
    geometry::Corners,
    paper::PaperDraw,
};
use crate::{Pixels, resample::Crop};

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
        factors.resize(4, f64::NAN);
        let parts = [
            Adjust::Brightness(factors[0]),
            Adjust::Contrast(factors[1]),
            Adjust::Saturation(factors[2]),
            Adjust::Hue(factors[3]),
        ];
        let order = self.numbers(order);
        std::array::from_fn(|i| parts[order[i] as usize])
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

#[test]
fn resize_equals_pil() {
    Golden::load().cases("resize", |case| {
        let size = case.number("size") as usize;
        case.expect_image(&case.image("in").resize(size));
    });
}

#[test]
fn jitter_equals_pil() {
    Golden::load().cases("jitter", |case| {
        let order = case.numbers("order");
        let factors = case.numbers("factors");
        let mut image = case.image("in");
        for part in order {
            let part = match (part as usize, factors.get(part as usize)) {
                (0, Some(&f)) => Adjust::Brightness(f),
                (1, Some(&f)) => Adjust::Contrast(f),
                (2, Some(&f)) => Adjust::Saturation(f),
                _ => continue,
            };
            image.jitter(&[part]);
        }
        case.expect_image(&image);
    });
}

#[test]
fn perspective_equals_pil() {
    Golden::load().cases("perspective", |case| {
        case.expect_image(&case.image("in").perspective(&case.corners()));
    });
}

#[test]
fn rotation_equals_pil() {
    Golden::load().cases("rotate", |case| {
        case.expect_image(&case.image("in").rotate(case.number("degrees")));
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
        let draw = PaperDraw {
            warp: Some((case.jitter("order1", "factors1"), Some(case.corners()))),
            turn: Some((case.jitter("order2", "factors2"), case.number("degrees"))),
            flip_vertically: flips[0] != 0.0,
            flip_horizontally: flips[1] != 0.0,
        };
        let image = case.image("in");
        let mut out = vec![0.0; 3 * image.width * image.height];
        draw.apply(&image).normalize_into(&mut out);
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
        draw.apply(&image, 29, local, global);
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
        data: one.to_rgb(),
        ..one
    };
    for seed in 0..30 {
        let draw = PaperDraw::new(40, &mut Rng::new(seed, "test", [0, 0], 0));
        let (a, b) = (draw.apply(&one), draw.apply(&three));
        assert_eq!(a.to_rgb(), b.data, "{draw:?}");
        let (mut x, mut y) = (vec![0.0; 4800], vec![1.0; 4800]);
        a.normalize_into(&mut x);
        b.normalize_into(&mut y);
        assert_eq!(x, y);
    }
    assert_eq!(one.resize(17).to_rgb(), three.resize(17).data);
}

const DRAWS: u64 = 20_000;

fn share(count: usize) -> f64 {
    count as f64 / DRAWS as f64
}

/// Mean and range of uniform draws.
fn expect_uniform(name: &str, values: &[f64], lo: f64, hi: f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let (middle, width) = ((lo + hi) / 2.0, hi - lo);
    let tolerance = 4.0 * width / (12.0 * values.len() as f64).sqrt();
    assert!((mean - middle).abs() < tolerance, "{name}: mean {mean}");
    let min = values.iter().copied().fold(f64::INFINITY, f64::min);
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    assert!(
        min >= lo && min < lo + 0.02 * width,
        "{name}: minimum {min}"
    );
    assert!(
        max <= hi && max > hi - 0.02 * width,
        "{name}: maximum {max}"
    );
}

#[test]
fn paper_draws_follow_torchvision() {
    let draws: Vec<_> = (0..DRAWS)
        .map(|i| PaperDraw::new(96, &mut Rng::new(3, "test", [0, i], 0)))
        .collect();
    let expect_share = |name: &str, p: f64, test: &dyn Fn(&PaperDraw) -> bool| {
        let got = share(draws.iter().filter(|d| test(d)).count());
        assert!((got - p).abs() < 0.013, "{name}: {got}, expected {p}");
    };
    expect_share("warp", 0.3, &|d| d.warp.is_some());
    expect_share("perspective", 0.15, &|d| {
        matches!(d.warp, Some((_, Some(_))))
    });
    expect_share("turn", 0.3, &|d| d.turn.is_some());
    expect_share("both", 0.09, &|d| d.warp.is_some() && d.turn.is_some());
    expect_share("vertical", 0.3, &|d| d.flip_vertically);
    expect_share("horizontal", 0.3, &|d| d.flip_horizontally);
    let turns: Vec<_> = draws.iter().filter_map(|d| d.turn).collect();
    let degrees: Vec<f64> = turns.iter().map(|t| t.1).collect();
    expect_uniform("degrees", &degrees, -10.0, 10.0);
    let mut first = [0; 4];
    for (jitter, _) in &turns {
        for (place, part) in jitter.iter().enumerate() {
            let kind = match *part {
                Adjust::Brightness(_) => 0,
                Adjust::Contrast(_) => 1,
                Adjust::Saturation(_) => 2,
                Adjust::Hue(turn) => {
                    assert_eq!(turn, 0.0);
                    3
                }
            };
            first[kind] += usize::from(place == 0);
        }
    }
    for count in first {
        let got = count as f64 / turns.len() as f64;
        assert!((got - 0.25).abs() < 0.025, "first parts {first:?}");
    }
    for kind in 0..3 {
        let factors: Vec<f64> = turns
            .iter()
            .flat_map(|t| t.0)
            .filter_map(|part| match (kind, part) {
                (0, Adjust::Brightness(f))
                | (1, Adjust::Contrast(f))
                | (2, Adjust::Saturation(f)) => Some(f),
                _ => None,
            })
            .collect();
        expect_uniform("factor", &factors, 0.8, 1.2);
    }
    // 0.2 of half of 96 pixels: each corner moves 0 to 9 pixels inwards, each as often.
    let corners = draws.iter().filter_map(|d| d.warp.as_ref()?.1);
    let mut moved = [[0usize; 10]; 8];
    let mut count = 0;
    for [[x0, y0], [x1, y1], [x2, y2], [x3, y3]] in corners {
        let inward = [x0, y0, 95 - x1, y1, 95 - x2, 95 - y2, x3, 95 - y3];
        inward.iter().zip(&mut moved).for_each(|(&m, n)| n[m] += 1);
        count += 1;
    }
    for n in moved.iter().flatten() {
        let got = *n as f64 / count as f64;
        assert!((got - 0.1).abs() < 0.025, "{moved:?}");
    }
}

#[test]
fn dino_draws_follow_torchvision() {
    let draws: Vec<_> = (0..DRAWS)
        .map(|i| DinoDraw::new(64, &mut Rng::new(5, "test", [i, 0], 1)))
        .collect();
    let expect_share = |name: &str, p: f64, test: &dyn Fn(&DinoDraw) -> bool| {
        let got = share(draws.iter().filter(|d| test(d)).count());
        assert!((got - p).abs() < 0.015, "{name}: {got}, expected {p}");
    };
    expect_share("jitter", 0.3, &|d| d.jitter.is_some());
    expect_share("greyscale", 0.2, &|d| d.grayscale);
    expect_share("flip", 0.5, &|d| d.flip);
    expect_share("blur", 0.2, &|d| d.blur.is_some());
    let sigmas: Vec<f64> = draws.iter().filter_map(|d| d.blur).collect();
    expect_uniform("sigma", &sigmas, 1.0, 2.0);
    let hues: Vec<f64> = draws
        .iter()
        .flat_map(|d| d.jitter.into_iter().flatten())
        .filter_map(|part| match part {
            Adjust::Hue(turn) => Some(turn),
            _ => None,
        })
        .collect();
    expect_uniform("hue", &hues, -0.2, 0.2);
    let area = |c: Crop| (c.width * c.height) as f64 / (64.0 * 64.0);
    let mean = |areas: Vec<f64>| areas.iter().sum::<f64>() / areas.len() as f64;
    let local = mean(draws.iter().map(|d| area(d.local)).collect());
    assert!((local - 0.225).abs() < 0.005, "local area {local}");
    // A wide box of nearly the whole area does not fit and is drawn again: less than 0.75.
    let global = mean(draws.iter().map(|d| area(d.global)).collect());
    assert!((0.68..0.74).contains(&global), "global area {global}");
    for crop in draws.iter().flat_map(|d| [d.local, d.global]) {
        assert!(crop.top + crop.height <= 64 && crop.left + crop.width <= 64);
        let ratio = crop.width as f64 / crop.height as f64;
        assert!((0.68..1.46).contains(&ratio), "{crop:?}"); // rounded to pixels
    }
}
