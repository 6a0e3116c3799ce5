//! The few elements of a DICOM file that decide its pixels, as bytes of the file.
//!
//! Tokens are read one by one and values are looked at in place: building the tree of a hostile
//! file would recurse as deep, and allocate as much, as the file says.

use super::stored::expect_readable;
use dicom_core::{Tag, VR};
use dicom_encoding::decode::basic::{BigEndianBasicDecoder, LittleEndianBasicDecoder};
use dicom_encoding::decode::explicit_be::ExplicitVRBigEndianDecoder;
use dicom_encoding::decode::explicit_le::ExplicitVRLittleEndianDecoder;
use dicom_encoding::decode::implicit_le::ImplicitVRLittleEndianDecoder;
use dicom_encoding::decode::{BasicDecode, DecodeFrom};
use dicom_encoding::text::SpecificCharacterSet;
use dicom_parser::dataset::LazyDataToken;
use dicom_parser::dataset::lazy_read::LazyDataSetReader;
use dicom_parser::{StatefulDecode, StatefulDecoder};
use flate2::read::DeflateDecoder;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read as _;

/// Of the preamble and `DICM`.
pub(super) const PREFIX: usize = 132;
const META_GROUP: u16 = 0x0002;
const TRANSFER_SYNTAX: Tag = Tag(META_GROUP, 0x0010);
const IMPLICIT: &str = "1.2.840.10008.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
pub(super) const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
/// What a deflated data set may become.
const MAX_INFLATED: u64 = 1 << 30;
/// Sequences and items within each other; enhanced objects have five.
const MAX_DEPTH: usize = 32;
/// What is kept of a value: numbers, all of which are shorter.
const MAX_VALUE: usize = 1024;

pub(super) const PATIENT: Tag = Tag(0x0010, 0x0020);
pub(super) const SAMPLES: Tag = Tag(0x0028, 0x0002);
pub(super) const PHOTOMETRIC: Tag = Tag(0x0028, 0x0004);
pub(super) const PLANAR: Tag = Tag(0x0028, 0x0006);
pub(super) const FRAMES: Tag = Tag(0x0028, 0x0008);
pub(super) const ROWS: Tag = Tag(0x0028, 0x0010);
pub(super) const COLUMNS: Tag = Tag(0x0028, 0x0011);
pub(super) const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);
pub(super) const BITS_STORED: Tag = Tag(0x0028, 0x0101);
pub(super) const HIGH_BIT: Tag = Tag(0x0028, 0x0102);
pub(super) const SIGNED: Tag = Tag(0x0028, 0x0103);
pub(super) const PADDING: Tag = Tag(0x0028, 0x0120);
pub(super) const PADDING_LIMIT: Tag = Tag(0x0028, 0x0121);
pub(super) const CENTER: Tag = Tag(0x0028, 0x1050);
pub(super) const WIDTH: Tag = Tag(0x0028, 0x1051);
pub(super) const INTERCEPT: Tag = Tag(0x0028, 0x1052);
pub(super) const SLOPE: Tag = Tag(0x0028, 0x1053);
pub(super) const FUNCTION: Tag = Tag(0x0028, 0x1056);
pub(super) const MODALITY_LUT: Tag = Tag(0x0028, 0x3000);
pub(super) const VOI_LUT: Tag = Tag(0x0028, 0x3010);
/// Within either of the sequences above: how the table is to be read, and the table.
pub(super) const LUT_DESCRIPTOR: Tag = Tag(0x0028, 0x3002);
pub(super) const LUT_DATA: Tag = Tag(0x0028, 0x3006);
/// Of red, green and blue.
pub(super) const PALETTE_DESCRIPTORS: [Tag; 3] = [
    Tag(0x0028, 0x1101),
    Tag(0x0028, 0x1102),
    Tag(0x0028, 0x1103),
];
pub(super) const PALETTES: [Tag; 3] = [
    Tag(0x0028, 0x1201),
    Tag(0x0028, 0x1202),
    Tag(0x0028, 0x1203),
];
const GROUP: u16 = 0x0028;
/// A look-up table has at most 65,536 entries of 16 bits.
const MAX_TABLE: usize = 1 << 17;
/// The functional groups of enhanced objects, which hold rescale and window of all frames or of each.
const FUNCTIONAL_GROUPS: [Tag; 2] = [Tag(0x5200, 0x9229), Tag(0x5200, 0x9230)];
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// What a file says of its first frame, and where its pixels are.
pub(super) struct Elements<'a> {
    pub(super) transfer_syntax: String,
    /// Raw values; the first of each where functional groups repeat them.
    values: BTreeMap<Tag, &'a [u8]>,
    /// Of the first item of a sequence of look-up tables, by the sequence.
    tables: BTreeMap<(Tag, Tag), &'a [u8]>,
    pub(super) big_endian: bool,
    pub(super) pixels: PixelData<'a>,
}

