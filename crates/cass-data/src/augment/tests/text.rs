//! Pipelines as text, and arguments that are none.

use super::every_transform;
use crate::augment::{Pipeline, Transform};

#[test]
fn named_pipelines_are_their_transforms() {
    for name in Pipeline::NAMES {
        let pipeline: Pipeline = name.parse().unwrap();
        assert_eq!(pipeline.to_string(), *name);
        let views = match *name {
            "dino" => 4,
            "byol" => 2,
            _ => 1,
        };
        assert_eq!(pipeline.views(), views);
        pipeline.check(24).unwrap();
        let views = pipeline.transforms();
        let last = views.last().and_then(|view| view.last());
        let solarizes = matches!(last, Some(Transform::RandomSolarize { .. }));
        let solarized = name.ends_with("solarize") || *name == "byol";
        assert_eq!(solarizes, solarized, "{name}");
        let paper = Pipeline::Paper.transforms().remove(0);
        let of_paper = name.starts_with("paper") && *name != "paper-hue";
        let begins = views.first().is_some_and(|view| view.starts_with(&paper));
        assert_eq!(begins, of_paper, "{name}");
    }
}

#[test]
fn several_views_are_a_list_of_names_and_lists() {
    let text = r#"["paper", [{"transform": "RandomGrayscale"}], []]"#;
    let pipeline: Pipeline = serde_json::from_str(text).unwrap();
    assert_eq!((pipeline.views(), &*pipeline.to_string()), (3, "3 views"));
    let views = pipeline.transforms();
    assert_eq!(views[0], Pipeline::Paper.transforms()[0]);
    assert_eq!(*views[1], [Transform::RandomGrayscale { p: 0.1 }]);
    assert!(views[2].is_empty());
    pipeline.check(24).unwrap();
    for (text, said) in [
        (
            r#"["paper", "dino"]"#,
            "`view` is dino; expected a pipeline of one view, such as paper",
        ),
        (r#"[["paper", "paper"]]"#, "`view` is 2 views; expected a"),
        (
            r#"[[{"transform": "RandomGrayscale", "p": 2}]]"#,
            "`p` is 2; expected 0 to 1",
        ),
    ] {
        let pipeline: Pipeline = serde_json::from_str(text).unwrap();
        let error = pipeline.check(24).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn pipelines_are_read_as_they_are_written() {
    let transforms = Pipeline::Transforms(every_transform().into());
    let views = Pipeline::Views([Pipeline::PaperBlur, transforms.clone()].into());
    for pipeline in [transforms, views, Pipeline::PaperBlur, Pipeline::Byol] {
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
        (
            r#"["paper", {"transform": "RandomGrayscale"}]"#,
            "expected a pipeline's name, a list of transforms or a list of views",
        ),
        (
            r#"{"transform": "RandomGrayscale"}"#,
            "expected a pipeline's name, a list of transforms or a list of views",
        ),
        (
            "3",
            "expected a pipeline's name, a list of transforms or a list of views",
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
