use super::objective::{Link, Objective};
use super::round::Coordinates;
use super::*;
use cass_rng::Rng;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Case {
    features: Vec<Vec<f32>>,
    #[serde(default)]
    labels: Option<Vec<usize>>,
    #[serde(default)]
    targets: Option<Vec<Vec<u8>>>,
    c: f64,
    balanced: bool,
    mean: Vec<f64>,
    scale: Vec<f64>,
    coefficients: Vec<Vec<f64>>,
    intercepts: Vec<f64>,
    probabilities: Vec<Vec<f64>>,
}

impl Case {
    fn labels(&self) -> Labels {
        match (&self.labels, &self.targets) {
            (Some(labels), _) => Labels::One(labels.clone()),
            (None, targets) => {
                let flags = targets.iter().flatten().flatten();
                Labels::Any(flags.map(|&t| t == 1).collect())
            }
        }
    }

    /// As scikit-learn's `class_weight="balanced"` has it.
    fn weights(&self) -> Vec<[f64; 2]> {
        let (n, k) = (self.features.len() as f64, self.probabilities[0].len());
        let count = |class: usize| match self.labels() {
            Labels::One(labels) => labels.iter().filter(|&&l| l == class).count() as f64,
            Labels::Known(flags) => flags
                .iter()
                .skip(class)
                .step_by(k)
                .filter(|t| **t == Some(true))
                .count() as f64,
            Labels::Any(flags) => {
                flags.iter().skip(class).step_by(k).filter(|t| **t).count() as f64
            }
        };
        let of = |class| match (self.balanced, &self.labels) {
            (false, _) => [1.0; 2],
            (true, Some(_)) => [1.0, n / (k as f64 * count(class))],
            (true, None) => [n / (2.0 * (n - count(class))), n / (2.0 * count(class))],
        };
        (0..k).map(of).collect()
    }
}

fn close(what: &str, got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() <= tolerance, "{what}: {got} for {want}");
    }
}

#[test]
fn equals_scikit_learn() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../fixtures/golden/logistic/golden.json"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let mut cases: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
    cases.remove("versions");
    assert_eq!(cases.len(), 11);
    for (name, case) in cases {
        let case: Case = serde_json::from_value(case).unwrap();
        let (features, dim) = (case.features.concat(), case.features[0].len());
        let config = LogisticConfig {
            c: case.c,
            ..LogisticConfig::default()
        };
        let got = Logistic::fit(&features, dim, &case.labels(), &case.weights(), &config).unwrap();
        assert!(got.converged, "{name}");
        close(&name, &got.standard.mean, &case.mean, 1e-12);
        close(&name, &got.standard.scale, &case.scale, 1e-12);
        close(&name, &got.coefficients, &case.coefficients.concat(), 1e-4);
        // Those of several classes may all move together.
        let level = |b: &[f64]| b.iter().sum::<f64>() / b.len() as f64;
        let shift = match case.intercepts.len() {
            k if k > 2 && case.labels.is_some() => level(&case.intercepts) - level(&got.intercepts),
            _ => 0.0,
        };
        let moved: Vec<f64> = got.intercepts.iter().map(|b| b + shift).collect();
        close(&name, &moved, &case.intercepts, 1e-4);
        let p = got.probabilities(&features).unwrap();
        for (p, want) in p.iter().zip(&case.probabilities) {
            close(&name, p, want, 1e-5);
        }
        // The layer for features as they are says the same.
        let (weights, biases) = got.to_linear();
        for (row, want) in case.features.iter().zip(&case.probabilities) {
            let rows = weights.chunks(dim).zip(&biases);
            let logit = |(w, b): (&[f64], &f64)| {
                b + w
                    .iter()
                    .zip(row)
                    .map(|(w, &x)| w * f64::from(x))
                    .sum::<f64>()
            };
            let mut p: Vec<f64> = rows.map(logit).collect();
            if case.labels.is_some() {
                objective::softmax(&mut p);
            } else {
                p.iter_mut().for_each(|p| *p = objective::sigmoid(*p));
            }
            close(&name, &p, want, 1e-5);
        }
    }
}

/// Rows of `classes` overlapping clusters whose features differ in size and go together.
fn drawn(rows: usize, dim: usize, classes: usize) -> (Vec<f32>, Vec<usize>) {
    let mut rng = Rng::new(0, "logistic", [0, 0], 0);
    let labels: Vec<usize> = (0..rows).map(|i| i % classes).collect();
    let features = labels.iter().flat_map(|label| {
        let common = rng.normal();
        let of = |d: usize| common + rng.normal() + if d % classes == *label { 0.7 } else { 0.0 };
        (0..dim).map(of).collect::<Vec<_>>()
    });
    (features.map(|v| v as f32).collect(), labels)
}

