//! What networks in training say of images at some moment.

use crate::collapse::collapse_of;
use crate::error::Result;
use candle_core::{DType, Tensor};
use cass_data::loader::Loader;
use cass_models::{Mode, Model};
use cass_run::{Collapse, Views};
use serde::{Deserialize, Serialize};

/// What one network says of some images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ArmLook {
    /// How far the features have collapsed; none where they are not finite.
    pub features: Option<Collapse>,
    /// How far the classifier's outputs, which CASS compares, have collapsed.
    pub logits: Option<Collapse>,
    /// Share of the images whose nearest other image, by the cosine of their features, is of the
    /// same class; none without classes.
    pub neighbours: Option<f64>,
    /// How alike it finds two views of an image; none without views, or where features are not finite.
    #[serde(default)]
    pub views: Option<Views>,
}

/// What all networks say of some images.
pub(crate) struct Look {
    /// The look at each network, in the arms' order.
    pub(crate) arms: Vec<ArmLook>,
    /// Mean cosine of two networks' logits of the same image, from -1 to 1.
    pub(crate) agreement: Option<f64>,
}

/// Rows of one network.
struct Rows {
    features: Vec<f32>,
    logits: Vec<f32>,
}

/// One pass over the loader's images, and over two views of others: running statistics, no graph. `classes` says whether
/// the images have one class each.
pub(crate) fn look(
    arms: &[(&str, &Model)],
    loader: &Loader,
    classes: bool,
    views: Option<&Loader>,
) -> Result<Look> {
    let models = arms
        .iter()
        .map(|(_, model)| Ok(model.frozen()?))
        .collect::<Result<Vec<_>>>()?;
    let empty = || Rows {
        features: Vec::new(),
        logits: Vec::new(),
    };
    let mut rows: Vec<Rows> = models.iter().map(|_| empty()).collect();
    let mut labels = Vec::new();
    for batch in loader.epoch(0) {
        let batch = batch?;
        for (model, rows) in models.iter().zip(&mut rows) {
            let output = model.forward(batch.images(), Mode::Eval)?;
            rows.features.extend(values(output.features.value())?);
            rows.logits.extend(values(output.logits.value())?);
        }
        labels.extend(batch.labels);
    }
    let alike = match views {
        Some(views) => views_of(&models, views)?,
        None => vec![None; models.len()],
    };
    let read = |((model, rows), views): ((&Model, &Rows), Option<Views>)| {
        let dim = model.feature_dim();
        let features = collapse_of(&rows.features, dim);
        let known = classes && features.is_some();
        ArmLook {
            features,
            logits: collapse_of(&rows.logits, model.num_classes()),
            neighbours: known.then(|| neighbours(&rows.features, dim, &labels)),
            views,
        }
    };
    let agreement = match (&rows[..], models.first()) {
        ([a, b], Some(model)) => mean_cosine(&a.logits, &b.logits, model.num_classes()),
        _ => None,
    };
    Ok(Look {
        arms: models.iter().zip(&rows).zip(alike).map(read).collect(),
        agreement,
    })
}

/// How alike each network finds two views of an image, which no label is needed for.
fn views_of(models: &[Model], loader: &Loader) -> Result<Vec<Option<Views>>> {
    let mut rows = vec![[Vec::new(), Vec::new()]; models.len()];
    for batch in loader.epoch(0) {
        let batch = batch?;
        for (model, rows) in models.iter().zip(&mut rows) {
            for (view, rows) in batch.views.iter().zip(rows) {
                rows.extend(values(model.features(view, Mode::Eval)?.value())?);
            }
        }
    }
    let both = models.iter().zip(&rows);
    let read = both.map(|(model, [first, second])| read_views(first, second, model.feature_dim()));
    Ok(read.collect())
}

/// Of equally near views the first counts.
fn read_views(first: &[f32], second: &[f32], dim: usize) -> Option<Views> {
    let images = first.len() / dim;
    let mut mean = vec![0.0; dim];
    for row in first.chunks_exact(dim).chain(second.chunks_exact(dim)) {
        let each = mean.iter_mut().zip(row);
        each.for_each(|(mean, &x)| *mean += f64::from(x) / (2 * images) as f64);
    }
    if images < 2 || !mean.iter().all(|mean| mean.is_finite()) {
        return None;
    }
    let centred = |row: &[f32]| {
        let row = row.iter().zip(&mean).map(|(&x, mean)| f64::from(x) - mean);
        scaled(row.collect())
    };
    let firsts: Vec<Vec<f64>> = first.chunks_exact(dim).map(centred).collect();
    let (mut found, mut margins) = (0, Vec::with_capacity(images));
    for (image, row) in second.chunks_exact(dim).enumerate() {
        let row = centred(row);
        let cosines: Vec<f64> = firsts.iter().map(|other| dot(&row, other)).collect();
        let mut nearest = 0;
        for (other, cosine) in cosines.iter().enumerate() {
            if *cosine > cosines[nearest] {
                nearest = other;
            }
        }
        found += usize::from(nearest == image);
        let others = cosines.iter().sum::<f64>() - cosines[image];
        margins.push(cosines[image] - others / (images - 1) as f64);
    }
    let count = images as f64;
    let invariance = margins.iter().sum::<f64>() / count;
    let squares = margins.iter().map(|margin| (margin - invariance).powi(2));
    Some(Views {
        invariance,
        standard_error: (squares.sum::<f64>() / (count - 1.0) / count).sqrt(),
        retrieval: found as f64 / count,
    })
}

