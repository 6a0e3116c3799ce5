//! One task a channel: its planes are read once from memory and stay in the cache for the rest.
//! Sums in f64 across planes.

use super::Activation;
use crate::{
    activation::{Elementwise, HardSwish, Relu6, Silu},
    element::Element,
    parallel::{Output, collect, for_each, lane_sum, vectorized},
};
use std::{mem::MaybeUninit, ops::Range};

/// Where the planes of a channel are in `(B, C, H, W)`.
#[derive(Clone, Copy)]
pub(super) struct Planes {
    pub(super) batch: usize,
    pub(super) channels: usize,
    /// Pixels of one.
    pub(super) size: usize,
}

impl Planes {
    fn len(&self) -> usize {
        self.batch * self.channels * self.size
    }

    fn count(&self) -> f64 {
        (self.batch * self.size) as f64
    }

    fn of(self, channel: usize) -> impl Iterator<Item = Range<usize>> {
        (0..self.batch).map(move |image| {
            let start = (image * self.channels + channel) * self.size;
            start..start + self.size
        })
    }
}

/// What normalises one channel, in f64: `inv_std` is `1 / sqrt(var + eps)`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statistics {
    pub(super) mean: f64,
    pub(super) inv_std: f64,
}

/// The affine map that one channel comes down to.
#[derive(Clone, Copy)]
struct Affine<T> {
    mean: T,
    scale: T,
    bias: T,
}

impl<T: Element> Affine<T> {
    fn new(s: &Statistics, weight: T, bias: T) -> Self {
        Self {
            mean: T::from_f64(s.mean),
            scale: T::from_f64(s.inv_std) * weight,
            bias,
        }
    }

    #[inline(always)]
    fn of(self, x: T) -> T {
        (x - self.mean) * self.scale + self.bias
    }
}

/// Mean and biased variance of one channel.
fn moments<T: Element>(x: &[T], planes: Planes, channel: usize) -> (f64, f64) {
    let sum_planes = |centre: Option<T>| -> f64 {
        let planes = planes.of(channel).map(|at| &x[at]);
        let sums = planes.map(|x| {
            let [sum] = vectorized(
                #[inline(always)]
                || match centre {
                    None => lane_sum(x.len(), |i| [x[i]]),
                    Some(c) => lane_sum(x.len(), |i| [(x[i] - c) * (x[i] - c)]),
                },
            );
            sum.to_f64()
        });
        sums.sum()
    };
    let mean = sum_planes(None) / planes.count();
    let centre = T::from_f64(mean);
    // The centre is rounded to T: what that adds to the squares is taken off again.
    let shift = centre.to_f64() - mean;
    let var = sum_planes(Some(centre)) / planes.count() - shift * shift;
    (mean, var.max(0.0))
}

/// What goes into a forward pass.
#[derive(Clone, Copy)]
pub(super) struct Input<'a, T> {
    pub(super) x: &'a [T],
    pub(super) weight: &'a [T],
    pub(super) bias: &'a [T],
    /// Added before the activation.
    pub(super) residual: Option<&'a [T]>,
    pub(super) activation: Activation,
    pub(super) planes: Planes,
}

/// `y`, and the mean and biased variance of every channel.
pub(super) fn forward_train<T: Element>(input: Input<T>, eps: f64) -> (Vec<T>, Vec<(f64, f64)>) {
    let y = Output::new(input.planes.len());
    let moments = collect(input.planes.channels, |channel| {
        let (mean, var) = moments(input.x, input.planes, channel);
        let inv_std = 1.0 / (var + eps).sqrt();
        normalise(input, channel, &Statistics { mean, inv_std }, &y);
        (mean, var)
    });
    // SAFETY: the planes of all channels are all there is.
    (unsafe { y.written() }, moments)
}

pub(super) fn forward_eval<T: Element>(input: Input<T>, statistics: &[Statistics]) -> Vec<T> {
    let y = Output::new(input.planes.len());
    for_each(input.planes.channels, |channel| {
        normalise(input, channel, &statistics[channel], &y);
    });
    // SAFETY: the planes of all channels are all there is.
    unsafe { y.written() }
}

