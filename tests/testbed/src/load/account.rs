//! Keeps every request's outcome and adds them up for any interval. It sends nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// How many failures are kept in full.
const KEPT_FAILURES: usize = 20;

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With an answer.
    Answered { status: u16, version: String },
    /// Without one, for this reason.
    Broken(String),
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    sent: Duration,
    took: Duration,
    /// Zero when there was no answer.
    status: u16,
    /// Index into the list of versions.
    version: usize,
}

impl Sample {
    fn failed(self) -> bool {
        self.status == 0 || self.status >= 500
    }
}

#[derive(Debug, Default)]
struct Inner {
    samples: Vec<Sample>,
    versions: Vec<String>,
    failures: Vec<Failure>,
    sent: u64,
    skipped: u64,
    latest: Duration,
    over: bool,
}

/// The account of one load.
#[derive(Debug)]
pub(super) struct Account {
    started: Instant,
    started_wall: SystemTime,
    inner: Mutex<Inner>,
}

/// One failed request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    /// When it was sent, in seconds after the start.
    pub at_seconds: f64,
    /// When it was sent, in milliseconds since 1970.
    pub at_unix_ms: u64,
    /// How long it took.
    pub took_ms: f64,
    /// Its status; nothing if there was no answer.
    pub status: Option<u16>,
    /// Which version answered.
    pub version: Option<String>,
    /// What went wrong if there was no answer.
    pub error: Option<String>,
}

/// What one version answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct VersionCounts {
    /// Its answers.
    pub requests: u64,
    /// Those of them with a status of 500 and more.
    pub failed: u64,
    /// Its part of all answers, from 0 to 1.
    pub share: f64,
}

/// Milliseconds from sending to the last byte of the answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Half of the requests were at least this fast.
    pub p50: f64,
    /// 90 % of the requests were at least this fast.
    pub p90: f64,
    /// 99 % of the requests were at least this fast.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
}

/// The account of an interval, by the time at which requests were sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// The interval's begin, in seconds after the start.
    pub from_seconds: f64,
    /// The interval's end, in seconds after the start.
    pub to_seconds: f64,
    /// Requests that ended, with or without an answer.
    pub requests: u64,
    /// Requests without an answer or with a status of 500 and more.
    pub failed: u64,
    /// Requests of the whole load whose answers are still out.
    pub in_flight: u64,
    /// Requests of the whole load that were due but not sent, because too many were in flight.
    pub skipped: u64,
    /// How far the whole load was at worst behind its schedule: large values mean a starved generator.
    pub behind_ms: f64,
    /// Answers by version; `none` where an answer named no version.
    pub by_version: BTreeMap<String, VersionCounts>,
    /// Requests by status; `error` where there was no answer.
    pub by_status: BTreeMap<String, u64>,
    /// How long requests took.
    pub latency_ms: Latency,
    /// The first failures of the interval.
    pub failures: Vec<Failure>,
}

impl Summary {
    /// The part of all answers that came from this version, from 0 to 1.
    #[must_use]
    pub fn share(&self, version: &str) -> f64 {
        self.by_version.get(version).map_or(0.0, |counts| counts.share)
    }
}

impl Account {
    pub(super) fn new(started: Instant) -> Self {
        Self { started, started_wall: SystemTime::now(), inner: Mutex::default() }
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// A panic elsewhere leaves the account as true as it was.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_delay(&self, delay: Duration) {
        let mut inner = self.inner();
        inner.latest = inner.latest.max(delay);
    }

    pub(super) fn skip(&self) {
        let mut inner = self.inner();
        inner.skipped = inner.skipped.saturating_add(1);
    }

    pub(super) fn send(&self) {
        let mut inner = self.inner();
        inner.sent = inner.sent.saturating_add(1);
    }

    pub(super) fn end(&self) {
        self.inner().over = true;
    }

    pub(super) fn is_over(&self) -> bool {
        self.inner().over
    }

    pub(super) fn record(&self, sent: Instant, outcome: Outcome) {
        self.record_at(sent.saturating_duration_since(self.started), sent.elapsed(), outcome);
    }

    fn record_at(&self, sent: Duration, took: Duration, outcome: Outcome) {
        let (status, version, error) = match outcome {
            Outcome::Answered { status, version } => (status, version, None),
            Outcome::Broken(error) => (0, "none".to_owned(), Some(error)),
        };
        let mut inner = self.inner();
        let known = inner.versions.iter().position(|other| *other == version);
        let index = known.unwrap_or_else(|| {
            inner.versions.push(version.clone());
            inner.versions.len().saturating_sub(1)
        });
        let sample = Sample { sent, took, status, version: index };
        inner.samples.push(sample);
        if sample.failed() && inner.failures.len() < KEPT_FAILURES {
            let unix = self.started_wall.checked_add(sent).and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            inner.failures.push(Failure {
                at_seconds: sent.as_secs_f64(),
                at_unix_ms: unix.and_then(|at| u64::try_from(at.as_millis()).ok()).unwrap_or_default(),
                took_ms: took.as_secs_f64() * 1e3,
                status: (status != 0).then_some(status),
                version: error.is_none().then_some(version),
                error,
            });
        }
    }

