//! Colours of a TIFF by places in a table, which its decoder does not know.

/// A TIFF file whose first page has a palette of 256 colours.
pub(super) struct Palette {
    /// The file, its places given out as grey levels.
    pub(super) places: Vec<u8>,
    colours: Vec<[u8; 3]>,
}

const BITS: u16 = 258;
const PHOTOMETRIC: u16 = 262;
const COLOUR_MAP: u16 = 320;
const BY_PALETTE: u16 = 3;
const BLACK_IS_ZERO: u16 = 1;
const SHORT: u16 = 3;
const COLOURS: usize = 256;

impl Palette {
    /// `None` where there is none of that size.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let big_endian = match bytes.first_chunk()? {
            b"II\x2a\0" => false,
            b"MM\0\x2a" => true,
            _ => return None,
        };
        let short = |at: usize| {
            let two = bytes.get(at..)?.first_chunk()?;
            Some(match big_endian {
                true => u16::from_be_bytes(*two),
                false => u16::from_le_bytes(*two),
            })
        };
        let long = |at: usize| {
            let four = bytes.get(at..)?.first_chunk()?;
            Some(match big_endian {
                true => u32::from_be_bytes(*four),
                false => u32::from_le_bytes(*four),
            } as usize)
        };
        let directory = long(4)?;
        const ENTRY: usize = 12;
        let entry = |tag: u16| {
            let entries = usize::from(short(directory)?);
            let mut places = (0..entries).map(|entry| directory + 2 + ENTRY * entry);
            places.find(|&at| short(at) == Some(tag) && short(at + 2) == Some(SHORT))
        };
        const VALUE: usize = 8;
        let photometric = entry(PHOTOMETRIC)? + VALUE;
        if short(photometric)? != BY_PALETTE || short(entry(BITS)? + VALUE)? != 8 {
            return None;
        }
        let map = entry(COLOUR_MAP)?;
        if long(map + 4)? != 3 * COLOURS {
            return None;
        }
        // All reds, all greens, all blues, of 16 bits each.
        let map = long(map + VALUE)?;
        let level = |channel: usize, colour: usize| {
            let at = map.checked_add(2 * (COLOURS * channel + colour))?;
            short(at).map(|level| (level >> 8) as u8)
        };
        let colour = |c| Some([level(0, c)?, level(1, c)?, level(2, c)?]);
        let colours = (0..COLOURS).map(colour).collect::<Option<_>>()?;
        let mut places = bytes.to_vec();
        let grey = match big_endian {
            true => BLACK_IS_ZERO.to_be_bytes(),
            false => BLACK_IS_ZERO.to_le_bytes(),
        };
        places[photometric..photometric + 2].copy_from_slice(&grey);
        Some(Self { places, colours })
    }

    /// Red, green and blue of places.
    pub(super) fn rgb(&self, places: &[f32]) -> Vec<u8> {
        let places = places.iter().map(|&place| place as usize);
        places
            .flat_map(|place| self.colours[place.min(COLOURS - 1)])
            .collect()
    }
}
