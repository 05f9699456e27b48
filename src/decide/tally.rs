//! From raw counter samples to counts of requests and errors.
//!
//! A fold over samples that are newer than those already counted: the same samples give the same counts, however
//! often and by whichever process they are read. Differences are taken per series, before anything is summed, so a
//! counter that starts over (gateway restart) and a series that is born late are both counted right
//! (rules: Prometheus' own `increase()` misses the first increment of a new series).

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::measure::Series;
use super::queries::{Role, classify};
use crate::api::{SeriesCursor, Tally, TrafficState};

/// What one scrape added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Increment {
    /// Requests and errors since the scrape before.
    pub(super) counts: Tally,
    /// The time that these counts cover began after the weight could be expected to have taken effect.
    pub(super) settled: bool,
}

/// Where counting begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds<'a> {
    /// When the canary was first given traffic: nothing before it is counted.
    pub(super) began: Timestamp,
    /// When this wave's weight was decided.
    pub(super) wave: Timestamp,
    /// From when on the observed share can be expected to follow the weight.
    pub(super) settled: Option<Timestamp>,
    /// The namespace of the backends.
    pub(super) namespace: &'a str,
    /// The canary's Service.
    pub(super) canary_service: &'a str,
    /// The stable Service.
    pub(super) stable_service: &'a str,
}

/// Counts every sample that is new to `state`, advances it, and returns the increments by time of scrape.
pub(super) fn fold(state: &mut TrafficState, series: &[Series], bounds: &Bounds<'_>) -> BTreeMap<Timestamp, Increment> {
    let first = state.until.is_none();
    let since = state.until.unwrap_or(bounds.began);
    // A series without a cursor was never counted: its time begins with the canary's, however late it was read.
    let known = |one: &Series| state.cursors.iter().find(|cursor| cursor.id == one.id).map(|cursor| cursor.value);
    let before = |one: &Series| {
        let sample = one.samples.iter().rev().find(|sample| sample.at <= bounds.began);
        sample.map(|sample| sample.value)
    };
    // An old series of stable that is first seen now must not count its whole history; one that is born while others
    // of its kind were watched counts from 0.
    let stable_watched = !first
        || series
            .iter()
            .any(|one| classify(one, bounds).is_some_and(|(r, _)| r == Role::Stable) && before(one).is_some());
    let mut by_scrape: BTreeMap<Timestamp, Increment> = BTreeMap::new();
    let mut values = Vec::new();
    for one in series {
        let Some((role, failed)) = classify(one, bounds) else {
            continue;
        };
        let cursor = known(one);
        let since = if cursor.is_some() { since } else { bounds.began };
        let newborn = match role {
            Role::Canary => Some(0.0),
            Role::Stable => stable_watched.then_some(0.0),
        };
        let mut last = cursor.or_else(|| before(one)).or(newborn);
        let mut from = since;
        for sample in one.samples.iter().filter(|sample| sample.at > since) {
            if let Some(previous) = last {
                let increment =
                    by_scrape.entry(sample.at).or_insert(Increment { settled: true, ..Increment::default() });
                add(&mut increment.counts, role, failed, delta(previous, sample.value));
                increment.settled &= bounds.settled.is_some_and(|settled| from >= settled);
            }
            last = Some(sample.value);
            from = sample.at;
        }
        values.extend(last.map(|value| (one.id.as_str(), value)));
    }
    for (id, value) in values {
        remember(&mut state.cursors, id, value);
    }
    for (at, increment) in &by_scrape {
        merge(&mut state.run, &increment.counts);
        if *at > bounds.wave {
            merge(&mut state.wave, &increment.counts);
        }
        if increment.settled {
            merge(&mut state.settled, &increment.counts);
        }
    }
    let newest = series.iter().flat_map(|one| one.samples.last()).map(|sample| sample.at).max();
    state.until = newest.filter(|at| *at > since).or(state.until);
    by_scrape
}

/// What a counter grew by; one that fell has started over.
fn delta(previous: f64, value: f64) -> u64 {
    let grown = if value < previous { value } else { value - previous };
    if grown.is_finite() && grown > 0.0 {
        // Counters of requests are whole and far below 2^53.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = grown.round() as u64;
        whole
    } else {
        0
    }
}

fn add(tally: &mut Tally, role: Role, failed: bool, count: u64) {
    let (requests, errors) = match role {
        Role::Canary => (&mut tally.canary_requests, &mut tally.canary_errors),
        Role::Stable => (&mut tally.stable_requests, &mut tally.stable_errors),
    };
    *requests = requests.saturating_add(count);
    if failed {
        *errors = errors.saturating_add(count);
    }
}

fn merge(into: &mut Tally, more: &Tally) {
    let Tally { canary_requests, canary_errors, stable_requests, stable_errors } = more;
    into.canary_requests = into.canary_requests.saturating_add(*canary_requests);
    into.canary_errors = into.canary_errors.saturating_add(*canary_errors);
    into.stable_requests = into.stable_requests.saturating_add(*stable_requests);
    into.stable_errors = into.stable_errors.saturating_add(*stable_errors);
}

