//! Images of other numbers of channels than colours have.

use crate::image::Pixels;

/// Channels that an image may have: those of Sentinel-2.
pub(crate) const MOST_CHANNELS: usize = 13;
/// Channels of a network's images where nothing is said.
pub(crate) const COLOURS: usize = 3;

/// Whether so many channels are one that stands for three, or red, green and blue.
pub(crate) fn are_colours(channels: usize) -> bool {
    [1, COLOURS].contains(&channels)
}

impl Pixels {
    /// An image from `width * height * channels` bytes, which are what they are: of three, equal ones
    /// stay three.
    ///
    /// # Panics
    /// If the length does not fit.
    pub fn from_channels(width: usize, height: usize, channels: usize, data: Vec<u8>) -> Self {
        let of = || format!("{width}x{height} of {channels} channels");
        assert_eq!(data.len(), width * height * channels, "{}", of());
        Self {
            width,
            height,
            channels,
            data: data.into(),
        }
    }

    /// The image for a network that takes images of `wanted` channels: of 3, grey ones are such, too;
    /// of 1, coloured ones become grey (PIL's `convert("L")`); of any other number, those that have
    /// as many.
    ///
    /// # Errors
    /// In words, if it has others.
    pub(crate) fn for_channels(mut self, wanted: usize) -> Result<Self, String> {
        let found = self.channels;
        match (wanted, found) {
            (COLOURS, 1 | COLOURS) => {}
            (1, 1 | COLOURS) => self.grayscale(),
            _ if wanted == found => {}
            _ => {
                let plural = if found == 1 { "" } else { "s" };
                return Err(format!(
                    "has {found} channel{plural}, expected {wanted} (--in-chans says how many, --pages which)"
                ));
            }
        }
        Ok(self)
    }

    /// Whether its channels [are colours](are_colours).
    pub(crate) fn is_of_colours(&self) -> bool {
        are_colours(self.channels)
    }

    /// What `change` makes of each channel by itself, together again.
    pub(crate) fn by_channel(&self, change: impl Fn(&Self) -> Self) -> Self {
        let channels = self.channels;
        let of = |channel: usize| {
            let values = self.data.iter().skip(channel).step_by(channels);
            change(&Self::from_grey(
                self.width,
                self.height,
                values.copied().collect(),
            ))
        };
        let parts: Vec<Self> = (0..channels).map(of).collect();
        let (width, height) = (parts[0].width, parts[0].height);
        let pixels = 0..width * height;
        let data = pixels.flat_map(|pixel| parts.iter().map(move |part| part.data[pixel]));
        Self::from_channels(width, height, channels, data.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::geometry::Affine;
    use cass_rng::Rng;

    fn bytes(count: usize) -> Vec<u8> {
        let mut rng = Rng::new(1, "channels", [0, 0], 0);
        (0..count).map(|_| rng.below(256) as u8).collect()
    }

    #[test]
    fn images_are_made_for_the_channels_that_are_wanted_or_refused() {
        let of = |channels: usize| Pixels::from_channels(4, 2, channels, bytes(8 * channels));
        let grey = of(3).for_channels(1).unwrap();
        let [r, g, b] = [0, 1, 2].map(|c| f64::from(of(3).data[c]));
        let luma = 0.299 * r + 0.587 * g + 0.114 * b;
        assert!(grey.is_grey() && (f64::from(grey.data[0]) - luma).abs() <= 0.5);
        for (channels, wanted) in [(1, 1), (1, 3), (3, 3), (2, 2), (5, 5), (13, 13)] {
            assert_eq!(of(channels).for_channels(wanted), Ok(of(channels)));
        }
        for (channels, wanted) in [(1, 2), (3, 4), (5, 3), (5, 1)] {
            let said = of(channels).for_channels(wanted).unwrap_err();
            let expected = format!("{channels} channel");
            assert!(said.contains(&expected), "{said}");
            assert!(
                said.contains(&format!("expected {wanted} (--in-chans")),
                "{said}"
            );
        }
    }

    /// Of a coloured image each operation treats each channel as it treats a grey image.
    #[test]
    fn what_is_done_to_many_channels_is_done_to_each() {
        let rgb = Pixels::from_channels(9, 7, 3, bytes(9 * 7 * 3));
        let affine = Affine {
            degrees: 20.0,
            translate: [1.0, 0.0],
            scale: 1.1,
            shear: [3.0, 0.0],
        };
        let corners = [[1, 0], [7, 1], [8, 5], [0, 6]];
        let changes: [&dyn Fn(&Pixels) -> Pixels; 6] = [
            &|p| p.resize(5),
            &|p| p.perspective(&corners),
            &|p| p.affine(&affine),
            &|p| {
                let mut p = p.clone();
                p.flip_horizontally();
                p
            },
            &|p| {
                let mut p = p.clone();
                p.gaussian_blur(3, 1.0);
                p
            },
            &|p| {
                let mut p = p.clone();
                p.solarize(100);
                p
            },
        ];
        // Six channels: the colours twice.
        let twice = rgb.data.chunks_exact(3).flat_map(|p| [p, p].concat());
        let six = Pixels::from_channels(9, 7, 6, twice.collect());
        for (number, change) in changes.iter().enumerate() {
            let (rgb, six) = (change(&rgb), change(&six));
            assert_eq!(rgb.by_channel(Pixels::clone), rgb);
            for (one, two) in rgb.data.chunks_exact(3).zip(six.data.chunks_exact(6)) {
                assert_eq!([one, one].concat(), two, "{number}");
            }
        }
    }
}