#[test]
fn the_gradient_equals_finite_differences() {
    let (features, labels) = drawn(131, 11, 3);
    let standard = Standard::of(&features, 11).unwrap();
    let binary = labels.iter().map(|&l| l.min(1)).collect();
    for (link, targets) in [(Link::Softmax(3), labels.clone()), (Link::Sigmoid, binary)] {
        let weights = (0..131).map(|i| 1.0 + (i % 4) as f64).collect();
        let mut objective = Objective::new(&features, &standard, targets, weights, link);
        objective.set_inverse_strength(0.1);
        let mut rng = Rng::new(1, "params", [0, 0], 0);
        let params: Vec<f64> = (0..objective.params())
            .map(|_| 0.3 * rng.normal())
            .collect();
        let (_, gradient) = objective.at(&params);
        for (i, g) in gradient.iter().enumerate() {
            let step = |by: f64| {
                let mut moved = params.clone();
                moved[i] += by;
                objective.at(&moved).0
            };
            let slope = (step(1e-5) - step(-1e-5)) / 2e-5;
            assert!((slope - g).abs() < 1e-8, "{link:?} {i}: {g} for {slope}");
        }
    }
}

/// Features that go together, and hardly a penalty: in plain coordinates L-BFGS takes 1,318 evaluations.
#[test]
fn features_that_go_together_converge() {
    let (rows, dim) = (300, 40);
    let (drawn, labels) = drawn(rows, dim, 3);
    let mut features = Vec::new();
    for row in drawn.chunks(dim) {
        // Sums over more and more of the others.
        let sums = row.iter().scan(0.0, |sum, x| {
            *sum += x;
            Some(*sum)
        });
        features.extend(sums);
    }
    let labels = Labels::One(labels);
    let config = LogisticConfig {
        c: 100.0,
        iterations: 200,
        ..LogisticConfig::default()
    };
    let fit = || Logistic::fit(&features, dim, &labels, &[[1.0; 2]; 3], &config).unwrap();
    let fitted = pool(1).install(fit);
    assert!(fitted.converged, "{} evaluations", fitted.evaluations);
    // So many that round coordinates were made, by whatever threads.
    assert!(fitted.evaluations > 60);
    assert_eq!(pool(3).install(fit), fitted);
    // Classes' coefficients sum to nothing, as they do at the minimum.
    for d in 0..dim {
        let sum: f64 = (0..3).map(|k| fitted.coefficients[k * dim + d]).sum();
        assert!(sum.abs() < 1e-4, "{d}: {sum}");
    }
}

#[test]
fn round_coordinates_are_the_same_objective() {
    let (features, labels) = drawn(131, 11, 3);
    let standard = Standard::of(&features, 11).unwrap();
    let binary = labels.iter().map(|&l| l.min(1)).collect();
    for (link, targets) in [(Link::Softmax(3), labels.clone()), (Link::Sigmoid, binary)] {
        let mut objective = Objective::new(&features, &standard, targets, vec![1.0; 131], link);
        objective.set_inverse_strength(0.1);
        let mut rng = Rng::new(1, "params", [0, 0], 0);
        let mut drawn = || -> Vec<f64> {
            let count = 0..objective.params();
            count.map(|_| 0.3 * rng.normal()).collect()
        };
        let (origin, y) = (drawn(), drawn());
        let coordinates = Coordinates::round(&objective, origin.clone());
        assert_eq!(coordinates.params(&vec![0.0; origin.len()]), origin);
        let loss = |y: &[f64]| objective.at(&coordinates.params(y)).0;
        let (_, gradient) = objective.at(&coordinates.params(&y));
        let gradient = coordinates.gradient(&gradient);
        for (i, g) in gradient.iter().enumerate() {
            let step = |by: f64| {
                let mut moved = y.clone();
                moved[i] += by;
                loss(&moved)
            };
            let slope = (step(1e-5) - step(-1e-5)) / 2e-5;
            assert!((slope - g).abs() < 1e-8, "{link:?} {i}: {g} for {slope}");
        }
        // One output's curvature is 1 in every direction; that of several on the average.
        let curvature = |i: usize| {
            let at = |by: f64| {
                let mut y = vec![0.0; y.len()];
                y[i] = by;
                loss(&y)
            };
            (at(1e-3) - 2.0 * at(0.0) + at(-1e-3)) / 1e-6
        };
        let (outputs, dim) = (objective.outputs(), 11);
        let sum: f64 = (0..outputs).map(|k| curvature(k * dim)).sum();
        let mean = sum / outputs as f64;
        assert!((mean - 1.0).abs() < 1e-3, "{link:?}: {mean}");
    }
}

