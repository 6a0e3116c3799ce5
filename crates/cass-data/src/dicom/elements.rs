//! The few elements of a DICOM file that decide its pixels, as bytes of the file.
//!
//! Tokens are read one by one and values are looked at in place: building the tree of a hostile
//! file would recurse as deep, and allocate as much, as the file says.

use super::stored::expect_readable;
use dicom_core::Tag;
use dicom_encoding::decode::DecodeFrom;
use dicom_encoding::decode::basic::LittleEndianBasicDecoder;
use dicom_encoding::decode::explicit_le::ExplicitVRLittleEndianDecoder;
use dicom_encoding::decode::implicit_le::ImplicitVRLittleEndianDecoder;
use dicom_encoding::text::SpecificCharacterSet;
use dicom_parser::dataset::LazyDataToken;
use dicom_parser::dataset::lazy_read::LazyDataSetReader;
use dicom_parser::{StatefulDecode, StatefulDecoder};
use std::collections::BTreeMap;

/// Of the preamble and `DICM`.
pub(super) const PREFIX: usize = 132;
const META_GROUP: u16 = 0x0002;
const TRANSFER_SYNTAX: Tag = Tag(META_GROUP, 0x0010);
const IMPLICIT: &str = "1.2.840.10008.1.2";
/// Sequences and items within each other; enhanced objects have five.
const MAX_DEPTH: usize = 32;
/// What is kept of a value: numbers, all of which are shorter.
const MAX_VALUE: usize = 1024;

pub(super) const SAMPLES: Tag = Tag(0x0028, 0x0002);
pub(super) const PHOTOMETRIC: Tag = Tag(0x0028, 0x0004);
pub(super) const FRAMES: Tag = Tag(0x0028, 0x0008);
pub(super) const ROWS: Tag = Tag(0x0028, 0x0010);
pub(super) const COLUMNS: Tag = Tag(0x0028, 0x0011);
pub(super) const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);
pub(super) const BITS_STORED: Tag = Tag(0x0028, 0x0101);
pub(super) const HIGH_BIT: Tag = Tag(0x0028, 0x0102);
pub(super) const SIGNED: Tag = Tag(0x0028, 0x0103);
pub(super) const CENTER: Tag = Tag(0x0028, 0x1050);
pub(super) const WIDTH: Tag = Tag(0x0028, 0x1051);
pub(super) const INTERCEPT: Tag = Tag(0x0028, 0x1052);
pub(super) const SLOPE: Tag = Tag(0x0028, 0x1053);
pub(super) const FUNCTION: Tag = Tag(0x0028, 0x1056);
pub(super) const MODALITY_LUT: Tag = Tag(0x0028, 0x3000);
pub(super) const VOI_LUT: Tag = Tag(0x0028, 0x3010);
const GROUP: u16 = 0x0028;
/// The functional groups of enhanced objects, which hold rescale and window of all frames or of each.
const FUNCTIONAL_GROUPS: [Tag; 2] = [Tag(0x5200, 0x9229), Tag(0x5200, 0x9230)];
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// What a file says of its first frame, and where its pixels are.
pub(super) struct Elements<'a> {
    pub(super) transfer_syntax: String,
    /// Raw values; the first of each where functional groups repeat them.
    values: BTreeMap<Tag, &'a [u8]>,
    pub(super) pixels: PixelData<'a>,
}

pub(super) enum PixelData<'a> {
    /// All frames, and how many bytes the header promises.
    Native(&'a [u8], usize),
    /// The offset table and the fragments.
    Fragments(Vec<&'a [u8]>),
}

/// What a token opened.
#[derive(PartialEq)]
enum Open {
    Sequence { functional: bool },
    Pixels,
    Item,
}

impl<'a> Elements<'a> {
    /// Reads the elements up to the pixels of a file that begins as DICOM files do.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let (transfer_syntax, start) = meta(bytes.get(PREFIX..).unwrap_or_default());
        let transfer_syntax = transfer_syntax.ok_or("names no DICOM transfer syntax")?;
        expect_readable(&transfer_syntax)?;
        let data = bytes.get(PREFIX + start..).unwrap_or_default();
        let (values, pixels) = if transfer_syntax == IMPLICIT {
            walk(data, ImplicitVRLittleEndianDecoder::new())
        } else {
            walk(data, ExplicitVRLittleEndianDecoder::default())
        }?;
        Ok(Self {
            transfer_syntax,
            values,
            pixels,
        })
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
            Some(&bytes) => Ok(Some(u16::from_le_bytes(bytes))),
            None => Err(format!("has a {name} of {} bytes, expected 2", value.len())),
        }
    }

    /// A number of 16 bits that has to be there.
    pub(super) fn need(&self, tag: Tag, name: &str) -> Result<u16, String> {
        self.number(tag, name)?.ok_or(format!("has no {name}"))
    }

    /// The first of the texts.
    pub(super) fn text(&self, tag: Tag) -> Option<String> {
        let text = String::from_utf8_lossy(self.values.get(&tag)?);
        let first = text.split('\\').next().unwrap_or_default();
        Some(first.trim_matches([' ', '\0']).to_owned())
    }

    /// The first of the decimal numbers; nothing where the text is empty.
    pub(super) fn decimal(&self, tag: Tag, name: &str) -> Result<Option<f64>, String> {
        let Some(text) = self.text(tag).filter(|text| !text.is_empty()) else {
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
) -> LazyDataSetReader<impl StatefulDecode + 'a> {
    let text = SpecificCharacterSet::default();
    LazyDataSetReader::new(StatefulDecoder::new(
        data,
        decoder,
        LittleEndianBasicDecoder,
        text,
    ))
}

/// The transfer syntax, and where the meta group ends.
fn meta(data: &[u8]) -> (Option<String>, usize) {
    let (mut syntax, mut end) = (None, 0);
    let mut reader = reader(data, ExplicitVRLittleEndianDecoder::default());
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

type Walked<'a> = (BTreeMap<Tag, &'a [u8]>, PixelData<'a>);

/// Walks the data set up to its own pixels: those of an icon within it are another picture.
fn walk<'a>(data: &'a [u8], decoder: impl DecodeFrom<&'a [u8]> + 'a) -> Result<Walked<'a>, String> {
    let mut reader = reader(data, decoder);
    let mut values = BTreeMap::new();
    let mut open: Vec<Open> = Vec::new();
    let mut fragments: Vec<&[u8]> = Vec::new();
    while let Some(token) = reader.advance() {
        let token = token.map_err(|e| format!("has a damaged DICOM header: {e}"))?;
        let ours = match open.first() {
            None => true,
            Some(Open::Sequence { functional }) => *functional,
            Some(_) => false,
        };
        match token {
            LazyDataToken::SequenceStart { tag, .. } => {
                if ours && tag.group() == GROUP {
                    values.entry(tag).or_default();
                }
                let functional = FUNCTIONAL_GROUPS.contains(&tag);
                open.push(Open::Sequence { functional });
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
                    return Ok((values, PixelData::Fragments(fragments)));
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
                    return Ok((values, PixelData::Native(there, length)));
                }
                let value = rest.get(..length);
                let value =
                    value.ok_or_else(|| format!("is truncated in element {}", header.tag))?;
                if ours && header.tag.group() == GROUP && length <= MAX_VALUE {
                    values.entry(header.tag).or_insert(value);
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
