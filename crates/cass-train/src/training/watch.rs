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
        }
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
