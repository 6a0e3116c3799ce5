//! The way from tensors to a kernel, on either back end.

use super::arguments::{Arguments, Input, Output};
#[cfg(feature = "cuda")]
use super::driver::Driver;
#[cfg(any(test, feature = "emulator"))]
use super::emulator;
use crate::tracked::Tracked;
use candle_core::{DType, Result, Shape, Tensor, bail};
use std::sync::atomic::{AtomicU64, Ordering};

/// Threads of a block, whatever the kernel.
pub(crate) const BLOCK: usize = 256;
/// Threads of a warp.
const WARP: usize = 32;
/// Warps of a block.
const WARPS: usize = BLOCK / WARP;
/// Values that a thread of an elementwise kernel takes, at the least.
const EACH: usize = 4;

static LAUNCHES: AtomicU64 = AtomicU64::new(0);

/// Kernels of this crate that this process has launched.
pub(crate) fn launches() -> u64 {
    LAUNCHES.load(Ordering::Relaxed)
}

/// Where the kernels of one operation run, and the dtype that they take.
#[derive(Clone)]
pub(crate) struct Gpu {
    backend: Backend,
    dtype: DType,
}

/// Without the feature `cuda` there is none outside of tests.
#[derive(Clone)]
enum Backend {
    #[cfg(feature = "cuda")]
    Driver(Driver),
    #[cfg(any(test, feature = "emulator"))]
    Emulator,
}

impl Gpu {
    /// The GPU that `x` is on, if its kernels take the dtype, f32 or f64.
    pub(crate) fn of(x: &Tracked) -> Option<Self> {
        Self::of_tensor(x.value())
    }

    /// The same of a tensor.
    pub(crate) fn of_tensor(x: &Tensor) -> Option<Self> {
        Self::on(x).filter(|gpu| gpu.dtype != DType::BF16)
    }

    /// The GPU that `x` is on, for kernels that load and store bf16 as well.
    pub(crate) fn storing(x: &Tracked) -> Option<Self> {
        Self::on(x.value())
    }

    fn on(x: &Tensor) -> Option<Self> {
        let dtype = x.dtype();
        let takes = matches!(dtype, DType::F32 | DType::F64 | DType::BF16);
        let backend = Self::backend(x).filter(|_| takes)?;
        Some(Self { backend, dtype })
    }

