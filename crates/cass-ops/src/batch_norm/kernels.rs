//! One task a plane (an image's channel) or a channel; sums in f64 across planes.

use super::{Activation, BatchNorm};
use crate::{
    element::Element,
    parallel::{lane_sum, vectorized},
};
use rayon::prelude::*;

/// The planes of one channel.
fn planes<T>(x: &[T], channel: usize, channels: usize, plane: usize) -> impl Iterator<Item = &[T]> {
    x.chunks_exact(plane).skip(channel).step_by(channels)
}

/// Mean and biased variance a channel.
pub(super) fn moments<T: Element>(x: &[T], channels: usize, plane: usize) -> (Vec<f64>, Vec<f64>) {
    let count = (x.len() / channels) as f64;
    let sum_planes = |channel: usize, centre: Option<T>| -> f64 {
        planes(x, channel, channels, plane)
            .map(|x| {
                let [sum] = vectorized(
                    #[inline(always)]
                    || match centre {
                        None => lane_sum(x.len(), |i| [x[i]]),
                        Some(c) => lane_sum(x.len(), |i| [(x[i] - c) * (x[i] - c)]),
                    },
                );
                sum.to_f64()
            })
            .sum()
    };
    (0..channels)
        .into_par_iter()
        .map(|channel| {
            let mean = sum_planes(channel, None) / count;
            let centre = T::from_f64(mean);
            // The centre is rounded to T: what that adds to the squares is taken off again.
            let shift = centre.to_f64() - mean;
            let var = sum_planes(channel, Some(centre)) / count - shift * shift;
            (mean, var.max(0.0))
        })
        .unzip()
}

pub(super) fn forward<T: Element>(
    op: &BatchNorm,
    x: &[T],
    weight: &[T],
    bias: &[T],
    plane: usize,
) -> Vec<T> {
    let channels = weight.len();
    let mut y = vec![T::ZERO; x.len()];
    y.par_chunks_mut(plane)
        .zip(x.par_chunks(plane))
        .enumerate()
        .for_each(|(i, (y, x))| {
            let c = i % channels;
            let mean = T::from_f64(op.mean[c]);
            let scale = T::from_f64(op.inv_std[c]) * weight[c];
            let bias = bias[c];
            vectorized(
                #[inline(always)]
                || match op.activation {
                    Activation::Identity => {
                        for (y, &x) in y.iter_mut().zip(x) {
                            *y = (x - mean) * scale + bias;
                        }
                    }
                    Activation::Relu => {
                        for (y, &x) in y.iter_mut().zip(x) {
                            *y = ((x - mean) * scale + bias).larger(T::ZERO);
                        }
                    }
                },
            )
        });
    y
}

/// `(dx, dweight, dbias)`; `y` tells where the ReLU let a gradient through.
pub(super) fn backward<T: Element>(
    op: &BatchNorm,
    x: &[T],
    weight: &[T],
    y: &[T],
    dy: &[T],
    plane: usize,
) -> (Vec<T>, Vec<T>, Vec<T>) {
    let channels = weight.len();
    let sums: Vec<[f64; 2]> = (0..channels)
        .into_par_iter()
        .map(|c| channel_sums(op, x, y, dy, c, channels, plane))
        .collect();
    let count = (x.len() / channels) as f64;
    let mut dx = vec![T::ZERO; x.len()];
    dx.par_chunks_mut(plane).enumerate().for_each(|(i, dx)| {
        let c = i % channels;
        let at = i * plane..(i + 1) * plane;
        let (x, y, dy) = (&x[at.clone()], &y[at.clone()], &dy[at]);
        let scale = T::from_f64(op.inv_std[c]) * weight[c];
        // dx = scale * (dy - sum(dy)/n - normal * sum(dy * normal)/n), constants taken together
        let (constant, slope) = if op.training {
            let [sum, product] = sums[c];
            let slope = product / count * op.inv_std[c];
            (sum / count - slope * op.mean[c], slope)
        } else {
            (0.0, 0.0)
        };
        let (constant, slope) = (T::from_f64(constant), T::from_f64(slope));
        vectorized(
            #[inline(always)]
            || match op.activation {
                Activation::Identity => {
                    for ((dx, &dy), &x) in dx.iter_mut().zip(dy).zip(x) {
                        *dx = scale * (dy - constant - slope * x);
                    }
                }
                Activation::Relu => {
                    for (((dx, &dy), &x), &y) in dx.iter_mut().zip(dy).zip(x).zip(y) {
                        let dy = if y > T::ZERO { dy } else { T::ZERO };
                        *dx = scale * (dy - constant - slope * x);
                    }
                }
            },
        )
    });
    let dw = sums.iter().map(|s| T::from_f64(s[1])).collect();
    let db = sums.iter().map(|s| T::from_f64(s[0])).collect();
    (dx, dw, db)
}

/// Sums over one channel of dy and of dy times the normalised input.
fn channel_sums<T: Element>(
    op: &BatchNorm,
    x: &[T],
    y: &[T],
    dy: &[T],
    channel: usize,
    channels: usize,
    plane: usize,
) -> [f64; 2] {
    let mean = T::from_f64(op.mean[channel]);
    let inv_std = T::from_f64(op.inv_std[channel]);
    let of = |v| planes(v, channel, channels, plane);
    let mut total = [0.0; 2];
    for ((x, y), dy) in of(x).zip(of(y)).zip(of(dy)) {
        let sums = vectorized(
            #[inline(always)]
            || match op.activation {
                Activation::Identity => {
                    lane_sum(x.len(), |i| [dy[i], dy[i] * ((x[i] - mean) * inv_std)])
                }
                Activation::Relu => lane_sum(x.len(), |i| {
                    let dy = if y[i] > T::ZERO { dy[i] } else { T::ZERO };
                    [dy, dy * ((x[i] - mean) * inv_std)]
                }),
            },
        );
        total[0] += sums[0].to_f64();
        total[1] += sums[1].to_f64();
    }
    total
}
