//! Pixels against torchvision's (fixtures/golden/augment), parameters against their distributions.
use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use cass_ops::Rng;

use super::{
    Pipeline,
    color::{Adjust, JitterDraw},
    dino::DinoDraw,
    geometry::{Affine, Corners},
    stage::{self, Drawn, Stage},
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
        stage::apply(&drawn, &image).normalize_into(&mut out);
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
        data: one.to_rgb().into(),
        ..one
    };
    let stages = every_stage();
    for seed in 0..60 {
        let drawn = stage::draw(&stages, 40, &mut Rng::new(seed, "test", [0, 0], 0));
        let (a, b) = (stage::apply(&drawn, &one), stage::apply(&drawn, &three));
        assert_eq!(a.to_rgb(), b.to_rgb(), "{drawn:?}");
        let (mut x, mut y) = (vec![0.0; 4800], vec![1.0; 4800]);
        a.normalize_into(&mut x);
        b.normalize_into(&mut y);
        assert_eq!(x, y);
    }
    assert_eq!(one.resize(17).to_rgb(), three.resize(17).data[..]);
}

/// Every kind of stage, with arguments unlike their defaults.
fn every_stage() -> Vec<Stage> {
    let half = |stage| Stage::RandomApply {
        p: 0.5,
        transforms: vec![stage],
    };
    let mut stages = Pipeline::PaperHue.stages().into_owned();
    stages.extend([
        half(Stage::RandomResizedCrop {
            scale: [0.3, 0.9],
            ratio: [0.5, 1.5],
        }),
        half(Stage::RandomAffine {
            degrees: 30.0,
            translate: Some([0.1, 0.3]),
            scale: Some([0.7, 1.4]),
            shear: Some([-10.0, 20.0, 5.0, 8.0]),
        }),
        half(Stage::GaussianBlur {
            kernel_size: 7,
            sigma: [0.3, 1.7],
        }),
        Stage::RandomSolarize {
            threshold: 100,
            p: 0.5,
        },
        Stage::RandomGrayscale { p: 0.4 },
    ]);
    stages
}

#[test]
fn named_pipelines_are_their_stages() {
    let last = |pipeline: &Pipeline| pipeline.stages().last().cloned();
    for name in Pipeline::NAMES {
        let pipeline: Pipeline = name.parse().unwrap();
        assert_eq!(pipeline.to_string(), *name);
        assert_eq!(pipeline.views(), if *name == "dino" { 4 } else { 1 });
        pipeline.check(24).unwrap();
        let solarizes = matches!(last(&pipeline), Some(Stage::RandomSolarize { .. }));
        assert_eq!(solarizes, name.ends_with("solarize"), "{name}");
        let stages = pipeline.stages();
        let paper = Pipeline::Paper.stages();
        let of_paper = name.starts_with("paper") && *name != "paper-hue";
        assert_eq!(stages.starts_with(&paper), of_paper, "{name}");
    }
}