pub(super) enum PixelData<'a> {
    /// All frames, how many bytes the header promises, and whether they are words (VR OW).
    Native(&'a [u8], usize, bool),
    /// The offset table and the fragments.
    Fragments(Vec<&'a [u8]>),
}

/// What a token opened.
#[derive(PartialEq, Clone, Copy)]
enum Open {
    Sequence { functional: bool, tag: Tag },
    Pixels,
    Item,
}

/// The transfer syntax, and the data set.
pub(super) fn start(bytes: &[u8]) -> Result<(String, Cow<'_, [u8]>), String> {
    let (prefix, whole) = match bytes.get(128..PREFIX) {
        Some(b"DICM") => (PREFIX, true),
        // Without the preamble, or without the meta group as well.
        _ => (0, bytes.starts_with(&[0x02, 0x00])),
    };
    let rest = bytes.get(prefix..).unwrap_or_default();
    if !whole {
        let is_explicit = rest
            .get(4..6)
            .is_some_and(|vr| vr.iter().all(u8::is_ascii_uppercase));
        let syntax = if is_explicit { EXPLICIT } else { IMPLICIT };
        return Ok((syntax.into(), Cow::Borrowed(rest)));
    }
    let (syntax, start) = meta(rest);
    let syntax = syntax.ok_or("names no DICOM transfer syntax")?;
    expect_readable(&syntax)?;
    let data = rest.get(start..).unwrap_or_default();
    if syntax != DEFLATED {
        return Ok((syntax, Cow::Borrowed(data)));
    }
    let mut inflated = Vec::new();
    let read = DeflateDecoder::new(data)
        .take(MAX_INFLATED + 1)
        .read_to_end(&mut inflated);
    read.map_err(|e| format!("has damaged deflated data: {e}"))?;
    if inflated.len() as u64 > MAX_INFLATED {
        return Err(format!("inflates to over {MAX_INFLATED} bytes"));
    }
    Ok((syntax, Cow::Owned(inflated)))
}

/// Whether a file that begins so is a DICOM data set without preamble: an element of the meta group or
/// of the first group behind it.
pub(crate) fn is_bare(start: &[u8]) -> bool {
    match start.first_chunk::<8>() {
        Some([0x02, 0x00, 0x00, 0x00, b'U', b'L', 4, 0]) => true,
        Some([0x08, 0x00, element @ 0x00..=0x18, 0x00, vr @ ..]) => {
            let explicit = vr[..2].iter().all(u8::is_ascii_uppercase);
            // Implicit: a length of 32 bits, of a short value.
            explicit || (vr[1..] == [0, 0, 0] && (*element > 0 || vr[0] == 4))
        }
        _ => false,
    }
}

impl<'a> Elements<'a> {
    /// Reads the elements up to the pixels.
    pub(super) fn read(transfer_syntax: String, data: &'a [u8]) -> Result<Self, String> {
        let big_endian = transfer_syntax == BIG_ENDIAN;
        let little = LittleEndianBasicDecoder;
        let (values, tables, pixels) = match transfer_syntax.as_str() {
            IMPLICIT => walk(
                data,
                reader(data, ImplicitVRLittleEndianDecoder::new(), little),
            ),
            BIG_ENDIAN => {
                let decoder = ExplicitVRBigEndianDecoder::default();
                walk(data, reader(data, decoder, BigEndianBasicDecoder))
            }
            _ => walk(
                data,
                reader(data, ExplicitVRLittleEndianDecoder::default(), little),
            ),
        }?;
        Ok(Self {
            transfer_syntax,
            values,
            tables,
            big_endian,
            pixels,
        })
    }

    /// A word of the file.
    fn word(&self, bytes: [u8; 2]) -> u16 {
        if self.big_endian {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        }
    }

    /// The words of a value.
    pub(super) fn words(&self, tag: Tag) -> Option<Vec<u16>> {
        let value = self.values.get(&tag)?;
        Some(value.as_chunks().0.iter().map(|&w| self.word(w)).collect())
    }

    /// The words of an element of the first look-up table of a sequence.
    pub(super) fn table(&self, sequence: Tag, tag: Tag) -> Option<Vec<u16>> {
        let value = self.tables.get(&(sequence, tag))?;
        Some(value.as_chunks().0.iter().map(|&w| self.word(w)).collect())
    }

    /// The bytes of a value.
    pub(super) fn bytes(&self, tag: Tag) -> Option<&'a [u8]> {
        self.values.get(&tag).copied()
    }

    pub(super) fn has(&self, tag: Tag) -> bool {
        self.values.contains_key(&tag)
    }

    /// A number of 16 bits.
    pub(super) fn number(&self, tag: Tag, name: &str) -> Result<Option<u16>, String> {
        let Some(value) = self.values.get(&tag) else {
            return Ok(None);
        };
        match value.first_chunk() {
            Some(&bytes) => Ok(Some(self.word(bytes))),
            None => Err(format!("has a {name} of {} bytes, expected 2", value.len())),
        }
    }

    /// A number of 16 bits that has to be there.
    pub(super) fn need(&self, tag: Tag, name: &str) -> Result<u16, String> {
        self.number(tag, name)?.ok_or(format!("has no {name}"))
    }

    /// The first of the texts.
    pub(super) fn text(&self, tag: Tag) -> Option<String> {
        self.text_at(tag, 0)
    }

    /// The text at this place; the only one where there is no other.
    fn text_at(&self, tag: Tag, place: usize) -> Option<String> {
        let text = String::from_utf8_lossy(self.values.get(&tag)?);
        let texts: Vec<&str> = text.split('\\').collect();
        let text = if texts.len() == 1 {
            texts.first()
        } else {
            texts.get(place)
        };
        text.map(|text| text.trim_matches([' ', '\0']).to_owned())
    }

    /// The first of the decimal numbers; nothing where the text is empty.
    pub(super) fn decimal(&self, tag: Tag, name: &str) -> Result<Option<f64>, String> {
        self.decimal_at(tag, name, 0)
    }

    /// The decimal number at this place.
    pub(super) fn decimal_at(
        &self,
        tag: Tag,
        name: &str,
        place: usize,
    ) -> Result<Option<f64>, String> {
        let Some(text) = self.text_at(tag, place).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let number = text.parse().ok().filter(|n: &f64| n.is_finite());
        let wrong = || format!("has {name} {text:?}, expected a number");
        number.map(Some).ok_or_else(wrong)
    }
}

