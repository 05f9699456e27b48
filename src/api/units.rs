//! Values that people write as text: durations, percentages and decimal numbers.
//!
//! Owns parsing, printing and the schema pattern of each, so that the API server refuses what
//! the operator could not read. Must not hold policy.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a text is not a valid value; names the text and the expected form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct InvalidUnit {
    text: String,
    expected: &'static str,
}

/// A span of time in the Gateway API's format (GEP-2257): `10m`, `1h30m`, `15s`, `500ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(std::time::Duration);

const DURATION_PATTERN: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";
/// 99999h, some eleven years: what a part has room for. More is written, and read, as this.
const LONGEST_MILLIS: u64 = 99_999 * 3_600_000;
const DURATION_EXPECTED: &str = "a duration such as 10m, 1h30m, 15s or 500ms (GEP-2257)";

impl Duration {
    /// A duration of whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }

    /// A duration of milliseconds.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(std::time::Duration::from_millis(milliseconds))
    }

    /// The same span for the standard library.
    pub const fn std(self) -> std::time::Duration {
        self.0
    }

    /// The span in seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0.as_secs_f64()
    }

    /// The span in milliseconds, as timestamps count them.
    pub fn as_millis(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }
}

impl FromStr for Duration {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidUnit { text: text.chars().take(40).collect(), expected: DURATION_EXPECTED };
        let mut rest = text;
        let mut total: u64 = 0;
        let mut parts = 0;
        while !rest.is_empty() {
            let digits = rest.len().saturating_sub(rest.trim_start_matches(|c: char| c.is_ascii_digit()).len());
            let (number, tail) = rest.split_at_checked(digits).ok_or_else(invalid)?;
            if number.is_empty() || number.len() > 5 || parts == 4 {
                return Err(invalid());
            }
            let number: u64 = number.parse().map_err(|_| invalid())?;
            let (unit, tail) = if let Some(tail) = tail.strip_prefix("ms") {
                (1, tail)
            } else if let Some(tail) = tail.strip_prefix('s') {
                (1_000, tail)
            } else if let Some(tail) = tail.strip_prefix('m') {
                (60_000, tail)
            } else if let Some(tail) = tail.strip_prefix('h') {
                (3_600_000, tail)
            } else {
                return Err(invalid());
            };
            total = total.saturating_add(number.saturating_mul(unit));
            parts = i32::saturating_add(parts, 1);
            rest = tail;
        }
        if parts == 0 { Err(invalid()) } else { Ok(Self::from_millis(total.min(LONGEST_MILLIS))) }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.0.as_millis().min(u128::from(LONGEST_MILLIS));
        if total == 0 {
            return f.write_str("0s");
        }
        let parts = [
            (total.wrapping_div(3_600_000), "h"),
            (total.wrapping_div(60_000).wrapping_rem(60), "m"),
            (total.wrapping_div(1_000).wrapping_rem(60), "s"),
            (total.wrapping_rem(1_000), "ms"),
        ];
        for (count, unit) in parts {
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

/// A share of a whole, written `5%` or `0.1%`; kept as parts per million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Percent(u32);

const PERCENT_PATTERN: &str = r"^(100(\.0{1,4})?|[0-9]{1,2}(\.[0-9]{1,4})?)%$";
const PERCENT_EXPECTED: &str = "a percentage between 0% and 100% such as 5% or 0.1%";

impl Percent {
    /// A share in parts per million.
    pub const fn from_millionths(millionths: u32) -> Self {
        Self(millionths)
    }

    /// The share as a fraction between 0 and 1.
    pub fn ratio(self) -> f64 {
        f64::from(self.0) / 1_000_000.0
    }
}

impl FromStr for Percent {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidUnit { text: text.chars().take(40).collect(), expected: PERCENT_EXPECTED };
        let number = text.strip_suffix('%').ok_or_else(invalid)?;
        let (whole, fraction) = number.split_once('.').map_or((number, None), |(w, f)| (w, Some(f)));
        let digits = |s: &str, most: usize| !s.is_empty() && s.len() <= most && s.bytes().all(|b| b.is_ascii_digit());
        // As the schema has it: two digits, or 100.
        if !digits(whole, if whole == "100" { 3 } else { 2 }) || fraction.is_some_and(|f| !digits(f, 4)) {
            return Err(invalid());
        }
        let whole: u32 = whole.parse().map_err(|_| invalid())?;
        let fraction: u32 = format!("{:0<4}", fraction.unwrap_or_default()).parse().map_err(|_| invalid())?;
        let millionths = whole.saturating_mul(10_000).saturating_add(fraction);
        if millionths > 1_000_000 { Err(invalid()) } else { Ok(Self(millionths)) }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 10_000.0)
    }
}