fn remember(cursors: &mut Vec<SeriesCursor>, id: &str, value: f64) {
    if let Some(cursor) = cursors.iter_mut().find(|cursor| cursor.id == id) {
        cursor.value = value;
    } else if cursors.len() < 64 {
        cursors.push(SeriesCursor { id: id.to_owned(), value });
    }
}

#[cfg(test)]
mod tests {
    use super::super::measure::Sample;
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn series(id: &str, service: &str, code: &str, samples: &[(i64, f64)]) -> Series {
        let service = format!("httproute-demo-shop-gw-x-svc-demo-{service}-0@kubernetesgateway");
        Series {
            id: id.into(),
            labels: [("service".into(), service), ("code".into(), code.into())].into(),
            samples: samples.iter().map(|(second, value)| Sample { at: at(*second), value: *value }).collect(),
        }
    }

    fn bounds() -> Bounds<'static> {
        Bounds {
            began: at(100),
            wave: at(100),
            settled: Some(at(103)),
            namespace: "demo",
            canary_service: "shop-canary",
            stable_service: "shop",
        }
    }

    #[test]
    fn the_first_error_of_a_canary_counts() {
        let mut state = TrafficState::default();
        let seen = [
            series("a", "shop", "200", &[(99, 5000.0), (101, 5090.0)]),
            series("b", "shop-canary", "200", &[(101, 9.0)]),
            series("c", "shop-canary", "500", &[(101, 1.0)]),
        ];
        fold(&mut state, &seen, &bounds());
        assert_eq!(state.run, Tally { canary_requests: 10, canary_errors: 1, stable_requests: 90, stable_errors: 0 });
    }

    #[test]
    fn a_counter_that_starts_over_is_counted_from_zero() {
        let mut state = TrafficState::default();
        fold(
            &mut state,
            &[series("b", "shop-canary", "200", &[(99, 70.0), (101, 80.0), (102, 4.0), (103, 6.0)])],
            &bounds(),
        );
        assert_eq!(state.run.canary_requests, 10 + 4 + 2);
    }

    #[test]
    fn an_old_series_seen_late_does_not_bring_its_history() {
        let mut state = TrafficState::default();
        // Prometheus was away when the run began: no sample before it.
        fold(&mut state, &[series("a", "shop", "200", &[(110, 5000.0), (111, 5010.0)])], &bounds());
        assert_eq!(state.run.stable_requests, 10);
    }

    #[test]
    fn stable_errors_born_while_watched_count() {
        let mut state = TrafficState::default();
        let seen = [series("a", "shop", "200", &[(99, 10.0), (101, 20.0)]), series("e", "shop", "503", &[(101, 3.0)])];
        fold(&mut state, &seen, &bounds());
        assert_eq!((state.run.stable_requests, state.run.stable_errors), (13, 3));
    }

    #[test]
    fn reading_again_counts_nothing_twice_and_a_restart_skips_nothing() {
        let all = [series("b", "shop-canary", "200", &[(101, 5.0), (102, 9.0), (104, 20.0), (105, 21.0)])];
        let mut at_once = TrafficState::default();
        fold(&mut at_once, &all, &bounds());
        let mut in_parts = TrafficState::default();
        fold(&mut in_parts, &[series("b", "shop-canary", "200", &[(101, 5.0), (102, 9.0)])], &bounds());
        fold(&mut in_parts, &[series("b", "shop-canary", "200", &[(101, 5.0), (102, 9.0)])], &bounds());
        fold(&mut in_parts, &all, &bounds());
        assert_eq!(at_once, in_parts);
        assert_eq!(at_once.run.canary_requests, 21);
        // Only what lies wholly after second 103 speaks about the share.
        assert_eq!(at_once.settled.canary_requests, 1);
    }

    #[test]
    fn first_errors_that_are_read_late_count() {
        let mut state = TrafficState::default();
        fold(&mut state, &[series("a", "shop", "200", &[(99, 10.0), (101, 20.0), (102, 30.0)])], &bounds());
        let seen = [
            series("a", "shop", "200", &[(102, 30.0), (103, 40.0)]),
            series("c", "shop-canary", "500", &[(101, 2.0), (102, 3.0), (103, 4.0)]),
        ];
        fold(&mut state, &seen, &bounds());
        assert_eq!((state.run.canary_requests, state.run.canary_errors, state.run.stable_requests), (4, 4, 30));
        fold(&mut state, &seen, &bounds());
        assert_eq!(state.run.canary_errors, 4);
    }

    #[test]
    fn other_backends_are_not_ours() {
        let mut state = TrafficState::default();
        fold(&mut state, &[series("z", "shop-canary-two", "200", &[(99, 0.0), (101, 5.0)])], &bounds());
        assert_eq!(state.run.canary_requests, 0);
    }
}
