//! Spans of time as people write them; nothing else.

use std::time::Duration;

/// Reads `250ms`, `2s`, `1.5m` or `1h`; nothing when it is none of these.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_required_and_known() {
        assert_eq!(parse("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse("1.5m"), Some(Duration::from_secs(90)));
        for bad in ["", "20", "s", "-1s", "5 years", "1d", "1e400s"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
