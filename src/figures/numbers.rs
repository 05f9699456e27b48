//! The arithmetic under the figures: rates with their intervals, medians, spans of time.
//!
//! Owns what is absent: no rate of fewer than [`FEWEST`], no median of nothing. Nothing here is ever NaN.

use jiff::Timestamp;
use serde::Serialize;

/// With fewer there is a count and no rate: one more failure would move it by more than ten points.
pub const FEWEST: u64 = 10;
/// The 97.5 % quantile of the normal distribution: an interval that holds the true share 19 times of 20.
const Z: f64 = 1.959_963_984_540_054;

/// How many of how many, and the share where there are enough to speak of one.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rate {
    /// How many.
    pub count: u64,
    /// Of how many.
    pub n: u64,
    /// The share, between 0 and 1; absent below [`FEWEST`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Lower end of the 95 % interval (Wilson 1927).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Its upper end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

impl Rate {
    /// `count` of `n`; there are never more than there are in all.
    pub fn new(count: u64, n: u64) -> Self {
        let count = count.min(n);
        if n < FEWEST {
            return Self { count, n, rate: None, low: None, high: None };
        }
        let (low, high) = wilson(count, n);
        Self { count, n, rate: Some(float(count) / float(n)), low: Some(low), high: Some(high) }
    }

    /// How many of these a test is true of.
    pub fn of<T>(all: &[T], test: impl Fn(&T) -> bool) -> Self {
        Self::new(number(all.iter().filter(|one| test(one)).count()), number(all.len()))
    }
}

/// The 95 % score interval of a share (Wilson 1927). It stays within 0 and 1, and is no point at 0 of n.
fn wilson(count: u64, n: u64) -> (f64, f64) {
    let (share, n, square) = (float(count) / float(n), float(n), Z * Z);
    let centre = share + square / (2.0 * n);
    let half = Z * (share * (1.0 - share) / n + square / (4.0 * n * n)).sqrt();
    let whole = 1.0 + square / n;
    // At 0 and at n the ends are exact; rounding would leave 1e-17.
    let low = if count == 0 { 0.0 } else { ((centre - half) / whole).clamp(0.0, share) };
    let high = if share >= 1.0 { 1.0 } else { ((centre + half) / whole).clamp(share, 1.0) };
    (low, high)
}

/// Spans of time, in the middle and at the slow end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Spread {
    /// Of how many.
    pub n: u64,
    /// The median; of an even number the middle between the two.
    pub median_seconds: f64,
    /// The smallest that at least nine of ten do not exceed.
    pub p90_seconds: f64,
}

impl Spread {
    /// Of spans in milliseconds; of none there is none.
    pub fn of(mut spans: Vec<i64>) -> Option<Self> {
        spans.sort_unstable();
        let rank = spans.len().saturating_mul(9).div_ceil(10);
        let p90 = *spans.get(rank.checked_sub(1)?)?;
        Some(Self { n: number(spans.len()), median_seconds: seconds(median(&spans)?), p90_seconds: seconds(p90) })
    }
}

/// The median of what is sorted.
pub(super) fn median(sorted: &[i64]) -> Option<i64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get((sorted.len() / 2).checked_sub(1)?)?;
    Some(lower.saturating_add(upper.saturating_sub(lower) / 2))
}

/// Milliseconds from one time to a later one; negative if it is earlier.
pub(super) fn between(from: Timestamp, to: Timestamp) -> i64 {
    to.as_millisecond().saturating_sub(from.as_millisecond())
}

/// The same, where it is a span at all.
pub(super) fn span(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<i64> {
    Some(between(from?, to?)).filter(|span| *span >= 0)
}

/// Milliseconds of whole days.
pub(super) fn days(days: u32) -> i64 {
    i64::from(days).saturating_mul(86_400_000)
}

/// Milliseconds as seconds; exact for 285,000 years.
#[allow(clippy::cast_precision_loss)]
pub(super) fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

/// A count as a number; exact up to 2^53.
#[allow(clippy::cast_precision_loss)]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

/// The length of a list.
pub(super) fn number(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_the_published_one() {
        // By hand, 3 of 20: p = 0.15, z² = 3.8415; centre (0.15 + 0.09604) / 1.19207 = 0.20640; half
        // 1.95996 · √(0.1275/20 + 3.8415/1600) / 1.19207 = 1.95996 · √(0.006375 + 0.002401) / 1.19207 = 0.15402.
        let rate = Rate::new(3, 20);
        assert_eq!(rate.rate, Some(0.15));
        assert!((rate.low.unwrap() - 0.0524).abs() < 1e-4, "{rate:?}");
        assert!((rate.high.unwrap() - 0.3604).abs() < 1e-4, "{rate:?}");
        // 0 of 10: from 0 to z²/(n + z²) = 3.8415/13.8415.
        let none = Rate::new(0, 10);
        assert_eq!((none.rate, none.low), (Some(0.0), Some(0.0)));
        assert!((none.high.unwrap() - 0.277_53).abs() < 1e-5, "{none:?}");
        let all = Rate::new(10, 10);
        assert_eq!((all.rate, all.high), (Some(1.0), Some(1.0)));
        assert!((all.low.unwrap() - 0.722_47).abs() < 1e-5, "{all:?}");
    }

    #[test]
    fn below_ten_there_is_a_count_and_no_rate() {
        assert_eq!(Rate::new(9, 9), Rate { count: 9, n: 9, rate: None, low: None, high: None });
        assert!(Rate::new(0, 10).rate.is_some());
        assert_eq!(Rate::new(12, 11).count, 11, "never more than there are");
        assert_eq!(Rate::new(0, 0).rate, None);
    }

    #[test]
    fn the_middle_and_the_slow_end() {
        assert_eq!(Spread::of(Vec::new()), None, "absent, not 0");
        let one = Spread::of(vec![5_000]).unwrap();
        assert_eq!((one.n, one.median_seconds, one.p90_seconds), (1, 5.0, 5.0));
        let ten = Spread::of((1..=10).rev().map(|second| second * 1000).collect()).unwrap();
        assert_eq!((ten.median_seconds, ten.p90_seconds), (5.5, 9.0));
        let eleven = Spread::of((1..=11).map(|second| second * 1000).collect()).unwrap();
        assert_eq!((eleven.median_seconds, eleven.p90_seconds), (6.0, 10.0));
        assert!(Spread::of(vec![i64::MIN, i64::MAX]).unwrap().median_seconds.is_finite());
    }
}
