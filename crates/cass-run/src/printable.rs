//! Text of others on a terminal or a page for people.

use std::borrow::Cow;

/// Text for people to read, without what changes how the text around it is shown: control characters
/// (line breaks and tabs among them), and Unicode's invisible and direction-changing ones, appear as
/// `\u{1b}`.
///
/// ```
/// use cass_run::printable;
/// assert_eq!(printable("glioma"), "glioma");
/// assert_eq!(printable("a\u{1b}[31mb"), "a\\u{1b}[31mb");
/// assert_eq!(printable("gnp.\u{202e}exe"), "gnp.\\u{202e}exe");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_hidden(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// [`printable`] of every line of a text: its line breaks stay.
///
/// ```
/// assert_eq!(cass_run::printable_lines("a\nb\r\u{7}"), "a\nb\\u{d}\\u{7}");
/// ```
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| is_hidden(c) && c != '\n') {
        return Cow::Borrowed(text);
    }
    let lines: Vec<_> = text.split('\n').map(printable).collect();
    Cow::Owned(lines.join("\n"))
}

/// A text for a field of a CSV file that spreadsheets open: one that they would take for a formula gets
/// an apostrophe in front, which they show as text.
///
/// ```
/// use cass_run::{from_spreadsheet, for_spreadsheet};
/// assert_eq!(for_spreadsheet("glioma"), "glioma");
/// for text in ["=HYPERLINK(0)", "+1", "-x", "@a", "\t=1", "'=1", "-0.5", "'-0.5", "''", "'quoted'", ""] {
///     assert_eq!(from_spreadsheet(&for_spreadsheet(text)), text);
/// }
/// assert_eq!(for_spreadsheet("=HYPERLINK(0)"), "'=HYPERLINK(0)");
/// ```
pub fn for_spreadsheet(text: &str) -> Cow<'_, str> {
    if is_formula(text) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The text that [`for_spreadsheet`] made a field of.
pub fn from_spreadsheet(field: &str) -> &str {
    match field.strip_prefix('\'') {
        Some(text) if is_formula(text) => text,
        _ => field,
    }
}

/// Whether a spreadsheet takes a field for a formula, or would without the apostrophes in front of it.
fn is_formula(text: &str) -> bool {
    let text = text.trim_start_matches('\'');
    let begins = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    // A number is shown as what it is.
    begins && text.parse::<f64>().is_err()
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}
