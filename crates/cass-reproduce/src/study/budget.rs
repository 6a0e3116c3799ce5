//! Networks, size, epochs and seeds that fit the time.

use super::args::guarded;
use crate::networks::Network;
use crate::plan::{Cost, TRAIN};
use crate::table::Method;
use serde::{Deserialize, Serialize};

/// What a study does: all that decides its runs but the images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    pub cnn: Network,
    pub vit: Network,
    /// Initial weights of the CNN and of the Transformer.
    pub weights: [String; 2],
    /// What pretrains them.
    #[serde(default = "guarded")]
    pub method: Method,
    /// Image side in pixels.
    pub size: u32,
    pub batch: u32,
    /// Of pretraining.
    pub epochs: u32,
    /// Of fine-tuning, at most; 0 where the time allows none.
    pub finetune_epochs: u32,
    /// Shares of the labels, ascending: the first are the few, the last are all.
    pub percents: Vec<u32>,
    pub seeds: u64,
    /// Shares of validation and test images in percent, where no test images are given.
    pub held_out: [u32; 2],
    /// 10⁹ operations a second that a training step reached on this machine.
    pub gflops: f64,
    /// Expected seconds of all runs.
    pub seconds: f64,
}

/// What was asked for, and what there is.
pub struct Wishes {
    pub cnn: Network,
    pub vit: Network,
    pub weights: [String; 2],
    pub method: Method,
    pub size: Option<u32>,
    pub epochs: Option<u32>,
    pub finetune_epochs: Option<u32>,
    pub seeds: u64,
    /// Seconds.
    pub budget: f64,
    pub images: u64,
    pub labelled: u64,
    pub classes: u64,
    /// Test images that are given.
    pub test: u64,
    /// The side that most images exceed, in pixels.
    pub side: u32,
    /// 10⁹ operations a second that a training step reaches on this machine.
    pub gflops: f64,
}

/// Images a step.
const BATCH: u32 = 16;
/// Sides that are tried, largest first.
const SIDES: [u32; 6] = [224, 160, 128, 96, 80, 64];
/// Seconds to start a run, look at its images and fit a classifier to features.
const START: f64 = 2.0;
/// Epochs below which a smaller side is tried first.
const ENOUGH: [u32; 2] = [40, 10];
/// More epochs than these are not worth their time on few images.
const MOST: [u32; 2] = [200, 50];
/// Share of the time for training that is for pretraining, where there is time for fine-tuning.
const FOR_PRETRAINING: f64 = 0.45;

impl Choice {
    /// The largest side at which enough epochs fit; where none fits, the smallest, and in the end fewer epochs and no
    /// fine-tuning. Seeds are never fewer than asked for: a verdict needs them.
    pub fn of(wishes: &Wishes) -> Choice {
        let step = multiple(&wishes.vit).max(multiple(&wishes.cnn));
        let mut sides: Vec<u32> = match wishes.size {
            Some(size) => vec![size],
            None => SIDES
                .iter()
                .map(|side| (side / step).max(1) * step)
                .collect(),
        };
        if wishes.size.is_none() {
            // What images do not show, no network sees.
            let shown = wishes.side.max(64).div_ceil(step) * step;
            sides.retain(|&side| side <= shown);
            sides.dedup();
        }
        let tried = sides.iter().map(|&side| Choice::at(wishes, side));
        let tried: Vec<Choice> = tried.collect();
        let enough = |choice: &&Choice| {
            let [pretraining, finetuning] = ENOUGH;
            choice.epochs >= pretraining && choice.finetune_epochs >= finetuning
        };
        let chosen = tried.iter().find(enough).or(tried.last());
        chosen
            .cloned()
            .unwrap_or_else(|| Choice::at(wishes, step.max(64)))
    }

    fn at(wishes: &Wishes, size: u32) -> Choice {
        let held_out = match (wishes.test, wishes.labelled) {
            (1.., _) => [10, 0],
            (_, 0..400) => [15, 30],
            (_, 400..2000) => [10, 20],
            _ => [10, 10],
        };
        let kept = 1.0 - f64::from(held_out[0] + held_out[1]) / 100.0;
        let labels = (wishes.labelled - wishes.test.min(wishes.labelled)) as f64 * kept;
        let seen = (wishes.images - wishes.test.min(wishes.images)) as f64;
        let forward = [&wishes.cnn, &wishes.vit].map(|network| network.gflops(size));
        let both = forward[0] + forward[1];
        let percents = percents(labels, wishes.classes, wishes.budget / wishes.seeds as f64);
        let seeds = wishes.seeds as f64;
        // Two starts of two arms, by neighbours and by regression, with each share of the labels.
        let probes = 8.0 * percents.len() as f64 * START;
        let features = 2.0 * wishes.labelled as f64 * both / wishes.gflops;
        let left = wishes.budget / seeds - probes - features - START;
        let pretraining = wishes.method.pretraining();
        let views = pretraining.map_or(1.0, |pretraining| pretraining.trained);
        let epoch = seen * views * TRAIN * both / wishes.gflops;
        let shares: f64 = ends(&percents)
            .map(|percent| f64::from(percent) / 100.0)
            .iter()
            .sum();
        let tuning = 2.0 * shares * labels * TRAIN * both / wishes.gflops;
        let fit = |seconds: f64, one: f64, most: u32| ((seconds / one.max(1e-9)) as u32).min(most);
        let [most, most_tuning] = MOST;
        let start_tuning = 8.0 * START;
        let for_tuning = (1.0 - FOR_PRETRAINING) * (left - start_tuning);
        let finetune_epochs =
            wishes
                .finetune_epochs
                .unwrap_or_else(|| match fit(for_tuning, tuning, most_tuning) {
                    // So few show nothing: the time is pretraining's.
                    0..3 => 0,
                    epochs => epochs,
                });
        let spent = match finetune_epochs {
            0 => 0.0,
            epochs => start_tuning + f64::from(epochs) * tuning,
        };
        let epochs = wishes
            .epochs
            .unwrap_or_else(|| fit(left - spent, epoch, most).max(1));
        let seed = START + probes + features + spent + f64::from(epochs) * epoch;
        Choice {
            cnn: wishes.cnn.clone(),
            vit: wishes.vit.clone(),
            weights: wishes.weights.clone(),
            method: wishes.method,
            size,
            batch: BATCH.min((seen / 2.0) as u32).max(2),
            epochs,
            finetune_epochs,
            percents,
            seeds: wishes.seeds,
            held_out,
            gflops: wishes.gflops,
            seconds: seeds * seed,
        }
    }
}