fn pool(threads: usize) -> rayon::ThreadPool {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build().unwrap()
}

#[test]
fn threads_change_no_bit() {
    let (features, labels) = drawn(700, 9, 3);
    let fit = |threads: usize| {
        let pool = pool(threads);
        let labels = Labels::One(labels.clone());
        let config = LogisticConfig::default();
        pool.install(|| {
            Logistic::path(&features, 9, &labels, &[[1.0; 2]; 3], &config, &[0.01, 1.0])
        })
    };
    let one = fit(1).unwrap();
    assert!(one.iter().all(|fitted| fitted.converged));
    assert_eq!(one, fit(3).unwrap());
}

#[test]
fn classes_that_are_not_there_are_never_said() {
    let (features, mut labels) = drawn(40, 3, 2);
    let fit = |labels: Labels, classes: usize| {
        let config = LogisticConfig::default();
        Logistic::fit(&features, 3, &labels, &vec![[1.0; 2]; classes], &config).unwrap()
    };
    let two = fit(Labels::One(labels.clone()), 2)
        .probabilities(&features)
        .unwrap();
    labels.iter_mut().for_each(|l| *l = 1 + 2 * *l);
    let four = fit(Labels::One(labels), 4)
        .probabilities(&features)
        .unwrap();
    for (two, four) in two.iter().zip(&four) {
        assert_eq!((four[0], four[2]), (0.0, 0.0));
        close("the others", &[four[1], four[3]], two, 1e-12);
    }
    let one = fit(Labels::One(vec![1; 40]), 2);
    assert_eq!(one.probabilities(&features[..3]).unwrap(), [[0.0, 1.0]]);
    let flags = (0..80).map(|i| i % 2 == 0).collect();
    let always = fit(Labels::Any(flags), 2);
    assert_eq!(always.probabilities(&features[..3]).unwrap(), [[1.0, 0.0]]);
}

/// A row of which nothing is known moves no coefficient, whatever it would have been.
#[test]
fn what_is_not_known_weighs_nothing() {
    let (features, labels) = drawn(40, 3, 2);
    let fit = |labels: Labels, weights: [f64; 2]| {
        let config = LogisticConfig::default();
        Logistic::fit(&features, 3, &labels, &[weights], &config).unwrap()
    };
    let flags: Vec<bool> = labels.iter().map(|l| *l == 1).collect();
    let known: Vec<Option<bool>> = flags.iter().copied().map(Some).collect();
    let any = fit(Labels::Any(flags.clone()), [1.0; 2]);
    assert_eq!(fit(Labels::Known(known.clone()), [1.0; 2]), any);
    // All of one class unknown is as if that class weighed nothing.
    let only = known.iter().map(|t| t.filter(|t| *t)).collect();
    let always = fit(Labels::Known(only), [1.0; 2]);
    assert_eq!(always.probabilities(&features[..3]).unwrap(), [[1.0]]);
    let mut some = known;
    some[..10].fill(None);
    let masked = fit(Labels::Known(some), [1.0; 2]);
    assert!(masked.converged && masked.coefficients != any.coefficients);
    let mut turned = flags;
    turned[..10].iter_mut().for_each(|flag| *flag = !*flag);
    assert_ne!(
        masked.coefficients,
        fit(Labels::Any(turned), [1.0; 2]).coefficients
    );
}

#[test]
fn a_fit_that_ends_early_says_so() {
    let (features, labels) = drawn(60, 5, 3);
    let config = LogisticConfig {
        iterations: 2,
        ..LogisticConfig::default()
    };
    let labels = Labels::One(labels);
    let fitted = Logistic::fit(&features, 5, &labels, &[[1.0; 2]; 3], &config).unwrap();
    assert!(!fitted.converged);
}

#[test]
fn what_does_not_fit_is_named() {
    let config = LogisticConfig::default();
    let error = |features: &[f32], labels: Vec<usize>| {
        let fitted = Logistic::fit(features, 2, &Labels::One(labels), &[[1.0; 2]; 2], &config);
        fitted.unwrap_err().to_string()
    };
    assert!(error(&[], vec![]).contains("0 training images"));
    assert!(error(&[1.0; 3], vec![0, 1]).contains("3 feature values were given, expected 4"));
    assert!(error(&[1.0; 4], vec![0]).contains("1 labels were given, expected 2"));
    assert!(error(&[1.0; 4], vec![0, 2]).contains("sample 1 has class 2"));
    assert!(error(&[1.0, f32::INFINITY, 1.0, 1.0], vec![0, 1]).contains("not finite"));
}
