//! timm's short notation for the blocks of mobile networks.

/// Kind of block, by timm's abbreviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `ds`: a convolution a channel, then 1x1.
    DepthwiseSeparable,
    /// `ir`: 1x1 that widens, a convolution a channel, 1x1 that narrows.
    InvertedResidual,
    /// `er`: a full convolution that widens, 1x1 that narrows.
    EdgeResidual,
    /// `cn`: one convolution.
    Conv,
}

/// One block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Block {
    pub(super) kind: Kind,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    /// Width of the middle over that of the input.
    pub(super) expansion: f64,
    pub(super) channels: usize,
    /// Share of the channels that squeeze-and-excitation squeezes to.
    pub(super) squeeze: Option<f64>,
    /// Whether the activation is ReLU whatever the network's is.
    pub(super) relu: bool,
    /// Whether a convolution of no other size has a shortcut.
    pub(super) skip: bool,
}

/// The blocks of one stage: `ir_r2_k3_s2_e6_c24_se0.25` is two inverted residuals, several of these
/// stand behind spaces. Only the first of repeated blocks has the stride. Nothing for what is no such
/// notation.
pub(super) fn parse(stage: &str) -> Option<Vec<Block>> {
    let mut blocks = Vec::new();
    for text in stage.split(' ') {
        let mut parts = text.split('_');
        let kind = match parts.next()? {
            "ds" => Kind::DepthwiseSeparable,
            "ir" => Kind::InvertedResidual,
            "er" => Kind::EdgeResidual,
            "cn" => Kind::Conv,
            _ => return None,
        };
        let mut repeats = 1;
        let mut block = Block {
            kind,
            kernel: 1,
            stride: 1,
            expansion: 1.0,
            channels: 0,
            squeeze: None,
            relu: false,
            // Only a plain convolution's shortcut has to be asked for.
            skip: kind != Kind::Conv,
        };
        for part in parts {
            let digits = part
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(part.len());
            let (key, value) = part.split_at(digits);
            match key {
                "r" => repeats = value.parse().ok()?,
                "k" => block.kernel = value.parse().ok()?,
                "s" => block.stride = value.parse().ok()?,
                "e" => block.expansion = value.parse().ok()?,
                "c" => block.channels = value.parse().ok()?,
                "se" => block.squeeze = Some(value.parse().ok()?),
                "nre" => block.relu = true,
                "skip" => block.skip = true,
                _ => return None,
            }
        }
        for _ in 0..repeats {
            blocks.push(block);
            block.stride = 1;
        }
    }
    Some(blocks)
}

/// timm's `make_divisible` by 8: the nearest multiple that is not below nine tenths.
pub(super) fn round_channels(channels: f64) -> usize {
    const DIVISOR: usize = 8;
    let nearest = (channels + DIVISOR as f64 / 2.0) as usize / DIVISOR * DIVISOR;
    let nearest = nearest.max(DIVISOR);
    if (nearest as f64) < 0.9 * channels {
        nearest + DIVISOR
    } else {
        nearest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timms_notation_is_read() {
        let blocks = parse("ir_r2_k5_s2_e6_c40_se0.25 cn_r1_k3_s1_e1_c24_skip").unwrap();
        assert_eq!(blocks.len(), 3);
        assert_eq!(
            blocks.iter().map(|b| b.stride).collect::<Vec<_>>(),
            [2, 1, 1]
        );
        assert_eq!((blocks[1].kernel, blocks[1].squeeze), (5, Some(0.25)));
        assert!(blocks[2].skip && blocks[2].kind == Kind::Conv);
        assert!(!parse("cn_r1_k1_s1_c960").unwrap()[0].skip);
        assert!(parse("ds_r1_k3_s1_e1_c16_nre").unwrap()[0].relu);
        assert_eq!(parse("uir_r1_k3"), None);
        assert_eq!(parse("ir_rx"), None);
    }

    #[test]
    fn channels_are_rounded_as_in_timm() {
        for (channels, rounded) in [
            (40.0 * 2.3, 96),
            (18.0, 24),
            (6.0, 8),
            (184.0 * 0.25, 48),
            (10.0, 16),
        ] {
            assert_eq!(round_channels(channels), rounded, "{channels}");
        }
    }
}
