//! The book under a clock that the test moves.

use std::collections::BTreeMap;

use super::*;
use crate::decide::measure::{Access, FailureClass, Sample, Series};

/// A clock that stands still until it is told to move.
struct Clock(Instant);

impl Clock {
    fn new() -> Self {
        Self(crate::clock::instant())
    }

    /// Both clocks `milliseconds` after second 1000.
    fn at(&self, milliseconds: u64) -> Moment {
        Moment {
            wall: Timestamp::from_millisecond(1_000_000i64.saturating_add_unsigned(milliseconds)).unwrap(),
            mono: self.0.checked_add(Span::from_millis(milliseconds)).unwrap(),
        }
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn provider() -> Provider {
    Provider {
        name: "main".to_owned(),
        address: "http://prometheus".to_owned(),
        scrape_interval: Duration::from_secs(10),
        timeout: Duration::from_secs(5),
        access: Access::default(),
    }
}

fn counter(since: i64) -> Measurement {
    Measurement {
        provider: provider(),
        ask: Ask::Counter("c".to_owned()),
        every: Duration::from_secs(10),
        since: at(since),
    }
}

fn value(since: i64) -> Measurement {
    Measurement { ask: Ask::Value("v".to_owned()), ..counter(since) }
}

/// `milliseconds` later, and what this question is always late by.
fn late(milliseconds: u64, measurement: Measurement) -> u64 {
    let Measurement { provider, ask, .. } = measurement;
    let jitter = schedule::jitter(&Question { provider, ask }, Duration::from_secs(10));
    assert!(jitter > Span::ZERO && jitter <= Span::from_millis(500), "of no use to the tests: {jitter:?}");
    milliseconds.saturating_add(u64::try_from(jitter.as_millis()).unwrap())
}

fn counted(seconds: impl IntoIterator<Item = i64>) -> Result<Answer, Refusal> {
    let samples = seconds.into_iter().map(|second| Sample { at: at(second), value: 1.0 }).collect();
    Ok(Answer::Counters(vec![Series { id: "a".to_owned(), labels: BTreeMap::new(), samples }]))
}

fn refused(class: FailureClass) -> Result<Answer, Refusal> {
    Err((class, "no".to_owned()))
}

fn seconds(reading: &Reading) -> Vec<i64> {
    reading.series.iter().flat_map(|series| &series.samples).map(|sample| sample.at.as_second()).collect()
}

/// Starts the one question that is due.
fn start(book: &mut Book<&'static str>, now: Moment) -> Job {
    let mut jobs = book.start_due(now);
    assert_eq!(jobs.len(), 1);
    jobs.remove(0)
}

#[test]
fn an_equal_question_is_asked_once_and_answered_to_all() {
    let clock = Clock::new();
    let mut book = Book::new();
    book.want(&"a", vec![counter(900), counter(950)]);
    book.want(&"b", vec![counter(980)]);
    let job = start(&mut book, clock.at(0));
    assert_eq!(job.reach, Reach::From(at(900)));
    assert!(book.start_due(clock.at(60_000)).is_empty(), "it is under way");
    assert_eq!(book.next_due(clock.0), None);
    let mut concerned = book.done(job, clock.at(0), at(1000), counted([890, 900, 970, 980, 990]));
    concerned.sort_unstable();
    assert_eq!(concerned, ["a", "b"]);
    assert_eq!(book.readings(&"a").iter().map(seconds).collect::<Vec<_>>(), [vec![900, 970, 980, 990]]);
    assert_eq!(book.readings(&"b").iter().map(seconds).collect::<Vec<_>>(), [vec![980, 990]]);
    assert_eq!(book.readings(&"b")[0].answered_at, Some(at(1000)));
    assert!(book.readings(&"c").is_empty());
}

#[test]
fn what_is_kept_is_not_read_again() {
    let clock = Clock::new();
    let mut book = Book::new();
    book.want(&"a", vec![counter(900)]);
    let job = start(&mut book, clock.at(3_000));
    book.done(job, clock.at(3_000), at(1003), counted([900, 1000]));
    // The scrape at 1010 is answered at 1010.060.
    let due = late(10_060, counter(900));
    assert_eq!(book.next_due(clock.0), Some(clock.at(due).mono));
    assert!(book.start_due(clock.at(due.saturating_sub(1))).is_empty());
    let job = start(&mut book, clock.at(due));
    assert_eq!(job.reach, Reach::Since { asked: clock.at(3_000).mono, newest: Some(at(1000)) });
    book.done(job, clock.at(due), at(1010), counted([1000, 1010]));
    assert_eq!(seconds(&book.readings(&"a")[0]), [900, 1000, 1010]);
    book.want(&"a", vec![counter(1000)]);
    assert_eq!(seconds(&book.readings(&"a")[0]), [1000, 1010]);
    assert_eq!(
        book.next_due(clock.0),
        Some(clock.at(due.saturating_add(10_000)).mono),
        "what is counted does not change the pace"
    );
}

#[test]
fn older_samples_are_read_when_somebody_needs_them() {
    let clock = Clock::new();
    let mut book = Book::new();
    book.want(&"a", vec![counter(990)]);
    let job = start(&mut book, clock.at(0));
    // Wanted while the first query is under way, and so not part of its answer.
    book.want(&"b", vec![counter(900)]);
    book.done(job, clock.at(0), at(1000), counted([990, 995]));
    assert_eq!(book.next_due(clock.0), Some(clock.at(5_000).mono), "soon, yet not in a tight loop");
    let job = start(&mut book, clock.at(5_000));
    assert_eq!(job.reach, Reach::From(at(900)));
    book.done(job, clock.at(5_000), at(1005), counted([890, 900, 950, 990, 995, 1004]));
    assert_eq!(seconds(&book.readings(&"b")[0]), [900, 950, 990, 995, 1004]);
    assert_eq!(seconds(&book.readings(&"a")[0]), [990, 995, 1004]);
    assert!(book.next_due(clock.0).unwrap() > clock.at(10_000).mono, "once is enough");
}

#[test]
fn a_failure_keeps_what_was_read_and_when_it_began() {
    let clock = Clock::new();
    let mut book = Book::new();
    book.want(&"a", vec![counter(900), value(900)]);
    for job in book.start_due(clock.at(0)) {
        let answer = match job.question.ask {
            Ask::Counter(_) => counted([950]),
            Ask::Value(_) => Ok(Answer::Value(Sample { at: at(1000), value: 2.0 })),
        };
        book.done(job, clock.at(0), at(1000), answer);
    }
    for (millisecond, class) in [(20_000, FailureClass::Timeout), (40_000, FailureClass::Empty)] {
        let now = clock.at(millisecond);
        let jobs = book.start_due(now);
        assert_eq!(jobs.len(), 2);
        for job in jobs {
            assert_eq!(book.done(job, now, now.wall, refused(class)), ["a"]);
        }
        let again = millisecond.saturating_add(10_000);
        let due = late(again, counter(900)).min(late(again, value(900)));
        assert_eq!(book.next_due(clock.0), Some(clock.at(due).mono));
    }
    let readings = book.readings(&"a");
    for reading in &readings {
        let failure = reading.failure.as_ref().unwrap();
        assert_eq!((failure.class, failure.since), (FailureClass::Empty, at(1020)));
        assert_eq!(reading.answered_at, Some(at(1000)));
    }
    assert_eq!((seconds(&readings[0]), readings[1].values.len()), (vec![950], 1));
    for job in book.start_due(clock.at(60_000)) {
        let Reach::Since { asked, .. } = job.reach else {
            assert!(matches!(job.question.ask, Ask::Value(_)));
            continue;
        };
        assert_eq!(asked, clock.at(0).mono, "the gap is read");
        book.done(job, clock.at(60_000), at(1060), counted([950, 960]));
    }
    assert_eq!(book.readings(&"a")[0].failure, None);
}

#[test]
fn what_nobody_wants_is_forgotten() {
    let clock = Clock::new();
    let mut book = Book::new();
    book.want(&"a", vec![counter(900)]);
    book.want(&"b", vec![counter(900), value(900)]);
    book.want(&"b", vec![value(900)]);
    assert_eq!(book.readings(&"b").len(), 1);
    let old = book.start_due(clock.at(0));
    assert_eq!(old.len(), 2);
    book.want(&"a", Vec::new());
    book.want(&"b", Vec::new());
    assert_eq!(book.next_due(clock.0), None);
    // Wanted again while the old query is under way: its answer belongs to nobody.
    book.want(&"a", vec![counter(990)]);
    for job in old {
        assert!(book.done(job, clock.at(0), at(1000), counted([1])).is_empty());
    }
    assert_eq!(start(&mut book, clock.at(0)).reach, Reach::From(at(990)));
}

#[test]
fn a_provider_that_changes_is_asked_at_once() {
    let clock = Clock::new();
    let mut book = Book::new();
    book.want(&"a", vec![counter(900)]);
    let job = start(&mut book, clock.at(0));
    book.done(job, clock.at(0), at(1000), counted([950]));
    let mut moved = counter(900);
    moved.provider.address = "http://elsewhere".to_owned();
    book.want(&"a", vec![moved]);
    assert_eq!(book.readings(&"a")[0].series, []);
    assert_eq!(start(&mut book, clock.at(1)).question.provider.address, "http://elsewhere");
}

#[test]
fn the_shortest_interval_counts() {
    let clock = Clock::new();
    let mut book = Book::new();
    let slow = |mut measurement: Measurement| {
        measurement.every = Duration::from_secs(60);
        measurement
    };
    book.want(&"a", vec![slow(value(900))]);
    let job = start(&mut book, clock.at(0));
    book.done(job, clock.at(0), at(1000), Ok(Answer::Value(Sample { at: at(1000), value: 2.0 })));
    assert_eq!(book.next_due(clock.0), Some(clock.at(late(60_000, value(900))).mono));
    book.want(&"b", vec![value(900)]);
    assert_eq!(book.next_due(clock.0), Some(clock.at(late(10_000, value(900))).mono));
    book.want(&"b", Vec::new());
    assert_eq!(book.next_due(clock.0), Some(clock.at(late(60_000, value(900))).mono));
}
