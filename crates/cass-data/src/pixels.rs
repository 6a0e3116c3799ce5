/// An 8-bit image, rows from the top, channels interleaved.
///
/// One channel stands for three equal ones: most of the brain MRIs are grey, in whatever mode their
/// files are, and every operation here keeps them so. Their results equal those of the RGB image
/// with equal channels, at a third of the memory and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) channels: usize,
    pub(crate) data: Vec<u8>,
}

impl Pixels {
    /// An RGB image from `width * height * 3` bytes; kept as one channel if the three are equal
    /// everywhere.
    ///
    /// # Panics
    /// If the length does not fit.
    pub fn from_rgb(width: usize, height: usize, data: Vec<u8>) -> Self {
        assert_eq!(data.len(), width * height * 3, "{width}x{height} RGB");
        if data.chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2]) {
            let grey = data.iter().step_by(3).copied().collect();
            return Self::from_grey(width, height, grey);
        }
        Self {
            width,
            height,
            channels: 3,
            data,
        }
    }

    /// A grey image from `width * height` bytes.
    ///
    /// # Panics
    /// If the length does not fit.
    pub fn from_grey(width: usize, height: usize, data: Vec<u8>) -> Self {
        assert_eq!(data.len(), width * height, "{width}x{height} grey");
        Self {
            width,
            height,
            channels: 1,
            data,
        }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Whether one channel stands for three.
    pub fn is_grey(&self) -> bool {
        self.channels == 1
    }

    /// `width * height * 3` bytes, whatever is stored.
    pub fn to_rgb(&self) -> Vec<u8> {
        if self.is_grey() {
            self.data.iter().flat_map(|&v| [v; 3]).collect()
        } else {
            self.data.clone()
        }
    }
}
