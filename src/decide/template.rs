//! PromQL that users write, with variables such as `{{namespace}}`.
//!
//! Owns where a variable may stand and how its value is written there: each value is put in once, escaped for the kind of
//! quotes around it, and cannot leave them. What the variables are is decided by whoever asks.

use super::queries::{quoted, regex};

/// What a variable stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Filling {
    /// A text: in a matcher with `=~` or `!~` it means itself.
    Text(String),
    /// A regular expression (RE2), not yet quoted.
    Pattern(String),
}

/// Where in PromQL a character stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    Outside,
    Comment,
    /// In a string that this character ends.
    Inside {
        quote: char,
        /// The value of a matcher with `=~` or `!~`.
        pattern: bool,
        /// Behind a backslash.
        escaped: bool,
    },
}

/// Follows PromQL character by character.
struct Reader {
    at: Stands,
    /// The last two characters outside of strings, blanks left out.
    before: [char; 2],
}

impl Reader {
    fn read(&mut self, text: &str) {
        for c in text.chars() {
            self.at = match self.at {
                Stands::Outside if c == '#' => Stands::Comment,
                Stands::Outside if matches!(c, '"' | '\'' | '`') => {
                    Stands::Inside { quote: c, pattern: matches!(self.before, ['=' | '!', '~']), escaped: false }
                }
                Stands::Comment if c == '\n' => Stands::Outside,
                Stands::Inside { quote, escaped: false, .. } if c == quote => Stands::Outside,
                Stands::Inside { quote, pattern, escaped } => {
                    Stands::Inside { quote, pattern, escaped: !escaped && c == '\\' && quote != '`' }
                }
                Stands::Outside | Stands::Comment => self.at,
            };
            if self.at == Stands::Outside && !c.is_whitespace() {
                self.before = [self.before[1], c];
            }
        }
    }

    /// The value as it is written here, or why it cannot be.
    fn write(&self, name: &str, filling: &Filling) -> Result<String, String> {
        let (text, literal) = match filling {
            Filling::Text(text) => (text, true),
            Filling::Pattern(text) => (text, false),
        };
        let head: String = text.chars().take(60).collect();
        match self.at {
            Stands::Inside { escaped: true, .. } => Err(format!("a backslash stands before variable {name:?}")),
            Stands::Inside { quote, pattern, .. } => {
                let text = if pattern && literal { regex(text) } else { text.clone() };
                match quote {
                    '`' if text.contains('`') => {
                        Err(format!("variable {name:?} stands between ` and its value {head:?} holds one"))
                    }
                    '`' => Ok(text),
                    // The other kind of quotes must not be escaped.
                    '\'' => Ok(quoted(&text).replace("\\\"", "\"").replace('\'', "\\'")),
                    _ => Ok(quoted(&text)),
                }
            }
            Stands::Outside
                if !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c)) =>
            {
                Ok(text.clone())
            }
            Stands::Outside => Err(format!(
                "variable {name:?} stands outside of quotes, where its value {head:?} would be read as PromQL; put it between quotes"
            )),
            // A comment ends with its line.
            Stands::Comment => Ok(text.replace('\n', " ")),
        }
    }
}

/// A text with its variables filled in, or what is wrong with it; `known` is what a person may use instead.
pub(super) fn fill(text: &str, known: &[&str], value: impl Fn(&str) -> Option<Filling>) -> Result<String, String> {
    let mut rendered = String::with_capacity(text.len());
    let mut reader = Reader { at: Stands::Outside, before: [' '; 2] };
    let mut rest = text;
    while let Some((head, tail)) = rest.split_once("{{") {
        let (name, tail) = tail.split_once("}}").ok_or_else(|| "a variable is not closed with }}".to_owned())?;
        let name = name.trim();
        let filling = value(name).ok_or_else(|| {
            format!(
                "variable {:?} is not known; known: {}",
                name.chars().take(40).collect::<String>(),
                known.join(", ")
            )
        })?;
        reader.read(head);
        rendered.push_str(head);
        rendered.push_str(&reader.write(name, &filling)?);
        rest = tail;
    }
    rendered.push_str(rest);
    Ok(rendered)
}
