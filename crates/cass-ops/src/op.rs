//! What the operations are and their settings, apart from how they are computed.

use candle_core::Tensor;

/// An operation and its settings. What it computes from stands in a [`Step`](crate::trace::Step)'s inputs, in the order of the function's
/// arguments; tensors that are constants to gradients stand here.
#[derive(Debug, Clone)]
pub enum Op {
    /// [`conv2d`](crate::nn::conv2d).
    Conv2d(Conv2dConfig),
    /// [`max_pool2d`](crate::nn::max_pool2d).
    MaxPool2d(MaxPool2dConfig),
    /// [`avg_pool2d`](crate::nn::avg_pool2d).
    AvgPool2d(AvgPool2dConfig),
    /// [`batch_norm_eval`](crate::nn::batch_norm_eval); a residual is the fourth input.
    BatchNorm {
        /// Running mean, `(C)`.
        mean: Tensor,
        /// Running variance, `(C)`.
        var: Tensor,
        /// Summand to the variance.
        eps: f64,
        /// What follows the sum with the residual.
        activation: Activation,
    },
    /// [`linear_add`](crate::nn::linear_add); what is behind the weight, and behind the bias, is the residual.
    Linear {
        /// Whether the third input is the bias.
        has_bias: bool,
    },
    /// [`layer_norm`](crate::nn::layer_norm).
    LayerNorm {
        /// Summand to the variance.
        eps: f64,
    },
    /// [`attention`](crate::nn::attention), or [`window_attention`](crate::nn::window_attention) where there is a
    /// second input, the bias.
    Attention {
        /// Attention heads.
        heads: usize,
        /// What is added to the scores of every window, `(windows, N, N)`.
        mask: Option<Tensor>,
    },
    /// [`rotary`](crate::nn::rotary).
    Rotary {
        /// Attention heads.
        heads: usize,
        /// Sines of the angles, `(P, D/2)`.
        sin: Tensor,
        /// Their cosines.
        cos: Tensor,
    },
    /// A function of every element.
    Map(Function),
    /// [`scale_add`](crate::nn::scale_add).
    ScaleAdd,
    /// [`gate_planes`](crate::nn::gate_planes).
    GatePlanes,
    /// [`add_planes`](crate::nn::add_planes).
    AddPlanes,
    /// [`Tracked::reshape`](crate::Tracked::reshape), to the step's shape.
    Reshape,
    /// [`Tracked::permute`](crate::Tracked::permute).
    Permute(Vec<usize>),
    /// [`Tracked::narrow`](crate::Tracked::narrow).
    Narrow {
        /// The dimension.
        dim: usize,
        /// The first place.
        start: usize,
        /// The number of places.
        len: usize,
    },
    /// [`Tracked::pad_with_zeros`](crate::Tracked::pad_with_zeros).
    Pad {
        /// The dimension.
        dim: usize,
        /// Zeros before it.
        front: usize,
        /// Zeros behind it.
        behind: usize,
    },
    /// [`Tracked::roll`](crate::Tracked::roll).
    Roll {
        /// The dimension.
        dim: usize,
        /// Places that values move by.
        by: i32,
    },
    /// [`Tracked::rows`](crate::Tracked::rows) of these numbers (u32).
    Rows(Tensor),
    /// [`Tracked::cat`](crate::Tracked::cat) along a dimension.
    Cat(usize),
    /// [`Tracked::broadcast_add`](crate::Tracked::broadcast_add).
    Add,
    /// [`Tracked::scale`](crate::Tracked::scale).
    Scale(f64),
    /// [`Tracked::mean`](crate::Tracked::mean) along a dimension.
    Mean(usize),
    /// [`Tracked::repeat_first`](crate::Tracked::repeat_first), to the step's shape.
    RepeatFirst,
    /// The same values in another place of memory: no step of a trace, where the result is the input.
    Contiguous,
    /// Anything else, by its name.
    Other(&'static str),
}

impl From<&'static str> for Op {
    fn from(name: &'static str) -> Self {
        Self::Other(name)
    }
}

impl Op {
    /// The name that profiles have it by.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Conv2d(_) => "conv2d",
            Self::MaxPool2d(_) => "max_pool2d",
            Self::AvgPool2d(_) => "avg_pool2d",
            Self::BatchNorm { .. } => "batch_norm",
            Self::Linear { .. } => "linear",
            Self::LayerNorm { .. } => "layer_norm",
            Self::Attention { .. } => "attention",
            Self::Rotary { .. } => "rotary",
            Self::Map(function) => function.name(),
            Self::ScaleAdd => "scale_add",
            Self::GatePlanes => "gate_planes",
            Self::AddPlanes => "add_planes",
            Self::Permute(_) => "transpose",
            Self::Reshape
            | Self::Narrow { .. }
            | Self::Pad { .. }
            | Self::Roll { .. }
            | Self::Rows(_)
            | Self::Scale(_)
            | Self::Mean(_)
            | Self::RepeatFirst => "movement",
            Self::Cat(_) => "cat",
            Self::Add => "broadcast_add",
            Self::Contiguous => "contiguous",
            Self::Other(name) => name,
        }
    }
}

/// Stride, zero padding and groups, the same in both directions, as in `torch.nn.Conv2d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2dConfig {
    /// Pixels between two windows.
    pub stride: usize,
    /// Zeros around the image.
    pub padding: usize,
    /// Blocks of channels that do not see each other.
    pub groups: usize,
}

impl Default for Conv2dConfig {
    fn default() -> Self {
        Self {
            stride: 1,
            padding: 0,
            groups: 1,
        }
    }
}

/// Kernel, stride and padding, as in `torch.nn.MaxPool2d`; padding never wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxPool2dConfig {
    /// Window size.
    pub kernel_size: usize,
    /// Pixels between two windows.
    pub stride: usize,
    /// Pixels of border, at most half the kernel.
    pub padding: usize,
}

/// Kernel, stride and rounding, as in `torch.nn.AvgPool2d` without padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AvgPool2dConfig {
    /// Window size.
    pub kernel_size: usize,
    /// Pixels between two windows.
    pub stride: usize,
    /// Whether pixels left over at the end get a smaller window of their own or are dropped.
    pub ceil_mode: bool,
}

/// Activation that follows the normalisation in the same pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// `max(y, 0)`, slope 0 at 0.
    Relu,
    /// `min(max(y, 0), 6)`, slope 0 at both ends: `torch.nn.ReLU6`.
    Relu6,
    /// `y sigmoid(y)`: `torch.nn.SiLU`.
    Silu,
    /// `torch.nn.Hardswish`.
    HardSwish,
}

/// A function of every element by itself, each named as the one that computes it. The numbers are those of
/// `cuda/kernels/common.cu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the function of its name")]
pub enum Function {
    Relu = 1,
    Relu6 = 2,
    Gelu = 5,
    QuickGelu = 6,
    Silu = 3,
    Sigmoid = 7,
    HardSigmoid = 8,
    HardSwish = 4,
}

impl Function {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Relu6 => "relu6",
            Self::Gelu => "gelu",
            Self::QuickGelu => "quick_gelu",
            Self::Silu => "silu",
            Self::Sigmoid => "sigmoid",
            Self::HardSigmoid => "hard_sigmoid",
            Self::HardSwish => "hard_swish",
        }
    }
}
