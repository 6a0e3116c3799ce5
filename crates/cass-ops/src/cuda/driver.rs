//! The back end of a GPU: NVRTC and the driver, by the bindings that Candle brings.

use super::source::{Dialect, source_of};
use candle_core::backend::BackendDevice;
use candle_core::cuda::cudarc::driver::{DevicePtr, result, sys};
use candle_core::cuda::cudarc::nvrtc;
use candle_core::cuda::{CudaDType, CudaStorage, CudaStorageSlice};
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, DType, DeviceLocation, Error, Result, Shape, Storage, Tensor, bail};
use std::collections::HashMap;
use std::ffi::{CString, c_char, c_void};
use std::sync::{Mutex, PoisonError};

/// One GPU; all work goes to its one stream.
#[derive(Clone)]
pub(crate) struct Driver {
    device: CudaDevice,
}

/// The kernels of each GPU, by its number: the functions' handles, which live as long as the process.
static FUNCTIONS: Mutex<Option<HashMap<usize, HashMap<String, usize>>>> = Mutex::new(None);

fn wrong(what: &str) -> impl Fn(result::DriverError) -> Error + '_ {
    move |error| Error::msg(format!("{what}: {error}"))
}

impl Driver {
    pub(super) fn new(device: &CudaDevice) -> Self {
        Self {
            device: device.clone(),
        }
    }

    pub(super) fn empty(&self, dtype: DType, shape: Shape) -> Result<Tensor> {
        let count = shape.elem_count();
        /// Memory that is not written.
        fn alloc<T: CudaDType + candle_core::cuda::cudarc::driver::DeviceRepr>(
            device: &CudaDevice,
            count: usize,
        ) -> Result<CudaStorage> {
            // SAFETY: what is handed out is written by a kernel before anything reads it.
            let slice = unsafe { device.alloc::<T>(count)? };
            Ok(CudaStorage::wrap_cuda_slice(slice, device.clone()))
        }
        let storage = match dtype {
            DType::F32 => alloc::<f32>(&self.device, count)?,
            DType::F64 => alloc::<f64>(&self.device, count)?,
            DType::BF16 => alloc::<half::bf16>(&self.device, count)?,
            DType::U32 => alloc::<u32>(&self.device, count)?,
            other => bail!("no memory of {other:?} for a kernel"),
        };
        let storage = Storage::Cuda(storage);
        Ok(Tensor::from_storage(
            storage,
            shape,
            BackpropOp::none(),
            false,
        ))
    }

    pub(super) fn address(&self, tensor: &Tensor) -> Result<u64> {
        let (storage, layout) = tensor.storage_and_layout();
        let Storage::Cuda(storage) = &*storage else {
            bail!("a kernel is given a tensor that is not on its GPU");
        };
        let stream = self.device.cuda_stream();
        let first = layout.start_offset() as u64;
        let at = |address: u64, size: usize| address + first * size as u64;
        Ok(match &storage.slice {
            CudaStorageSlice::F32(slice) => at(slice.device_ptr(&stream).0, 4),
            CudaStorageSlice::F64(slice) => at(slice.device_ptr(&stream).0, 8),
            CudaStorageSlice::BF16(slice) => at(slice.device_ptr(&stream).0, 2),
            CudaStorageSlice::U32(slice) => at(slice.device_ptr(&stream).0, 4),
            _ => bail!("no kernel takes {:?}", tensor.dtype()),
        })
    }

    pub(super) fn launch(&self, name: &str, grid: [u32; 2], args: *const c_void) -> Result<()> {
        let function = self.function(name)?;
        let stream = self.device.cuda_stream();
        let bind = stream.context().bind_to_thread();
        bind.map_err(wrong("the GPU cannot be used"))?;
        let mut params = [args.cast_mut()];
        // SAFETY: the struct is the kernel's; the memory that it names was made on this stream, and is freed on it later.
        unsafe {
            result::launch_kernel(
                function,
                (grid[0], grid[1], 1),
                (super::launch::BLOCK as u32, 1, 1),
                0,
                stream.cu_stream(),
                &mut params,
            )
        }
        .map_err(wrong(name))
    }

