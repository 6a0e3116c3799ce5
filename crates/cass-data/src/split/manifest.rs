//! Which file is in which part: the record of a split.

use super::Split;
use crate::dataset::{Dataset, Part};
use crate::source::table::table;
use crate::{Error, Result};
use base16ct::lower::encode_string as hex;
use std::path::Path;

/// The files of a split, each with its SHA-256, part and labels.
///
/// As text it is one line a file, sorted, with tabs between path, SHA-256, `train`, `val` or
/// `test`, and the classes, separated by commas. A tab, line feed, comma or backslash in a name has
/// a backslash before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// In the order of the text's lines.
    pub rows: Vec<ManifestRow>,
}

/// One file of a [`Manifest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestRow {
    /// Below [`Dataset::root`], with `/` between folders.
    pub path: String,
    /// SHA-256 of the file's bytes, 64 hexadecimal digits.
    pub sha256: String,
    /// Where the split put it.
    pub part: Part,
    /// Names of its classes.
    pub labels: Vec<String>,
}

impl Dataset {
    /// The manifest of a split.
    pub fn manifest(&self, split: &Split) -> Manifest {
        let parts = [
            (Part::Train, &split.train),
            (Part::Val, &split.val),
            (Part::Test, &split.test),
        ];
        let rows = parts
            .into_iter()
            .flat_map(|(part, indices)| indices.iter().map(move |&i| self.manifest_row(i, part)));
        let mut rows: Vec<_> = rows.collect();
        rows.sort_by_cached_key(ManifestRow::line);
        Manifest { rows }
    }

    fn manifest_row(&self, index: usize, part: Part) -> ManifestRow {
        let sample = &self.samples[index];
        ManifestRow {
            path: self.file_name(index),
            sha256: hex(&sample.sha256),
            part,
            labels: sample
                .labels
                .iter()
                .map(|&l| self.classes[l].clone())
                .collect(),
        }
    }
}

impl Manifest {
    /// SHA-256 of the text. Equal hashes are equal data, split alike.
    pub fn hash(&self) -> String {
        cass_run::sha256(self.to_text())
    }

    /// The text, as described above.
    pub fn to_text(&self) -> String {
        self.rows.iter().map(ManifestRow::line).collect()
    }

    /// Writes the text: beside `path`, synced and renamed, so that a file of this name is whole.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let written = cass_run::write_whole(path, self.to_text().as_bytes());
        written.map_err(|source| Error::Io {
            action: "written",
            path: path.to_owned(),
            source,
        })
    }

    /// Reads what [`Manifest::write`] wrote.
    ///
    /// # Errors
    /// A file that cannot be read, or a line that is none of a manifest, which is named.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Io {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, &text)
    }

    /// The manifest of this text; `path` is for messages.
    ///
    /// # Errors
    /// A line that is none of a manifest, which is named.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let rows = split(text, '\n');
        let lines = rows.iter().enumerate().filter(|(_, row)| !row.is_empty());
        let rows = lines.map(|(place, row)| {
            ManifestRow::parse(row)
                .map_err(|detail| table(path, format!("line {}, {detail}", place + 1)))
        });
        Ok(Self {
            rows: rows.collect::<Result<_>>()?,
        })
    }
}

impl ManifestRow {
    fn line(&self) -> String {
        let labels: Vec<_> = self.labels.iter().map(|label| escape(label)).collect();
        let (path, labels) = (escape(&self.path), labels.join(","));
        format!("{path}\t{}\t{}\t{labels}\n", self.sha256, self.part.name())
    }

    /// The row of a line, or the column, its value and what was expected.
    fn parse(line: &str) -> Result<Self, String> {
        let fields = split(line, '\t');
        let &[path, sha256, part, labels] = &fields[..] else {
            let found = fields.len();
            return Err(format!(
                "{found} fields, expected path, SHA-256, part and labels"
            ));
        };
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if sha256.len() != 64 || !sha256.bytes().all(digit) {
            return Err(format!(
                "column 2: {sha256:?}, expected 64 hexadecimal digits"
            ));
        }
        let parts = [Part::Train, Part::Val, Part::Test];
        let part = parts.into_iter().find(|p| p.name() == part);
        let labels = match labels {
            "" => Vec::new(),
            labels => split(labels, ',').into_iter().map(unescape).collect(),
        };
        Ok(Self {
            path: unescape(path),
            sha256: sha256.to_owned(),
            part: part.ok_or_else(|| {
                let found = fields[2];
                format!("column 3: {found:?}, expected train, val or test")
            })?,
            labels,
        })
    }
}

fn escape(name: &str) -> String {
    name.chars().fold(String::new(), |mut text, c| {
        if matches!(c, '\t' | '\n' | ',' | '\\') {
            text.push('\\');
        }
        text.push(c);
        text
    })
}

fn unescape(text: &str) -> String {
    let mut chars = text.chars();
    let mut name = String::new();
    while let Some(c) = chars.next() {
        name.push(if c == '\\' {
            chars.next().unwrap_or(c)
        } else {
            c
        });
    }
    name
}

/// The pieces of a text between `separator`s that no backslash is before.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut pieces, mut start, mut escaped) = (Vec::new(), 0, false);
    for (place, c) in text.char_indices() {
        if c == separator && !escaped {
            pieces.push(&text[start..place]);
            start = place + separator.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    pieces.push(&text[start..]);
    pieces
}