/// Writes the planes of one channel, every element.
fn normalise<T: Element>(input: Input<T>, channel: usize, s: &Statistics, y: &Output<T>) {
    let affine = Affine::new(s, input.weight[channel], input.bias[channel]);
    for at in input.planes.of(channel) {
        let x = &input.x[at.clone()];
        let residual = input.residual.map(|residual| &residual[at.clone()]);
        // SAFETY: planes of different channels do not overlap.
        let y = unsafe { y.range(at) };
        vectorized(
            #[inline(always)]
            || match (input.activation, residual) {
                (Activation::Identity, None) => write(y, x, |x| affine.of(x)),
                (Activation::Relu, None) => write(y, x, |x| affine.of(x).larger(T::ZERO)),
                (Activation::Identity, Some(r)) => write_pairs(y, x, r, |x, r| affine.of(x) + r),
                (Activation::Relu, Some(r)) => {
                    write_pairs(y, x, r, |x, r| (affine.of(x) + r).larger(T::ZERO));
                }
                (Activation::Relu6, _) => write(y, x, |x| Relu6::value(affine.of(x))),
                (Activation::Silu, _) => write(y, x, |x| Silu::value(affine.of(x))),
                (Activation::HardSwish, _) => write(y, x, |x| HardSwish::value(affine.of(x))),
            },
        );
    }
}

#[inline(always)]
fn write<T: Element>(y: &mut [MaybeUninit<T>], x: &[T], f: impl Fn(T) -> T) {
    for (y, &x) in y.iter_mut().zip(x) {
        y.write(f(x));
    }
}

#[inline(always)]
fn write_pairs<T: Element>(y: &mut [MaybeUninit<T>], a: &[T], b: &[T], f: impl Fn(T, T) -> T) {
    for (y, (&a, &b)) in y.iter_mut().zip(a.iter().zip(b)) {
        y.write(f(a, b));
    }
}

/// What goes into a backward pass.
#[derive(Clone, Copy)]
pub(super) struct Saved<'a, T> {
    pub(super) input: Input<'a, T>,
    /// The result, where a residual was added before a ReLU: it tells where a gradient passes.
    /// Without a residual the input tells as well.
    pub(super) y: Option<&'a [T]>,
    pub(super) statistics: &'a [Statistics],
    /// Whether the statistics are the batch's own and pass gradients on.
    pub(super) training: bool,
}

/// Gradients of the input, weight and bias, and of the residual behind a ReLU.
pub(super) struct Gradients<T> {
    pub(super) x: Vec<T>,
    pub(super) weight: Vec<T>,
    pub(super) bias: Vec<T>,
    pub(super) residual: Option<Vec<T>>,
}

pub(super) fn backward<T: Element>(saved: Saved<T>, dy: &[T]) -> Gradients<T> {
    let planes = saved.input.planes;
    let dx = Output::new(planes.len());
    let masked = saved.y.map(|_| Output::new(planes.len()));
    let sums: Vec<[f64; 2]> = collect(planes.channels, |channel| {
        backward_channel(saved, channel, dy, &dx, masked.as_ref())
    });
    Gradients {
        // SAFETY: the planes of all channels are all there is.
        x: unsafe { dx.written() },
        weight: sums.iter().map(|s| T::from_f64(s[1])).collect(),
        bias: sums.iter().map(|s| T::from_f64(s[0])).collect(),
        // SAFETY: as above.
        residual: masked.map(|masked| unsafe { masked.written() }),
    }
}

