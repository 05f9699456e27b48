//! What the evidence says: harm, safe, undecided, or no data.
//!
//! Owns how the opinions of single signals become one answer: one harm outweighs everything, one that cannot be read
//! outweighs safe and undecided, and a dry run is only shown. No answer never counts either way. All state is in the
//! run.
//!
//! `counters` reads and counts, `compare` judges canary against stable by `crate::judge`, `threshold`, `query` and
//! `burn` hold samples against limits, `restarts` needs no metrics, `share` looks whether the traffic follows.

pub(super) mod burn;
pub(super) mod compare;
pub(super) mod counters;
pub(super) mod query;
mod restarts;
pub(super) mod samples;
mod share;
pub(super) mod threshold;

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::logbook;
use super::measure::Provider;
use super::queries::Stand;
use super::snapshot::Snapshot;
use super::sources::Counts;
use super::tally::News;
use crate::api::{Run, Signal, SignalState, Tally, VerdictWord, Watching};
use crate::judge::Arm;

pub(super) use compare::ERROR_FLOOR;
pub(super) use counters::{patience, reading, settle};

/// How many signals a spec, and so a status, may have.
const MOST_STATES: usize = 10;

/// Why the canary must be taken back.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Harm {
    pub(super) signal: String,
    pub(super) sentence: String,
    pub(super) sample_at: Timestamp,
}

/// Why the evidence cannot be read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Blind {
    pub(super) reason: &'static str,
    pub(super) sentence: String,
    pub(super) since: Timestamp,
}

/// What all signals together say.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Assessment {
    pub(super) word: VerdictWord,
    pub(super) sentence: String,
    pub(super) harm: Option<Harm>,
    pub(super) blind: Option<Blind>,
    /// The observed share follows the weight; if not, what is awaited.
    pub(super) share: Result<String, String>,
    /// The share is off by more than chance allows: what people are told once per wave.
    pub(super) skewed: Option<String>,
}

/// What one signal says.
pub(super) enum Opinion {
    Harm(Harm),
    Safe(String),
    Undecided(String),
    Blind(Blind),
}

impl Opinion {
    /// In one word.
    pub(super) const fn word(&self) -> VerdictWord {
        match self {
            Self::Harm(_) => VerdictWord::Harm,
            Self::Safe(_) => VerdictWord::Safe,
            Self::Undecided(_) => VerdictWord::Undecided,
            Self::Blind(_) => VerdictWord::NoData,
        }
    }
}

/// What the signals that act say together: one harm outweighs everything, what cannot be read outweighs the rest.
pub(super) fn joint(words: impl Iterator<Item = VerdictWord>) -> VerdictWord {
    words.fold(VerdictWord::Safe, |so_far, word| match (so_far, word) {
        (VerdictWord::Harm, _) | (_, VerdictWord::Harm) => VerdictWord::Harm,
        (VerdictWord::NoData, _) | (_, VerdictWord::NoData) => VerdictWord::NoData,
        (VerdictWord::Undecided, _) | (_, VerdictWord::Undecided) => VerdictWord::Undecided,
        (VerdictWord::Safe | VerdictWord::None, VerdictWord::Safe | VerdictWord::None) => VerdictWord::Safe,
    })
}

/// One counter as far as it was read in this pass.
struct Stream {
    counts: Counts,
    news: News,
    /// Requests of the whole run and of this wave, after the news.
    run: Tally,
    wave: Tally,
    until: Option<Timestamp>,
    /// Where the counters tell pods apart: what each pod of the canary counted since it started.
    pods: BTreeMap<String, Arm>,
    readable: Result<(), Blind>,
}

