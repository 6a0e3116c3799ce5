//! Convolution of every channel by itself, a plane at a time.
//!
//! A plane with zeros around it, cut by the stride's phases, is a line on which every tap of the kernel
//! is one offset: output `y * width + x` is the sum over taps of a weight times what stands an offset
//! further on. Vectors run along that line whatever the plane's width; the few places between two rows
//! that belong to no output are computed and left out.

mod kernels;
mod line;
pub(super) mod reference;

use super::geometry::Geometry;
use crate::element::Element;
use crate::parallel::{CHUNK, collect_with, for_each_chunk_with};
use kernels::{correlate, products};
use line::Line;

/// Whether every channel has one kernel of its own.
pub(super) fn suits(g: &Geometry) -> bool {
    g.groups > 1 && g.groups == g.c && g.o == g.c
}

/// Buffers of one thread.
struct Scratch<T> {
    /// The input's phases, zeros around and behind them.
    input: Vec<T>,
    /// The output or its gradient on the line.
    output: Vec<T>,
}

impl<T: Element> Scratch<T> {
    fn new(line: &Line) -> Self {
        Self {
            input: vec![T::ZERO; line.input_len()],
            output: vec![T::ZERO; line.output_len()],
        }
    }
}

/// Planes that a task takes at once.
fn planes(size: usize) -> usize {
    (CHUNK / size.max(1)).max(1)
}

/// `(B, C, H', W')`
pub(super) fn forward<T: Element>(g: &Geometry, x: &[T], weight: &[T]) -> Vec<T> {
    let line = Line::new(g);
    let (taps, size) = (g.kh * g.kw, g.windows());
    let mut y = vec![T::ZERO; g.b * g.c * size];
    let planes = planes(size);
    let init = || Scratch::new(&line);
    for_each_chunk_with(&mut y, planes * size, init, |scratch, i, y| {
        for (n, y) in y.chunks_exact_mut(size).enumerate() {
            let plane = i * planes + n;
            line.spread_input(&x[plane * g.h * g.w..][..g.h * g.w], &mut scratch.input);
            let weight = &weight[plane % g.c * taps..][..taps];
            let to = &mut scratch.output[line.margin()..][..line.output_run()];
            correlate(&line.taps(weight), &scratch.input, to);
            line.gather_output(to, y);
        }
    });
    y
}

/// `(B, C, H, W)`
pub(super) fn grad_x<T: Element>(g: &Geometry, weight: &[T], dy: &[T]) -> Vec<T> {
    let line = Line::new(g);
    let (taps, size, windows) = (g.kh * g.kw, g.h * g.w, g.windows());
    let mut dx = vec![T::ZERO; g.b * g.c * size];
    let planes = planes(size);
    let init = || Scratch::new(&line);
    for_each_chunk_with(&mut dx, planes * size, init, |scratch, i, dx| {
        for (n, dx) in dx.chunks_exact_mut(size).enumerate() {
            let plane = i * planes + n;
            line.spread_output(&dy[plane * windows..][..windows], &mut scratch.output);
            let weight = &weight[plane % g.c * taps..][..taps];
            for phase in 0..line.phases() {
                let to = &mut scratch.input[line.phase_start(phase)..][..line.phase_run()];
                correlate(&line.taps_back(weight, phase), &scratch.output, to);
            }
            line.gather_input(&scratch.input, dx);
        }
    });
    dx
}

/// `(C, 1, KH, KW)`: the sum over images in their order, for any number of threads.
pub(super) fn grad_weight<T: Element>(g: &Geometry, x: &[T], dy: &[T]) -> Vec<T> {
    let line = Line::new(g);
    let (taps, size, windows) = (g.kh * g.kw, g.h * g.w, g.windows());
    let init = || Scratch::new(&line);
    let channels: Vec<Vec<T>> = collect_with(g.c, init, |scratch, channel| {
        let mut sums = vec![0.0; taps];
        for image in 0..g.b {
            let plane = image * g.c + channel;
            line.spread_input(&x[plane * size..][..size], &mut scratch.input);
            line.spread_output(&dy[plane * windows..][..windows], &mut scratch.output);
            let dy = &scratch.output[line.margin()..][..line.output_run()];
            products(&line.offsets(), &scratch.input, dy, &mut sums);
        }
        sums.into_iter().map(T::of).collect()
    });
    channels.concat()
}

#[cfg(test)]
mod tests {
    use super::super::{Conv2dConfig, conv2d};
    use super::*;
    use crate::check::Case;

    #[test]
    fn equals_its_twin_and_finite_differences() -> candle_core::Result<()> {
        for (b, c, [h, w], kernel, stride, padding) in [
            (2, 3, [7, 5], 3, 1, 1),
            (1, 4, [9, 12], 3, 2, 1),
            (2, 2, [8, 8], 5, 1, 2),
            (1, 3, [11, 6], 5, 2, 2),
            (2, 2, [6, 6], 7, 1, 3),
            (1, 2, [3, 3], 7, 1, 3), // larger than the plane
            (3, 5, [1, 1], 3, 1, 1),
            (1, 2, [56, 61], 3, 1, 1), // several vectors a row
            (1, 2, [70, 70], 3, 2, 0),
            (2, 2, [9, 9], 2, 3, 0), // pixels that no window meets
            (1, 2, [5, 8], 4, 2, 1),
        ] {
            let config = Conv2dConfig {
                stride,
                padding,
                groups: c,
            };
            let (x, weight) = ([b, c, h, w], [c, 1, kernel, kernel]);
            let g = Geometry::new(x.into(), weight.into(), &config)?;
            assert!(suits(&g));
            Case::new(&format!("depthwise {config:?}"), &[&x, &weight]).run(
                |t| conv2d(&t[0], &t[1], &config),
                |t| reference::conv2d(&t[0], &t[1], &config),
            )?;
        }
        Ok(())
    }

    /// Candle's own, which takes the groups one by one.
    #[test]
    fn the_twin_is_a_convolution_in_groups() -> candle_core::Result<()> {
        let config = Conv2dConfig {
            stride: 2,
            padding: 1,
            groups: 6,
        };
        let x = crate::check::input(0, &[2, 6, 9, 8])?;
        let weight = crate::check::input(1, &[6, 1, 3, 3])?;
        let off = cass_testing::relative_error(
            &reference::conv2d(&x, &weight, &config)?,
            &super::super::reference::conv2d(&x, &weight, &config)?,
        )?;
        assert!(off < 1e-14, "{off}");
        Ok(())
    }
}
