//! The C text of all kernels, for a GPU's compiler or for the emulator's.

use super::arguments;

/// Who compiles the kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// NVRTC.
    Device,
    /// A C compiler, for tests.
    #[cfg(any(test, feature = "emulator"))]
    Emulated,
}

/// A file of kernels: its name and text.
type File = (&'static str, &'static str);

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("kernels/", $name)))),*]
    };
}

/// What every dtype needs.
const COMMON: [File; 1] = files!["common.cu"];
/// Kernels that load and store bf16 as well.
const STORING: [File; 2] = files!["convolution.cu", "depthwise.cu"];
/// Kernels of f32 and f64.
const COMPUTING: [File; 8] = files![
    "elementwise.cu",
    "sums.cu",
    "layer_norm.cu",
    "batch_norm.cu",
    "pool.cu",
    "attention.cu",
    "cross_entropy.cu",
    "optimizer.cu",
];

const F32: &str = "#define SUFFIX _f32\n#define REAL float\n#define STORED float\n#define ZERO 0\n#define LOAD(x) (x)\n#define STORE(x) (x)\n#define EXP expf\n#define LOG logf\n#define SQRT sqrtf\n#define ERF erff\n";
const F64: &str = "#define SUFFIX _f64\n#define REAL double\n#define STORED double\n#define ZERO 0\n#define LOAD(x) (x)\n#define STORE(x) (x)\n#define EXP exp\n#define LOG log\n#define SQRT sqrt\n#define ERF erf\n";
const BF16: &str = "#define SUFFIX _bf16\n#define REAL float\n#define STORED unsigned short\n#define ZERO 0\n#define LOAD(x) bf16_load(x)\n#define STORE(x) bf16_store(x)\n#define EXP expf\n#define LOG logf\n#define SQRT sqrtf\n#define ERF erff\n";
const END: &str = "#undef SUFFIX\n#undef REAL\n#undef STORED\n#undef ZERO\n#undef LOAD\n#undef STORE\n#undef EXP\n#undef LOG\n#undef SQRT\n#undef ERF\n#undef BEHIND\n";

/// All kernels, each dtype's after another.
pub(super) fn source(dialect: Dialect) -> String {
    source_of(dialect, &["f32", "f64", "bf16"])
}

/// The kernels of some dtypes.
pub(super) fn source_of(dialect: Dialect, dtypes: &[&str]) -> String {
    let head = match dialect {
        Dialect::Device => files!["device.h"],
        #[cfg(any(test, feature = "emulator"))]
        Dialect::Emulated => files!["emulate.h"],
    };
    let mut text = String::new();
    add(&mut text, &head);
    add(&mut text, &files!["dtypes.h", "places.h"]);
    for (name, dtype, computes) in [
        ("f32", F32, true),
        ("f64", F64, true),
        ("bf16", BF16, false),
    ] {
        if !dtypes.contains(&name) {
            continue;
        }
        let structs = arguments::c_structs();
        text.push_str(&format!("{dtype}#line 1 \"arguments\"\n{structs}"));
        add(&mut text, &COMMON);
        add(&mut text, &STORING);
        if computes {
            add(&mut text, &COMPUTING);
        }
        text.push_str(END);
    }
    text
}

fn add(text: &mut String, files: &[File]) {
    for (name, content) in files {
        text.push_str(&format!("#line 1 \"{name}\"\n{content}"));
    }
}