fn reader<'a>(
    data: &'a [u8],
    decoder: impl DecodeFrom<&'a [u8]> + 'a,
    basic: impl BasicDecode + 'a,
) -> LazyDataSetReader<impl StatefulDecode + 'a> {
    let text = SpecificCharacterSet::default();
    LazyDataSetReader::new(StatefulDecoder::new(data, decoder, basic, text))
}

/// The transfer syntax, and where the meta group ends.
fn meta(data: &[u8]) -> (Option<String>, usize) {
    let (mut syntax, mut end) = (None, 0);
    let decoder = ExplicitVRLittleEndianDecoder::default();
    let mut reader = reader(data, decoder, LittleEndianBasicDecoder);
    while let Some(Ok(token)) = reader.advance() {
        match token {
            LazyDataToken::ElementHeader(header) if header.tag.group() == META_GROUP => {}
            LazyDataToken::LazyValue { header, decoder } => {
                let at = decoder.position() as usize;
                let length = header.len.0 as usize;
                let Some(value) = data.get(at..at.saturating_add(length)) else {
                    break;
                };
                if header.tag == TRANSFER_SYNTAX {
                    let text = String::from_utf8_lossy(value);
                    syntax = Some(text.trim_matches([' ', '\0']).to_owned());
                }
                end = at + length;
                if decoder.skip_bytes(header.len.0).is_err() {
                    break;
                }
            }
            _ => break, // the data set begins
        }
    }
    (syntax, end)
}

