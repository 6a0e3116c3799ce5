//! One task a channel: its planes are read once from memory and stay in the cache for the rest.
//! Sums in f64 across planes.

use super::Activation;
use crate::activation::{Elementwise, HardSwish, Relu6, Silu};
use crate::element::Element;
use crate::matrix::{MatMut, steps, write_matrix};
use crate::parallel::{lane_sum, share_with, vectorized, write_from};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Where the planes of a channel are in `(B, C, H, W)`.
#[derive(Clone, Copy)]
pub(super) struct Planes {
    pub(super) batch: usize,
    pub(super) channels: usize,
    /// Pixels of a plane.
    pub(super) size: usize,
}

impl Planes {
    fn count(&self) -> f64 {
        (self.batch * self.size) as f64
    }

    fn of(self, channel: usize) -> impl Iterator<Item = Range<usize>> {
        (0..self.batch).map(move |image| self.at(image, channel))
    }

    fn at(self, image: usize, channel: usize) -> Range<usize> {
        let start = (image * self.channels + channel) * self.size;
        start..start + self.size
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
            mean: T::of(s.mean),
            scale: T::of(s.inv_std) * weight,
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
    let centre = T::of(mean);
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

/// A result's planes, those of one channel.
type Channel<'a, T> = MatMut<'a, MaybeUninit<T>>;

/// A result `(B, C, H, W)` that `f` writes channel by channel, and what else it gives.
fn by_channels<T: Element, R>(
    planes: Planes,
    f: impl for<'a> FnOnce(Vec<Channel<'a, T>>) -> (Vec<MatMut<'a, T>>, R),
) -> (Vec<T>, R) {
    let Planes {
        batch,
        channels,
        size,
    } = planes;
    write_matrix(batch, channels * size, |y| {
        y.by_tiles(batch, steps(channels * size, size), f)
    })
}

/// `y`, and the mean and biased variance of every channel.
pub(super) fn forward_train<T: Element>(input: Input<T>, eps: f64) -> (Vec<T>, Vec<(f64, f64)>) {
    by_channels(input.planes, |y| {
        let task = |(): &mut (), channel: usize, y| {
            let (mean, var) = moments(input.x, input.planes, channel);
            let inv_std = 1.0 / (var + eps).sqrt();
            let y = normalise(input, channel, &Statistics { mean, inv_std }, y);
            (y, (mean, var))
        };
        share_with(y, || (), task).into_iter().unzip()
    })
}

pub(super) fn forward_eval<T: Element>(input: Input<T>, statistics: &[Statistics]) -> Vec<T> {
    let (y, ()) = by_channels(input.planes, |y| {
        let task =
            |(): &mut (), channel: usize, y| normalise(input, channel, &statistics[channel], y);
        (share_with(y, || (), task), ())
    });
    y
}

/// Writes the planes of one channel.
fn normalise<'a, T: Element>(
    input: Input<T>,
    channel: usize,
    s: &Statistics,
    y: Channel<'a, T>,
) -> MatMut<'a, T> {
    let affine = Affine::new(s, input.weight[channel], input.bias[channel]);
    y.by_rows(|image, y| {
        let at = input.planes.at(image, channel);
        let x = &input.x[at.clone()];
        let residual = input.residual.map(|residual| &residual[at]);
        vectorized(
            #[inline(always)]
            || match (input.activation, residual) {
                (Activation::Identity, None) => write_from(y, [x], |[x]| affine.of(x)),
                (Activation::Relu, None) => write_from(y, [x], |[x]| affine.of(x).larger(T::ZERO)),
                (Activation::Identity, Some(r)) => write_from(y, [x, r], |[x, r]| affine.of(x) + r),
                (Activation::Relu, Some(r)) => {
                    write_from(y, [x, r], |[x, r]| (affine.of(x) + r).larger(T::ZERO))
                }
                (Activation::Relu6, _) => write_from(y, [x], |[x]| Relu6::value(affine.of(x))),
                (Activation::Silu, _) => write_from(y, [x], |[x]| Silu::value(affine.of(x))),
                (Activation::HardSwish, _) => {
                    write_from(y, [x], |[x]| HardSwish::value(affine.of(x)))
                }
            },
        )
    })
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
    let (x, (residual, sums)) = by_channels(planes, |dx| match saved.y {
        None => {
            let task = |(): &mut (), channel: usize, dx| {
                let terms = Terms::new(saved, channel, dy);
                (terms.write(saved, channel, dy, dx), terms.sums)
            };
            let (dx, sums): (_, Vec<[f64; 2]>) = share_with(dx, || (), task).into_iter().unzip();
            (dx, (None, sums))
        }
        Some(y) => {
            let (masked, (dx, sums)) = by_channels(planes, |masked| {
                let both = dx.into_iter().zip(masked).collect();
                let task = |(): &mut (), channel: usize, (dx, masked)| {
                    let terms = Terms::new(saved, channel, dy);
                    let (dx, masked) = terms.write_behind(saved, channel, [y, dy], dx, masked);
                    (masked, (dx, terms.sums))
                };
                let done = share_with(both, || (), task);
                let (masked, rest): (_, Vec<_>) = done.into_iter().unzip();
                let (dx, sums) = rest.into_iter().unzip();
                (masked, (dx, sums))
            });
            (dx, (Some(masked), sums))
        }
    });
    Gradients {
        x,
        weight: sums.iter().map(|s| T::of(s[1])).collect(),
        bias: sums.iter().map(|s| T::of(s[0])).collect(),
        residual,
    }
}

