//! Running statistics as they were before a step.

use crate::error::Result;
use candle_core::{Tensor, Var};
use cass_models::Model;

/// What a step changes before it updates anything: the buffers of its networks.
pub(crate) struct Statistics(Vec<(Var, Tensor)>);

impl Statistics {
    /// Copies those of some networks.
    pub(crate) fn of(networks: &[&Model]) -> Result<Self> {
        let all = networks.iter().flat_map(|model| model.params().buffers());
        let copies = all.map(|(_, var)| {
            let copy = var.as_tensor().copy()?;
            Ok((var, copy))
        });
        Ok(Self(copies.collect::<candle_core::Result<_>>()?))
    }

    /// Gives the networks theirs back.
    pub(crate) fn restore(self) -> Result<()> {
        for (var, value) in self.0 {
            var.set(&value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::{ByolConfig, CassConfig, ContrastConfig, DinoConfig};
    use crate::{Recipe, Step};
    use candle_core::{Device, Tensor};
    use cass_models::ModelOptions;
    use cass_ops::scope::interruptible;
    use std::cell::Cell;
    use std::collections::BTreeMap;
    use std::rc::Rc;

    /// All that a step would write into a state.
    fn bytes(step: &dyn Step) -> BTreeMap<String, Vec<u8>> {
        let tensors = step.state().unwrap().into_iter();
        let bytes = |tensor: Tensor| safetensors::tensor::View::data(&tensor).into_owned();
        tensors
            .map(|(name, tensor)| (name, bytes(tensor)))
            .collect()
    }

    fn images(seed: u64) -> Tensor {
        let mut rng = cass_rng::Rng::new(seed, "images", [0, 0], 0);
        let values = (0..4 * 3 * 32 * 32).map(|_| rng.normal() as f32).collect();
        Tensor::from_vec(values, (4, 3, 32, 32), &Device::Cpu).unwrap()
    }

    #[test]
    fn a_step_that_was_left_anywhere_is_taken_again_to_the_same_bytes() {
        let cass = Recipe::notebook(CassConfig::default());
        let dino = DinoConfig {
            num_classes_k: 16,
            projection_hidden_size: 8,
            ..DinoConfig::default()
        };
        let dino = Recipe::paper(dino);
        let byol = Recipe::paper(ByolConfig {
            projection_hidden_size: 8,
            projection_size: 4,
            ..ByolConfig::default()
        });
        let contrast = Recipe::from_random(ContrastConfig {
            projection_hidden_size: 8,
            projection_size: 4,
            queue: 5,
            anchor: 0.5,
            distil: 0.5,
            ..ContrastConfig::default()
        });
        for mut recipe in [cass, dino, contrast, byol] {
            // Gradients that add up over all steps, and a batch in two parts.
            recipe.accumulate = 2;
            recipe.batch = 4;
            recipe.zero_grad = false;
            recipe.outputs = 4;
            let networks = || {
                let names = ["resnet18", "vit_tiny_patch16_224"].into_iter();
                let options = ModelOptions {
                    num_classes: 4,
                    input_size: 32,
                    ..ModelOptions::default()
                };
                let arms = recipe.arms.len();
                names
                    .take(arms)
                    .map(|name| Model::new(name, &options).unwrap())
                    .collect()
            };
            let views: Vec<Tensor> = (0..recipe.views() as u64).map(images).collect();
            let mut whole = recipe.step(networks()).unwrap();
            let mut step = recipe.step(networks()).unwrap();
            for _ in 0..2 {
                whole.step(&views).unwrap();
                let before = bytes(step.as_ref());
                let mut left = 0;
                for place in (0..).step_by(37) {
                    let statistics = Statistics::of(&step.networks()).unwrap();
                    let count = Rc::new(Cell::new(0));
                    let stops = move || count.replace(count.get() + 1) == place;
                    if interruptible(stops, || step.step(&views))
                        .unwrap()
                        .is_some()
                    {
                        break;
                    }
                    statistics.restore().unwrap();
                    step.forget();
                    assert!(
                        bytes(step.as_ref()) == before,
                        "changed by what was left at {place}"
                    );
                    left += 1;
                }
                assert!(left > 5, "left {left} times");
                assert!(
                    bytes(step.as_ref()) == bytes(whole.as_ref()),
                    "another step"
                );
            }
        }
    }
}
