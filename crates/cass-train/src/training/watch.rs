//! Whether training has made features that tell nothing apart.

use crate::features::ArmLook;
use cass_run::Collapse;

/// What to say of an arm whose features have collapsed since the start, in plain words. Features
/// that told nothing apart with the initial weights either are nothing that training did.
pub(super) fn warning(arm: &str, start: &ArmLook, now: &ArmLook) -> Option<String> {
    let total = Collapse::is_total_in;
    if total(start.features) || !total(now.features) {
        return None;
    }
    let Some((start_features, features)) = start.features.zip(now.features) else {
        return Some(format!(
            "the features of {arm} are no longer finite numbers"
        ));
    };
    let mut text = format!(
        "the features of {arm} have collapsed: images that differ look the same to it \
         (mean cosine {:.4}, {:.4} at the start; effective rank {:.1}, {:.1} at the start",
        features.mean_cosine,
        start_features.mean_cosine,
        features.effective_rank,
        start_features.effective_rank,
    );
    if let (Some(start), Some(now)) = (start.neighbours, now.neighbours) {
        let (now, start) = (100.0 * now, 100.0 * start);
        text +=
            &format!("; nearest neighbours share a class in {now:.0} %, {start:.0} % at the start");
    }
    Some(text + ")")
}

/// What to say of an arm that training makes worse, by what predicted best, without labels, how much better frozen features
/// became (docs/pretraining.md): how much more alike two views of an image are than those of different images. Only what twice
/// the standard error of the difference leaves below zero is said.
pub(super) fn worse(arm: &str, start: &ArmLook, now: &ArmLook) -> Option<String> {
    let (was, is) = (start.views?, now.views?);
    let error = was.standard_error.hypot(is.standard_error);
    (was.invariance - is.invariance > 2.0 * error).then(|| {
        format!(
            "training seems to make the features of {arm} worse than they were at the start: two views of a training image \
             are more alike than those of different images by a cosine of {:.2}, {:.2} at the start; a lower learning rate, \
             fewer epochs or --keep best may help",
            is.invariance, was.invariance
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cass_run::Views;

    fn reading(mean_cosine: f64, effective_rank: f64) -> ArmLook {
        ArmLook {
            features: Some(Collapse {
                mean_cosine,
                effective_rank,
                std: 1.0,
            }),
            logits: None,
            neighbours: Some(0.25),
            views: None,
        }
    }

    #[test]
    fn what_chance_may_have_made_worse_is_not_said() {
        let at = |invariance| ArmLook {
            views: Some(Views {
                invariance,
                standard_error: 0.05,
                retrieval: 0.5,
            }),
            ..reading(0.5, 30.0)
        };
        let said = |was, is| worse("vit", &at(was), &at(is));
        let text = said(0.8, 0.5).unwrap();
        assert!(
            text.contains("a cosine of 0.50, 0.80 at the start"),
            "{text}"
        );
        for (was, is) in [(0.8, 0.7), (0.5, 0.8), (0.5, 0.5)] {
            assert_eq!(said(was, is), None);
        }
        let none = reading(0.5, 30.0);
        assert_eq!(worse("vit", &none, &at(0.1)), None);
    }

    #[test]
    fn it_warns_of_what_training_did_and_of_nothing_else() {
        let healthy = reading(0.5, 30.0);
        assert_eq!(warning("cnn", &healthy, &reading(0.98, 2.0)), None);
        for collapsed in [reading(0.995, 30.0), reading(0.5, 1.2)] {
            let text = warning("cnn", &healthy, &collapsed).unwrap();
            assert!(
                text.contains("cnn have collapsed") && text.contains("25 %"),
                "{text}"
            );
            assert_eq!(warning("cnn", &collapsed, &collapsed), None);
        }
        let none = ArmLook {
            features: None,
            ..healthy
        };
        let text = warning("vit", &healthy, &none).unwrap();
        assert_eq!(text, "the features of vit are no longer finite numbers");
    }
}
