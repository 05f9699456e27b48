//! When a question is due again, and how far back it must read.
//!
//! Pure. Counters are asked shortly after the scrape that brings something new, so that a verdict is not a scrape
//! interval older than it must be. Must not read a clock, and must not trust that ours and the server's agree.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration as Span;

use jiff::Timestamp;

use crate::api::Duration;
use crate::clock::{self, Clock};

/// How long after a scrape its samples can be expected to be answered.
const LAG_MS: i64 = 60;
/// The most that a question is later than the scrape or its interval, and the part of the scrape interval that it may be.
const MOST_JITTER_MS: i64 = 500;
const JITTER_PART: i64 = 20;
/// No question is asked more often, whatever is configured.
const LEAST_PACE_MS: i64 = 100;
/// Scrapes read before `since`, so that each series has a sample from which the first difference is taken.
const LEAD_SCRAPES: i64 = 5;
/// Scrapes that each answer overlaps with the one before, for samples that reached the server late.
const SLACK_SCRAPES: i64 = 2;
/// The furthest that is read back. Counters that were not read for longer lose times, not counts.
const FURTHEST_MS: i64 = 2 * 3600 * 1000;
/// The most scrapes read back, so that an answer with the most series we accept is not too large.
const FURTHEST_SCRAPES: i64 = 3_000;

/// One moment on both clocks: the wall clock is compared with samples, the monotonic one measures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// The wall clock.
    pub(super) wall: Timestamp,
    /// The monotonic clock.
    pub(super) mono: std::time::Instant,
}

impl Moment {
    /// This moment, on this wall clock.
    pub(super) fn now(clock: &Clock) -> Self {
        Self { wall: clock.now(), mono: clock::instant() }
    }
}

/// From where a counter is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Reach {
    /// Nothing usable is kept: from before this time on.
    From(Timestamp),
    /// From the last answer on.
    Since {
        /// When that answer was asked for.
        asked: std::time::Instant,
        /// The newest sample that is kept.
        newest: Option<Timestamp>,
    },
}

/// How often a question is really asked.
fn pace(every: Duration, scrape_interval: Duration) -> i64 {
    every.as_millis().max(scrape_interval.as_millis()).max(LEAST_PACE_MS)
}

/// How much later than others a question is asked, the same each time: questions of one provider would all be asked in
/// the same instant, since all wait for the same scrape.
pub(super) fn jitter(question: &impl Hash, scrape_interval: Duration) -> Span {
    let mut digest = DefaultHasher::new();
    question.hash(&mut digest);
    let part = scrape_interval.as_millis().checked_div(JITTER_PART).unwrap_or_default();
    let choices = part.min(MOST_JITTER_MS).unsigned_abs().saturating_add(1);
    Span::from_millis(digest.finish().checked_rem(choices).unwrap_or_default())
}

/// How long after it was asked a question is due again, if it failed or asks for a value.
pub(super) fn plain(every: Duration, scrape_interval: Duration, jitter: Span) -> Span {
    span(pace(every, scrape_interval)).saturating_add(jitter)
}

/// The shortest time between two queries of one question, for one that must be asked out of turn.
pub(super) fn least(scrape_interval: Duration) -> Span {
    span(scrape_interval.as_millis().checked_div(2).unwrap_or_default().max(LEAST_PACE_MS))
}

/// How long after `asked` a counter is due again: `every`, moved by up to half a scrape so that it falls shortly after
/// a scrape. The newest sample says when scrapes happen; since only the phase is used, a clock that is off moves
/// the question within that half scrape and no further.
pub(super) fn aligned(
    asked: Timestamp,
    newest: Option<Timestamp>,
    every: Duration,
    scrape_interval: Duration,
    jitter: Span,
) -> Span {
    let Some(newest) = newest else { return plain(every, scrape_interval, jitter) };
    let pace = pace(every, scrape_interval);
    let scrape = scrape_interval.as_millis().max(LEAST_PACE_MS);
    let earliest = pace.saturating_sub(scrape.checked_div(2).unwrap_or_default());
    let lag = LAG_MS.saturating_add(i64::try_from(jitter.as_millis()).unwrap_or_default());
    let answered = newest.as_millisecond().saturating_add(lag);
    let until_scrape = answered
        .saturating_sub(asked.as_millisecond())
        .saturating_sub(earliest)
        .checked_rem_euclid(scrape)
        .unwrap_or_default();
    span(earliest.saturating_add(until_scrape))
}