    /// Adds up what was sent from `from` up to, not including, `to`.
    pub(super) fn summary(&self, from: Duration, to: Duration) -> Summary {
        let inner = self.inner();
        let within = |sample: &&Sample| sample.sent >= from && sample.sent < to;
        let samples: Vec<Sample> = inner.samples.iter().filter(within).copied().collect();
        let mut summary = Summary {
            from_seconds: from.as_secs_f64(),
            to_seconds: to.as_secs_f64(),
            requests: count(samples.len()),
            in_flight: inner.sent.saturating_sub(count(inner.samples.len())),
            skipped: inner.skipped,
            behind_ms: inner.latest.as_secs_f64() * 1e3,
            failures: inner
                .failures
                .iter()
                .filter(|failure| failure.at_seconds >= from.as_secs_f64() && failure.at_seconds < to.as_secs_f64())
                .cloned()
                .collect(),
            latency_ms: latency(samples.iter().map(|sample| sample.took).collect()),
            ..Summary::default()
        };
        let mut answers: u64 = 0;
        for sample in samples {
            let status = if sample.status == 0 { "error".to_owned() } else { sample.status.to_string() };
            increase(summary.by_status.entry(status).or_default());
            if sample.failed() {
                increase(&mut summary.failed);
            }
            if sample.status != 0 {
                let version = inner.versions.get(sample.version).cloned().unwrap_or_default();
                let counts = summary.by_version.entry(version).or_default();
                increase(&mut counts.requests);
                if sample.failed() {
                    increase(&mut counts.failed);
                }
                increase(&mut answers);
            }
        }
        for counts in summary.by_version.values_mut() {
            counts.share = counts.requests as f64 / answers as f64;
        }
        summary
    }
}

fn increase(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn latency(mut took: Vec<Duration>) -> Latency {
    took.sort_unstable();
    // The smallest value that at least this part of the requests does not exceed.
    let at = |part: f64| {
        let rank = (part * took.len() as f64).ceil().max(1.0) as usize;
        took.get(rank.saturating_sub(1)).map_or(0.0, |took| took.as_secs_f64() * 1e3)
    };
    Latency { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn answered(status: u16, version: &str) -> Outcome {
        Outcome::Answered { status, version: version.to_owned() }
    }

    fn account() -> Account {
        let account = Account::new(Instant::now());
        for (number, took) in (0..100_u64).zip(1..) {
            account.send();
            let version = if number % 4 == 0 { "v2" } else { "v1" };
            let status = if number == 8 { 500 } else { 200 };
            account.record_at(
                ms(10).saturating_mul(u32::try_from(number).unwrap()),
                ms(took),
                answered(status, version),
            );
        }
        account
    }

    #[test]
    fn shares_statuses_and_failures_add_up() {
        let summary = account().summary(Duration::ZERO, ms(1000));
        assert_eq!((summary.requests, summary.failed, summary.in_flight), (100, 1, 0));
        assert_eq!(summary.by_version["v2"], VersionCounts { requests: 25, failed: 1, share: 0.25 });
        assert_eq!(summary.by_status["200"], 99);
        assert_eq!(summary.failures[0].status, Some(500));
        assert_eq!(summary.failures[0].version.as_deref(), Some("v2"));
        assert_eq!(summary.latency_ms, Latency { p50: 50.0, p90: 90.0, p99: 99.0, max: 100.0 });
    }

    #[test]
    fn an_interval_includes_its_begin_and_not_its_end() {
        let account = account();
        let summary = account.summary(ms(100), ms(200));
        assert_eq!((summary.requests, summary.failed), (10, 0));
        let halves = account.summary(Duration::ZERO, ms(500)).requests + account.summary(ms(500), ms(1000)).requests;
        assert_eq!(halves, 100);
        assert_eq!(account.summary(ms(2000), ms(3000)).latency_ms, Latency::default());
    }

    #[test]
    fn a_broken_request_fails_and_belongs_to_no_version() {
        let account = account();
        account.send();
        account.send();
        account.record_at(ms(1), ms(5000), Outcome::Broken("connection refused".to_owned()));
        let summary = account.summary(Duration::ZERO, ms(1000));
        assert_eq!((summary.requests, summary.failed, summary.in_flight), (101, 2, 1));
        assert_eq!(summary.by_status["error"], 1);
        assert!(!summary.by_version.contains_key("none"));
        let broken = summary.failures.iter().find(|failure| failure.status.is_none()).unwrap();
        assert_eq!(broken.error.as_deref(), Some("connection refused"));
        assert_eq!(broken.version, None);
    }

    #[test]
    fn only_the_first_failures_are_kept_but_all_are_counted() {
        let account = Account::new(Instant::now());
        for number in 0..50 {
            account.record_at(ms(number), ms(1), answered(503, "v1"));
        }
        let summary = account.summary(Duration::ZERO, ms(100));
        assert_eq!((summary.failed, summary.failures.len()), (50, KEPT_FAILURES));
        assert_eq!(summary.failures[0].at_seconds, 0.0);
    }
}
