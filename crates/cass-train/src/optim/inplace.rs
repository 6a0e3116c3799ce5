//! The way from a Candle tensor to a kernel that changes it in place.

use super::kernels::{Kernel, Real, run};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, DType, InplaceOp2, Layout, Result, Tensor, bail};
use std::sync::Mutex;

/// Applies `kernel` to a contiguous f32 or f64 tensor on the CPU, in place.
pub(super) fn update<K: Kernel<N>, const N: usize>(
    kernel: &K,
    target: &Tensor,
    source: &Tensor,
    state: [&mut CpuStorage; N],
) -> Result<()> {
    if target.dims() != source.dims() || target.dtype() != source.dtype() {
        bail!(
            "update of {:?} {:?} by {:?} {:?}",
            target.dims(),
            target.dtype(),
            source.dims(),
            source.dtype()
        );
    }
    let state = Mutex::new(Some(state));
    target.inplace_op2(&source.contiguous()?, &Update { kernel, state })
}

struct Update<'a, K, const N: usize> {
    kernel: &'a K,
    /// Candle hands an operation out by shared reference: taken once.
    state: Mutex<Option<[&'a mut CpuStorage; N]>>,
}

impl<K: Kernel<N>, const N: usize> Update<'_, K, N> {
    fn run<T: Real>(
        &self,
        target: (&mut CpuStorage, &Layout),
        source: (&CpuStorage, &Layout),
        state: [&mut CpuStorage; N],
    ) -> Result<()> {
        let (Some(to), Some(from)) = (target.1.contiguous_offsets(), source.1.contiguous_offsets())
        else {
            bail!("in-place update of a tensor that is not contiguous")
        };
        let source = &T::cpu_storage_as_slice(source.0)?[from.0..from.1];
        let mut buffers: [&mut [T]; N] = std::array::from_fn(|_| &mut [][..]);
        for (buffer, storage) in buffers.iter_mut().zip(state) {
            match T::buffer(storage) {
                Some(data) if data.len() == source.len() => *buffer = data,
                _ => bail!("optimiser state that does not fit its parameter"),
            }
        }
        let Some(target) = T::buffer(target.0) else {
            bail!("in-place update across dtypes")
        };
        run(self.kernel, &mut target[to.0..to.1], source, buffers);
        Ok(())
    }
}

impl<K: Kernel<N>, const N: usize> InplaceOp2 for Update<'_, K, N> {
    fn name(&self) -> &'static str {
        "in-place update"
    }

    fn cpu_fwd(
        &self,
        target: &mut CpuStorage,
        target_layout: &Layout,
        source: &CpuStorage,
        source_layout: &Layout,
    ) -> Result<()> {
        let state = self.state.lock().ok().and_then(|mut state| state.take());
        let Some(state) = state else {
            bail!("in-place update run twice")
        };
        let (target, source) = ((target, target_layout), (source, source_layout));
        match target.0.dtype() {
            DType::F32 => self.run::<f32>(target, source, state),
            DType::F64 => self.run::<f64>(target, source, state),
            other => bail!("in-place update takes f32 or f64, not {other:?}"),
        }
    }
}
