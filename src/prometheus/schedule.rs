//! When a question is due again, and how far back it must read.
//!
//! Pure. Counters are asked shortly after the scrape that brings something new, so that a verdict is not a scrape
//! interval older than it must be. Must not read a clock, and must not trust that ours and the server's agree.

use std::time::Duration as Span;

use jiff::Timestamp;

use crate::api::Duration;
use crate::clock;

/// How long after a scrape its samples can be expected to be answered.
const LAG_MS: i64 = 60;
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
    /// This moment.
    pub(super) fn now() -> Self {
        Self { wall: clock::now(), mono: clock::instant() }
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

/// How long after it was asked a question is due again, if it failed or asks for a value.
pub(super) fn plain(every: Duration, scrape_interval: Duration) -> Span {
    span(pace(every, scrape_interval))
}

/// The shortest time between two queries of one question, for one that must be asked out of turn.
pub(super) fn least(scrape_interval: Duration) -> Span {
    span(scrape_interval.as_millis().checked_div(2).unwrap_or_default().max(LEAST_PACE_MS))
}

/// How long after `asked` a counter is due again: `every`, moved by up to half a scrape so that it falls shortly after
/// a scrape. The newest sample says when scrapes happen; since only the phase is used, a clock that is off moves
/// the question within that half scrape and no further.
pub(super) fn aligned(asked: Timestamp, newest: Option<Timestamp>, every: Duration, scrape_interval: Duration) -> Span {
    let pace = pace(every, scrape_interval);
    let scrape = scrape_interval.as_millis().max(LEAST_PACE_MS);
    let Some(newest) = newest else { return span(pace) };
    let earliest = pace.saturating_sub(scrape.checked_div(2).unwrap_or_default());
    let answered = newest.as_millisecond().saturating_add(LAG_MS);
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
        // Scraped at 1000 s; asked 3 s later: the scrape at 1015 s is answered at 1015.060 s.
        assert_eq!(aligned(at(1_003_000), Some(at(1_000_000)), every, scrape), ms(12_060));
        // Once aligned, it stays so.
        assert_eq!(aligned(at(1_015_060), Some(at(1_015_000)), every, scrape), ms(15_000));
        // Asked just before the scrape: not twice for one sample.
        assert_eq!(aligned(at(1_014_900), Some(at(1_000_000)), every, scrape), ms(15_160));
        // A longer interval keeps its length and gains the phase.
        assert_eq!(aligned(at(1_003_000), Some(at(1_000_000)), seconds(60), scrape), ms(57_060));
        // The server's clock is an hour ahead.
        assert_eq!(aligned(at(1_003_000), Some(at(4_600_000)), every, scrape), ms(12_060));
        assert_eq!(aligned(at(1_003_000), None, every, scrape), ms(15_000));
    }

    #[test]
    fn nothing_is_asked_more_often_than_scraped() {
        assert_eq!(plain(seconds(1), seconds(15)), ms(15_000));
        assert_eq!(plain(seconds(0), seconds(0)), ms(100));
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
        ) {
            let (every, scrape) = (Duration::from_millis(every), Duration::from_millis(scrape));
            let pace = plain(every, scrape);
            let delay = aligned(at(asked), Some(at(newest)), every, scrape);
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
