//! What is kept of the answers to one question.
//!
//! Pure. Keeps what a Rollout has not counted yet, and the newest sample before that of each series, from which the
//! first difference is taken. Bounded: see the constants. Must not read a clock: "old" is measured between samples.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use crate::api::Duration;
use crate::decide::measure::{Sample, Series};

/// Samples kept per series. Over it the oldest are dropped: for a counter that loses times, not counts.
const MOST_SAMPLES: usize = 4_000;
/// Values kept per question. Over it the oldest are dropped.
const MOST_VALUES: usize = 200;
/// Series kept per question, those of pods that are gone included. Over it those that ended first are dropped.
const MOST_SERIES: usize = 512;
/// A series without a sample for this many scrapes has ended.
const ENDED_SCRAPES: i64 = 10;

/// The samples of one question.
#[derive(Debug, Clone)]
pub(super) struct History {
    scrape_interval: Duration,
    series: BTreeMap<String, Series>,
    values: VecDeque<Sample>,
    /// Every sample of a counter that is newer than this was read.
    covered: Option<Timestamp>,
}

impl History {
    /// Nothing read yet.
    pub(super) fn new(scrape_interval: Duration) -> Self {
        Self { scrape_interval, series: BTreeMap::new(), values: VecDeque::new(), covered: None }
    }

    /// The time after which every sample of the counter was read.
    pub(super) fn covered(&self) -> Option<Timestamp> {
        self.covered
    }

    /// The time of the newest sample of any series.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.series.values().filter_map(last_at).max()
    }

    /// Starts over with series that were read from before `since` on.
    pub(super) fn replace(&mut self, read: Vec<Series>, since: Timestamp) {
        self.series.clear();
        self.covered = Some(since);
        self.extend(read);
    }

    /// Adds what is newer than what is kept; an answer overlaps the one before.
    pub(super) fn extend(&mut self, read: Vec<Series>) {
        for Series { id, labels, samples } in read {
            if samples.is_empty() {
                continue;
            }
            let kept = self.series.entry(id.clone()).or_insert(Series { id, labels, samples: Vec::new() });
            let known = last_at(kept);
            kept.samples.extend(samples.into_iter().filter(|sample| known.is_none_or(|at| sample.at > at)));
            let extra = kept.samples.len().saturating_sub(MOST_SAMPLES);
            kept.samples.drain(..extra);
        }
        while self.series.len() > MOST_SERIES {
            let ended = self.series.values().min_by_key(|series| last_at(series)).map(|series| series.id.clone());
            ended.and_then(|id| self.series.remove(&id));
        }
    }

    /// Adds a value unless it is not newer than the last one (the server's clock may step back).
    pub(super) fn push(&mut self, sample: Sample) {
        if self.values.back().is_none_or(|last| sample.at > last.at) {
            self.values.push_back(sample);
        }
        let extra = self.values.len().saturating_sub(MOST_VALUES);
        self.values.drain(..extra);
    }

    /// Drops what nobody needs any more once everything up to `since` is counted.
    pub(super) fn forget(&mut self, since: Timestamp) {
        self.values.retain(|sample| sample.at > since);
        let silence = self.scrape_interval.as_millis().saturating_mul(ENDED_SCRAPES);
        let newest = self.newest().map_or(i64::MIN, Timestamp::as_millisecond);
        self.series.retain(|_, series| {
            let unneeded = first_needed(&series.samples, since);
            series.samples.drain(..unneeded);
            last_at(series).is_some_and(|at| at > since || newest.saturating_sub(at.as_millisecond()) <= silence)
        });
        if self.covered.is_some_and(|covered| covered < since) {
            self.covered = Some(since);
        }
    }

    /// Each series: its samples newer than `since`, and the newest that is not.
    pub(super) fn series(&self, since: Timestamp) -> Vec<Series> {
        let needed = |series: &Series| Series {
            id: series.id.clone(),
            labels: series.labels.clone(),
            samples: series.samples.iter().skip(first_needed(&series.samples, since)).copied().collect(),
        };
        self.series.values().map(needed).collect()
    }

    /// The values newer than `since`, oldest first.
    pub(super) fn values(&self, since: Timestamp) -> Vec<Sample> {
        self.values.iter().filter(|sample| sample.at > since).copied().collect()
    }
}

fn last_at(series: &Series) -> Option<Timestamp> {
    series.samples.last().map(|sample| sample.at)
}

