//! Samples that passed or breached: `consecutive` breaches among the last `of` are harm.

use super::super::logbook::{self, number};
use crate::api::{JudgedBy, Look, Signal, SignalState, Values, VerdictWord};

/// Remembers one sample; only as many as can still matter are kept.
pub(in super::super) fn close(state: &mut SignalState, signal: &Signal, breach: bool) {
    let window = usize::from(signal.window());
    // Nobody but people with the right to write a status can have put other characters there; they count for nothing.
    let mut samples: Vec<char> = state.samples.chars().filter(|sample| matches!(sample, 'x' | 'o')).collect();
    samples.push(if breach { 'x' } else { 'o' });
    state.samples = samples.iter().skip(samples.len().saturating_sub(window)).collect();
    state.closed = state.closed.saturating_add(1);
}

/// Three answers from the closed samples: enough breaches, enough samples with the last one good, or not yet.
pub(in super::super) fn standing(state: &SignalState, signal: &Signal) -> VerdictWord {
    let breaches = state.samples.bytes().filter(|sample| *sample == b'x').count();
    if breaches >= usize::from(signal.consecutive) {
        VerdictWord::Harm
    } else if state.closed >= u32::from(signal.consecutive) && state.samples.ends_with('o') {
        VerdictWord::Safe
    } else {
        VerdictWord::Undecided
    }
}

/// What is known of the samples, for the log.
pub(in super::super) fn values(state: &SignalState) -> Values {
    [
        ("samples".to_owned(), state.samples.clone()),
        ("closed".to_owned(), state.closed.to_string()),
        ("openRequests".to_owned(), state.open_requests.to_string()),
        ("openErrors".to_owned(), state.open_errors.to_string()),
    ]
    .into()
}

/// Remembers for the log what was new, and what was known before.
pub(super) fn log(
    state: &mut SignalState,
    signal: &Signal,
    (by, limits): (JudgedBy, Vec<(&str, String)>),
    before: Values,
    news: &[String],
) {
    let window = [("consecutive", signal.consecutive.to_string()), ("of", signal.window().to_string())];
    let policy = limits.into_iter().chain(window).map(|(name, value)| (name.to_owned(), value)).collect();
    let after = values(state);
    logbook::add(state, Look { by, policy, before, news: news.join(" "), left_out: 0, after });
}

/// The values of samples as the log has them.
pub(super) fn told(values: impl Iterator<Item = f64>) -> Vec<String> {
    values.map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n_of_m_looks_back_over_m() {
        let signal = Signal { consecutive: 3, of: Some(5), ..Signal::default() };
        let after = |samples: &str| {
            let mut state = SignalState::default();
            samples.chars().for_each(|sample| close(&mut state, &signal, sample == 'x'));
            standing(&state, &signal)
        };
        assert_eq!(after("xoxox"), VerdictWord::Harm);
        assert_eq!(after("xooxox"), VerdictWord::Undecided);
        assert_eq!(after("xoo"), VerdictWord::Safe);
        assert_eq!(after("oo"), VerdictWord::Undecided);
    }
}