/// What the gradient of one channel's input is made with:
/// `dx = scale * (dy - sum(dy)/n - normal * sum(dy * normal)/n)`, constants taken together.
struct Terms<T> {
    affine: Affine<T>,
    constant: T,
    slope: T,
    /// Sums over the channel of dy and of dy times the normalised input.
    sums: [f64; 2],
}

impl<T: Element> Terms<T> {
    fn new(saved: Saved<T>, channel: usize, dy: &[T]) -> Self {
        let (input, s) = (saved.input, &saved.statistics[channel]);
        let affine = Affine::new(s, input.weight[channel], input.bias[channel]);
        let inv_std = T::of(s.inv_std);
        let mut sums = [0.0; 2];
        for at in input.planes.of(channel) {
            let (x, dy) = (&input.x[at.clone()], &dy[at.clone()]);
            let y = saved.y.map(|y| &y[at]);
            let terms = |x: T, dy: T| [dy, dy * ((x - affine.mean) * inv_std)];
            let plane = vectorized(
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
            sums[0] += plane[0].to_f64();
            sums[1] += plane[1].to_f64();
        }
        let (constant, slope) = if saved.training {
            let [sum, product] = sums.map(|sum| sum / input.planes.count());
            (sum - product * s.inv_std * s.mean, product * s.inv_std)
        } else {
            (0.0, 0.0)
        };
        Self {
            affine,
            constant: T::of(constant),
            slope: T::of(slope),
            sums,
        }
    }

    #[inline(always)]
    fn gradient(&self, x: T, dy: T) -> T {
        self.affine.scale * (dy - self.constant - self.slope * x)
    }

    /// The gradient of the input where the input tells where a gradient passes.
    fn write<'a>(
        &self,
        saved: Saved<T>,
        channel: usize,
        dy: &[T],
        dx: Channel<'a, T>,
    ) -> MatMut<'a, T> {
        let input = saved.input;
        dx.by_rows(|image, dx| {
            let at = input.planes.at(image, channel);
            let from = [&input.x[at.clone()], &dy[at]];
            vectorized(
                #[inline(always)]
                || match input.activation {
                    Activation::Identity => write_from(dx, from, |[x, dy]| self.gradient(x, dy)),
                    Activation::Relu => write_from(dx, from, |[x, dy]| {
                        self.gradient(x, pass(self.affine.of(x), dy))
                    }),
                    Activation::Relu6 => write_from(dx, from, |[x, dy]| {
                        self.gradient(x, Relu6::gradient(self.affine.of(x), dy))
                    }),
                    Activation::Silu => write_from(dx, from, |[x, dy]| {
                        self.gradient(x, Silu::gradient(self.affine.of(x), dy))
                    }),
                    Activation::HardSwish => write_from(dx, from, |[x, dy]| {
                        self.gradient(x, HardSwish::gradient(self.affine.of(x), dy))
                    }),
                },
            )
        })
    }

    /// The gradients of the input and of the residual, where the result tells.
    fn write_behind<'a, 'b>(
        &self,
        saved: Saved<T>,
        channel: usize,
        [y, dy]: [&[T]; 2],
        dx: Channel<'a, T>,
        masked: Channel<'b, T>,
    ) -> (MatMut<'a, T>, MatMut<'b, T>) {
        let input = saved.input;
        dx.by_rows_of_both(masked, |image, [dx, masked]| {
            let at = input.planes.at(image, channel);
            let (x, from) = (&input.x[at.clone()], [&y[at.clone()], &dy[at]]);
            vectorized(
                #[inline(always)]
                || {
                    let masked = write_from(masked, from, |[y, dy]| pass(y, dy));
                    let dx = write_from(dx, [x, &*masked], |[x, dy]| self.gradient(x, dy));
                    [dx, masked]
                },
            )
        })
    }
}

/// The gradient behind a ReLU whose result is `y`, or whose argument it is.
#[inline(always)]
fn pass<T: Element>(y: T, dy: T) -> T {
    if y > T::ZERO { dy } else { T::ZERO }
}
