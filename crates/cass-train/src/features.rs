//! Features of images as the networks in training have them at some moment.

use crate::collapse::Collapse;
use crate::error::Result;
use candle_core::{DType, Tensor};
use cass_data::Loader;
use cass_models::{Mode, Model};

/// Reads the collapse of every network's features over the loader's images: one pass over the
/// images, running statistics, no graph. `None` where features are not finite.
pub(crate) fn collapse(arms: &[(&str, &Model)], loader: &Loader) -> Result<Vec<Option<Collapse>>> {
    let models = arms
        .iter()
        .map(|(_, model)| Ok(model.frozen()?))
        .collect::<Result<Vec<_>>>()?;
    let mut rows: Vec<Vec<f32>> = vec![Vec::new(); models.len()];
    for batch in loader.epoch(0) {
        let batch = batch?;
        for (model, rows) in models.iter().zip(&mut rows) {
            rows.extend(values(model.features(batch.images(), Mode::Eval)?.value())?);
        }
    }
    let readings = models
        .iter()
        .zip(&rows)
        .map(|(m, rows)| Collapse::of(rows, m.feature_dim()));
    Ok(readings.collect())
}

fn values(features: &Tensor) -> Result<Vec<f32>> {
    Ok(features.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}
