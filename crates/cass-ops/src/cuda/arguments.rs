//! What each kernel is given: one struct, written here once for Rust and for C.

/// Tensors that one launch of an optimiser's kernel takes: their addresses fit into the 4 KiB of an argument.
pub(crate) const MANY: usize = 64;

/// Memory that a kernel reads; 0 where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub(crate) struct Input(pub(super) u64);

/// Memory that a kernel writes; 0 where nothing is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub(crate) struct Output(pub(super) u64);

/// Places, u32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Places(pub(super) u64);

/// Sums in f64, whatever is summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Sums(pub(super) u64);

impl From<Output> for Places {
    fn from(memory: Output) -> Self {
        Self(memory.0)
    }
}

impl From<Output> for Sums {
    fn from(memory: Output) -> Self {
        Self(memory.0)
    }
}

/// The type of a field, eight bytes or several times that, so that both languages lay a struct out alike.
trait Field {
    fn declaration(name: &str) -> String;
}

macro_rules! fields {
    ($($rust:ty = $c:literal),* $(,)?) => {
        $(impl Field for $rust {
            fn declaration(name: &str) -> String {
                format!(concat!($c, "{};"), name)
            }
        }
        impl Field for [$rust; MANY] {
            fn declaration(name: &str) -> String {
                format!(concat!($c, "{}[{}];"), name, MANY)
            }
        })*
    };
}

fields! {
    Input = "const STORED *",
    Output = "STORED *",
    Places = "unsigned *",
    Sums = "double *",
    u64 = "usize ",
    f64 = "double ",
}

