//! From raw counter samples to counts of requests and errors.
//!
//! A fold over samples that are newer than those already counted: the same samples give the same counts, however
//! often and by whichever process they are read. Differences are taken per series, before anything is summed, so a
//! counter that starts over (gateway restart) and a series that is born late are both counted right
//! (rules: Prometheus' own `increase()` misses the first increment of a new series).

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::measure::{Ask, Reading, Series};
use super::polls;
use super::sources::{Counts, Part, Role};
use super::time::{earlier, elapsed, times};
use crate::api::{Duration, Tally, TrafficState};

/// A series without a sample for so many scrapes has ended and is not waited for.
pub(super) const ENDED_SCRAPES: u32 = 3;

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
pub(super) struct Bounds {
    /// When the canary was first given traffic: nothing before it is counted.
    pub(super) began: Timestamp,
    /// When this wave's weight was decided.
    pub(super) wave: Timestamp,
    /// From when on the observed share can be expected to follow the weight.
    pub(super) settled: Option<Timestamp>,
    /// How much time one poll covers.
    pub(super) interval: Duration,
    /// How often the server scrapes.
    pub(super) scrape: Duration,
}

/// What was new.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct News {
    /// By time of scrape.
    pub(super) increments: BTreeMap<Timestamp, Increment>,
    /// Intervals that are complete now.
    pub(super) polls: Vec<polls::Poll>,
}

/// One question of a counter with what it was answered with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered<'a> {
    pub(super) ask: &'a Ask,
    pub(super) series: &'a [Series],
    /// When.
    pub(super) at: Option<Timestamp>,
}

impl<'a> Answered<'a> {
    /// What was read.
    pub(super) fn of(reading: &'a Reading) -> Self {
        Self { ask: &reading.ask, series: &reading.series, at: reading.answered_at }
    }
}

/// How much earlier than the last of them each was answered. The operator's clock is compared with itself only.
fn lateness(answers: &[Answered<'_>]) -> Vec<Duration> {
    let last = answers.iter().filter_map(|one| one.at).max();
    let late = |one: &Answered<'_>| last.zip(one.at).map_or(Duration::from_secs(0), |(last, at)| elapsed(last, at));
    answers.iter().map(late).collect()
}

/// A series that counts for one of the versions.
struct Counted<'a> {
    series: &'a Series,
    part: Part,
    /// Under which its cursor is kept: requests and errors may be series of the same labels, and other names.
    key: String,
    /// Under which it was kept before the two were told apart, if no other question's series has these labels.
    former: Option<&'a str>,
    /// How much earlier than others its question was answered.
    late: Duration,
}

impl Counted<'_> {
    fn cursor(&self, state: &TrafficState) -> Option<f64> {
        state.cursors.get(&self.key).or_else(|| state.cursors.get(self.former?))
    }
}

/// The series of every answer that count for one of the versions.
fn counted<'a>(counts: &Counts, answers: &[Answered<'a>], late: &[Duration]) -> Vec<Counted<'a>> {
    let part = |(question, Answered { ask, series, at: _ }): (usize, &Answered<'a>)| {
        series.iter().filter_map(move |series| Some((question, series, counts.part(ask, series)?))).collect::<Vec<_>>()
    };
    let all: Vec<(usize, &'a Series, Part)> = answers.iter().enumerate().flat_map(part).collect();
    let alone = |question: usize, id: &str| !all.iter().any(|(other, one, _)| *other != question && one.id == id);
    let of = |(question, series, part): &(usize, &'a Series, Part)| {
        let id = series.id.as_str();
        let key = if part.n == 0 { format!("{id}.bad") } else { id.to_owned() };
        let late = late.get(*question).copied().unwrap_or(Duration::from_secs(0));
        Counted { series, part: *part, key, former: alone(*question, id).then_some(id), late }
    };
    all.iter().map(of).collect()
}

