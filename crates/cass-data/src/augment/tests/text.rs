//! Pipelines as text, and arguments that are none.

use super::every_transform;
use crate::augment::{Pipeline, Transform};

#[test]
fn named_pipelines_are_their_transforms() {
    let last = |pipeline: &Pipeline| pipeline.transforms().last().cloned();
    for name in Pipeline::NAMES {
        let pipeline: Pipeline = name.parse().unwrap();
        assert_eq!(pipeline.to_string(), *name);
        assert_eq!(pipeline.views(), if *name == "dino" { 4 } else { 1 });
        pipeline.check(24).unwrap();
        let solarizes = matches!(last(&pipeline), Some(Transform::RandomSolarize { .. }));
        assert_eq!(solarizes, name.ends_with("solarize"), "{name}");
        let transforms = pipeline.transforms();
        let paper = Pipeline::Paper.transforms();
        let of_paper = name.starts_with("paper") && *name != "paper-hue";
        assert_eq!(transforms.starts_with(&paper), of_paper, "{name}");
    }
}

#[test]
fn pipelines_are_read_as_they_are_written() {
    let transforms = Pipeline::Transforms(every_transform().into());
    for pipeline in [transforms, Pipeline::PaperBlur] {
        let text = serde_json::to_string(&pipeline).unwrap();
        assert_eq!(serde_json::from_str::<Pipeline>(&text).unwrap(), pipeline);
    }
    let defaults =
        r#"[{"transform": "GaussianBlur", "kernel_size": 3}, {"transform": "RandomGrayscale"}]"#;
    let Pipeline::Transforms(transforms) = serde_json::from_str(defaults).unwrap() else {
        panic!("{defaults} is a name");
    };
    let sigma = [0.1, 2.0];
    let blur = Transform::GaussianBlur {
        kernel_size: 3,
        sigma,
    };
    assert_eq!(
        transforms[..],
        [blur, Transform::RandomGrayscale { p: 0.1 }]
    );
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
    let blur = |kernel_size, sigma| Transform::GaussianBlur { kernel_size, sigma };
    let affine = |scale| Transform::RandomAffine {
        degrees: 1.0,
        translate: None,
        scale: Some(scale),
        shear: None,
    };
    let jitter = |hue| Transform::ColorJitter {
        brightness: 0.0,
        contrast: 0.0,
        saturation: 0.0,
        hue,
    };
    for (transform, said) in [
        (blur(4, [1.0, 2.0]), "`kernel_size` is 4; expected odd"),
        (
            blur(65, [1.0, 2.0]),
            "`kernel_size` is 65; expected odd, and less",
        ),
        (
            blur(3, [2.0, 1.0]),
            "`sigma` is 2..1; expected numbers above 0",
        ),
        (affine([0.0, 1.0]), "`scale` is 0..1"),
        (affine([f64::NAN, 1.0]), "`scale` is NaN..1"),
        (jitter(0.6), "`hue` is 0.6; expected 0 to 0.5"),
        (
            Transform::RandomVerticalFlip { p: 1.5 },
            "`p` is 1.5; expected 0 to 1",
        ),
    ] {
        let nested = Transform::RandomApply {
            p: 0.5,
            transforms: vec![transform],
        };
        let error = Pipeline::Transforms([nested].into()).check(32).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}