/// Fields that several kernels are given alike: one struct in Rust, and in C the fields themselves, which lie there the same.
macro_rules! shared {
    ($($(#[$about:meta])* $name:ident { $($field:ident),* $(,)? })*) => {
        $($(#[$about])*
        #[derive(Clone, Copy)]
        #[repr(C)]
        pub(crate) struct $name { $(pub(crate) $field: u64),* }

        impl Field for $name {
            fn declaration(_: &str) -> String {
                [$(u64::declaration(stringify!($field))),*].join(" ")
            }
        })*
    };
}

shared! {
    /// `(batch, channels, size)`, whose sums go over images and pixels.
    Channels { batch, channels, size }
    /// Sizes of an image's plane, of the result's and of the windows between them.
    Sliding { h, w, oh, ow, kh, kw, stride, padding }
    /// The same of all planes and square windows.
    Pooled { planes, h, w, oh, ow, kernel, stride }
}

/// The one argument of a kernel.
pub(crate) trait Arguments: Copy {}

macro_rules! arguments {
    ($($name:ident { $($field:ident: $kind:ty),* $(,)? })*) => {
        $(#[derive(Clone, Copy)]
        #[repr(C)]
        pub(crate) struct $name { $(pub(crate) $field: $kind),* }

        impl Arguments for $name {})*

        /// The structs in C, for the dtype whose words are defined.
        pub(super) fn c_structs() -> String {
            let mut text = String::new();
            $(
                text.push_str("typedef struct { ");
                $(
                    text.push_str(&<$kind as Field>::declaration(stringify!($field)));
                    text.push(' ');
                )*
                text.push_str(concat!("} TYPED(", stringify!($name), ");\n"));
            )*
            text
        }
    };
}

arguments! {
    Unary { x: Input, y: Output, count: u64, kind: u64 }
    UnaryGradient { x: Input, dy: Input, dx: Output, count: u64, kind: u64 }
    Affine { x: Input, gamma: Input, bias: Input, residual: Input, y: Output, count: u64, inner: u64, repeat: u64 }

    ColumnSums { x: Input, y: Input, parts: Output, rows: u64, width: u64, slice: u64 }
    SumSlices { parts: Input, total: Output, slices: u64, count: u64 }
    ChannelSums { x: Input, y: Input, parts: Output, over: Channels, slice: u64 }
    SumAll { x: Input, total: Output, count: u64, scale: f64 }

    LayerNorm {
        x: Input, weight: Input, bias: Input, y: Output, mean: Output, inv_std: Output, rows: u64, width: u64, eps: f64,
    }
    LayerNormGradient {
        x: Input, weight: Input, mean: Input, inv_std: Input, dy: Input, dx: Output, rows: u64, width: u64,
    }
    LayerNormColumns {
        x: Input, mean: Input, inv_std: Input, dy: Input, parts: Output, rows: u64, width: u64, slice: u64,
    }

    Moments { x: Input, parts: Output, over: Channels, slice: u64 }
    Statistics {
        parts: Input, mean: Output, unbiased: Output, inv_std: Output,
        places: u64, channels: u64, slices: u64, slice: u64, eps: f64,
    }
    InverseStd { var: Input, inv_std: Output, channels: u64, eps: f64 }
    Normalise {
        x: Input, mean: Input, inv_std: Input, weight: Input, bias: Input, residual: Input, y: Output,
        over: Channels, kind: u64,
    }
    NormaliseSums {
        x: Input, y: Input, dy: Input, mean: Input, inv_std: Input, weight: Input, bias: Input, parts: Output,
        over: Channels, slice: u64, kind: u64,
    }
    NormaliseGradient {
        x: Input, y: Input, dy: Input, mean: Input, inv_std: Input, weight: Input, bias: Input, sums: Input,
        dx: Output, dresidual: Output, over: Channels, kind: u64, training: u64,
    }

    MaxPool {
        x: Input, y: Output, places: Places, sizes: Pooled, padding: u64,
    }
    MaxPoolGradient {
        dy: Input, places: Places, dx: Output, sizes: Pooled, padding: u64,
    }
    AvgPool { x: Input, y: Output, sizes: Pooled }
    AvgPoolGradient { dy: Input, dx: Output, sizes: Pooled }

    SplitHeads { qkv: Input, q: Output, k: Output, v: Output, batch: u64, tokens: u64, heads: u64, depth: u64 }
    JoinHeads {
        q: Input, k: Input, v: Input, qkv: Output, batch: u64, tokens: u64, heads: u64, depth: u64, scale: f64,
    }
    SwapMiddle { x: Input, y: Output, batch: u64, m: u64, n: u64, depth: u64 }
    Softmax {
        x: Input, bias: Input, mask: Input, y: Output, rows: u64, width: u64, heads: u64, windows: u64, scale: f64,
    }
    SoftmaxGradient { y: Input, dy: Input, dx: Output, rows: u64, width: u64 }

    SoftCrossEntropy {
        target: Input, center: Input, logits: Input, loss: Output, gradient: Output, rows: u64, width: u64,
        target_temp: f64, temp: f64, eps: f64,
    }

    Windows {
        x: Input, y: Output, planes: u64, sizes: Sliding,
    }
    WindowsGradient {
        dy: Input, dx: Output, planes: u64, sizes: Sliding,
    }
    Depthwise {
        x: Input, weight: Input, y: Output, batch: u64, channels: u64, sizes: Sliding,
    }
    DepthwiseGradient {
        dy: Input, weight: Input, dx: Output, batch: u64, channels: u64, sizes: Sliding,
    }
    DepthwiseWeight {
        x: Input, dy: Input, parts: Output, batch: u64, channels: u64, sizes: Sliding, slice: u64,
    }

    Adam {
        params: [Output; MANY], grads: [Input; MANY], m: [Output; MANY], v: [Output; MANY], counts: [u64; MANY],
        step_size: [f64; MANY], decay: [f64; MANY],
        beta1: f64, beta2: f64, eps: f64, bias_correction2_sqrt: f64, grad_scale: f64,
    }
    Sgd {
        params: [Output; MANY], grads: [Input; MANY], buffers: [Output; MANY], counts: [u64; MANY], lr: [f64; MANY],
        decay: [f64; MANY], momentum: f64, gain: f64, nesterov: u64, grad_scale: f64,
    }
    Blend { targets: [Output; MANY], sources: [Input; MANY], counts: [u64; MANY], keep: f64 }
    Squares { grads: [Input; MANY], counts: [u64; MANY], parts: Sums, first: u64, slice: u64, slices: u64 }
    SumSquares { parts: Sums, total: Sums, count: u64 }
}