/// Counts what is new and judges every signal of the present wave.
pub(super) fn assess(snapshot: &Snapshot, provider: &Provider, run: &mut Run) -> Assessment {
    let mut traffic = counters::traffic(snapshot, provider, run);
    let mut opinions = Vec::new();
    for signal in &snapshot.rollout.spec.analysis.signals {
        let mut state = run.signals.iter().find(|state| state.name == signal.name).cloned().unwrap_or_default();
        state.name.clone_from(&signal.name);
        let earlier = logbook::set_aside(&mut state);
        let opinion = judge(snapshot, provider, run, signal, &mut state, &mut traffic);
        logbook::remember(&mut state, earlier, &opinion);
        match run.signals.iter_mut().find(|known| known.name == signal.name) {
            Some(known) => *known = state,
            None => run.signals.push(state),
        }
        opinions.push((signal, opinion));
    }
    // Signals that were renamed in mid-run leave their states behind, and a status has room for as many as a spec.
    let known = |name: &str| snapshot.rollout.spec.analysis.signals.iter().any(|signal| signal.name == name);
    if run.signals.len() > MOST_STATES {
        run.signals.retain(|state| known(&state.name));
    }
    let acting = opinions.iter().filter(|(signal, _)| !signal.dry_run);
    let word = joint(acting.map(|(_, opinion)| opinion.word()));
    let (mut harm, mut blind) = (None, None);
    let (mut passed, mut awaited, mut asides) = (Vec::new(), Vec::new(), Vec::new());
    for (signal, opinion) in opinions {
        if signal.dry_run {
            asides.push(aside(opinion));
            continue;
        }
        match opinion {
            Opinion::Harm(found) => harm = harm.or(Some(found)),
            Opinion::Safe(sentence) => passed.push(sentence),
            Opinion::Undecided(sentence) => awaited.push(sentence),
            Opinion::Blind(found) => blind = blind.or(Some(found)),
        }
    }
    let mut sentences = match (&harm, &blind) {
        (Some(Harm { sentence, .. }), _) | (None, Some(Blind { sentence, .. })) => vec![sentence.clone()],
        (None, None) => told(passed, awaited),
    };
    if harm.is_none() {
        sentences.extend(asides);
    }
    let readable = traffic.as_ref().is_ok_and(|stream| stream.readable.is_ok());
    let share = share::follows(snapshot, run, readable, traffic.is_ok(), patience(snapshot, provider));
    let skewed = share::skewed(run);
    Assessment { word, sentence: sentences.join("; "), harm, blind, share, skewed }
}

/// Judges a promoted version by the signals that need no comparison: what is asked about the canary elsewhere is asked
/// about stable here. What cannot be read finds nothing.
pub(super) fn watch(snapshot: &Snapshot, provider: &Provider, run: &Run, watching: &mut Watching) -> Option<Harm> {
    // As if one long wave had begun with the promotion.
    let mut as_run = run.clone();
    as_run.step_at = watching.since;
    as_run.wave = None;
    as_run.times.exposed_at = Some(watching.since);
    let mut found = None;
    for signal in snapshot.rollout.spec.analysis.signals.iter().filter(|signal| super::after::absolute(signal)) {
        let mut state = watching.signals.iter().find(|state| state.name == signal.name).cloned().unwrap_or_default();
        state.name.clone_from(&signal.name);
        let opinion = if let Some(query) = &signal.query {
            query::opinion(snapshot, provider, &as_run, &mut state, signal, query, Stand::Stable)
        } else if let Some(burn) = &signal.burn_rate {
            burn::opinion(snapshot, provider, &as_run, &mut state, signal, burn)
        } else {
            counted(snapshot, provider, &as_run, &mut state, signal)
        };
        // The log of the attempt is closed.
        state.unlogged = None;
        watching.signals.retain(|known| known.name != signal.name);
        watching.signals.push(state);
        if let Opinion::Harm(harm) = opinion {
            found = found.or(Some(harm));
        }
    }
    found
}