/// Index of the newest sample that is not newer than `since`, or of the first sample.
fn first_needed(samples: &[Sample], since: Timestamp) -> usize {
    samples.partition_point(|sample| sample.at <= since).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn sample(second: i64) -> Sample {
        #[allow(clippy::cast_precision_loss)]
        Sample { at: at(second), value: second as f64 }
    }

    fn series(id: &str, seconds: impl IntoIterator<Item = i64>) -> Series {
        Series { id: id.to_owned(), labels: BTreeMap::new(), samples: seconds.into_iter().map(sample).collect() }
    }

    fn history() -> History {
        History::new(Duration::from_secs(1))
    }

    fn seconds(series: &Series) -> Vec<i64> {
        series.samples.iter().map(|sample| sample.at.as_second()).collect()
    }

    #[test]
    fn overlapping_answers_are_read_once() {
        let mut history = history();
        history.replace(vec![series("a", [1, 2, 3])], at(0));
        history.extend(vec![series("a", [2, 3, 4]), series("b", [4]), series("c", [])]);
        let kept = history.series(at(0));
        assert_eq!(kept.iter().map(seconds).collect::<Vec<_>>(), [vec![1, 2, 3, 4], vec![4]]);
        assert_eq!(history.newest(), Some(at(4)));
    }

    #[test]
    fn the_newest_counted_sample_is_kept() {
        let mut history = history();
        history.replace(vec![series("a", 1..=9), series("b", [5])], at(0));
        history.forget(at(7));
        assert_eq!(history.series(at(0)).iter().map(seconds).collect::<Vec<_>>(), [vec![7, 8, 9], vec![5]]);
        assert_eq!(history.covered(), Some(at(7)));
        assert_eq!(seconds(&history.series(at(8))[0]), [8, 9]);
    }

    #[test]
    fn a_series_that_ended_is_dropped_only_when_it_is_counted() {
        let mut history = history();
        history.replace(vec![series("old", [1]), series("new", [20])], at(0));
        history.forget(at(0));
        assert_eq!(history.series(at(0)).len(), 2);
        history.forget(at(2));
        assert_eq!(history.series(at(0)).len(), 1);
        // Nothing newer exists: no series has ended, the server has.
        history.forget(at(90));
        assert_eq!(history.series(at(0)).len(), 1);
    }

    #[test]
    fn starting_over_brings_older_samples_in() {
        let mut history = history();
        history.replace(vec![series("a", [8, 9])], at(8));
        history.replace(vec![series("a", 1..=9)], at(2));
        assert_eq!(seconds(&history.series(at(2))[0]), [2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(history.covered(), Some(at(2)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut history = history();
        history.replace(vec![series("a", 1..=5_000)], at(0));
        assert_eq!(history.series(at(0))[0].samples.len(), MOST_SAMPLES);
        assert_eq!(history.newest(), Some(at(5_000)));
        for n in 1..=600 {
            history.extend(vec![series(&format!("pod-{n}"), [n])]);
            history.push(sample(n));
        }
        let kept = history.series(at(0));
        assert_eq!(kept.len(), MOST_SERIES);
        assert!(kept.iter().any(|series| series.id == "a") && kept.iter().all(|series| series.id != "pod-1"));
        assert_eq!(history.values(at(0)).len(), MOST_VALUES);
        assert_eq!(history.values(at(598)), [sample(599), sample(600)]);
        history.push(sample(250));
        assert_eq!(history.values(at(598)).len(), 2);
        history.forget(at(599));
        assert_eq!(history.values(at(0)), [sample(600)]);
    }

    proptest! {
        /// However answers overlap and whenever what is counted is dropped, the reader sees each sample it has not counted.
        #[test]
        fn nothing_uncounted_is_lost(answers in prop::collection::vec((0i64..6, 1i64..5), 1..20)) {
            let mut history = history();
            history.replace(Vec::new(), at(0));
            let (mut written, mut since, mut read) = (0i64, 0i64, Vec::new());
            for (overlap, new) in answers {
                let from = written.saturating_sub(overlap).max(0);
                written = written.saturating_add(new);
                history.extend(vec![series("a", from.saturating_add(1)..=written)]);
                let seen = history.series(at(since));
                read.extend(seconds(&seen[0]).into_iter().filter(|second| *second > since));
                since = written;
                history.forget(at(since));
            }
            prop_assert_eq!(read, (1..=written).collect::<Vec<_>>());
        }
    }
}
