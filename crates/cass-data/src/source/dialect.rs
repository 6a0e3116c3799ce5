//! How a table is written: its encoding, what separates its fields, and its lines.

use std::borrow::Cow;

/// Candidates, in the order in which they are preferred.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Lines that the separator is told by.
const LOOKED_AT: usize = 50;

/// How a table is written.
pub(super) struct Dialect<'a> {
    text: Cow<'a, [u8]>,
    separator: u8,
    /// The number of the header's line.
    pub(super) first_line: u64,
}

/// Tells how these bytes are written.
///
/// # Errors
/// UTF-16 that is damaged, and what is no text.
pub(super) fn of(bytes: &[u8]) -> Result<Dialect<'_>, String> {
    let text = match bytes {
        [0xFF, 0xFE, rest @ ..] => Cow::Owned(from_utf16(rest, u16::from_le_bytes)?),
        [0xFE, 0xFF, rest @ ..] => Cow::Owned(from_utf16(rest, u16::from_be_bytes)?),
        [0xEF, 0xBB, 0xBF, rest @ ..] => Cow::Borrowed(rest),
        [b'P', b'K', 3, 4, ..] | [0xD0, 0xCF, 0x11, 0xE0, ..] => {
            return Err(
                "it is a workbook of Excel or another archive, expected text: \
                        spreadsheets save tables as `CSV UTF-8`"
                    .into(),
            );
        }
        _ => match unmarked_utf16(bytes) {
            Some(unit) => Cow::Owned(from_utf16(bytes, unit)?),
            None => Cow::Borrowed(bytes),
        },
    };
    if text.contains(&0) {
        return Err("it has bytes of 0, expected text".into());
    }
    // Excel's own word for it, which is no header.
    let told = text.strip_prefix(b"sep=").and_then(<[u8]>::split_first);
    if let Some((&separator, rest)) = told
        && let Some(end) = line_end(rest)
        && rest[..end].iter().all(u8::is_ascii_whitespace)
    {
        let start = text.len() - rest.len() + end;
        return Ok(Dialect {
            text: Cow::Owned(text[start..].to_vec()),
            separator,
            first_line: 2,
        });
    }
    let separator = separator(&text);
    Ok(Dialect {
        text,
        separator,
        first_line: 1,
    })
}

impl Dialect<'_> {
    pub(super) fn reader(&self) -> csv::Reader<&[u8]> {
        reader(&self.text, self.separator)
    }

    pub(super) fn lines(&self) -> Lines<'_> {
        Lines {
            text: &self.text,
            at: 0,
            line: self.first_line,
        }
    }
}

fn reader(text: &[u8], separator: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new()
        .delimiter(separator)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text)
}

/// The separator by which the header has the most fields, and most of the first rows as many: a
/// comma within a field of a table with semicolons is none.
fn separator(text: &[u8]) -> u8 {
    let fields = |&separator: &u8| {
        let mut reader = reader(text, separator);
        let header = reader.byte_headers().map_or(0, csv::ByteRecord::len);
        let (mut rows, mut alike) = (0, 0);
        for record in reader.byte_records().take(LOOKED_AT).flatten() {
            rows += 1;
            // R's rows have one more than the header.
            alike += usize::from((header..=header + 1).contains(&record.len()));
        }
        if 2 * alike >= rows { header } else { 1 }
    };
    let counted = SEPARATORS.iter().rev().map(|s| (fields(s), *s));
    counted
        .max_by_key(|(fields, _)| *fields)
        .map_or(b',', |(_, s)| s)
}

/// UTF-16 without a mark: every second byte of its first letters is 0.
fn unmarked_utf16(bytes: &[u8]) -> Option<fn([u8; 2]) -> u16> {
    const LOOKED_AT: usize = 16;
    let pairs = bytes.as_chunks::<2>().0;
    let pairs = pairs.get(..LOOKED_AT.min(pairs.len()))?;
    let all = |is: fn(&[u8; 2]) -> bool| pairs.len() > 1 && pairs.iter().all(is);
    if all(|[low, high]| *low != 0 && *high == 0) {
        return Some(u16::from_le_bytes);
    }
    all(|[high, low]| *low != 0 && *high == 0).then_some(u16::from_be_bytes)
}

fn from_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Vec<u8>, String> {
    let (pairs, rest) = bytes.as_chunks();
    let units = pairs.iter().map(|pair| unit(*pair));
    let text: Result<String, _> = char::decode_utf16(units).collect();
    match text {
        Ok(text) if rest.is_empty() => Ok(text.into_bytes()),
        _ => Err("it begins as UTF-16 and is none".into()),
    }
}

/// Where the line that these bytes begin in has ended, its end included.
fn line_end(bytes: &[u8]) -> Option<usize> {
    let end = bytes.iter().position(|b| matches!(b, b'\n' | b'\r'))?;
    let both = bytes[end..].starts_with(b"\r\n");
    Some(end + 1 + usize::from(both))
}

/// The numbers of lines, asked for in ascending order of their places.
pub(super) struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of a record, which begins there or after line ends that follow. (The reader counts
    /// line feeds, and is one behind after each CRLF.)
    pub(super) fn of(&mut self, position: Option<&csv::Position>) -> u64 {
        let byte = position.map_or(self.at, |position| position.byte() as usize);
        let byte = byte.min(self.text.len());
        let ends = self.text[byte..].iter();
        let ends = ends.take_while(|b| matches!(b, b'\n' | b'\r')).count();
        let record = byte + ends;
        while self.at < record {
            match line_end(&self.text[self.at..record]) {
                Some(length) => (self.at, self.line) = (self.at + length, self.line + 1),
                None => break,
            }
        }
        self.line
    }
}
