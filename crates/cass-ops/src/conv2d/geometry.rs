//! Sizes of a convolution, and the blocks of windows that its matrix products take.

use super::Conv2dConfig;
use crate::cuda::ConvolutionShape;
use crate::phases::Windows;
use candle_core::{Result, bail};
use std::ops::Range;

/// Fewer columns than this make a slow matrix product: small images are taken several at once.
const MIN_COLUMNS: usize = 96;
/// Every size of one convolution.
pub(super) struct Geometry {
    pub(super) b: usize,
    pub(super) c: usize,
    pub(super) h: usize,
    pub(super) w: usize,
    pub(super) o: usize,
    pub(super) kh: usize,
    pub(super) kw: usize,
    pub(super) oh: usize,
    pub(super) ow: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) groups: usize,
}

impl Geometry {
    pub(super) fn new(
        (b, c, h, w): (usize, usize, usize, usize),
        (o, group_c, kh, kw): (usize, usize, usize, usize),
        config: &Conv2dConfig,
    ) -> Result<Self> {
        let groups = config.groups;
        if groups == 0 || group_c * groups != c || o % groups != 0 {
            bail!(
                "conv2d: {c} channels, weight ({o}, {group_c}, {kh}, {kw}) and {config:?} do not fit"
            );
        }
        Ok(Self {
            b,
            c,
            h,
            w,
            o,
            kh,
            kw,
            oh: config.out_size(h, kh)?,
            ow: config.out_size(w, kw)?,
            stride: config.stride,
            padding: config.padding,
            groups,
        })
    }

    pub(super) fn on_gpu(&self) -> ConvolutionShape {
        ConvolutionShape {
            batch: self.b,
            channels: self.c,
            from: [self.h, self.w],
            kernel: [self.kh, self.kw],
            to: [self.oh, self.ow],
            out_channels: self.o,
            stride: self.stride,
            padding: self.padding,
            groups: self.groups,
        }
    }

    pub(super) fn out_shape(&self) -> [usize; 4] {
        [self.b, self.o, self.oh, self.ow]
    }

    /// Windows of an image.
    pub(super) fn windows(&self) -> usize {
        self.oh * self.ow
    }

    /// Elements of a window in one group.
    pub(super) fn depth(&self) -> usize {
        self.c / self.groups * self.kh * self.kw
    }

    /// Output channels of one group.
    pub(super) fn group_o(&self) -> usize {
        self.o / self.groups
    }

    /// Whether the image is its own column matrix.
    pub(super) fn is_pointwise(&self) -> bool {
        self.kh == 1 && self.kw == 1 && self.stride == 1 && self.padding == 0
    }

    pub(super) fn over_plane(&self) -> Windows {
        Windows {
            h: self.h,
            w: self.w,
            kh: self.kh,
            kw: self.kw,
            ow: self.ow,
            stride: self.stride,
            padding: self.padding,
        }
    }

    /// The input row (of `size`) that output row `o` meets at kernel row `k`, unless it is padding.
    #[inline(always)]
    pub(super) fn source(&self, o: usize, k: usize, size: usize) -> Option<usize> {
        (o * self.stride + k)
            .checked_sub(self.padding)
            .filter(|&at| at < size)
    }

    /// The output columns whose input column at kernel column `kx` is not padding.
    #[inline(always)]
    pub(super) fn inside_columns(&self, kx: usize) -> Range<usize> {
        let start = self.padding.saturating_sub(kx).div_ceil(self.stride);
        let end = (self.w + self.padding)
            .saturating_sub(kx)
            .div_ceil(self.stride)
            .min(self.ow);
        start.min(end)..end
    }

    /// Cuts the batch into blocks: rows of one image, or several whole small images.
    pub(super) fn blocks(&self, elements: usize) -> Vec<Block> {
        let windows = self.windows();
        let wanted = (elements / self.depth()).max(MIN_COLUMNS);
        if windows >= MIN_COLUMNS || self.b == 1 {
            let rows = (wanted / self.ow).clamp(1, self.oh);
            let parts = self.oh.div_ceil(rows);
            let rows = self.oh.div_ceil(parts);
            (0..self.b)
                .flat_map(|image| {
                    (0..self.oh).step_by(rows).map(move |start| Block {
                        images: image..image + 1,
                        rows: start..(start + rows).min(self.oh),
                    })
                })
                .collect()
        } else {
            let images = equal(self.b, wanted.min(2 * MIN_COLUMNS).div_ceil(windows));
            (0..self.b)
                .step_by(images)
                .map(|start| Block {
                    images: start..(start + images).min(self.b),
                    rows: 0..self.oh,
                })
                .collect()
        }
    }
}

/// Images of a block, where about `most` fit: so many that there is an even number of blocks, as equal as they can be, and
/// no thread waits long for another.
pub(super) fn equal(images: usize, most: usize) -> usize {
    let blocks = images.div_ceil(most.max(1));
    let blocks = if blocks == 1 {
        1
    } else {
        blocks.next_multiple_of(2)
    };
    images.div_ceil(blocks).max(1)
}

/// The windows of some rows of one image, or of all rows of several.
#[derive(Clone)]
pub(super) struct Block {
    pub(super) images: Range<usize>,
    pub(super) rows: Range<usize>,
}

impl Block {
    pub(super) fn columns(&self, g: &Geometry) -> usize {
        self.images.len() * self.rows.len() * g.ow
    }

    /// Where the block's first output of a group is in `(B, O, H', W')`.
    pub(super) fn first_output(&self, g: &Geometry, group: usize) -> usize {
        (self.images.start * g.o + group * g.group_o()) * g.windows() + self.rows.start * g.ow
    }

    /// Copies the block's columns between a compact matrix and `(B, O, H', W')`.
    pub(super) fn for_each_strip(
        &self,
        g: &Geometry,
        group: usize,
        mut f: impl FnMut(Range<usize>, Range<usize>),
    ) {
        let columns = self.columns(g);
        let strip = self.rows.len() * g.ow;
        for o in 0..g.group_o() {
            for (i, image) in self.images.clone().enumerate() {
                let at =
                    (image * g.o + group * g.group_o() + o) * g.windows() + self.rows.start * g.ow;
                let compact = o * columns + i * strip;
                f(at..at + strip, compact..compact + strip);
            }
        }
    }
}
