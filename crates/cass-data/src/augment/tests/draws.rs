//! Parameters against torchvision's distributions.

use super::{Golden, every_transform};
use crate::augment::Pipeline;
use crate::augment::color::Adjust;
use crate::augment::dino::DinoDraw;
use crate::augment::transform::{self, Drawn, Transform};
use crate::resample::Crop;
use candle_core::DType;
use cass_rng::Rng;

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
    let cases: [(&str, Transform, Row); 6] = [
        (
            "affine",
            every_transform()[5].clone(),
            |drawn| match drawn {
                Drawn::Affine(a) => {
                    let ([tx, ty], [sx, sy]) = (a.translate, a.shear);
                    vec![a.degrees, tx, ty, a.scale, sx, sy]
                }
                other => panic!("{other:?}"),
            },
        ),
        (
            "jitter",
            Transform::ColorJitter {
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
            Transform::RandomResizedCrop {
                scale: [0.08, 1.0],
                ratio: [3.0 / 4.0, 4.0 / 3.0],
            },
            crop_row,
        ),
        // Most of these do not fit.
        (
            "wide_crop",
            Transform::RandomResizedCrop {
                scale: [0.9, 1.0],
                ratio: [1.5, 2.0],
            },
            crop_row,
        ),
        (
            "perspective",
            Transform::RandomPerspective {
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
            Transform::GaussianBlur {
                kernel_size: 3,
                sigma: [0.3, 1.7],
            },
            |drawn| match drawn {
                Drawn::Blur { sigma, .. } => vec![*sigma],
                other => panic!("{other:?}"),
            },
        ),
    ];
    for (name, transform, row) in cases {
        let transform = match transform {
            Transform::RandomApply { mut transforms, .. } => transforms.remove(0),
            transform => transform,
        };
        let transforms = [transform];
        let ours: Vec<Vec<f64>> = (0..4000)
            .map(|i| row(&transform::draw(&transforms, 64, &mut Rng::new(9, "test", [0, i], 0))[0]))
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
fn transforms_are_applied_as_often_as_they_should_be() {
    let paper = Pipeline::PaperBlurSolarize.transforms().remove(0);
    let draws: Vec<_> = (0..DRAWS)
        .map(|i| transform::draw(&paper, 96, &mut Rng::new(3, "test", [0, i], 0)))
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
    let gray = [Transform::RandomGrayscale { p: 0.4 }];
    let applied = (0..DRAWS).filter(|&i| {
        let drawn = transform::draw(&gray, 96, &mut Rng::new(4, "test", [0, i], 0));
        drawn == [Drawn::Grayscale]
    });
    assert!((share(applied.count()) - 0.4).abs() < 0.014);
}

/// A run's views are its seed's for good.
#[test]
fn draws_are_pinned() {
    let paper = Pipeline::Paper.transforms().remove(0);
    let drawn: Vec<_> = (0..40)
        .map(|i| transform::draw(&paper, 96, &mut Rng::new(3, "augment", [0, i], 0)))
        .collect();
    let counts: Vec<usize> = drawn.iter().map(Vec::len).collect();
    let degrees = drawn.iter().flatten().find_map(|d| match d {
        Drawn::Affine(affine) => Some(affine.degrees),
        _ => None,
    });
    assert_eq!(
        format!("{counts:?} {degrees:?}"),
        "[0, 0, 0, 1, 0, 1, 4, 3, 1, 2, 1, 1, 4, 0, 3, 0, 3, 0, 1, 2, 1, 2, 5, 3, 3, 0, 4, 0, 3, 0, \
         4, 3, 2, 1, 2, 3, 2, 1, 0, 1] Some(-0.5112013137241966)"
    );
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