    fn function(&self, name: &str) -> Result<sys::CUfunction> {
        let DeviceLocation::Cuda { gpu_id } = self.device.location() else {
            bail!("{name}: not on a GPU")
        };
        let mut functions = FUNCTIONS.lock().unwrap_or_else(PoisonError::into_inner);
        let of_gpu = match functions.get_or_insert_default().entry(gpu_id) {
            std::collections::hash_map::Entry::Occupied(found) => found.into_mut(),
            std::collections::hash_map::Entry::Vacant(empty) => empty.insert(HashMap::new()),
        };
        if let Some(found) = of_gpu.get(name) {
            return Ok(*found as sys::CUfunction);
        }
        // The kernels of each dtype are compiled when the first of them is called. The module's handle is kept under the
        // dtype's name: it is never unloaded.
        let dtype = name.rsplit('_').next().unwrap_or(name);
        let module = match of_gpu.get(dtype) {
            Some(module) => *module as sys::CUmodule,
            None => {
                let module = self.load(dtype)?;
                of_gpu.insert(dtype.to_owned(), module as usize);
                module
            }
        };
        let symbol = CString::new(name).map_err(Error::wrap)?;
        // SAFETY: the module was loaded in this GPU's context.
        let found = unsafe { result::module::get_function(module, symbol) }.map_err(wrong(name))?;
        of_gpu.insert(name.to_owned(), found as usize);
        Ok(found)
    }

    /// Compiles the kernels of a dtype for this GPU, to its own machine code, and loads them.
    fn load(&self, dtype: &str) -> Result<sys::CUmodule> {
        let stream = self.device.cuda_stream();
        let context = stream.context();
        context
            .bind_to_thread()
            .map_err(wrong("the GPU cannot be used"))?;
        let version = context.compute_capability();
        let (major, minor) = version.map_err(wrong("the GPU does not say what it is"))?;
        let code = compile(dtype, &format!("sm_{major}{minor}"))?;
        // SAFETY: the code is whole, and was compiled for this GPU.
        unsafe { result::module::load_data(code.as_ptr().cast()) }
            .map_err(wrong("the kernels cannot be loaded"))
    }
}

/// The kernels of a dtype in the machine code of an architecture such as `sm_80`.
fn compile(dtype: &str, architecture: &str) -> Result<Vec<u8>> {
    let text = CString::new(source_of(Dialect::Device, &[dtype])).map_err(Error::wrap)?;
    let of = |error: nvrtc::result::NvrtcError| Error::msg(format!("NVRTC: {error}"));
    let program = nvrtc::result::create_program(&text, Some(c"cass.cu")).map_err(of)?;
    let options = [format!("--gpu-architecture={architecture}")];
    // SAFETY: the program lives until it is destroyed below.
    unsafe {
        let compiled = nvrtc::result::compile_program(program, &options);
        if compiled.is_err() {
            let log = nvrtc::result::get_program_log(program).unwrap_or_default();
            let log: Vec<u8> = log.iter().map(|&c| c as u8).collect();
            let log = String::from_utf8_lossy(&log).into_owned();
            bail!("NVRTC does not compile the kernels for {architecture}: {log}");
        }
        let mut size = 0;
        nvrtc::sys::nvrtcGetCUBINSize(program, &raw mut size)
            .result()
            .map_err(of)?;
        let mut code = vec![0u8; size];
        let to = code.as_mut_ptr().cast::<c_char>();
        nvrtc::sys::nvrtcGetCUBIN(program, to)
            .result()
            .map_err(of)?;
        nvrtc::result::destroy_program(program).map_err(of)?;
        Ok(code)
    }
}

/// Keeps memory that tensors gave back: by the driver's default it goes back to the system whenever the host waits. Nor are
/// events made for each of them, which order streams where there are several.
pub(crate) fn keep_memory(device: &CudaDevice) -> Result<()> {
    // SAFETY: all work of this process goes to the device's one stream.
    unsafe { device.disable_event_tracking() };
    let mut most = u64::MAX;
    let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    let stream = device.cuda_stream();
    // SAFETY: the pool is the GPU's own, and the value of this attribute is a u64.
    unsafe {
        let pool = result::device::get_default_mem_pool(stream.context().cu_device());
        let pool = pool.map_err(wrong("the GPU has no pool of memory"))?;
        result::mem_pool::set_attribute(pool, attribute, (&raw mut most).cast())
            .map_err(wrong("the GPU's pool of memory"))
    }
}

/// The most memory that tensors of this process held on the GPU, and the memory that it has, in bytes.
pub(crate) fn memory(device: &CudaDevice) -> Result<[u64; 2]> {
    let mut high = 0u64;
    let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH;
    let stream = device.cuda_stream();
    let cu_device = stream.context().cu_device();
    // SAFETY: as above.
    unsafe {
        let pool = result::device::get_default_mem_pool(cu_device);
        let pool = pool.map_err(wrong("the GPU has no pool of memory"))?;
        result::mem_pool::get_attribute(pool, attribute, (&raw mut high).cast())
            .map_err(wrong("the GPU's pool of memory"))?;
        let total = result::device::total_mem(cu_device).map_err(wrong("the GPU's memory"))?;
        Ok([high, total as u64])
    }
}
