use candle_core::{DType, Device};

/// Options that a network is built with.
#[derive(Debug, Clone)]
pub struct ModelOptions {
    /// Outputs of the classifier.
    pub num_classes: usize,
    /// Side of the square images, px. A Transformer takes this size only, a CNN any.
    pub input_size: usize,
    /// Channels of the images: 3 for colours, 1 for grey, any number for spectra. Published weights
    /// are brought to it by timm's rule.
    pub in_chans: usize,
    /// Seed of the initial values.
    pub seed: u64,
    /// Precision of parameters and computation.
    pub dtype: DType,
    /// Where they live.
    pub device: Device,
}

impl Default for ModelOptions {
    /// ImageNet: 1000 classes, colours at 224 px, f32 on the CPU, seed 0.
    fn default() -> Self {
        Self {
            num_classes: 1000,
            input_size: 224,
            in_chans: 3,
            seed: 0,
            dtype: DType::F32,
            device: Device::Cpu,
        }
    }
}
