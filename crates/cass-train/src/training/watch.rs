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
/// became (docs/pretraining.md): whether two views of an image find each other among `images`. Only what twice the
/// standard error of the difference leaves below zero is said.
pub(super) fn worse(arm: &str, start: &ArmLook, now: &ArmLook, images: usize) -> Option<String> {
    let (was, is) = (start.retrieval?, now.retrieval?);
    let variance = (was * (1.0 - was) + is * (1.0 - is)) / images as f64;
    (was - is > 2.0 * variance.sqrt()).then(|| {
        format!(
            "training makes the features of {arm} worse than they were at the start: a second view of an image finds the \
             first among {images} training images in {:.0} % of them, {:.0} % at the start; --keep best keeps the best epoch",
            100.0 * is,
            100.0 * was
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(mean_cosine: f64, effective_rank: f64) -> ArmLook {
        ArmLook {
            features: Some(Collapse {
                mean_cosine,
                effective_rank,
                std: 1.0,
            }),
            logits: None,
            neighbours: Some(0.25),
            retrieval: None,
        }
    }

    #[test]
    fn what_chance_may_have_made_worse_is_not_said() {
        let at = |share| ArmLook {
            retrieval: share,
            ..reading(0.5, 30.0)
        };
        let said = |was, is| worse("vit", &at(was), &at(is), 64);
        let text = said(Some(0.8), Some(0.5)).unwrap();
        assert!(
            text.contains("in 50 % of them, 80 % at the start"),
            "{text}"
        );
        for (was, is) in [(0.8, 0.7), (0.5, 0.8), (0.5, 0.5)] {
            assert_eq!(said(Some(was), Some(is)), None);
        }
        assert_eq!(said(None, Some(0.1)), None);
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