/// Counts every sample that is new to `state`, advances it, and returns what was new.
pub(super) fn fold(state: &mut TrafficState, counts: &Counts, answers: &[Answered<'_>], bounds: &Bounds) -> News {
    let late = lateness(answers);
    let counted = counted(counts, answers, &late);
    // Questions are answered one after the other: what one of them has and another has not yet been asked for waits,
    // so that errors and the requests that they belong to are counted together.
    let newest = |series: &[Series]| series.iter().flat_map(|one| one.samples.last()).map(|sample| sample.at).max();
    let Some(latest) = answers.iter().filter_map(|one| newest(one.series)).max() else {
        return News::default();
    };
    // Series that ended long ago (a counter that was renamed) hold nothing back; those of a question whose last answer
    // is old, because the server or the operator is busy, do.
    let ended = earlier(latest, times(bounds.scrape, ENDED_SCRAPES));
    let known = answers.iter().zip(&late).filter_map(|(one, late)| Some((newest(one.series)?, *late)));
    let horizon = known.filter(|(at, late)| *at >= earlier(ended, *late)).map(|(at, _)| at).min();
    let horizon = horizon.unwrap_or(latest);
    let first = state.until.is_none();
    let since = state.until.unwrap_or(bounds.began);
    let before = |one: &Series| {
        let sample = one.samples.iter().rev().find(|sample| sample.at <= bounds.began);
        sample.map(|sample| sample.value)
    };
    // An old series of stable that is first seen now must not count its whole history; one that is born while others
    // of its kind were watched counts from 0.
    let stable_watched =
        !first || counted.iter().any(|one| one.part.role == Role::Stable && before(one.series).is_some());
    let births = births(state, &counted, answers, bounds, horizon);
    // As long as nobody reads the canary's counters nothing is known of its share: it is not 0. A pod that Prometheus
    // found late has served before, nobody knows when; the share is looked at from then on.
    let canary = counted.iter().any(|one| one.part.role == Role::Canary && !one.series.samples.is_empty());
    let found = counted.iter().filter(|one| one.part.role == Role::Canary);
    let found = found.filter_map(|one| births.get(one.key.as_str())?.found).max();
    if found.is_some() {
        state.settled = Tally::default();
    }
    let settled = bounds.settled.filter(|_| canary).map(|at| found.map_or(at, |found| found.max(at)));
    let mut growth: BTreeMap<Timestamp, Growth> = BTreeMap::new();
    let mut values = Vec::new();
    for one in &counted {
        let Counted { series, part, key, former: _, late: _ } = one;
        // A series without a cursor was never counted: its time begins with the canary's, however late it was read.
        let cursor = one.cursor(state);
        if cursor.is_none() && state.cursors.is_full() {
            continue; // without room for a cursor it would be counted again and again
        }
        let since = if cursor.is_some() { since } else { bounds.began };
        let newborn = match part.role {
            Role::Canary => Some(0.0),
            Role::Stable => stable_watched.then_some(0.0),
        };
        let mut last = cursor.or_else(|| before(series)).or(newborn);
        let mut from = births.get(key.as_str()).and_then(|birth| birth.after).map_or(since, |at| at.max(since));
        for sample in series.samples.iter().filter(|sample| sample.at > since && sample.at <= horizon) {
            if let Some(previous) = last {
                let growth = growth.entry(sample.at).or_insert(Growth { settled: true, ..Growth::default() });
                growth.add(*part, delta(previous, sample.value));
                growth.settled &= settled.is_some_and(|settled| from >= settled);
            }
            last = Some(sample.value);
            from = sample.at;
        }
        values.extend(last.map(|value| (key.as_str(), value)));
    }
    for (id, value) in values {
        state.cursors.set(id, value);
    }
    state.until = Some(horizon).filter(|at| *at > since).or(state.until);
    let increments: BTreeMap<Timestamp, Increment> =
        growth.into_iter().map(|(at, growth)| (at, growth.increment())).collect();
    for (at, increment) in &increments {
        state.run.add(&increment.counts);
        if *at > bounds.wave {
            state.wave.add(&increment.counts);
        }
        if increment.settled {
            state.settled.add(&increment.counts);
        }
    }
    let complete = polls::complete(counted.iter().map(|one| (one.series, one.late)), bounds.scrape);
    let polls = polls::gather(&mut state.open, &increments, complete, bounds);
    News { increments, polls }
}

/// How a series came to be that was not counted before.
#[derive(Debug, Clone, Copy, Default)]
struct Birth {
    /// It was not there yet at this time: what it counts came later.
    after: Option<Timestamp>,
    /// Nothing of its target was read before: what it counts came some time before this.
    found: Option<Timestamp>,
}

/// The series that are counted for the first time. Whether one was there earlier is known from the other series of the
/// same target: the first failure of a canary makes a series of its own, in a scrape like any other.
fn births<'s>(
    state: &TrafficState,
    counted: &'s [Counted<'_>],
    answers: &[Answered<'_>],
    bounds: &Bounds,
    horizon: Timestamp,
) -> BTreeMap<&'s str, Birth> {
    let every = || answers.iter().flat_map(|one| one.series);
    let birth = |one: &'s Counted<'_>| {
        let series = one.series;
        let mut samples = series.samples.iter().map(|sample| sample.at);
        if one.cursor(state).is_some() || samples.clone().any(|at| at <= bounds.began) {
            return None;
        }
        let first = samples.find(|at| *at <= horizon)?;
        let others = every().filter(|other| target(other) == target(series)).flat_map(|other| &other.samples);
        let after = others.map(|sample| sample.at).filter(|at| *at < first).max();
        let found = after.is_none().then_some(first);
        Some((one.key.as_str(), Birth { after, found }))
    };
    counted.iter().filter_map(birth).collect()
}

/// The process that a series was scraped from, as far as its labels say.
fn target(series: &Series) -> [Option<&str>; 3] {
    ["job", "instance", "pod"].map(|label| series.labels.get(label).map(String::as_str))
}

/// What one scrape added, before it is known to be sound: parts of a histogram are taken off again.
#[derive(Debug, Clone, Copy, Default)]
struct Growth {
    canary: (i64, i64),
    stable: (i64, i64),
    settled: bool,
}

impl Growth {
    fn add(&mut self, part: Part, grown: i64) {
        let (requests, errors) = match part.role {
            Role::Canary => &mut self.canary,
            Role::Stable => &mut self.stable,
        };
        *requests = requests.saturating_add(grown.saturating_mul(i64::from(part.n)));
        *errors = errors.saturating_add(grown.saturating_mul(i64::from(part.x)));
    }

    fn increment(self) -> Increment {
        let whole = |count: i64| u64::try_from(count).unwrap_or(0);
        Increment {
            counts: Tally {
                canary_requests: whole(self.canary.0),
                canary_errors: whole(self.canary.1),
                stable_requests: whole(self.stable.0),
                stable_errors: whole(self.stable.1),
            },
            settled: self.settled,
        }
    }
}

/// What a counter grew by; one that fell has started over.
pub(super) fn delta(previous: f64, value: f64) -> i64 {
    let grown = if value < previous { value } else { value - previous };
    if grown.is_finite() && grown > 0.0 {
        // Counters of requests are whole and far below 2^53; what the cast cuts off would be at 2^63.
        #[allow(clippy::cast_possible_truncation)]
        let whole = grown.round() as i64;
        whole
    } else {
        0
    }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