impl Choice {
    /// The measured speed, and what small networks on two cores took beside it.
    pub fn cost(&self) -> Cost {
        Cost {
            machine: "this computer".to_owned(),
            gflops: self.gflops,
            mib_per_gflop: 9.0,
            stop: 1.0,
            start: START,
        }
    }
}

/// The few labels and all, and two shares between where there is time for the curve.
fn percents(labels: f64, classes: u64, seconds: f64) -> Vec<u32> {
    const FEW_OF_A_CLASS: f64 = 5.0;
    const LONG: f64 = 600.0;
    let enough =
        |percent: &u32| f64::from(*percent) / 100.0 * labels >= FEW_OF_A_CLASS * classes as f64;
    let few = [1, 5, 10, 25, 50].into_iter().find(enough).unwrap_or(50);
    let mut percents = vec![few];
    if seconds >= LONG {
        percents.extend([25, 50].into_iter().filter(|&between| between > few));
    }
    percents.push(100);
    percents
}

/// The first and the last of the shares.
pub fn ends(percents: &[u32]) -> [u32; 2] {
    let last = percents.last().copied().unwrap_or(100);
    [percents.first().copied().unwrap_or(last), last]
}

/// What a network's input is a multiple of, in pixels.
fn multiple(network: &Network) -> u32 {
    let name = network.short();
    match name {
        _ if name.contains("patch14") => 14,
        // Windows and their halves have to fit: the size it was made for does.
        _ if name.contains("swin") => network.input(),
        _ if name.contains("patch32") => 32,
        _ if name.contains("patch16") => 16,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(images: u64, budget: f64) -> Wishes {
        let network = |name: &str| Network::try_from(name.to_owned()).unwrap();
        Wishes {
            cnn: network("resnet18"),
            vit: network("vit_tiny_patch16_224"),
            weights: ["random", "random"].map(str::to_owned),
            method: Method::Cass,
            size: None,
            epochs: None,
            finetune_epochs: None,
            seeds: 3,
            budget,
            images,
            labelled: images,
            classes: 4,
            test: 0,
            side: 512,
            gflops: 120.0,
        }
    }

    #[test]
    fn a_study_takes_the_time_it_is_given_and_not_more() {
        for (images, budget) in [(400, 3600.0), (400, 1200.0), (3000, 7200.0), (100, 600.0)] {
            let choice = Choice::of(&wishes(images, budget));
            assert!(choice.seconds <= budget, "{images} {budget}: {choice:?}");
            assert!(
                choice.epochs >= 10 && choice.seeds == 3,
                "{images} {budget}: {choice:?}"
            );
        }
        let [hour, day] = [3600.0, 86_400.0].map(|budget| Choice::of(&wishes(3000, budget)).size);
        assert!(day > hour, "{hour} {day}");
    }

    #[test]
    fn too_little_time_gives_the_smallest_study_that_still_tells_something() {
        let choice = Choice::of(&wishes(25_000, 300.0));
        assert_eq!(
            (
                choice.size,
                choice.epochs,
                choice.finetune_epochs,
                choice.seeds
            ),
            (64, 1, 0, 3)
        );
        assert!(choice.seconds > 300.0);
    }

    #[test]
    fn what_is_asked_for_stands() {
        let mut asked = wishes(400, 3600.0);
        (asked.size, asked.epochs, asked.finetune_epochs) = (Some(96), Some(7), Some(0));
        let choice = Choice::of(&asked);
        assert_eq!(
            (choice.size, choice.epochs, choice.finetune_epochs),
            (96, 7, 0)
        );
        asked.size = None;
        asked.side = 80;
        assert!(Choice::of(&asked).size <= 80);
        asked.vit = Network::try_from("vit_small_patch14_dinov2".to_owned()).unwrap();
        assert_eq!(Choice::of(&asked).size % 14, 0);
    }

    #[test]
    fn few_labels_are_a_few_of_each_class() {
        assert_eq!(percents(280.0, 4, 100.0), [10, 100]);
        assert_eq!(percents(2600.0, 4, 1000.0), [1, 25, 50, 100]);
        assert_eq!(percents(42.0, 8, 1000.0), [50, 100]);
        assert_eq!(percents(70.0, 4, 1000.0), [50, 100]);
    }
}
