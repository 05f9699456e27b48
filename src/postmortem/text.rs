//! Foreign text inside Markdown, and the parts that a page is made of.
//!
//! Owns the one rule by which what others wrote gets into a draft: as a code span, on one line, of bounded length, without
//! the two characters that could end a code span or a table cell. Inside a code span nothing is markup, a link, a mention
//! or HTML, whoever shows it.

use jiff::Timestamp;

use crate::decide::words::invisible;
pub(super) use crate::decide::words::{grouped, share_text, span};

/// The longest sentence of a record, in bytes.
pub(super) const SENTENCE: usize = 256;
/// The longest name of something, in bytes.
pub(super) const NAME: usize = 128;

/// A text of others as a code span of at most so many bytes inside.
pub(super) fn quoted(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let mut cut = false;
    for c in text.chars().map(plain) {
        if c == ' ' && (shown.is_empty() || shown.ends_with(' ')) {
            continue;
        }
        if shown.len().saturating_add(c.len_utf8()) > most {
            cut = true;
            break;
        }
        shown.push(c);
    }
    let shown = shown.trim_end();
    match (shown.is_empty(), cut) {
        (true, _) => "(empty)".to_owned(),
        (false, true) => format!("`{shown}…`"),
        (false, false) => format!("`{shown}`"),
    }
}

/// A name of others.
pub(super) fn name(text: &str) -> String {
    quoted(text, NAME)
}

/// A character as it may stand in a code span in a table: lines, what is invisible and what turns the direction of text
/// become a space; a backtick would end the span, a pipe the cell (also behind a backslash, depending on who reads it).
fn plain(c: char) -> char {
    match c {
        '`' => '\'',
        '|' => '¦',
        c if c.is_whitespace() || invisible(c) => ' ',
        c => c,
    }
}

/// A time, to the millisecond.
pub(super) fn time(at: Timestamp) -> String {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at).to_string()
}

/// Seconds from one time to another; negative if it is earlier.
#[allow(clippy::cast_precision_loss)] // exact for 285,000 years
pub(super) fn between(from: Timestamp, to: Timestamp) -> f64 {
    to.as_millisecond().saturating_sub(from.as_millisecond()) as f64 / 1000.0
}

/// `1 commit`, `2 commits`.
pub(super) fn counted(count: impl Into<u64>, one: &str) -> String {
    let count: u64 = count.into();
    if count == 1 { format!("1 {one}") } else { format!("{} {one}s", grouped(count)) }
}

/// A page as it is written, from the top.
#[derive(Debug, Default)]
pub(super) struct Page(String);

impl Page {
    /// A heading.
    pub(super) fn heading(&mut self, level: usize, text: &str) {
        if !self.0.is_empty() {
            self.gap();
        }
        self.0.push_str(&"#".repeat(level));
        self.0.push_str(&format!(" {text}\n\n"));
    }

    /// A paragraph.
    pub(super) fn paragraph(&mut self, text: &str) {
        self.gap();
        self.0.push_str(text);
        self.0.push_str("\n\n");
    }

    /// An item of a list.
    pub(super) fn item(&mut self, text: &str) {
        self.0.push_str(&format!("- {text}\n"));
    }

    /// What a person has to write, and by which question.
    pub(super) fn prompt(&mut self, question: &str) {
        self.gap();
        self.0.push_str(&format!("> **To be written.** {question}\n\n"));
    }

    /// A table; one without rows is not there.
    pub(super) fn table<const N: usize>(&mut self, head: [&str; N], rows: &[[String; N]]) {
        if rows.is_empty() {
            return;
        }
        self.gap();
        self.0.push_str(&format!("| {} |\n|{}\n", head.join(" | "), " --- |".repeat(N)));
        for row in rows {
            self.0.push_str(&format!("| {} |\n", row.join(" | ")));
        }
        self.0.push('\n');
    }

    /// An empty line, if there is none.
    fn gap(&mut self) {
        if !self.0.is_empty() && !self.0.ends_with("\n\n") {
            self.0.push('\n');
        }
    }

    /// The text with another page behind it, with one line end at its end. If there is a bound, of at most so many bytes:
    /// what is too much is cut from this page, and the other one is whole.
    pub(super) fn text(self, rest: Self, most: Option<usize>) -> String {
        let mut text = self.0.trim_end().to_owned();
        text.push('\n');
        let rest = match rest.0.trim_end() {
            "" => String::new(),
            rest => format!("\n{rest}\n"),
        };
        if let Some(room) = most.map(|most| most.saturating_sub(rest.len())).filter(|room| text.len() > *room) {
            cut(&mut text, room);
        }
        text.push_str(&rest);
        text
    }
}

/// Whole lines only: half a line could leave a code span open.
fn cut(text: &mut String, most: usize) {
    let note = "\nFacts are cut here: the text would be longer than this object may hold. `sluice postmortem` prints all of it.\n";
    let room = most.saturating_sub(note.len());
    let end = text.char_indices().rfind(|(at, c)| *c == '\n' && *at < room).map_or(0, |(at, _)| at);
    text.truncate(end);
    text.push('\n');
    text.push_str(note);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_one_code_span_on_one_line() {
        for (text, shown) in [
            ("errors 4% (limit 2%)", "`errors 4% (limit 2%)`"),
            ("a|b \\| c", "`a¦b \\¦ c`"),
            ("``` code ```", "`''' code '''`"),
            ("line\r\n| x |\n# title", "`line ¦ x ¦ # title`"),
            ("<img src=x onerror=alert(1)>", "`<img src=x onerror=alert(1)>`"),
            ("a\u{202e}b\u{200b}\u{0}c", "`a b c`"),
            (" \n\t", "(empty)"),
            ("", "(empty)"),
        ] {
            assert_eq!(quoted(text, 100), shown);
        }
        assert_eq!(quoted("äöü", 4), "`äö…`", "bytes, and whole characters");
        assert!(quoted(&"x".repeat(1 << 20), SENTENCE).len() < SENTENCE + 10);
    }

    #[test]
    fn counts_as_people_read_them() {
        assert_eq!(
            (counted(1_u64, "commit"), counted(1200_u64, "commit")),
            ("1 commit".into(), "1,200 commits".into())
        );
    }

    #[test]
    fn a_page_that_is_too_long_ends_with_a_whole_line() {
        let mut page = Page::default();
        page.heading(1, "Title");
        for number in 0..100 {
            page.item(&quoted(&format!("item {number}"), NAME));
        }
        let mut rest = Page::default();
        rest.heading(2, "Review");
        rest.item("approval");
        let whole = Page(page.0.clone()).text(Page(rest.0.clone()), None);
        assert!(whole.contains("item 99") && whole.ends_with("\n\n## Review\n\n- approval\n"), "{whole}");
        let text = page.text(rest, Some(500));
        assert!(text.len() <= 500 && text.contains("cut here"), "{text}");
        assert!(text.ends_with("\n\n## Review\n\n- approval\n"), "what people have to write is whole: {text}");
        assert_eq!(text.matches('`').count() % 2, 0, "{text}");
    }
}