/// Writes the planes of one channel and gives the sums over them of dy and of dy times the
/// normalised input.
fn backward_channel<T: Element>(
    saved: Saved<T>,
    channel: usize,
    dy: &[T],
    dx: &Output<T>,
    masked: Option<&Output<T>>,
) -> [f64; 2] {
    let (input, s) = (saved.input, &saved.statistics[channel]);
    let affine = Affine::new(s, input.weight[channel], input.bias[channel]);
    let inv_std = T::from_f64(s.inv_std);
    let mut total = [0.0; 2];
    for at in input.planes.of(channel) {
        let (x, dy) = (&input.x[at.clone()], &dy[at.clone()]);
        let y = saved.y.map(|y| &y[at]);
        let terms = |x: T, dy: T| [dy, dy * ((x - affine.mean) * inv_std)];
        let sums = vectorized(
            #[inline(always)]
            || match (input.activation, y) {
                (Activation::Identity, _) => lane_sum(x.len(), |i| terms(x[i], dy[i])),
                (Activation::Relu, None) => {
                    lane_sum(x.len(), |i| terms(x[i], pass(affine.of(x[i]), dy[i])))
                }
                (Activation::Relu, Some(y)) => {
                    lane_sum(x.len(), |i| terms(x[i], pass(y[i], dy[i])))
                }
                (Activation::Relu6, _) => lane_sum(x.len(), |i| {
                    terms(x[i], Relu6::gradient(affine.of(x[i]), dy[i]))
                }),
                (Activation::Silu, _) => lane_sum(x.len(), |i| {
                    terms(x[i], Silu::gradient(affine.of(x[i]), dy[i]))
                }),
                (Activation::HardSwish, _) => lane_sum(x.len(), |i| {
                    terms(x[i], HardSwish::gradient(affine.of(x[i]), dy[i]))
                }),
            },
        );
        total[0] += sums[0].to_f64();
        total[1] += sums[1].to_f64();
    }
    // dx = scale * (dy - sum(dy)/n - normal * sum(dy * normal)/n), constants taken together
    let (constant, slope) = if saved.training {
        let [sum, product] = total.map(|sum| sum / input.planes.count());
        (sum - product * s.inv_std * s.mean, product * s.inv_std)
    } else {
        (0.0, 0.0)
    };
    let (constant, slope) = (T::from_f64(constant), T::from_f64(slope));
    let gradient = |x: T, dy: T| affine.scale * (dy - constant - slope * x);
    for at in input.planes.of(channel) {
        let (x, dy) = (&input.x[at.clone()], &dy[at.clone()]);
        // SAFETY: planes of different channels do not overlap.
        let dx = unsafe { dx.range(at.clone()) };
        // SAFETY: as above.
        let masked = masked.map(|masked| unsafe { masked.range(at.clone()) });
        let behind_residual = saved.y.map(|y| &y[at]).zip(masked);
        vectorized(
            #[inline(always)]
            || match (input.activation, behind_residual) {
                (Activation::Identity, _) => write_pairs(dx, x, dy, gradient),
                (Activation::Relu, None) => {
                    write_pairs(dx, x, dy, |x, dy| gradient(x, pass(affine.of(x), dy)))
                }
                (Activation::Relu6, _) => write_pairs(dx, x, dy, |x, dy| {
                    gradient(x, Relu6::gradient(affine.of(x), dy))
                }),
                (Activation::Silu, _) => write_pairs(dx, x, dy, |x, dy| {
                    gradient(x, Silu::gradient(affine.of(x), dy))
                }),
                (Activation::HardSwish, _) => write_pairs(dx, x, dy, |x, dy| {
                    gradient(x, HardSwish::gradient(affine.of(x), dy))
                }),
                (Activation::Relu, Some((y, masked))) => {
                    let rows = dx.iter_mut().zip(masked).zip(x.iter().zip(dy).zip(y));
                    for ((dx, masked), ((&x, &dy), &y)) in rows {
                        let dy = pass(y, dy);
                        masked.write(dy);
                        dx.write(gradient(x, dy));
                    }
                }
            },
        );
    }
    total
}

/// The gradient behind a ReLU whose result is `y`, or whose argument it is.
#[inline(always)]
fn pass<T: Element>(y: T, dy: T) -> T {
    if y > T::ZERO { dy } else { T::ZERO }
}
