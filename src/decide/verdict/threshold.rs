//! A plain limit on the share of failed requests, as people expect it: samples of so many requests, each of which
//! passes or breaches. No statistic, so it also acts where there is nothing to compare with.

use jiff::Timestamp;

use super::super::tally::Increment;
use super::super::words::{as_f64, grouped, share_text};
use super::samples::{close, log, standing, values};
use super::{Harm, Opinion, Stream, of_wave};
use crate::api::{JudgedBy, Percent, Run, Signal, SignalState, Tally, VerdictWord};

pub(super) fn opinion(
    run: &Run,
    state: &mut SignalState,
    signal: &Signal,
    min_requests: u32,
    threshold: Percent,
    stream: &Stream,
) -> Opinion {
    let (before, mut news) = (values(state), Vec::new());
    for (at, increment) in of_wave(&stream.news, run) {
        news.push(format!("{}/{}", increment.counts.canary_errors, increment.counts.canary_requests));
        take(state, signal, min_requests, threshold, *at, increment);
    }
    let limits = vec![("threshold", threshold.to_string()), ("minRequests", min_requests.to_string())];
    log(state, signal, (JudgedBy::Threshold, limits), before, &news);
    let wave = &stream.wave;
    let numbers = format!(
        "{} {} (limit {threshold}) on {} canary requests, stable {}",
        signal.name,
        share_text(wave.canary_errors, wave.canary_requests),
        grouped(wave.canary_requests),
        share_text(wave.stable_errors, wave.stable_requests),
    );
    said(state, signal, numbers, |word, numbers| {
        if word == VerdictWord::Safe {
            return Opinion::Safe(numbers);
        }
        let wanted = u64::from(signal.consecutive).saturating_mul(u64::from(min_requests));
        Opinion::Undecided(format!("{numbers}; needs about {}", grouped(wanted)))
    })
}

/// The same limit, held against stable's requests: for a promoted version, which is stable itself.
pub(super) fn of_stable(
    run: &Run,
    state: &mut SignalState,
    signal: &Signal,
    min_requests: u32,
    threshold: Percent,
    stream: &Stream,
) -> Opinion {
    for (at, increment) in of_wave(&stream.news, run) {
        let Increment { counts, settled } = increment;
        let counts = Tally { canary_requests: counts.stable_requests, canary_errors: counts.stable_errors, ..*counts };
        take(state, signal, min_requests, threshold, *at, &Increment { counts, settled: *settled });
    }
    let counted = &stream.run;
    let numbers = format!(
        "{} {} (limit {threshold}) on {} requests of everybody",
        signal.name,
        share_text(counted.stable_errors, counted.stable_requests),
        grouped(counted.stable_requests),
    );
    said(state, signal, numbers, |_, numbers| Opinion::Undecided(numbers))
}

/// What the samples say: harm, or what `otherwise` makes of it.
fn said(
    state: &SignalState,
    signal: &Signal,
    numbers: String,
    otherwise: impl FnOnce(VerdictWord, String) -> Opinion,
) -> Opinion {
    match (standing(state, signal), state.until) {
        (VerdictWord::Harm, Some(sample_at)) => {
            Opinion::Harm(Harm { signal: signal.name.clone(), sentence: numbers, sample_at })
        }
        (word, _) => otherwise(word, numbers),
    }
}

/// Adds what one scrape brought to the open sample, and closes it when it is full.
pub(in super::super) fn take(
    state: &mut SignalState,
    signal: &Signal,
    min_requests: u32,
    threshold: Percent,
    at: Timestamp,
    increment: &Increment,
) {
    state.open_requests = state.open_requests.saturating_add(increment.counts.canary_requests);
    state.open_errors = state.open_errors.saturating_add(increment.counts.canary_errors);
    state.until = Some(at);
    let full = u64::from(min_requests);
    let limit = threshold.ratio();
    // The sample is lost as soon as it has more errors than a full one may have: no need to wait for the rest.
    let lost = as_f64(state.open_errors) > limit * as_f64(full);
    if lost || state.open_requests >= full {
        let breach =
            lost && state.open_requests < full || as_f64(state.open_errors) > limit * as_f64(state.open_requests);
        close(state, signal, breach);
        state.open_requests = 0;
        state.open_errors = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(samples: &[(u64, u64)], consecutive: u8) -> (SignalState, VerdictWord) {
        let signal = Signal { consecutive, ..Signal::default() };
        let mut state = SignalState::default();
        for (second, (requests, errors)) in samples.iter().enumerate() {
            let counts = Tally { canary_requests: *requests, canary_errors: *errors, ..Tally::default() };
            let at = Timestamp::from_second(second as i64).unwrap();
            take(&mut state, &signal, 50, "2%".parse().unwrap(), at, &Increment { counts, settled: true });
        }
        let standing = standing(&state, &signal);
        (state, standing)
    }

    #[test]
    fn one_bad_sample_is_not_a_verdict() {
        let (state, standing) = after(&[(50, 0), (50, 10), (50, 0), (50, 0)], 2);
        assert_eq!((standing, state.samples.as_str()), (VerdictWord::Safe, "oo"));
        assert_eq!(after(&[(50, 0), (50, 10), (50, 5)], 2).1, VerdictWord::Harm);
    }

    #[test]
    fn a_sample_waits_for_enough_requests_but_not_for_certain_breaches() {
        let (state, _) = after(&[(10, 0), (10, 1)], 1);
        assert_eq!((state.closed, state.open_requests, state.open_errors), (0, 20, 1));
        let (state, _) = after(&[(10, 0), (10, 2)], 1);
        assert_eq!((state.samples.as_str(), state.open_requests), ("x", 0));
        // Exactly the threshold is not above it.
        assert_eq!(after(&[(50, 1)], 1).0.samples, "o");
    }
}
