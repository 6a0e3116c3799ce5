use candle_core::{Result, Tensor};
use cass_ops::Tracked;

/// How a square map is cut into square windows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Windows {
    /// Side of the map, in tokens.
    side: usize,
    /// Side of a window, in tokens.
    pub(super) size: usize,
    /// Tokens that the map is rolled by before it is cut.
    shift: usize,
}

impl Windows {
    /// A map that fits one window is one, without a shift.
    pub(super) fn new(side: usize, size: usize, shifted: bool) -> Self {
        Self {
            side,
            size: size.min(side),
            shift: if shifted && side > size { size / 2 } else { 0 },
        }
    }

    /// Windows along a side; the last may reach over the border.
    fn count(&self) -> usize {
        self.side.div_ceil(self.size)
    }

    /// `(B, H², C)` → `(B windows, size², C)`, zeros over the border
    pub(super) fn partition(&self, x: &Tracked) -> Result<Tracked> {
        let (b, _, c) = x.value().dims3()?;
        let (n, w) = (self.count(), self.size);
        let x = x.reshape((b, self.side, self.side, c))?;
        pad(&roll(&x, -(self.shift as i32))?, n * w)?
            .reshape((b, n, w, n, w, c))?
            .permute(&[0, 1, 3, 2, 4, 5])?
            .reshape((b * n * n, w * w, c))
    }

    /// `(B windows, size², C)` → `(B, H², C)`
    pub(super) fn reverse(&self, x: &Tracked) -> Result<Tracked> {
        let (windows, _, c) = x.value().dims3()?;
        let (n, w) = (self.count(), self.size);
        let b = windows / (n * n);
        let x = x
            .reshape((b, n, n, w, w, c))?
            .permute(&[0, 1, 3, 2, 4, 5])?
            .reshape((b, n * w, n * w, c))?
            .narrow(1, 0, self.side)?
            .narrow(2, 0, self.side)?;
        roll(&x, self.shift as i32)?.reshape((b, self.side * self.side, c))
    }

    /// For every pair of tokens of a window, in rows, its row of the bias table.
    pub(super) fn relative_positions(&self) -> Vec<u32> {
        let w = self.size;
        let along = |a: usize, b: usize| w - 1 + a - b;
        let tokens = || (0..w * w).map(|i| (i / w, i % w));
        tokens()
            .flat_map(|a| tokens().map(move |b| along(a.0, b.0) * (2 * w - 1) + along(a.1, b.1)))
            .map(|row| row as u32)
            .collect()
    }

    /// -100 between tokens that only the roll made neighbours, else 0: `(windows, size², size²)`
    /// like the tensor `like`. Nothing without a shift.
    pub(super) fn mask(&self, like: &Tensor) -> Result<Option<Tensor>> {
        if self.shift == 0 {
            return Ok(None);
        }
        let (n, w) = (self.count(), self.size);
        let region = |i: usize| usize::from(i >= n * w - w) + usize::from(i >= n * w - self.shift);
        let mut mask = Vec::with_capacity(n * n * w.pow(4));
        for window in 0..n * n {
            let (top, left) = (window / n * w, window % n * w);
            let regions: Vec<_> = (0..w * w)
                .map(|i| (region(top + i / w), region(left + i % w)))
                .collect();
            for a in &regions {
                mask.extend(regions.iter().map(|b| if a == b { 0f32 } else { -100. }));
            }
        }
        let mask = Tensor::from_vec(mask, (n * n, w * w, w * w), like.device())?;
        mask.to_dtype(like.dtype()).map(Some)
    }
}

/// Zeros below and on the right of maps `(B, H, H, C)`, to `side` tokens.
pub(super) fn pad(x: &Tracked, side: usize) -> Result<Tracked> {
    let more = side - x.dims()[1];
    x.pad_with_zeros(1, 0, more)?.pad_with_zeros(2, 0, more)
}

/// Moves maps `(B, H, W, C)` in a circle along both directions.
fn roll(x: &Tracked, by: i32) -> Result<Tracked> {
    if by == 0 {
        return Ok(x.clone());
    }
    x.roll(by, 1)?.roll(by, 2)
}
