//! How parameters begin, as timm and torch draw them, from the seeded generator.

use candle_core::{DType, Device, Result, Tensor};
use cass_rng::Rng;
use sha2::{Digest, Sha256};

/// Distribution of a fresh parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Init {
    Zeros,
    Ones,
    Constant {
        value: f64,
    },
    /// `torch.nn.init.normal_`, or timm's `trunc_normal_`, whose bounds of ±2 lie a hundred
    /// standard deviations out at the 0.02 it is used with.
    Normal {
        std: f64,
    },
    /// Uniform within ±`bound`.
    Uniform {
        bound: f64,
    },
}

impl Init {
    /// `kaiming_normal_(mode="fan_out", nonlinearity="relu")` of a convolution (O, I, KH, KW).
    pub(crate) fn kaiming_fan_out([o, _, kh, kw]: [usize; 4]) -> Self {
        Self::Normal {
            std: (2.0 / (o * kh * kw) as f64).sqrt(),
        }
    }

    /// The same of a convolution in groups, by the outputs of one of them: timm's `_init_weight_goog`.
    pub(crate) fn kaiming_fan_out_of_group(o: usize, kernel: usize, groups: usize) -> Self {
        Self::kaiming_fan_out([o / groups, 0, kernel, kernel])
    }

    /// `kaiming_normal_` with its defaults, of the same.
    pub(crate) fn kaiming_fan_in([_, i, kh, kw]: [usize; 4]) -> Self {
        Self::Normal {
            std: (2.0 / (i * kh * kw) as f64).sqrt(),
        }
    }

    /// What `torch.nn.Linear` and `torch.nn.Conv2d` draw weight and bias from.
    pub(crate) fn torch_default(fan_in: usize) -> Self {
        Self::Uniform {
            bound: 1.0 / (fan_in as f64).sqrt(),
        }
    }

    /// A tensor of this distribution that depends on `seed` and `name` alone: a new head or another
    /// order of construction changes no other parameter.
    pub(crate) fn draw(
        self,
        shape: &[usize],
        seed: u64,
        name: &str,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let mut rng = Rng::new(seed, "init", [name_key(name), 0], 0);
        let mut fill = |mut value: Box<dyn FnMut(&mut Rng) -> f64>| {
            let count = shape.iter().product();
            let data: Vec<f32> = (0..count).map(|_| value(&mut rng) as f32).collect();
            Tensor::from_vec(data, shape, device)?.to_dtype(dtype)
        };
        match self {
            Self::Zeros => Tensor::zeros(shape, dtype, device),
            Self::Ones => Tensor::ones(shape, dtype, device),
            Self::Constant { value } => Tensor::full(value, shape, device)?.to_dtype(dtype),
            Self::Normal { std } => fill(Box::new(move |rng| std * rng.normal())),
            Self::Uniform { bound } => fill(Box::new(move |rng| rng.uniform_in(-bound, bound))),
        }
    }
}

fn name_key(name: &str) -> u64 {
    let digest = Sha256::digest(name.as_bytes());
    let mut key = [0; 8];
    key.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(key)
}
