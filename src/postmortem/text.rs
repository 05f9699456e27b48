//! Foreign text inside Markdown, and the parts that a page is made of.
//!
//! Owns the one rule by which what others wrote gets into a draft: as a code span, on one line, of bounded length, without
//! the two characters that could end a code span or a table cell. Inside a code span nothing is markup, a link, a mention
//! or HTML, whoever shows it.

use jiff::Timestamp;

pub(super) use crate::decide::words::grouped;

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
        c if c.is_control() || c.is_whitespace() || invisible(c) => ' ',
        c => c,
    }
}

/// Formats and fillers of Unicode: what is not seen, or shows text in another order than it has.
fn invisible(c: char) -> bool {
    matches!(
        u32::from(c),
        0xAD | 0x34F
            | 0x61C
            | 0x115F
            | 0x1160
            | 0x17B4
            | 0x17B5
            | 0x180B..=0x180F
            | 0x200B..=0x200F
            | 0x2028..=0x202E
            | 0x2060..=0x206F
            | 0x3164
            | 0xFE00..=0xFE0F
            | 0xFEFF
            | 0xFFA0
            | 0xFFF0..=0xFFFB
            | 0xE0000..=0xE0FFF
    )
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

/// A span of time in its two largest units.
pub(super) fn span(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "not known".to_owned();
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    let seconds = seconds.abs();
    if seconds < 60.0 {
        return format!("{sign}{seconds:.1} s");
    }
    let two = |large: f64, one: &str, small: f64, other: &str| {
        let whole = (seconds / large).floor();
        format!("{sign}{whole} {one} {} {other}", ((seconds - whole * large) / small).floor())
    };
    match seconds {
        _ if seconds >= 86_400.0 => two(86_400.0, "d", 3_600.0, "h"),
        _ if seconds >= 3_600.0 => two(3_600.0, "h", 60.0, "min"),
        _ => two(60.0, "min", 1.0, "s"),
    }
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

    /// The text, of at most so many bytes, with one line end at its end.
    pub(super) fn text(self, most: usize) -> String {
        let mut text = self.0.trim_end().to_owned();
        text.push('\n');
        if text.len() <= most {
            return text;
        }
        let note =
            "\nCut here: the text would be longer than this object may hold. `sluice postmortem` prints all of it.\n";
        let room = most.saturating_sub(note.len());
        // Whole lines only: half a line could leave a code span open.
        let end = text.char_indices().rfind(|(at, c)| *c == '\n' && *at < room).map_or(0, |(at, _)| at);
        text.truncate(end);
        text.push('\n');
        text.push_str(note);
        text
    }
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
    fn spans_and_numbers_as_people_read_them() {
        for (seconds, text) in
            [(0.081, "0.1 s"), (59.0, "59.0 s"), (61.0, "1 min 1 s"), (5400.0, "1 h 30 min"), (-90_000.0, "-1 d 1 h")]
        {
            assert_eq!(span(seconds), text);
        }
        assert_eq!(span(f64::NAN), "not known");
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
        let text = page.text(500);
        assert!(text.len() <= 500 && text.contains("Cut here"), "{text}");
        assert_eq!(text.matches('`').count() % 2, 0, "{text}");
    }
}
