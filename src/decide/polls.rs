//! From what single scrapes added to polls: disjoint intervals of the same length for both versions.
//!
//! Pods and gateways are scraped at different moments, so that what one scrape adds may belong to one version only. A
//! poll is what all of them added in one cell of a fixed grid of time; the sequential test takes polls. A poll is
//! complete when no further scrape can fall into its cell. Must not judge.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::measure::Series;
use super::tally::{Bounds, ENDED_SCRAPES, Increment};
use crate::api::{Duration, OpenPoll, Tally};

/// One complete interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Poll {
    /// When it ended.
    pub(super) end: Timestamp,
    /// What was counted while the share was still changing.
    pub(super) settling: Tally,
    /// What was counted since.
    pub(super) settled: Tally,
}

/// Up to when everything was read and nothing more can come: the newest scrape of the slowest of the series that are
/// alive, and the time until its next one. Beside each series stands how much earlier than others it was asked for.
pub(super) fn complete<'a>(
    series: impl Iterator<Item = (&'a Series, Duration)> + Clone,
    scrape: Duration,
) -> Option<Timestamp> {
    let newest = series.filter_map(|(one, late)| Some((one.samples.last()?.at.as_millisecond(), late.as_millis())));
    let most = scrape.as_millis().saturating_mul(i64::from(ENDED_SCRAPES));
    let ended = newest.clone().map(|(at, _)| at).max()?.saturating_sub(most);
    let slowest = newest.filter(|(at, late)| *at >= ended.saturating_sub(*late)).map(|(at, _)| at).min()?;
    Timestamp::from_millisecond(slowest.saturating_add(scrape.as_millis())).ok()
}

/// Puts increments into their cells and returns the cells that are complete.
pub(super) fn gather(
    open: &mut Option<OpenPoll>,
    increments: &BTreeMap<Timestamp, Increment>,
    complete: Option<Timestamp>,
    bounds: &Bounds,
) -> Vec<Poll> {
    let mut polls = Vec::new();
    let mut close = |open: &mut Option<OpenPoll>, until: Timestamp| {
        if let Some(OpenPoll { end, settling, settled }) = open.take_if(|open| open.end <= until) {
            polls.push(Poll { end, settling, settled });
        }
    };
    for (at, increment) in increments {
        // What comes late belongs to the cell that is open: it is counted once, and no cell is opened twice.
        close(open, *at);
        let empty = || OpenPoll { end: cell_end(*at, bounds), settling: Tally::default(), settled: Tally::default() };
        let cell = open.get_or_insert_with(empty);
        let part = if increment.settled { &mut cell.settled } else { &mut cell.settling };
        part.add(&increment.counts);
    }
    if let Some(complete) = complete {
        close(open, complete);
    }
    polls
}

/// The end of the cell that a moment lies in.
fn cell_end(at: Timestamp, bounds: &Bounds) -> Timestamp {
    let length = bounds.interval.max(bounds.scrape).as_millis().max(1);
    let into = at.as_millisecond().checked_rem_euclid(length).unwrap_or(0);
    let end = at.as_millisecond().saturating_sub(into).saturating_add(length);
    Timestamp::from_millisecond(end).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::measure::Sample;
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).unwrap()
    }

    fn bounds(interval: u64, scrape: u64) -> Bounds {
        Bounds {
            began: at(0),
            wave: at(0),
            settled: Some(at(0)),
            interval: Duration::from_millis(interval),
            scrape: Duration::from_millis(scrape),
        }
    }

    fn series(times: &[i64]) -> Series {
        let samples = times.iter().map(|time| Sample { at: at(*time), value: 0.0 }).collect();
        Series { id: "a".into(), labels: BTreeMap::new(), samples }
    }

    /// All asked for at the same time.
    fn prompt(all: &[Series]) -> impl Iterator<Item = (&Series, Duration)> + Clone {
        all.iter().map(|one| (one, Duration::from_secs(0)))
    }

    fn increments(counts: &[(i64, u64)]) -> BTreeMap<Timestamp, Increment> {
        let increment = |requests: u64| Increment {
            counts: Tally { canary_requests: requests, ..Tally::default() },
            settled: true,
        };
        counts.iter().map(|(time, requests)| (at(*time), increment(*requests))).collect()
    }

    fn requests(polls: &[Poll]) -> Vec<u64> {
        polls.iter().map(|poll| poll.settled.canary_requests).collect()
    }

    #[test]
    fn one_target_closes_a_poll_with_its_own_scrape() {
        let mut open = None;
        let bounds = bounds(1000, 1000);
        for (time, n) in [(1300, 5), (2301, 6), (3299, 7)] {
            let complete = complete(prompt(&[series(&[time])]), bounds.scrape);
            assert_eq!(requests(&gather(&mut open, &increments(&[(time, n)]), complete, &bounds)), [n]);
        }
        assert_eq!(open, None);
    }

    #[test]
    fn a_longer_interval_gathers_its_scrapes() {
        let mut open = None;
        let bounds = bounds(5000, 1000);
        let complete = complete(prompt(&[series(&[6300])]), bounds.scrape);
        let scrapes = increments(&[(1300, 1), (2300, 1), (3300, 1), (4300, 1), (5300, 1), (6300, 1)]);
        assert_eq!(requests(&gather(&mut open, &scrapes, complete, &bounds)), [4]);
        assert_eq!(open.map(|open| open.settled.canary_requests), Some(2));
    }

    #[test]
    fn a_poll_waits_for_the_slowest_target_but_not_for_one_that_ended() {
        let bounds = bounds(1000, 1000);
        // The second target was not scraped in this cell yet.
        let mut open = None;
        let waiting = complete(prompt(&[series(&[1300]), series(&[700])]), bounds.scrape);
        assert_eq!(requests(&gather(&mut open, &increments(&[(1300, 5)]), waiting, &bounds)), [0_u64; 0]);
        let done = complete(prompt(&[series(&[1300]), series(&[700, 1700])]), bounds.scrape);
        assert_eq!(requests(&gather(&mut open, &increments(&[(1700, 4)]), done, &bounds)), [9]);
        // A pod that is gone holds nothing up.
        let done = complete(prompt(&[series(&[9300]), series(&[700])]), bounds.scrape);
        assert_eq!(requests(&gather(&mut open, &increments(&[(9300, 2)]), done, &bounds)), [2]);
    }

    #[test]
    fn what_comes_late_is_counted_once() {
        let bounds = bounds(1000, 1000);
        let mut open = None;
        let first = gather(&mut open, &increments(&[(1300, 5), (2300, 6)]), Some(at(2300)), &bounds);
        assert_eq!(requests(&first), [5]);
        let second = gather(&mut open, &increments(&[(1400, 3), (3300, 7)]), Some(at(4300)), &bounds);
        assert_eq!(requests(&second), [9, 7]);
        assert_eq!(open, None);
    }
}
