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

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}
