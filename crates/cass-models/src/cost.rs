//! What a network costs, counted from its shape.

/// Parameters, and the work of one forward pass on one image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Trainable values.
    pub parameters: usize,
    /// Multiply-adds of convolutions, linear layers and attention, the rest being small next to them:
    /// half of what torch's `FlopCounterMode` counts.
    pub macs: usize,
}

impl Cost {
    /// Floating-point operations in 10⁹, two a multiply-add.
    pub fn gflops(&self) -> f64 {
        2.0 * self.macs as f64 / 1e9
    }

    /// Square kernels without bias, to a map of `side` x `side`.
    pub(crate) fn conv(&mut self, i: usize, o: usize, kernel: usize, side: usize) {
        let weights = i * o * kernel * kernel;
        self.parameters += weights;
        self.macs += weights * side * side;
    }

    /// Weight and bias of each channel.
    pub(crate) fn norm(&mut self, channels: usize) {
        self.parameters += 2 * channels;
    }

    /// With bias, on `rows` vectors.
    pub(crate) fn linear(&mut self, i: usize, o: usize, rows: usize) {
        self.parameters += i * o + o;
        self.macs += i * o * rows;
    }

    /// `groups` times attention among `tokens` of `width` values, and the linear layers around it.
    pub(crate) fn attention(&mut self, width: usize, tokens: usize, groups: usize) {
        let rows = groups * tokens;
        self.linear(width, 3 * width, rows);
        self.macs += 2 * rows * tokens * width;
        self.linear(width, width, rows);
    }

    pub(crate) fn mlp(&mut self, width: usize, rows: usize) {
        self.linear(width, 4 * width, rows);
        self.linear(4 * width, width, rows);
    }
}
