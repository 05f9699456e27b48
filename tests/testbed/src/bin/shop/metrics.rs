//! The shop's own metrics in Prometheus' text format: requests by status, and how long they took.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in microseconds, with the text that names them.
const BUCKETS: [(u64, &str); 10] = [
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
];

pub(crate) struct Metrics {
    version: String,
    good: AtomicU64,
    bad: AtomicU64,
    micros: AtomicU64,
    buckets: [AtomicU64; BUCKETS.len()],
}

impl Metrics {
    pub(crate) fn new(version: &str) -> Self {
        Self {
            version: version.to_owned(),
            good: AtomicU64::new(0),
            bad: AtomicU64::new(0),
            micros: AtomicU64::new(0),
            buckets: Default::default(),
        }
    }

    pub(crate) fn record(&self, good: bool, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        for ((bound, _), bucket) in BUCKETS.iter().zip(&self.buckets) {
            if micros <= *bound {
                bucket.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.micros.fetch_add(micros, Ordering::Relaxed);
        if good { &self.good } else { &self.bad }.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn text(&self) -> String {
        let version = &self.version;
        let (good, bad) = (self.good.load(Ordering::Relaxed), self.bad.load(Ordering::Relaxed));
        let count = good.saturating_add(bad);
        let mut text = format!(
            "# HELP http_requests_total Requests answered.\n\
             # TYPE http_requests_total counter\n\
             http_requests_total{{code=\"200\",version=\"{version}\"}} {good}\n\
             http_requests_total{{code=\"500\",version=\"{version}\"}} {bad}\n\
             # HELP http_request_duration_seconds How long requests took.\n\
             # TYPE http_request_duration_seconds histogram\n"
        );
        // Writing to a String cannot fail.
        for ((_, bound), bucket) in BUCKETS.iter().zip(&self.buckets) {
            let _ = writeln!(
                text,
                "http_request_duration_seconds_bucket{{version=\"{version}\",le=\"{bound}\"}} {}",
                bucket.load(Ordering::Relaxed)
            );
        }
        let seconds = self.micros.load(Ordering::Relaxed) as f64 / 1e6;
        let _ = write!(
            text,
            "http_request_duration_seconds_bucket{{version=\"{version}\",le=\"+Inf\"}} {count}\n\
             http_request_duration_seconds_sum{{version=\"{version}\"}} {seconds}\n\
             http_request_duration_seconds_count{{version=\"{version}\"}} {count}\n"
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_codes_are_apart() {
        let metrics = Metrics::new("v2");
        metrics.record(true, Duration::from_millis(3));
        metrics.record(true, Duration::from_millis(30));
        metrics.record(false, Duration::from_secs(9));
        let text = metrics.text();
        for line in [
            "http_requests_total{code=\"200\",version=\"v2\"} 2",
            "http_requests_total{code=\"500\",version=\"v2\"} 1",
            "http_request_duration_seconds_bucket{version=\"v2\",le=\"0.025\"} 1",
            "http_request_duration_seconds_bucket{version=\"v2\",le=\"0.05\"} 2",
            "http_request_duration_seconds_bucket{version=\"v2\",le=\"5\"} 2",
            "http_request_duration_seconds_bucket{version=\"v2\",le=\"+Inf\"} 3",
            "http_request_duration_seconds_count{version=\"v2\"} 3",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in:\n{text}");
        }
    }
}