    #[cfg_attr(
        not(any(test, feature = "cuda", feature = "emulator")),
        expect(unused_variables)
    )]
    fn backend(x: &Tensor) -> Option<Backend> {
        #[cfg(feature = "cuda")]
        if let candle_core::Device::Cuda(device) = x.device() {
            return Some(Backend::Driver(Driver::new(device)));
        }
        #[cfg(any(test, feature = "emulator"))]
        if crate::emulated::is_emulated() && x.device().is_cpu() {
            return Some(Backend::Emulator);
        }
        None
    }

    /// The dtype of its kernels.
    pub(crate) fn dtype(&self) -> DType {
        self.dtype
    }

    /// Memory for a result, unwritten: under emulation it is NaN.
    pub(crate) fn empty(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        self.empty_of(self.dtype, shape)
    }

    /// The same of another dtype.
    pub(crate) fn empty_of(&self, dtype: DType, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        match self.backend {
            #[cfg(feature = "cuda")]
            Backend::Driver(ref driver) => driver.empty(dtype, shape),
            #[cfg(any(test, feature = "emulator"))]
            Backend::Emulator => emulator::empty(dtype, shape),
            #[cfg(not(any(test, feature = "cuda", feature = "emulator")))]
            _ => bail!("no GPU for {dtype:?} {shape:?}"),
        }
    }

    /// What a kernel reads.
    ///
    /// # Errors
    /// If the tensor is not contiguous, of another dtype or elsewhere.
    pub(crate) fn read(&self, tensor: &Tensor) -> Result<Input> {
        self.expect(tensor, self.dtype)?;
        self.address(tensor).map(Input)
    }

    /// What a kernel reads if it is there.
    pub(crate) fn read_some(&self, tensor: Option<&Tensor>) -> Result<Input> {
        tensor.map_or(Ok(Input::default()), |tensor| self.read(tensor))
    }

    /// What a kernel writes: a result that nothing else holds yet, or what is to change in place.
    pub(crate) fn write(&self, tensor: &Tensor) -> Result<Output> {
        self.expect(tensor, self.dtype)?;
        self.address(tensor).map(Output)
    }

    /// What a kernel writes if it is wanted.
    pub(crate) fn write_some(&self, tensor: Option<&Tensor>) -> Result<Output> {
        tensor.map_or(Ok(Output::default()), |tensor| self.write(tensor))
    }

    /// What a kernel reads or writes of another dtype than its own.
    pub(crate) fn memory(&self, tensor: &Tensor, dtype: DType) -> Result<Output> {
        self.expect(tensor, dtype)?;
        self.address(tensor).map(Output)
    }

    fn expect(&self, tensor: &Tensor, dtype: DType) -> Result<()> {
        if tensor.dtype() != dtype || !tensor.is_contiguous() {
            bail!(
                "a kernel is given {:?} {:?}: expected contiguous {dtype:?}",
                tensor.dtype(),
                tensor.dims()
            );
        }
        Ok(())
    }

    #[cfg_attr(
        not(any(test, feature = "cuda", feature = "emulator")),
        expect(unused_variables)
    )]
    fn address(&self, tensor: &Tensor) -> Result<u64> {
        match self.backend {
            #[cfg(feature = "cuda")]
            Backend::Driver(ref driver) => driver.address(tensor),
            #[cfg(any(test, feature = "emulator"))]
            Backend::Emulator => emulator::address(tensor),
            #[cfg(not(any(test, feature = "cuda", feature = "emulator")))]
            _ => bail!("no GPU"),
        }
    }

    /// Runs a kernel on `grid` blocks.
    pub(crate) fn launch<A: Arguments>(
        &self,
        kernel: &str,
        grid: [usize; 2],
        args: &A,
    ) -> Result<()> {
        if grid.contains(&0) {
            return Ok(());
        }
        if grid[0] > i32::MAX as usize || grid[1] > usize::from(u16::MAX) {
            bail!("{kernel}: a grid of {grid:?} blocks: expected at most 2147483647 and 65535");
        }
        let suffix = match self.dtype {
            DType::F64 => "f64",
            DType::BF16 => "bf16",
            _ => "f32",
        };
        let (name, grid) = (format!("{kernel}_{suffix}"), grid.map(|n| n as u32));
        LAUNCHES.fetch_add(1, Ordering::Relaxed);
        #[cfg_attr(
            not(any(test, feature = "cuda", feature = "emulator")),
            expect(unused_variables)
        )]
        let args = (&raw const *args, size_of::<A>());
        match self.backend {
            #[cfg(feature = "cuda")]
            Backend::Driver(ref driver) => driver.launch(&name, grid, args.0.cast()),
            #[cfg(any(test, feature = "emulator"))]
            Backend::Emulator => emulator::launch(&name, grid, (args.0.cast(), args.1)),
            #[cfg(not(any(test, feature = "cuda", feature = "emulator")))]
            _ => bail!("no GPU for {name} on {grid:?} blocks"),
        }
    }
}

/// Blocks of a kernel that goes over `count` values.
pub(crate) fn over(count: usize) -> [usize; 2] {
    [count.div_ceil(BLOCK * EACH).min(1 << 20), 1]
}

/// Blocks of a kernel that goes over the values of planes.
pub(crate) fn over_planes(planes: usize, size: usize) -> [usize; 2] {
    let blocks = size.div_ceil(BLOCK * EACH).clamp(1, 64);
    [planes.min(1 << 20), blocks]
}

/// Kernels count the pixels of a plane in 32 bits.
pub(crate) fn expect_small([h, w]: [usize; 2]) -> Result<()> {
    if h * w > i32::MAX as usize {
        bail!("a plane of {h} x {w} pixels: expected at most 2147483647");
    }
    Ok(())
}

/// Blocks of a kernel that sums slices of columns.
pub(crate) fn over_columns(width: usize, slices: usize) -> [usize; 2] {
    [width.div_ceil(WARP), slices]
}

/// Blocks of a kernel whose warps take a row each.
pub(crate) fn over_rows(rows: usize) -> [usize; 2] {
    [rows.div_ceil(WARPS), 1]
}

/// Values that each thread takes by itself.
pub(crate) fn one_each(count: usize) -> [usize; 2] {
    [count.div_ceil(BLOCK), 1]
}

/// How many of `count` values go into one partial sum: cut by size, so that the sums are the same on every GPU.
pub(crate) fn slice_of(count: usize, least: usize) -> usize {
    least.max(count.div_ceil(4096))
}
