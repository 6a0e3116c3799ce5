//! The back end of tests: the kernels, compiled by `cc`, over tensors of the CPU.

use super::source::{Dialect, source};
use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Result, Shape, Tensor, bail};
use std::cell::Cell;
use std::ffi::{CString, c_char, c_int, c_uint, c_ulonglong, c_void};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, fs, process};

/// Memory that holds NaN, or places far outside: what a kernel leaves out is seen.
pub(super) fn empty(dtype: DType, shape: Shape) -> Result<Tensor> {
    let (count, cpu) = (shape.elem_count(), &candle_core::Device::Cpu);
    match dtype {
        DType::F32 => Tensor::from_vec(vec![f32::NAN; count], shape, cpu),
        DType::F64 => Tensor::from_vec(vec![f64::NAN; count], shape, cpu),
        DType::BF16 => Tensor::from_vec(vec![f32::NAN; count], shape, cpu)?.to_dtype(DType::BF16),
        DType::U32 => Tensor::from_vec(vec![u32::MAX; count], shape, cpu),
        other => bail!("no emulated memory of {other:?}"),
    }
}

/// Where a contiguous tensor begins, for writing too.
pub(super) fn address(tensor: &Tensor) -> Result<u64> {
    struct Find(AtomicU64);
    impl InplaceOp1 for Find {
        fn name(&self) -> &'static str {
            "address"
        }

        fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
            let first = layout.start_offset();
            let address = match storage {
                CpuStorage::F32(data) => data[first..].as_mut_ptr() as u64,
                CpuStorage::F64(data) => data[first..].as_mut_ptr() as u64,
                CpuStorage::BF16(data) => data[first..].as_mut_ptr() as u64,
                CpuStorage::U32(data) => data[first..].as_mut_ptr() as u64,
                _ => bail!("no kernel takes this dtype"),
            };
            self.0.store(address, Ordering::Relaxed);
            Ok(())
        }
    }
    let find = Find(AtomicU64::new(0));
    tensor.inplace_op1(&find)?;
    Ok(find.0.into_inner())
}

type Entry = unsafe extern "C" fn(*const c_void, c_ulonglong, c_uint, c_uint) -> c_int;

pub(super) fn launch(name: &str, grid: [u32; 2], args: (*const c_void, usize)) -> Result<()> {
    let entry = entry(name)?;
    // SAFETY: the struct is the kernel's, as its size says, and the memory that it names was handed out for this launch.
    let result = unsafe { entry(args.0, args.1 as u64, grid[0], grid[1]) };
    match result {
        0 => Ok(()),
        1 => bail!("{name} takes another struct than {} bytes", args.1),
        2 => bail!("{name}: not all lanes of a warp come to a shuffle"),
        _ => bail!("{name}: not all threads of a block come to a barrier"),
    }
}

#[cfg_attr(target_os = "linux", link(name = "dl"))]
unsafe extern "C" {
    fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

thread_local! {
    /// Kernels that this thread uses instead of the crate's.
    static OTHER: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Runs `f` with the kernels of another text, to see that the emulator finds what is wrong with them.
#[cfg(test)]
pub(super) fn with_text<R>(text: &str, f: impl FnOnce() -> R) -> R {
    let library = compile(text, &flags()).and_then(load);
    OTHER.set(Some(library.expect("kernels")));
    let result = crate::emulated::emulated(f);
    OTHER.set(None);
    result
}

fn entry(name: &str) -> Result<Entry> {
    static LIBRARY: OnceLock<std::result::Result<usize, String>> = OnceLock::new();
    let other = OTHER.get().map(Ok);
    let library = match other.as_ref().unwrap_or_else(|| LIBRARY.get_or_init(open)) {
        Ok(library) => *library as *mut c_void,
        Err(error) => bail!("{error}"),
    };
    let Ok(symbol) = CString::new(name) else {
        bail!("{name} is no name of a kernel")
    };
    // SAFETY: the library is open for as long as the process lives, and the name ends.
    let found = unsafe { dlsym(library, symbol.as_ptr()) };
    if found.is_null() {
        bail!("there is no kernel {name}");
    }
    // SAFETY: every exported function of the library has this type.
    Ok(unsafe { std::mem::transmute::<*mut c_void, Entry>(found) })
}

/// Compiles the kernels, unless that was done before, and loads them.
fn open() -> std::result::Result<usize, String> {
    text()
        .and_then(|text| compile(&text, &flags()))
        .and_then(load)
}

/// The kernels; with a mistake where `CASS_EMULATOR_MISTAKE` has text of theirs and, after a tab, what stands in its place:
/// `cargo xtask check --cuda` sees so that its sanitizers find it.
fn text() -> std::result::Result<String, String> {
    let right = source(Dialect::Emulated);
    let Ok(mistake) = env::var("CASS_EMULATOR_MISTAKE") else {
        return Ok(right);
    };
    match mistake.split_once('\t') {
        Some((from, to)) if right.contains(from) => Ok(right.replace(from, to)),
        _ => Err(format!(
            "CASS_EMULATOR_MISTAKE is {mistake:?}; expected text of the kernels, a tab and other text"
        )),
    }
}

fn load(library: PathBuf) -> std::result::Result<usize, String> {
    const NOW: c_int = 2;
    let path = CString::new(library.to_string_lossy().as_bytes()).map_err(|e| e.to_string())?;
    // SAFETY: the file was compiled from this crate's own text.
    let handle = unsafe { dlopen(path.as_ptr(), NOW) };
    if handle.is_null() {
        return Err(format!("{} cannot be loaded", library.display()));
    }
    Ok(handle as usize)
}

/// Flags for a check by sanitizers, which `cargo xtask check --cuda` sets.
fn flags() -> Vec<String> {
    let flags = env::var("CASS_EMULATOR_FLAGS").unwrap_or_default();
    flags.split_whitespace().map(str::to_owned).collect()
}

/// A shared library next to the tests' own binary, named by what it was made of.
pub(super) fn compile(text: &str, flags: &[String]) -> std::result::Result<PathBuf, String> {
    let mut hasher = DefaultHasher::new();
    (text, flags).hash(&mut hasher);
    let folder = env::current_exe().map_err(|e| e.to_string())?;
    let folder = folder.parent().ok_or("the tests have no folder")?;
    let library = folder.join(format!("kernels-{:016x}.so", hasher.finish()));
    if library.is_file() {
        return Ok(library);
    }
    let own = |end: &str| library.with_extension(format!("{}.{end}", process::id()));
    let (text_file, made) = (own("c"), own("so"));
    fs::write(&text_file, text).map_err(|e| e.to_string())?;
    let output = Command::new("cc")
        .args([
            "-std=gnu11",
            "-O1",
            "-g",
            "-ffp-contract=off",
            "-U_FORTIFY_SOURCE",
        ])
        .args(["-Wall", "-Werror", "-fPIC", "-shared"])
        .args(flags)
        .arg(&text_file)
        .arg("-o")
        .arg(&made)
        .args(["-lm", "-lpthread"])
        .output()
        .map_err(|e| format!("cc cannot be started: {e}"))?;
    let _ = fs::remove_file(&text_file);
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    fs::rename(&made, &library).map_err(|e| e.to_string())?;
    Ok(library)
}
