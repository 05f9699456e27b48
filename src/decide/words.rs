//! Numbers as people read them.

/// `5.21%`, or `no requests`.
pub(super) fn share_text(part: u64, whole: u64) -> String {
    if whole == 0 { "no requests".to_owned() } else { format!("{:.2}%", as_f64(part) / as_f64(whole) * 100.0) }
}

/// `12,345`.
pub(super) fn grouped(number: u64) -> String {
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
