//! Numbers as people read them.

/// `5.21%`, or `no requests`.
pub(super) fn share_text(part: u64, whole: u64) -> String {
    if whole == 0 { "no requests".to_owned() } else { format!("{:.2}%", as_f64(part) / as_f64(whole) * 100.0) }
}

/// `0.31%`; small shares keep two digits that say something.
pub(super) fn percent(share: f64) -> String {
    let share = share * 100.0;
    if share >= 0.095 || share == 0.0 { format!("{share:.2}%") } else { format!("{share:.4}%") }
}

/// `12,345`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len().saturating_mul(2));
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && digits.len().saturating_sub(position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `206:1`, the capital of a bet at fair odds that began with 1.
pub(crate) fn odds(capital: f64) -> String {
    if capital < 100.0 {
        format!("{capital:.1}:1")
    } else if capital < 1e6 {
        format!("{capital:.0}:1")
    } else {
        "over 1,000,000:1".to_owned()
    }
}

/// A text that somebody wrote, in quotes, and not more of it than a message has room for.
pub(super) fn quote(text: &str) -> String {
    const MOST: usize = 64;
    let head: String = text.chars().take(MOST).collect();
    if head.len() == text.len() { format!("{text:?}") } else { format!("{head:?}… ({} bytes)", text.len()) }
}

/// Counts are far below 2^53, where every whole number is exact.
#[allow(clippy::cast_precision_loss)]
pub(super) fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(999), "999");
        assert_eq!(share_text(0, 0), "no requests");
    }
}