/// Leave-one-out accuracy of the nearest neighbour; the first of equally near ones counts.
fn neighbours(features: &[f32], dim: usize, labels: &[usize]) -> f64 {
    let rows: Vec<Vec<f64>> = features.chunks_exact(dim).map(unit).collect();
    let is_right = |i: &usize| {
        let mut nearest = (f64::NEG_INFINITY, None);
        for (j, row) in rows.iter().enumerate() {
            let cosine = dot(&rows[*i], row);
            if j != *i && cosine > nearest.0 {
                nearest = (cosine, labels.get(j));
            }
        }
        nearest.1.is_some() && nearest.1 == labels.get(*i)
    };
    (0..rows.len()).filter(is_right).count() as f64 / rows.len() as f64
}

/// Over the rows of two sets; none where a value is not finite.
fn mean_cosine(a: &[f32], b: &[f32], dim: usize) -> Option<f64> {
    let rows = a.chunks_exact(dim).zip(b.chunks_exact(dim));
    let count = rows.len() as f64;
    let mean = rows.map(|(a, b)| dot(&unit(a), &unit(b))).sum::<f64>() / count;
    mean.is_finite().then_some(mean)
}

/// The row over its length; a zero row stays.
fn unit(row: &[f32]) -> Vec<f64> {
    scaled(row.iter().map(|&x| f64::from(x)).collect())
}

fn scaled(mut row: Vec<f64>) -> Vec<f64> {
    let length = dot(&row, &row).sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    row.iter_mut().for_each(|x| *x *= scale);
    row
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn values(features: &Tensor) -> Result<Vec<f32>> {
    Ok(features.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_count_the_nearest_other_image() {
        // Two pairs by direction, whatever their lengths.
        let features = [1.0, 0.0, 5.0, 0.1, 0.0, 1.0, 0.1, 9.0];
        assert_eq!(neighbours(&features, 2, &[0, 0, 1, 1]), 1.0);
        assert_eq!(neighbours(&features, 2, &[0, 1, 0, 1]), 0.0);
        assert_eq!(neighbours(&features, 2, &[0, 0, 1, 2]), 0.5);
    }

    #[test]
    fn views_of_an_image_are_alike_where_those_of_others_are_not() {
        // Three directions from a common offset, which centring takes away.
        let first = [11.0, 10.0, 10.0, 11.0, 9.0, 9.0];
        let same = read_views(&first, &first, 2).unwrap();
        assert_eq!(same.retrieval, 1.0);
        // Cosines of (1, 0), (0, 1) and (-1, -1): 0 and twice -sqrt(1/2).
        let half = 0.5f64.sqrt();
        let margins = [1.0 + half / 2.0, 1.0 + half / 2.0, 1.0 + half];
        let mean = margins.iter().sum::<f64>() / 3.0;
        assert!((same.invariance - mean).abs() < 1e-12, "{same:?}");
        let error = (margins.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / 6.0).sqrt();
        assert!((same.standard_error - error).abs() < 1e-12, "{same:?}");

        let turned = [10.0, 11.0, 11.0, 10.0, 9.0, 9.0];
        let turned = read_views(&first, &turned, 2).unwrap();
        assert_eq!(turned.retrieval, 1.0 / 3.0);
        assert!(turned.invariance < 0.5 * mean, "{turned:?}");
        // All views the same: the first of equals is found, which one image is.
        let none = read_views(&[1.0; 6], &[1.0; 6], 2).unwrap();
        assert!(none.invariance.abs() < 1e-12 && none.retrieval == 1.0 / 3.0);
        assert_eq!(read_views(&[f32::NAN; 6], &[1.0; 6], 2), None);
        assert_eq!(read_views(&first[..2], &first[..2], 2), None);
    }

    #[test]
    fn agreement_is_of_directions() {
        let a = [1.0, 0.0, 0.0, 2.0];
        assert_eq!(mean_cosine(&a, &[3.0, 0.0, 0.0, -1.0], 2), Some(0.0));
        assert_eq!(mean_cosine(&a, &a, 2), Some(1.0));
        assert_eq!(mean_cosine(&a, &[0.0, 0.0, 0.0, 1.0], 2), Some(0.5));
        assert_eq!(mean_cosine(&a, &[f32::NAN, 0.0, 0.0, 1.0], 2), None);
    }
}