/// The threshold of a promoted version: each signal keeps its own counts.
fn counted(snapshot: &Snapshot, provider: &Provider, run: &Run, state: &mut SignalState, signal: &Signal) -> Opinion {
    let nothing = || Opinion::Undecided(String::new());
    let Some((ratio, threshold)) = signal.error_ratio.as_ref().and_then(|ratio| Some((ratio, ratio.threshold?))) else {
        return nothing();
    };
    let Some(Ok(counts)) = super::queries::counts(snapshot, signal) else { return nothing() };
    let mut counted = state.counts.take().unwrap_or_default();
    let stream = counters::stream(snapshot, provider, run, counts, &mut counted);
    state.counts = Some(counted);
    threshold::of_stable(run, state, signal, ratio.min_requests, threshold, &stream)
}

/// What is awaited in full; of what passed only the first where nothing is awaited, and how many there are.
fn told(passed: Vec<String>, awaited: Vec<String>) -> Vec<String> {
    let more = |count: usize| match count {
        0 => None,
        1 => Some("1 more signal passes".to_owned()),
        _ => Some(format!("{count} more signals pass")),
    };
    if awaited.is_empty() {
        let rest = more(passed.len().saturating_sub(1));
        return passed.into_iter().take(1).chain(rest).collect();
    }
    awaited.into_iter().chain(more(passed.len())).collect()
}

/// A signal on trial: what it would do is said and not done.
fn aside(opinion: Opinion) -> String {
    match opinion {
        Opinion::Harm(harm) => format!("{} (dry run: would take it back)", harm.sentence),
        Opinion::Safe(sentence) => format!("{sentence} (dry run)"),
        Opinion::Undecided(sentence) => format!("{sentence} (dry run)"),
        Opinion::Blind(blind) => format!("{} (dry run)", blind.sentence),
    }
}

fn judge(
    snapshot: &Snapshot,
    provider: &Provider,
    run: &Run,
    signal: &Signal,
    state: &mut SignalState,
    traffic: &mut Result<Stream, Blind>,
) -> Opinion {
    if let Some(query) = &signal.query {
        return query::opinion(snapshot, provider, run, state, signal, query, Stand::Canary);
    }
    if let Some(burn) = &signal.burn_rate {
        return burn::opinion(snapshot, provider, run, state, signal, burn);
    }
    if signal.restarts.is_some() {
        return restarts::opinion(snapshot, run, state, signal);
    }
    let counts = match super::queries::counts(snapshot, signal) {
        Some(Ok(counts)) => counts,
        Some(Err(unsupported)) => return Opinion::Blind(counters::unsupported(unsupported, run)),
        None => return Opinion::Undecided(format!("signal {} says nothing that could be judged", signal.name)),
    };
    // Signals of one counter count it once; any other signal keeps its own counts.
    let own;
    let stream = match traffic {
        Ok(stream) if stream.counts == counts => stream,
        Ok(_) | Err(_) => {
            let mut counted = state.counts.take().unwrap_or_default();
            own = counters::stream(snapshot, provider, run, counts, &mut counted);
            state.counts = Some(counted);
            &own
        }
    };
    let opinion = match signal.error_ratio.as_ref().and_then(|ratio| Some((ratio, ratio.threshold?))) {
        Some((ratio, threshold)) => threshold::opinion(run, state, signal, ratio.min_requests, threshold, stream),
        None => compare::opinion(snapshot, run, state, signal, stream),
    };
    match (opinion, &stream.readable) {
        // What was counted before the data went away still stands.
        (Opinion::Harm(harm), _) => Opinion::Harm(harm),
        (_, Err(blind)) => Opinion::Blind(blind.clone()),
        (opinion, Ok(())) => opinion,
    }
}

/// When the present wave's weight was decided.
fn wave_began(run: &Run) -> Timestamp {
    run.wave.as_ref().map_or(run.step_at, |wave| wave.started_at)
}

/// The increments of this wave.
fn of_wave<'a>(news: &'a News, run: &Run) -> impl Iterator<Item = (&'a Timestamp, &'a super::tally::Increment)> {
    let began = wave_began(run);
    let increments: &BTreeMap<_, _> = &news.increments;
    increments.iter().filter(move |(at, _)| **at > began)
}
