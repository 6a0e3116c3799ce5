use super::*;
use serde_json::Value;
use std::collections::BTreeMap;

fn golden(kind: &str) -> BTreeMap<String, Value> {
    let all = cass_testing::golden_json("metrics/golden.json");
    serde_json::from_value(all[kind].clone()).unwrap()
}

fn names(case: &Value) -> Vec<String> {
    let classes = case["classes"].as_u64().unwrap();
    (0..classes).map(|c| format!("class {c}")).collect()
}

/// All numbers of a list of any depth, in order.
fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(flat).collect(),
        other => vec![other.as_f64().unwrap()],
    }
}

fn probabilities(case: &Value) -> Option<Vec<f64>> {
    (!case["probabilities"].is_null()).then(|| flat(&case["probabilities"]))
}

/// Every value of `expected` stands under the same key of `got`, to 1e-9.
fn assert_close(case: &str, expected: &Value, got: &Value) {
    match (expected, got) {
        (Value::Object(expected), _) => {
            for (key, expected) in expected {
                assert_close(&format!("{case}.{key}"), expected, &got[key]);
            }
        }
        (Value::Array(expected), Value::Array(got)) => {
            assert_eq!(expected.len(), got.len(), "{case}");
            for (e, g) in expected.iter().zip(got) {
                assert_close(case, e, g);
            }
        }
        (Value::Number(e), Value::Number(g)) => {
            let (e, g) = (e.as_f64().unwrap(), g.as_f64().unwrap());
            assert!((e - g).abs() <= 1e-9, "{case}: {g} for {e}");
        }
        _ => assert_eq!(expected, got, "{case}"),
    }
}

/// `got` as JSON, its list of classes turned into the golden's lists of scores.
fn by_score(got: impl Serialize) -> Value {
    let mut got = serde_json::to_value(got).unwrap();
    let classes = got["per_class"].as_array().unwrap().clone();
    let mut scores = serde_json::Map::new();
    for key in classes[0].as_object().unwrap().keys() {
        let column = classes.iter().map(|c| c[key].clone()).collect();
        scores.insert(key.clone(), column);
    }
    got["per_class"] = scores.into();
    got
}

#[test]
fn multiclass_equals_scikit_learn() {
    let cases = golden("multiclass");
    assert_eq!(cases.len(), 15);
    for (name, case) in cases {
        let indices =
            |key: &str| -> Vec<usize> { serde_json::from_value(case[key].clone()).unwrap() };
        let (truth, predicted) = (indices("truth"), indices("predicted"));
        let got = Metrics::of(
            &names(&case),
            &truth,
            &predicted,
            probabilities(&case).as_deref(),
        );
        assert_close(&name, &case["expected"], &by_score(got.unwrap()));
    }
}

#[test]
fn multilabel_equals_scikit_learn() {
    let cases = golden("multilabel");
    assert_eq!(cases.len(), 10);
    for (name, case) in cases {
        let labels =
            |key: &str| -> Vec<bool> { flat(&case[key]).iter().map(|&v| v == 1.0).collect() };
        let (truth, predicted) = (labels("truth"), labels("predicted"));
        let got = MultiLabelMetrics::of(
            &names(&case),
            &truth,
            &predicted,
            probabilities(&case).as_deref(),
        );
        assert_close(&name, &case["expected"], &by_score(got.unwrap()));
    }
}

#[test]
fn json_reads_back() {
    let classes = ["a", "b"].map(String::from);
    let metrics = Metrics::of(&classes, &[0, 1], &[0, 0], None).unwrap();
    let text = serde_json::to_string(&metrics).unwrap();
    assert_eq!(serde_json::from_str::<Metrics>(&text).unwrap(), metrics);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["f1_macro"], 1.0 / 3.0);
    assert!(value["auroc_macro"].is_null());
}

#[test]
fn input_that_does_not_fit_is_named() {
    let classes = ["a", "b"].map(String::from);
    let of = |truth: &[usize], predicted: &[usize], p: Option<&[f64]>| {
        Metrics::of(&classes, truth, predicted, p)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(of(&[], &[], None), "there are no predictions to score");
    assert_eq!(
        of(&[0, 1], &[0], None),
        "1 predictions were given, expected 2"
    );
    assert_eq!(
        of(&[0, 1], &[0, 2], None),
        "sample 1 has class 2, expected less than 2"
    );
    assert_eq!(
        of(&[0, 1], &[0, 1], Some(&[0.5; 3])),
        "3 probabilities were given, expected 4"
    );
    assert_eq!(
        of(&[0, 1], &[0, 1], Some(&[0.5, 0.5, f64::NAN, 0.5])),
        "sample 1 has probability NaN, expected 0 to 1"
    );
    let many = |truth: &[bool], predicted: &[bool]| {
        MultiLabelMetrics::of(&classes, truth, predicted, None)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(many(&[], &[]), "there are no predictions to score");
    assert_eq!(
        many(&[true; 3], &[true; 3]),
        "3 true labels were given, expected 2"
    );
    assert_eq!(
        many(&[true; 4], &[true; 2]),
        "2 predicted labels were given, expected 4"
    );
}

#[test]
fn roc_points_span_the_area() {
    let (scores, positive) = ([0.9, 0.8, 0.8, 0.3], [true, false, true, false]);
    let curve = roc_curve(&scores, &positive).unwrap();
    assert_eq!(curve, [(0.0, 0.0), (0.0, 0.5), (0.5, 1.0), (1.0, 1.0)]);
    let area: f64 = (curve.windows(2))
        .map(|w| (w[1].0 - w[0].0) * (w[0].1 + w[1].1) / 2.0)
        .sum();
    assert_eq!(Some(area), auroc(&scores, &positive));
    assert_eq!(roc_curve(&scores, &[true; 4]), None);
    assert_eq!(roc_curve(&[], &[]), None);
}

#[test]
fn precision_recall_points_span_the_average_precision() {
    let (scores, positive) = ([0.9, 0.8, 0.8, 0.3, 0.1], [true, false, true, false, true]);
    let curve = precision_recall_curve(&scores, &positive).unwrap();
    let expected = [
        (0.0, 1.0),
        (1.0 / 3.0, 1.0),
        (2.0 / 3.0, 2.0 / 3.0),
        (2.0 / 3.0, 0.5),
        (1.0, 0.6),
    ];
    assert_eq!(curve, expected);
    let area: f64 = curve.windows(2).map(|w| (w[1].0 - w[0].0) * w[1].1).sum();
    let average = average_precision(&scores, &positive).unwrap();
    assert!((area - average).abs() < 1e-12, "{area} for {average}");
    assert_eq!(precision_recall_curve(&scores, &[true; 5]), None);
}

#[test]
fn reliability_bins_hold_every_sample() {
    let bins = reliability_curve(&[0.0, 0.05, 0.5, 1.0], &[false, true, true, true]);
    assert_eq!(bins.iter().map(|b| b.samples).sum::<usize>(), 4);
    assert_eq!((bins[0].confidence, bins[0].accuracy), (0.025, 0.5));
    assert_eq!((bins[2].confidence, bins[2].accuracy), (1.0, 1.0));
}
