//! How the demo speaks: headings, commands as typed, tables as kubectl prints them.

use std::io::{IsTerminal, Write};

/// Prints a line at once, also into a pipe.
pub(crate) fn line(text: &str) {
    println!("{text}");
    let _ = std::io::stdout().flush();
}

/// A heading.
pub(crate) fn heading(text: &str) {
    if std::io::stdout().is_terminal() {
        line(&format!("\n\x1b[1m== {text}\x1b[0m"));
    } else {
        line(&format!("\n== {text}"));
    }
}

/// A command, as the reader could type it.
pub(crate) fn typed(command: &str) {
    line(&format!("$ {command}"));
}

/// Lines, indented.
pub(crate) fn indented(text: &str) {
    for one in text.lines() {
        line(&format!("  {one}"));
    }
}

/// `12,345`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && digits.len().saturating_sub(position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
