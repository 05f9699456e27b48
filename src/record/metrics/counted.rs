//! What this process counts about each Rollout: evaluations, weights set again, passes that failed.
//!
//! Only the process that leads counts anything. A Rollout that is seen for the first time stands at 0, so that the first
//! increment is one; what was counted goes with the Rollout.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::encode::Families;
use crate::api::{Run, VerdictWord};

/// Namespace and name of a Rollout.
pub(super) type Key = (String, String);

/// What one look at the signals can say.
const RESULTS: [&str; 4] = ["pass", "fail", "inconclusive", "error"];

#[derive(Debug, Clone, Default)]
struct Counts {
    evaluations: [u64; RESULTS.len()],
    reassertions: u64,
    errors: u64,
    /// The newest sample of the last evaluation, and when that was.
    last: Option<(Option<Timestamp>, Instant)>,
}

/// The counts of all Rollouts; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Counted(Arc<Mutex<BTreeMap<Key, Counts>>>);

impl Counted {
    fn with<T>(&self, key: Key, act: impl FnOnce(&mut Counts) -> T) -> T {
        act(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default())
    }

    /// The weight of a route was set again.
    pub(super) fn reasserted(&self, key: Key) {
        self.with(key, |counts| counts.reassertions = counts.reassertions.saturating_add(1));
    }

    /// A pass failed.
    pub(super) fn failed(&self, key: Key) {
        self.with(key, |counts| counts.errors = counts.errors.saturating_add(1));
    }

    /// A pass looked at the signals of an attempt with traffic. Passes are more frequent than samples: one counts when
    /// it saw a newer sample than the one before, or, where nothing can be read, once per interval.
    pub(super) fn judged(&self, key: Key, run: &Run, verdict: VerdictWord, interval: Duration, now: Instant) {
        let result = match verdict {
            VerdictWord::None => return,
            VerdictWord::Safe => 0,
            VerdictWord::Harm => 1,
            VerdictWord::Undecided => 2,
            VerdictWord::NoData => 3,
        };
        let newest = run.signals.iter().map(|state| state.counts.as_ref().map_or(state.until, |own| own.until));
        let newest = newest.chain([run.traffic.until]).max().flatten();
        self.with(key, |counts| {
            let news = match (&counts.last, verdict) {
                (None, _) => true,
                (Some((_, at)), VerdictWord::NoData) => now.saturating_duration_since(*at) >= interval,
                (
                    Some((seen, _)),
                    VerdictWord::None | VerdictWord::Safe | VerdictWord::Harm | VerdictWord::Undecided,
                ) => newest > *seen,
            };
            if news {
                counts.last = Some((newest, now));
                if let Some(count) = counts.evaluations.get_mut(result) {
                    *count = count.saturating_add(1);
                }
            }
        });
    }

    /// Keeps the counts of these Rollouts alone.
    pub(super) fn keep(&self, known: &BTreeSet<Key>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|key, _| known.contains(key));
    }

    /// Writes a series for each of these Rollouts, counted or not.
    pub(super) fn encode(&self, known: &BTreeSet<Key>, families: &mut Families<'_, '_>) -> fmt::Result {
        let counts: BTreeMap<Key, Counts> = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let nothing = Counts::default();
        let of = |key: &Key| counts.get(key).unwrap_or(&nothing);
        families.counters(
            "analysis_evaluations",
            "Looks at new samples of an attempt with traffic, by what they said",
            |put| {
                known.iter().try_for_each(|key| {
                    RESULTS.iter().zip(of(key).evaluations).try_for_each(|(result, count)| {
                        put(&[("namespace", &key.0), ("name", &key.1), ("result", result)], count)
                    })
                })
            },
        )?;
        families.counters(
            "traffic_reassertions",
            "How often a weight was set again because someone else had changed the route",
            |put| {
                known.iter().try_for_each(|key| put(&[("namespace", &key.0), ("name", &key.1)], of(key).reassertions))
            },
        )?;
        families.counters(
            "reconcile_errors",
            "Passes over a Rollout that failed; neither conflicts nor a lost Lease",
            |put| known.iter().try_for_each(|key| put(&[("namespace", &key.0), ("name", &key.1)], of(key).errors)),
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(until: Option<&str>) -> Run {
        let mut run: Run = serde_json::from_value(json!({
            "release": "shop-1", "number": 1, "revision": "b", "fromRevision": "a", "step": "Baking",
            "stepAt": "2026-01-01T00:00:00Z", "weight": 5,
        }))
        .unwrap();
        run.traffic.until = until.map(|at| at.parse().unwrap());
        run
    }

    fn evaluations(counted: &Counted) -> [u64; 4] {
        counted.with(("demo".into(), "shop".into()), |counts| counts.evaluations)
    }

    #[test]
    fn an_evaluation_is_counted_once_per_sample() {
        let counted = Counted::default();
        let (began, interval) = (crate::clock::instant(), Duration::from_secs(15));
        let look = |until: Option<&str>, verdict, seconds: u64| {
            let now = began.checked_add(Duration::from_secs(seconds)).unwrap();
            counted.judged(("demo".into(), "shop".into()), &run(until), verdict, interval, now);
        };
        look(None, VerdictWord::None, 0);
        assert_eq!(evaluations(&counted), [0, 0, 0, 0]);
        look(Some("2026-01-01T00:00:10Z"), VerdictWord::Undecided, 0);
        look(Some("2026-01-01T00:00:10Z"), VerdictWord::Undecided, 1);
        look(Some("2026-01-01T00:00:25Z"), VerdictWord::Safe, 15);
        look(Some("2026-01-01T00:00:40Z"), VerdictWord::Harm, 30);
        assert_eq!(evaluations(&counted), [1, 1, 1, 0]);
        // Nothing can be read: once per interval, not once per pass.
        for second in 31..=60 {
            look(Some("2026-01-01T00:00:40Z"), VerdictWord::NoData, second);
        }
        assert_eq!(evaluations(&counted), [1, 1, 1, 2]);
    }
}
