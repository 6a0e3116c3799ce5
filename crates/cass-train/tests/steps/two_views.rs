//! Steps of the methods that see two views of each image.

use crate::{distance, images, kinds, model, parameters};
use candle_core::{DType, Tensor};
use cass_train::methods::{
    ByolConfig, ContrastConfig, ContrastStep, SimsiamConfig, StepOptions, VicregConfig,
};
use cass_train::optim::{AdamConfig, OptimizerConfig};
use cass_train::{Method, Recipe, Step};
use std::collections::HashMap;

/// What methods of two views train of their network, heads included.
#[test]
fn two_views_move_all_but_the_classifier_of_every_kind_of_network() {
    let vicreg = VicregConfig {
        expander_width: 8,
        ..VicregConfig::default()
    };
    let simsiam = SimsiamConfig {
        dim: 8,
        pred_dim: 6,
    };
    let byol = ByolConfig {
        projection_hidden_size: 8,
        projection_size: 4,
        momentum: 0.5,
    };
    let methods = [Method::from(vicreg), simsiam.into(), byol.into()];
    for method in methods {
        let mut recipe = Recipe::paper(method);
        recipe.arms.get_mut("net").unwrap().optimizer =
            OptimizerConfig::Adam(AdamConfig::default());
        for (name, kind) in kinds() {
            let mut step = recipe.step(vec![model(kind, 0)]).unwrap();
            let state = |step: &dyn Step| -> HashMap<String, Tensor> {
                let state = step.state().unwrap().into_iter();
                let state = state.filter(|(_, tensor)| tensor.dtype() == DType::F32);
                state
                    .map(|(name, tensor)| (name, tensor.copy().unwrap()))
                    .collect()
            };
            let classifier = parameters(model(kind, 0).classifier_params());
            let before = state(step.as_ref());
            for view in [0, 2] {
                let report = step.step(&[images(4, view), images(4, view + 1)]).unwrap();
                let what = format!("{} of {name}: {report:?}", recipe.method.name());
                assert!(
                    report.loss.is_finite() && report.grad_norm["net"] > 0.0,
                    "{what}"
                );
            }
            let after = state(step.as_ref());
            assert!(after.keys().any(|key| key.starts_with("online.projector.")));
            for (key, after) in after {
                let trained = !classifier.contains_key(key.split_once('.').unwrap().1);
                let moved = distance(&after, &before[&key]) > 0.0;
                assert_eq!(moved, trained, "{} of {name}: {key}", recipe.method.name());
            }
            let error = step.step(&[images(4, 0)]).unwrap_err().to_string();
            assert!(error.contains("a batch has 1 views: expected 2"), "{error}");
        }
    }
}

#[test]
fn a_contrast_pairs_any_two_networks_and_moves_all_but_their_classifiers() {
    let config = ContrastConfig {
        projection_hidden_size: 8,
        projection_size: 4,
        anchor: 0.5,
        distil: 0.5,
        ..ContrastConfig::default()
    };
    let arm = &Recipe::from_random(config.clone()).arms["cnn"];
    let kinds = kinds();
    let pairs = kinds.iter().zip(kinds.iter().cycle().skip(1));
    for ((a, first), (b, second)) in pairs {
        let arms = [
            ("cnn", model(*first, 0), arm),
            ("vit", model(*second, 1), arm),
        ];
        let mut step = ContrastStep::new(arms, &config, &StepOptions::default()).unwrap();
        let all = |step: &ContrastStep| {
            let networks = step.arms().into_iter().map(|(_, model)| {
                let classifier = parameters(model.classifier_params());
                (parameters(model.backbone_params()), classifier)
            });
            let projectors = step.heads().map(|heads| {
                let named = heads.into_iter().flat_map(|(what, head)| {
                    let parameters = head.trainable().into_iter();
                    parameters.map(move |(name, var)| (format!("{what}.{name}"), var))
                });
                parameters(named.collect())
            });
            (networks.collect::<Vec<_>>(), projectors)
        };
        let (before, projected) = all(&step);
        for view in [0, 2] {
            let report = step.step(&[images(4, view), images(4, view + 1)]).unwrap();
            assert!(report.loss.is_finite(), "{a} + {b}: {report:?}");
            assert!(report.grad_norm.values().all(|norm| *norm > 0.0));
            assert_eq!(report.lr.keys().collect::<Vec<_>>(), ["cnn", "vit"]);
        }
        let (after, projected_after) = all(&step);
        for ((before, classifier), (after, classifier_after)) in before.iter().zip(&after) {
            for (key, after) in after {
                let moved = distance(after, &before[key]) > 0.0;
                assert!(moved, "{a} + {b}: {key} did not move");
            }
            for (key, after) in classifier_after {
                assert_eq!(distance(after, &classifier[key]), 0.0, "{a} + {b}: {key}");
            }
        }
        for (before, after) in projected.iter().zip(&projected_after) {
            for (key, after) in after {
                let moved = distance(after, &before[key]) > 0.0;
                assert!(moved, "{a} + {b}: the projector's {key} did not move");
            }
        }
    }
}
