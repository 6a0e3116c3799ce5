//! One pass over slices per update: what an optimiser does to a parameter, and nothing around it.
//!
//! Loops are plain so that the compiler can vectorise them, and compiled for the best instruction
//! set found at run time. They are element-wise: how a slice is cut into tasks changes no bit.

use candle_core::{CpuStorage, WithDType};
use std::sync::Mutex;

/// Elements a task takes at once: large against the cost of handing one out, small against the L2 cache.
const CHUNK: usize = 16 * 1024;

/// The scalars that kernels are written for.
pub(crate) trait Real: WithDType {
    fn sqrt(self) -> Self;
    /// The elements of an owned buffer of this dtype.
    fn buffer(storage: &mut CpuStorage) -> Option<&mut [Self]>;
}

impl Real for f32 {
    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }

    fn buffer(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        match storage {
            CpuStorage::F32(data) => Some(data),
            _ => None,
        }
    }
}

impl Real for f64 {
    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }

    fn buffer(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        match storage {
            CpuStorage::F64(data) => Some(data),
            _ => None,
        }
    }
}

/// An element-wise update of `target` by `source`, with `N` buffers of state of the same length.
pub(crate) trait Kernel<const N: usize>: Sync {
    /// All slices have the same length.
    fn update<T: Real>(&self, target: &mut [T], source: &[T], state: [&mut [T]; N]);
}

/// Runs a kernel on all threads, each piece with the widest vectors there are.
pub(crate) fn run<T: Real, K: Kernel<N>, const N: usize>(
    kernel: &K,
    target: &mut [T],
    source: &[T],
    state: [&mut [T]; N],
) {
    let mut pieces = Vec::with_capacity(target.len().div_ceil(CHUNK));
    let (mut target, mut source, mut state) = (target, source, state.map(Some));
    while !target.is_empty() {
        let len = CHUNK.min(target.len());
        let (piece, rest) = target.split_at_mut(len);
        let (from, source_rest) = source.split_at(len);
        let of_state: [&mut [T]; N] = std::array::from_fn(|n| {
            let (piece, rest) = state[n].take().unwrap_or_default().split_at_mut(len);
            state[n] = Some(rest);
            piece
        });
        pieces.push(Mutex::new(Some((piece, from, of_state))));
        (target, source) = (rest, source_rest);
    }
    cass_ops::threads::for_each(pieces.len(), |i| {
        let piece = pieces[i].lock().ok().and_then(|mut piece| piece.take());
        let Some((target, source, state)) = piece else {
            return;
        };
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || kernel.update(target, source, state),
        );
    });
}

/// `torch.optim.Adam`'s update; state: first moment, second moment.
pub(crate) struct AdamKernel {
    pub(crate) beta1: f64,
    pub(crate) beta2: f64,
    pub(crate) eps: f64,
    pub(crate) weight_decay: f64,
    /// `lr / (1 - beta1^t)`.
    pub(crate) step_size: f64,
    /// `sqrt(1 - beta2^t)`.
    pub(crate) bias_correction2_sqrt: f64,
}

impl Kernel<2> for AdamKernel {
    #[inline(always)]
    fn update<T: Real>(&self, param: &mut [T], grad: &[T], [m, v]: [&mut [T]; 2]) {
        let [
            one_minus_beta1,
            beta2,
            one_minus_beta2,
            eps,
            decay,
            step_size,
            correction,
        ] = [
            1.0 - self.beta1,
            self.beta2,
            1.0 - self.beta2,
            self.eps,
            self.weight_decay,
            self.step_size,
            self.bias_correction2_sqrt,
        ]
        .map(T::from_f64);
        for (((p, &g), m), v) in param.iter_mut().zip(grad).zip(m).zip(v) {
            let g = g + decay * *p;
            *m += one_minus_beta1 * (g - *m);
            *v = *v * beta2 + one_minus_beta2 * g * g;
            *p -= step_size * *m / (v.sqrt() / correction + eps);
        }
    }
}

/// `torch.optim.SGD` without momentum.
pub(crate) struct SgdKernel {
    pub(crate) lr: f64,
    pub(crate) weight_decay: f64,
}

impl Kernel<0> for SgdKernel {
    #[inline(always)]
    fn update<T: Real>(&self, param: &mut [T], grad: &[T], []: [&mut [T]; 0]) {
        let [lr, decay] = [self.lr, self.weight_decay].map(T::from_f64);
        for (p, &g) in param.iter_mut().zip(grad) {
            *p -= lr * (g + decay * *p);
        }
    }
}

/// `torch.optim.SGD` with momentum; state: the momentum buffer.
pub(crate) struct MomentumKernel {
    pub(crate) sgd: SgdKernel,
    pub(crate) momentum: f64,
    /// `1 - dampening`, or 1 at the first step, which torch does not dampen.
    pub(crate) gain: f64,
    pub(crate) nesterov: bool,
}

impl Kernel<1> for MomentumKernel {
    #[inline(always)]
    fn update<T: Real>(&self, param: &mut [T], grad: &[T], [buffer]: [&mut [T]; 1]) {
        let [lr, decay, momentum, gain] =
            [self.sgd.lr, self.sgd.weight_decay, self.momentum, self.gain].map(T::from_f64);
        for ((p, &g), b) in param.iter_mut().zip(grad).zip(buffer) {
            let g = g + decay * *p;
            *b = momentum * *b + gain * g;
            *p -= lr * if self.nesterov { g + momentum * *b } else { *b };
        }
    }
}

/// `target = keep * target + (1 - keep) * source`: moving and equal averages.
pub(crate) struct BlendKernel {
    pub(crate) keep: f64,
}

impl Kernel<0> for BlendKernel {
    #[inline(always)]
    fn update<T: Real>(&self, target: &mut [T], source: &[T], []: [&mut [T]; 0]) {
        let [keep, take] = [self.keep, 1.0 - self.keep].map(T::from_f64);
        for (t, &s) in target.iter_mut().zip(source) {
            *t = keep * *t + take * s;
        }
    }
}

/// `target += source`: gradients that are never zeroed.
pub(crate) struct AddKernel;

impl Kernel<0> for AddKernel {
    #[inline(always)]
    fn update<T: Real>(&self, target: &mut [T], source: &[T], []: [&mut [T]; 0]) {
        for (t, &s) in target.iter_mut().zip(source) {
            *t += s;
        }
    }
}
