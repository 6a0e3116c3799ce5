//! The frame of a page.

use crate::colour;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// What all pages look like.
pub(crate) const STYLE: &str = include_str!("style.css");

/// A page in the making: its title, and what it adds to the common style.
pub struct Page<'a> {
    title: &'a str,
    style: &'a str,
}

impl<'a> Page<'a> {
    /// A page of that title, which the browser's tab shows.
    pub fn new(title: &'a str) -> Page<'a> {
        Page { title, style: "" }
    }

    /// Adds rules of CSS behind the common ones. They are trusted: what a user wrote does not belong there.
    pub fn style(self, style: &'a str) -> Page<'a> {
        Page { style, ..self }
    }

    /// The whole file.
    pub fn write(&self, body: Markup) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) (PreEscaped(colour::rules())) (PreEscaped(self.style)) }
                }
                body { main { (body) } }
            }
        };
        // Nothing in a page is invisible, or turns what is around it.
        cass_run::printable_lines(&page.into_string()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_stands_alone_and_text_stays_text() {
        let page = Page::new("<a> & b").write(html! { p { "<script>" } p { "a\u{202e}b\u{7}" } });
        assert!(page.contains("<p>a\\u{202e}b\\u{7}</p>"), "{page}");
        assert!(page.contains("<title>&lt;a&gt; &amp; b</title>"), "{page}");
        assert!(page.contains("<p>&lt;script&gt;</p>"));
        for foreign in ["<script", "http:", "https:", "src=", "url("] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }
}