/// The range of a counter's query, in whole seconds.
pub(super) fn window(reach: Reach, scrape_interval: Duration, now: Moment) -> u64 {
    let scrape = scrape_interval.as_millis().max(LEAST_PACE_MS);
    let scrapes = |count: i64| scrape.saturating_mul(count);
    let age = |at: Timestamp| now.wall.as_millisecond().saturating_sub(at.as_millisecond()).max(0);
    let back = match reach {
        Reach::From(since) => age(since).saturating_add(scrapes(LEAD_SCRAPES)),
        Reach::Since { asked, newest } => {
            // Either alone would do if the clocks agreed; measured time also holds when ours is behind the server's.
            let elapsed = now.mono.saturating_duration_since(asked).as_millis();
            newest.map_or(0, age).max(i64::try_from(elapsed).unwrap_or(i64::MAX))
        }
    };
    // A scrape interval of hours must still be readable.
    let furthest = FURTHEST_MS.min(scrapes(FURTHEST_SCRAPES)).max(scrapes(LEAD_SCRAPES.saturating_add(SLACK_SCRAPES)));
    let milliseconds = back.saturating_add(scrapes(SLACK_SCRAPES)).min(furthest);
    milliseconds.unsigned_abs().div_ceil(1000)
}

fn span(milliseconds: i64) -> Span {
    Span::from_millis(milliseconds.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).unwrap()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn ms(milliseconds: u64) -> Span {
        Span::from_millis(milliseconds)
    }

    #[test]
    fn a_counter_is_asked_shortly_after_a_scrape() {
        let (every, scrape) = (seconds(15), seconds(15));
        let aligned = |asked, newest, every| aligned(at(asked), newest, every, scrape, ms(0));
        let newest = Some(at(1_000_000));
        // Scraped at 1000 s; asked 3 s later: the scrape at 1015 s is answered at 1015.060 s.
        assert_eq!(aligned(1_003_000, newest, every), ms(12_060));
        // Once aligned, it stays so.
        assert_eq!(aligned(1_015_060, Some(at(1_015_000)), every), ms(15_000));
        // Asked just before the scrape: not twice for one sample.
        assert_eq!(aligned(1_014_900, newest, every), ms(15_160));
        // A longer interval keeps its length and gains the phase.
        assert_eq!(aligned(1_003_000, newest, seconds(60)), ms(57_060));
        // The server's clock is an hour ahead.
        assert_eq!(aligned(1_003_000, Some(at(4_600_000)), every), ms(12_060));
        assert_eq!(aligned(1_003_000, None, every), ms(15_000));
    }

    #[test]
    fn a_question_is_always_late_by_the_same() {
        let (every, scrape, late) = (seconds(15), seconds(15), ms(400));
        let aligned = |asked, newest| aligned(at(asked), newest, every, scrape, late);
        assert_eq!(aligned(1_003_000, Some(at(1_000_000))), ms(12_460));
        // It does not add up from scrape to scrape.
        assert_eq!(aligned(1_015_460, Some(at(1_015_000))), ms(15_000));
        assert_eq!(aligned(1_003_000, None), ms(15_400));
        assert_eq!(plain(every, scrape, late), ms(15_400));
    }

    #[test]
    fn questions_of_one_provider_are_spread() {
        let spread = |scrape: Duration| (0..200).map(|question: u32| jitter(&question, scrape)).collect::<Vec<_>>();
        for (scrape, most) in [(ms(1_000), ms(50)), (ms(5_000), ms(250)), (ms(15_000), ms(500)), (ms(60_000), ms(500))]
        {
            let scrape = Duration::from_millis(u64::try_from(scrape.as_millis()).unwrap());
            let late = spread(scrape);
            assert_eq!(late, spread(scrape));
            assert!(late.iter().all(|late| *late <= most), "{scrape}: {late:?}");
            // Into ten parts of what is allowed: none is empty, and none has more than a quarter.
            let part = |late: &Span| late.as_millis() * 10 / (most.as_millis() + 1);
            let parts = (0..10).map(|tenth| late.iter().filter(|late| part(late) == tenth).count());
            assert!(parts.clone().all(|part| (1..50).contains(&part)), "{scrape}: {:?}", parts.collect::<Vec<_>>());
        }
        assert_eq!(jitter(&1, seconds(0)), ms(0));
    }

    #[test]
    fn nothing_is_asked_more_often_than_scraped() {
        assert_eq!(plain(seconds(1), seconds(15), ms(0)), ms(15_000));
        assert_eq!(plain(seconds(0), seconds(0), ms(0)), ms(100));
        assert_eq!(least(seconds(15)), ms(7_500));
        assert_eq!(least(seconds(0)), ms(100));
    }

    #[test]
    fn the_range_reaches_what_is_not_kept() {
        let now = Moment { wall: at(10_000_000), mono: clock::instant() };
        let later = |span| Moment { wall: now.wall, mono: now.mono.checked_add(span).unwrap() };
        let scrape = seconds(15);
        let since = |newest| Reach::Since { asked: now.mono, newest };
        // 100 s, 5 scrapes before it and 2 of slack.
        assert_eq!(window(Reach::From(at(9_900_000)), scrape, now), 100 + 75 + 30);
        // Counted up to a time that our clock has not reached.
        assert_eq!(window(Reach::From(at(10_900_000)), scrape, now), 75 + 30);
        assert_eq!(window(since(Some(at(9_979_500))), scrape, later(ms(15_000))), 21 + 30);
        // Our clock is far behind the server's: measured time still reaches back to the last answer.
        assert_eq!(window(since(Some(at(20_000_000))), scrape, later(ms(60_000))), 60 + 30);
        assert_eq!(window(since(None), scrape, later(ms(1))), 31);
        assert_eq!(window(Reach::From(at(0)), scrape, now), 7_200);
        assert_eq!(window(Reach::From(at(0)), seconds(1), now), 3_000);
        assert_eq!(window(Reach::From(at(0)), seconds(3600), now), 7 * 3600);
        assert_eq!(window(since(None), seconds(0), now), 1);
    }

    proptest! {
        #[test]
        fn no_clock_moves_a_question_far(
            asked in -1_000_000_000_000i64..4_000_000_000_000,
            newest in -1_000_000_000_000i64..4_000_000_000_000,
            every in 0u64..10_000_000,
            scrape in 0u64..10_000_000,
            question in any::<u64>(),
        ) {
            let (every, scrape) = (Duration::from_millis(every), Duration::from_millis(scrape));
            let pace = plain(every, scrape, ms(0));
            let delay = aligned(at(asked), Some(at(newest)), every, scrape, jitter(&question, scrape));
            prop_assert!(delay >= pace.mul_f64(0.5).saturating_sub(ms(1)), "{delay:?} of {pace:?}");
            prop_assert!(delay <= pace.mul_f64(1.5), "{delay:?} of {pace:?}");
        }

        #[test]
        fn the_range_is_never_absurd(wall in -377_705_023_201_000i64..253_402_207_200_000, since in -377_705_023_201_000i64..253_402_207_200_000, scrape in any::<u64>()) {
            let now = Moment { wall: at(wall), mono: clock::instant() };
            let seconds = window(Reach::From(at(since)), Duration::from_millis(scrape), now);
            prop_assert!(seconds >= 1);
        }
    }
}