/// A decimal number written as text, because JSON numbers lose their form on the way: `"100"`, `"0.25"`, `"-1e3"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Number {
    text: String,
    value: f64,
}

const NUMBER_PATTERN: &str = r"^-?[0-9]{1,18}(\.[0-9]{1,18})?([eE][-+]?[0-9]{1,2})?$";
const NUMBER_EXPECTED: &str = "a decimal number such as 100, 0.25 or 1e3";

impl Number {
    /// A number of ours, such as a default; one that is not finite becomes 0.
    pub fn from_value(value: f64) -> Self {
        let value = if value.is_finite() { value } else { 0.0 };
        Self { text: value.to_string(), value }
    }

    /// The value; always finite.
    pub fn value(&self) -> f64 {
        self.value
    }
}

impl FromStr for Number {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidUnit { text: text.chars().take(40).collect(), expected: NUMBER_EXPECTED };
        // `f64` also reads "inf", "1." and "1e999"; the schema does not, so neither do we.
        let digits = |s: &str, most: usize| (1..=most).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
        let plain = text.strip_prefix('-').unwrap_or(text);
        let (mantissa, exponent) = plain.split_once(['e', 'E']).map_or((plain, None), |(m, e)| (m, Some(e)));
        let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
        let exponent = exponent.map(|e| e.strip_prefix(['-', '+']).unwrap_or(e));
        if !digits(whole, 18)
            || fraction.is_some_and(|f| !digits(f, 18))
            || exponent.is_some_and(|e| !digits(e, 2))
            || text.len() > 48
        {
            return Err(invalid());
        }
        let value: f64 = text.parse().map_err(|_| invalid())?;
        if value.is_finite() { Ok(Self { text: text.to_owned(), value }) } else { Err(invalid()) }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The schema of a point in time (RFC 3339), for fields that hold a [`jiff::Timestamp`].
pub(super) fn time_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}

/// Gives a unit its text form in JSON and in the schema.
macro_rules! as_text {
    ($unit:ident, $pattern:expr, $length:expr) => {
        impl Serialize for $unit {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $unit {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<'_, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $unit {
            fn schema_name() -> Cow<'static, str> {
                stringify!($unit).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": $pattern, "maxLength": $length})
            }

            fn inline_schema() -> bool {
                true
            }
        }
    };
}

as_text!(Duration, DURATION_PATTERN, 32);
as_text!(Percent, PERCENT_PATTERN, 9);
as_text!(Number, NUMBER_PATTERN, 48);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_as_they_are_read() {
        for text in ["10m", "1h30m", "15s", "500ms", "1h1m1s1ms", "0s"] {
            assert_eq!(text.parse::<Duration>().unwrap().to_string(), text);
        }
        assert_eq!("90s".parse::<Duration>().unwrap().to_string(), "1m30s");
    }

    #[test]
    fn what_is_no_duration_is_named() {
        for text in ["", "10", "m", "1.5h", "-5s", "10x", "1s1s1s1s1s", "123456s", "10 m", "é"] {
            let error = text.parse::<Duration>().unwrap_err().to_string();
            assert!(error.contains("is not a duration"), "{text}: {error}");
        }
    }

    #[test]
    fn percentages_keep_four_places() {
        for (text, ratio) in [("5%", 0.05), ("0.1%", 0.001), ("100%", 1.0), ("0%", 0.0), ("12.3456%", 0.123456)] {
            let percent: Percent = text.parse().unwrap();
            assert!((percent.ratio() - ratio).abs() < 1e-12, "{text}");
            assert_eq!(percent.to_string(), text);
        }
        for text in ["5", "101%", "-1%", "1.23456%", "%", ".5%", "1e1%", "100.1%"] {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_are_finite() {
        assert_eq!("1e3".parse::<Number>().unwrap().value(), 1000.0);
        assert_eq!("-0.25".parse::<Number>().unwrap().to_string(), "-0.25");
        for text in ["NaN", "inf", "", "1.", "1e999", "0x10", "+1"] {
            assert!(text.parse::<Number>().is_err(), "{text}");
        }
    }
}