#[test]
fn pipelines_are_read_as_they_are_written() {
    let stages = Pipeline::Stages(every_stage().into());
    for pipeline in [stages, Pipeline::PaperBlur] {
        let text = serde_json::to_string(&pipeline).unwrap();
        assert_eq!(serde_json::from_str::<Pipeline>(&text).unwrap(), pipeline);
    }
    let defaults =
        r#"[{"transform": "GaussianBlur", "kernel_size": 3}, {"transform": "RandomGrayscale"}]"#;
    let Pipeline::Stages(stages) = serde_json::from_str(defaults).unwrap() else {
        panic!("{defaults} is a name");
    };
    let sigma = [0.1, 2.0];
    let blur = Stage::GaussianBlur {
        kernel_size: 3,
        sigma,
    };
    assert_eq!(stages[..], [blur, Stage::RandomGrayscale { p: 0.1 }]);
    for (text, said) in [
        (
            "\"papr\"",
            "unknown variant `papr`, expected one of `paper`",
        ),
        (
            r#"[{"transform": "RandomErasing"}]"#,
            "unknown variant `RandomErasing`",
        ),
        (
            r#"[{"transform": "RandomSolarize", "threshold": 1, "q": 0}]"#,
            "unknown field `q`",
        ),
    ] {
        let error = serde_json::from_str::<Pipeline>(text).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn arguments_out_of_range_are_named() {
    let blur = |kernel_size, sigma| Stage::GaussianBlur { kernel_size, sigma };
    let affine = |scale| Stage::RandomAffine {
        degrees: 1.0,
        translate: None,
        scale: Some(scale),
        shear: None,
    };
    let jitter = |hue| Stage::ColorJitter {
        brightness: 0.0,
        contrast: 0.0,
        saturation: 0.0,
        hue,
    };
    for (stage, said) in [
        (blur(4, [1.0, 2.0]), "kernel_size = 4: expected odd"),
        (
            blur(65, [1.0, 2.0]),
            "kernel_size = 65: expected odd, and less",
        ),
        (
            blur(3, [2.0, 1.0]),
            "sigma = 2..1: expected numbers above 0",
        ),
        (affine([0.0, 1.0]), "scale = 0..1"),
        (affine([f64::NAN, 1.0]), "scale = NaN..1"),
        (jitter(0.6), "hue = 0.6: expected 0 to 0.5"),
        (
            Stage::RandomVerticalFlip { p: 1.5 },
            "p = 1.5: expected 0 to 1",
        ),
    ] {
        let nested = Stage::RandomApply {
            p: 0.5,
            transforms: vec![stage],
        };
        let error = Pipeline::Stages([nested].into()).check(32).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}

const DRAWS: u64 = 20_000;

fn share(count: usize) -> f64 {
    count as f64 / DRAWS as f64
}

/// The limit of the Kolmogorov-Smirnov statistic, times the root of the number of draws: a sample
/// of the distribution exceeds it once in two thousand.
const KOLMOGOROV: f64 = 1.99;

fn expect_uniform(name: &str, values: &[f64], lo: f64, hi: f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let ranked = sorted.iter().enumerate();
    let distances = ranked.map(|(rank, v)| ((v - lo) / (hi - lo) - (rank as f64 + 0.5) / n).abs());
    let statistic = distances.fold(0.0, f64::max) * n.sqrt();
    println!("{name}: {statistic:.2}");
    assert!(statistic < KOLMOGOROV, "{name}: {statistic}");
    assert!(sorted.iter().all(|v| (lo..=hi).contains(v)), "{name}");
}

/// Of two samples of one distribution, which may be discrete.
fn expect_alike(name: &str, ours: &[f64], theirs: &[f64]) {
    let below = |values: &[f64], at: f64| {
        values.iter().filter(|v| **v <= at).count() as f64 / values.len() as f64
    };
    let distances = theirs
        .iter()
        .map(|&at| (below(ours, at) - below(theirs, at)).abs());
    let (n, m) = (ours.len() as f64, theirs.len() as f64);
    let statistic = distances.fold(0.0, f64::max) * (n * m / (n + m)).sqrt();
    println!("{name}: {statistic:.2}");
    assert!(statistic < KOLMOGOROV, "{name}: {statistic}");
}

#[test]
fn every_parameter_is_drawn_as_torchvision_draws_it() {
    let golden = Golden::load();
    type Row = fn(&Drawn) -> Vec<f64>;
    let cases: [(&str, Stage, Row); 6] = [
        ("affine", every_stage()[5].clone(), |drawn| match drawn {
            Drawn::Affine(a) => {
                let ([tx, ty], [sx, sy]) = (a.translate, a.shear);
                vec![a.degrees, tx, ty, a.scale, sx, sy]
            }
            other => panic!("{other:?}"),
        }),
        (
            "jitter",
            Stage::ColorJitter {
                brightness: 0.4,
                contrast: 0.8,
                saturation: 0.1,
                hue: 0.3,
            },
            |drawn| match drawn {
                Drawn::Jitter(parts) => {
                    let mut row = vec![0.0; 8];
                    for (place, part) in parts.iter().enumerate() {
                        let (kind, factor) = match *part {
                            Adjust::Brightness(f) => (0, f),
                            Adjust::Contrast(f) => (1, f),
                            Adjust::Saturation(f) => (2, f),
                            Adjust::Hue(f) => (3, f),
                        };
                        row[place] = kind as f64;
                        row[4 + kind] = factor;
                    }
                    row
                }
                other => panic!("{other:?}"),
            },
        ),
        (
            "crop",
            Stage::RandomResizedCrop {
                scale: [0.08, 1.0],
                ratio: [3.0 / 4.0, 4.0 / 3.0],
            },
            crop_row,
        ),
        // Most of these do not fit.
        (
            "wide_crop",
            Stage::RandomResizedCrop {
                scale: [0.9, 1.0],
                ratio: [1.5, 2.0],
            },
            crop_row,
        ),
        (
            "perspective",
            Stage::RandomPerspective {
                distortion_scale: 0.3,
                p: 1.0,
            },
            |drawn| match drawn {
                Drawn::Perspective(corners) => {
                    corners.iter().flatten().map(|&v| v as f64).collect()
                }
                other => panic!("{other:?}"),
            },
        ),
        (
            "blur",
            Stage::GaussianBlur {
                kernel_size: 3,
                sigma: [0.3, 1.7],
            },
            |drawn| match drawn {
                Drawn::Blur { sigma, .. } => vec![*sigma],
                other => panic!("{other:?}"),
            },
        ),
    ];
    for (name, stage, row) in cases {
        let stage = match stage {
            Stage::RandomApply { mut transforms, .. } => transforms.remove(0),
            stage => stage,
        };
        let ours: Vec<Vec<f64>> = (0..4000)
            .map(|i| {
                row(&stage::draw(&[stage.clone()], 64, &mut Rng::new(9, "test", [0, i], 0))[0])
            })
            .collect();
        let theirs = golden.0[&format!("draws.{name}")]
            .to_dtype(DType::F64)
            .unwrap();
        let theirs = theirs.to_vec2::<f64>().unwrap();
        for parameter in 0..theirs[0].len() {
            let column =
                |rows: &[Vec<f64>]| rows.iter().map(|row| row[parameter]).collect::<Vec<_>>();
            let name = format!("{name}, parameter {parameter}");
            expect_alike(&name, &column(&ours), &column(&theirs));
        }
    }
}

fn crop_row(drawn: &Drawn) -> Vec<f64> {
    match drawn {
        Drawn::Crop(crop) => {
            let numbers = [crop.top, crop.left, crop.height, crop.width];
            numbers.map(|v| v as f64).to_vec()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn stages_are_applied_as_often_as_they_should_be() {
    let paper = Pipeline::PaperBlurSolarize.stages().into_owned();
    let draws: Vec<_> = (0..DRAWS)
        .map(|i| stage::draw(&paper, 96, &mut Rng::new(3, "test", [0, i], 0)))
        .collect();
    let expect_share = |name: &str, p: f64, test: fn(&Drawn) -> bool, times: usize| {
        let counts = draws.iter().map(|d| d.iter().filter(|d| test(d)).count());
        let got = share(counts.filter(|&count| count == times).count());
        // Four standard deviations.
        let tolerance = 4.0 * (p * (1.0 - p) / DRAWS as f64).sqrt();
        assert!((got - p).abs() < tolerance, "{name}: {got}, expected {p}");
    };
    expect_share("no jitter", 0.49, |d| matches!(d, Drawn::Jitter(_)), 0);
    expect_share("two jitters", 0.09, |d| matches!(d, Drawn::Jitter(_)), 2);
    expect_share(
        "perspective",
        0.15,
        |d| matches!(d, Drawn::Perspective(_)),
        1,
    );
    expect_share("rotation", 0.3, |d| matches!(d, Drawn::Affine(_)), 1);
    expect_share("vertical", 0.3, |d| matches!(d, Drawn::FlipVertically), 1);
    expect_share(
        "horizontal",
        0.3,
        |d| matches!(d, Drawn::FlipHorizontally),
        1,
    );
    expect_share("blur", 0.5, |d| matches!(d, Drawn::Blur { .. }), 1);
    expect_share("solarize", 0.2, |d| matches!(d, Drawn::Solarize(128)), 1);
    let degrees: Vec<f64> = draws
        .iter()
        .flatten()
        .filter_map(|d| match d {
            Drawn::Affine(affine) => Some(affine.degrees),
            _ => None,
        })
        .collect();
    expect_uniform("degrees", &degrees, -10.0, 10.0);
    let gray = [Stage::RandomGrayscale { p: 0.4 }];
    let applied = (0..DRAWS).filter(|&i| {
        let drawn = stage::draw(&gray, 96, &mut Rng::new(4, "test", [0, i], 0));
        drawn == [Drawn::Grayscale]
    });
    assert!((share(applied.count()) - 0.4).abs() < 0.014);
}

/// A run's views are its seed's for good.
#[test]
fn draws_are_pinned() {
    let paper = Pipeline::Paper.stages();
    let drawn: Vec<_> = (0..40)
        .map(|i| stage::draw(&paper, 96, &mut Rng::new(3, "augment", [0, i], 0)))
        .collect();
    let counts: Vec<usize> = drawn.iter().map(Vec::len).collect();
    let degrees = drawn.iter().flatten().find_map(|d| match d {
        Drawn::Affine(affine) => Some(affine.degrees),
        _ => None,
    });
    assert_eq!(format!("{counts:?} {degrees:?}"), "PINNED");
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