type Values<'a> = BTreeMap<Tag, &'a [u8]>;
type Tables<'a> = BTreeMap<(Tag, Tag), &'a [u8]>;
type Walked<'a> = (Values<'a>, Tables<'a>, PixelData<'a>);

/// Walks the data set up to its own pixels: those of an icon within it are another picture.
fn walk<'a>(
    data: &'a [u8],
    mut reader: LazyDataSetReader<impl StatefulDecode + 'a>,
) -> Result<Walked<'a>, String> {
    let (mut values, mut tables) = (BTreeMap::new(), BTreeMap::new());
    let mut open: Vec<Open> = Vec::new();
    let mut fragments: Vec<&[u8]> = Vec::new();
    while let Some(token) = reader.advance() {
        let token = token.map_err(|e| format!("has a damaged DICOM header: {e}"))?;
        let ours = match open.first() {
            None => true,
            Some(Open::Sequence { functional, .. }) => *functional,
            Some(_) => false,
        };
        match token {
            LazyDataToken::SequenceStart { tag, .. } => {
                if ours && tag.group() == GROUP {
                    values.entry(tag).or_default();
                }
                let functional = FUNCTIONAL_GROUPS.contains(&tag);
                open.push(Open::Sequence { functional, tag });
            }
            LazyDataToken::PixelSequenceStart => open.push(Open::Pixels),
            LazyDataToken::ItemStart { len } => {
                if open == [Open::Pixels] && len.0 == 0 {
                    fragments.push(&[]); // an empty item has no value to come
                }
                open.push(Open::Item);
            }
            LazyDataToken::ItemEnd => match open.pop() {
                // The parser would panic at what may follow another.
                Some(Open::Item) => {}
                _ => return Err("has a damaged DICOM header: an item ends that is not open".into()),
            },
            LazyDataToken::SequenceEnd => match open.pop() {
                Some(Open::Pixels) if open.is_empty() => {
                    return Ok((values, tables, PixelData::Fragments(fragments)));
                }
                Some(Open::Sequence { .. } | Open::Pixels) => {}
                _ => {
                    return Err(
                        "has a damaged DICOM header: a sequence ends that is not open".into(),
                    );
                }
            },
            LazyDataToken::LazyItemValue { len, decoder } => {
                let at = decoder.position() as usize;
                let value = data.get(at..at.saturating_add(len as usize));
                let value = value.ok_or("is truncated: its pixel data end early")?;
                if open == [Open::Pixels, Open::Item] {
                    fragments.push(value);
                }
                decoder.skip_bytes(len).map_err(|e| e.to_string())?;
            }
            LazyDataToken::LazyValue { header, decoder } => {
                let at = decoder.position() as usize;
                let length = header.len.0 as usize;
                let rest = data.get(at..).unwrap_or_default();
                if header.tag == PIXEL_DATA && open.is_empty() {
                    let there = &rest[..length.min(rest.len())];
                    let words = header.vr() == VR::OW;
                    return Ok((values, tables, PixelData::Native(there, length, words)));
                }
                let value = rest.get(..length);
                let value =
                    value.ok_or_else(|| format!("is truncated in element {}", header.tag))?;
                let palette = PALETTES.contains(&header.tag);
                let short = length <= if palette { MAX_TABLE } else { MAX_VALUE };
                let kept = header.tag.group() == GROUP || header.tag == PATIENT;
                if ours && kept && short {
                    values.entry(header.tag).or_insert(value);
                }
                if let [Open::Sequence { tag, .. }, Open::Item] = open[..]
                    && [VOI_LUT, MODALITY_LUT].contains(&tag)
                    && length <= MAX_TABLE
                {
                    tables.entry((tag, header.tag)).or_insert(value);
                }
                decoder
                    .skip_bytes(header.len.0)
                    .map_err(|e| e.to_string())?;
            }
            _ => {}
        }
        if open.len() > MAX_DEPTH {
            return Err(format!(
                "has over {MAX_DEPTH} DICOM sequences in each other"
            ));
        }
    }
    if open.is_empty() {
        Err("has no pixel data, or is truncated before them".into())
    } else {
        Err("is truncated: a sequence has no end".into())
    }
}
