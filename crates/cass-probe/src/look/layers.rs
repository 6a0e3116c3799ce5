//! Two networks compared layer by layer, on the same images.

use super::cka::{Cka, Gram};
use super::subject::{Subject, values};
use crate::{Error, Result};
use cass_data::recipe::RunImages;
use cass_models::intermediates::Taps;
use cass_models::{Mode, Model};
use rayon::prelude::*;

/// Linear CKA of every layer of one network with every layer of another.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerCka {
    /// Names of the first network's layers, from the images on.
    pub rows: Vec<String>,
    /// Names of the second's.
    pub columns: Vec<String>,
    /// One row for each layer of the first network: from 0 to 1, `None` where a layer sees all images alike.
    pub values: Vec<Vec<Option<f64>>>,
}

impl LayerCka {
    /// Compares `subjects` in `pairs` of their places, over the images at `indices` in batches of
    /// the images' batch; a last batch of fewer than [`Gram::LEAST`] is left out.
    ///
    /// # Errors
    /// Fewer images than that, one that cannot be read, or outputs that are not finite.
    pub fn of(
        subjects: &[Subject],
        pairs: &[(usize, usize)],
        images: &RunImages,
        indices: &[usize],
    ) -> Result<Vec<Self>> {
        if indices.len().min(images.config().batch) < Gram::LEAST {
            return Err(Error::TooFew {
                part: "test",
                found: indices.len().min(images.config().batch),
                needed: Gram::LEAST,
            });
        }
        let layers: Vec<Vec<String>> = subjects.iter().map(|s| layers(&s.model)).collect();
        let empty =
            |&(a, b): &(usize, usize)| vec![vec![Cka::default(); layers[b].len()]; layers[a].len()];
        let mut found: Vec<Vec<Vec<Cka>>> = pairs.iter().map(empty).collect();
        for batch in images.plain(indices.to_vec())?.epoch(0) {
            let batch = batch?;
            if batch.samples.len() < Gram::LEAST {
                continue;
            }
            let seen = subjects.iter().zip(&layers);
            let seen = seen.map(|(subject, layers)| grams(&subject.model, layers, &batch));
            let seen = seen.collect::<Result<Vec<_>>>()?;
            for (ckas, &(a, b)) in found.iter_mut().zip(pairs) {
                for (row, first) in ckas.iter_mut().zip(&seen[a]) {
                    for (cka, second) in row.iter_mut().zip(&seen[b]) {
                        cka.add(first, second)?;
                    }
                }
            }
        }
        let done = found.into_iter().zip(pairs).map(|(ckas, &(a, b))| Self {
            rows: layers[a].clone(),
            columns: layers[b].clone(),
            values: (ckas.iter().map(|row| row.iter().map(Cka::value).collect())).collect(),
        });
        Ok(done.collect())
    }
}

/// The layers that are compared.
fn layers(model: &Model) -> Vec<String> {
    model.layers().map(String::from).collect()
}

/// Each layer's view of a batch, its whole output flattened (Raghu et al. 2021, section 3).
fn grams(model: &Model, layers: &[String], batch: &cass_data::loader::Batch) -> Result<Vec<Gram>> {
    let taps = Taps::new(layers.iter().map(String::as_str));
    let seen = model
        .forward_with(batch.images(), Mode::Eval, &taps)?
        .intermediates;
    let outputs: Vec<_> = seen
        .iter()
        .map(|(_, output)| output.value().clone())
        .collect();
    drop(seen);
    // Read by this thread: a GPU's copies follow its kernels only on the thread that launched them.
    let rows = outputs.iter().map(values).collect::<Result<Vec<_>>>()?;
    drop(outputs);
    let gram = |rows: Vec<f32>| Gram::of(&rows, rows.len() / batch.samples.len());
    rows.into_par_iter().map(gram).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cass_models::ModelOptions;

    #[test]
    fn layers_are_what_blocks_pass_on() {
        let options = ModelOptions {
            num_classes: 2,
            input_size: 32,
            ..ModelOptions::default()
        };
        let of = |name: &str| layers(&Model::new(name, &options).unwrap());
        let resnet = of("resnet18");
        assert_eq!(resnet[..3], ["stem", "layer1.0", "layer1.1"]);
        assert_eq!((resnet.len(), resnet[8].as_str()), (9, "layer4.1"));
        let vit = of("vit_tiny_patch16_224");
        assert_eq!(
            (vit.len(), vit[0].as_str(), vit[12].as_str()),
            (13, "patch_embed", "blocks.11")
        );
        let densenet = of("densenet121");
        assert_eq!(densenet.last().map(String::as_str), Some("features.norm5"));
        assert!(
            densenet.contains(&"features.denseblock2".into()),
            "{densenet:?}"
        );
    }
}
