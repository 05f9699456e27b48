//! Numbers and foreign text as people read them.

/// `5.21%`, or `no requests`.
pub(crate) fn share_text(part: u64, whole: u64) -> String {
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

/// `1 pod`, `4 pods`.
pub(crate) fn several(number: impl Into<u64>, noun: &str) -> String {
    match number.into() {
        1 => format!("1 {noun}"),
        number => format!("{} {noun}s", grouped(number)),
    }
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

/// A span of time in its two largest units: `3h 8m`.
pub(crate) fn span(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "not known".to_owned();
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    let seconds = seconds.abs();
    // Below ten seconds the tenths are what tells two systems apart.
    if seconds < 10.0 {
        return format!("{sign}{seconds:.1}s");
    }
    let two = |large: f64, one: &str, small: f64, other: &str| {
        let whole = (seconds / large).floor();
        format!("{sign}{whole}{one} {}{other}", ((seconds - whole * large) / small).floor())
    };
    match seconds {
        _ if seconds >= 86_400.0 => two(86_400.0, "d", 3_600.0, "h"),
        _ if seconds >= 3_600.0 => two(3_600.0, "h", 60.0, "m"),
        _ if seconds >= 60.0 => two(60.0, "m", 1.0, "s"),
        _ => format!("{sign}{seconds:.0}s"),
    }
}

/// Controls, formats and fillers of Unicode: what is not seen, or shows text in another order than it has.
pub(crate) fn invisible(c: char) -> bool {
    c.is_control()
        || matches!(
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

    #[test]
    fn spans_as_people_read_them() {
        for (seconds, text) in [
            (0.081, "0.1s"),
            (17.0, "17s"),
            (59.4, "59s"),
            (61.0, "1m 1s"),
            (5400.0, "1h 30m"),
            (-90_000.0, "-1d 1h"),
            (f64::NAN, "not known"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
