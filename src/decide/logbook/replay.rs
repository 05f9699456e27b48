//! Doing the decisions of a log again: the chain of hashes, then each signal by the code that judged it, then what all
//! of them say, then what was decided on it.
//!
//! Owns what counts as the same. Capitals are compared to nine digits: the mathematical functions of two systems may
//! differ in the last one. Everything else must be equal. Must not read anything but the log.

use serde::Serialize;

use super::looks::{count, parsed, read_pair, read_poll, value};
use super::short;
use crate::api::{
    JudgedBy, LogEntry, LogHead, LogSignal, Look, Number, Percent, Signal, SignalState, Tally, Values, VerdictWord,
    names,
};
use crate::decide::tally::Increment;
use crate::decide::verdict::compare::{Seen, after, fold, policy_of, verdict};
use crate::decide::verdict::{burn, joint, query, samples, threshold};
use crate::judge::Verdict;

/// How much two capitals may differ in proportion: `judge::bets` says how exact they are.
const EXACT: f64 = 1e-9;

/// A log to be replayed.
#[derive(Debug, Clone, Copy)]
pub struct Log<'a> {
    /// The Release that it belongs to.
    pub release: &'a str,
    /// UID of the Rollout.
    pub rollout_uid: &'a str,
    /// Digest of the template that was tried.
    pub revision: &'a str,
    /// What the last entry is said to be, if anything says so.
    pub head: Option<&'a LogHead>,
    /// The entries, in order.
    pub entries: &'a [LogEntry],
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Replayed {
    /// The entries up to the first that differs.
    pub lines: Vec<Line>,
    /// Where something differs, and what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differs: Option<Difference>,
}

/// The first difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The number of the entry.
    pub seq: u32,
    /// What is recorded and what came out.
    pub what: String,
}

/// One entry as it was found to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// The entry.
    #[serde(flatten)]
    pub entry: LogEntry,
    /// What its signals came to.
    pub replayed: Vec<SignalLine>,
    /// Its counts could not be done again, because they were left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<String>,
}

/// One signal as it was found to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SignalLine {
    /// Its name.
    pub name: String,
    /// Polls or samples since the entry before.
    pub news: usize,
    /// What was counted in them, of a signal that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted: Option<Tally>,
    /// The capital against the canary, and from which on it is harm, of a signal that compares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub harm: Option<[f64; 2]>,
    /// The capital for it, and from which on it is safe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub safe: Option<[f64; 2]>,
    /// The samples, of a signal that has a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<String>,
}

/// What is known of a signal from the entries before.
#[derive(Debug, Clone, Default)]
struct Known {
    name: String,
    word: Option<VerdictWord>,
    state: Option<State>,
}

#[derive(Debug, Clone)]
enum State {
    /// The evidence, and the part of the policy under which it was gathered.
    Seen(Box<Seen>, Vec<String>),
    Samples(Values),
}

/// Replays a log up to its end, or to the first entry that differs.
pub fn replay(log: &Log<'_>) -> Replayed {
    let mut replayed = Replayed::default();
    let mut known: Vec<Known> = Vec::new();
    let mut before: Option<&LogEntry> = None;
    for entry in log.entries {
        let checked = chained(log, before, entry).and_then(|()| {
            if entry.omitted > 0 {
                known.clear();
            }
            again(entry, &mut known, entry.omitted > 0)
        });
        match checked {
            Ok(line) => replayed.lines.push(line),
            Err(what) => {
                replayed.differs = Some(Difference { seq: entry.seq, what });
                return replayed;
            }
        }
        before = Some(entry);
    }
    let last = before.map(|entry| (entry.seq, entry.hash.as_str()));
    if let Some(head) = log.head
        && last != Some((head.seq, head.hash.as_str()))
    {
        let what = format!(
            "the log says that its last entry is {} ({}), and the last one here is {}: entries are missing at the end",
            head.seq,
            names::short(&head.hash),
            last.map_or_else(|| "none".to_owned(), |(seq, hash)| format!("{seq} ({})", names::short(hash))),
        );
        replayed.differs = Some(Difference { seq: head.seq, what });
    }
    replayed
}

/// Whether the entry follows the one before and is as it was written.
fn chained(log: &Log<'_>, before: Option<&LogEntry>, entry: &LogEntry) -> Result<(), String> {
    let expected = before.map_or(1, |before| before.seq.saturating_add(1));
    if entry.seq != expected {
        return Err(format!("entry {expected} is expected here: entries are missing or in another order"));
    }
    let previous = match before {
        Some(before) => before.hash.clone(),
        None => LogEntry::genesis(log.rollout_uid, log.release, log.revision),
    };
    if entry.previous != previous {
        return Err(format!(
            "the chain breaks: it is tied to {}, and the entry before has {previous}",
            short(&entry.previous, 64)
        ));
    }
    let hash = entry.digest();
    if entry.hash != hash {
        return Err(format!("it was changed: its hash is recorded as {}, and is {hash}", short(&entry.hash, 64)));
    }
    Ok(())
}

/// Does the decisions of one entry again.
fn again(entry: &LogEntry, known: &mut Vec<Known>, gap: bool) -> Result<Line, String> {
    let (mut lines, mut gaps, mut words) = (Vec::new(), Vec::new(), Vec::new());
    for signal in &entry.signals {
        let place = known.iter().position(|one| one.name == signal.name);
        let mut before = place.map(|place| known.swap_remove(place)).unwrap_or_default();
        before.name.clone_from(&signal.name);
        let line =
            of_signal(signal, &mut before, &mut gaps, gap).map_err(|why| format!("signal {}: {why}", signal.name))?;
        if !signal.dry_run {
            words.push(signal.verdict);
        }
        lines.push(line);
        known.push(before);
    }
    let word = if entry.signals.is_empty() { VerdictWord::None } else { joint(words.into_iter()) };
    if entry.verdict != word {
        return Err(format!("the verdict of all signals is recorded as {:?}, and is {word:?}", entry.verdict));
    }
    founded(entry)?;
    Ok(Line { entry: entry.clone(), replayed: lines, gaps })
}

/// Whether what was decided may follow from the verdict.
fn founded(entry: &LogEntry) -> Result<(), String> {
    let needed = match (entry.what.as_str(), entry.reason.as_deref()) {
        ("WavePassed", _) => VerdictWord::Safe,
        ("RolledBack", Some("SignalBreached")) => VerdictWord::Harm,
        (_, _) => return Ok(()),
    };
    if entry.verdict == needed {
        return Ok(());
    }
    Err(format!("{} was decided on the verdict {:?}; it needs {needed:?}", entry.what, entry.verdict))
}

fn of_signal(signal: &LogSignal, known: &mut Known, gaps: &mut Vec<String>, gap: bool) -> Result<SignalLine, String> {
    let mut line = SignalLine { name: signal.name.clone(), ..SignalLine::default() };
    let mut judged = None;
    for look in &signal.looks {
        line.news = line.news.saturating_add(count(&look.news));
        if look.left_out > 0 {
            gaps.push(format!("{} polls of {} were left out", look.left_out, signal.name));
            (known.state, judged) = (None, None);
            continue;
        }
        judged = Some(match look.by {
            JudgedBy::Comparison | JudgedBy::Restarts => compared(look, known, &mut line)?,
            JudgedBy::Threshold | JudgedBy::Query | JudgedBy::BurnRate => sampled(look, known, &mut line)?,
        });
    }
    let word = match (signal.blind.as_deref(), judged) {
        (Some(LogSignal::NOT_JUDGED), _) => Some(VerdictWord::Undecided),
        (Some(_), _) => Some(VerdictWord::NoData),
        (None, Some(word)) => Some(word),
        // What was left out cannot be done again; what was not looked at stands as it did.
        (None, None) if signal.looks.is_empty() => {
            if known.word.is_none() && !gap {
                return Err("it has a verdict and nothing that it was made on".to_owned());
            }
            known.word
        }
        (None, None) => None,
    };
    if let Some(word) = word.filter(|word| *word != signal.verdict) {
        return Err(format!("the verdict is recorded as {:?}, and is {word:?}", signal.verdict));
    }
    known.word = Some(signal.verdict);
    Ok(line)
}

/// A signal that compares: the same test on the same polls.
fn compared(look: &Look, known: &mut Known, line: &mut SignalLine) -> Result<VerdictWord, String> {
    let (judge, absolute) = policy_of(&look.policy)?;
    let mut seen = Seen::read(&look.before).map_err(|why| format!("before.{why}"))?;
    let gathered: Vec<String> = ["tolerance", "floor", "alpha", "dispersion"]
        .into_iter()
        .map(|name| look.policy.get(name).cloned().unwrap_or_default())
        .collect();
    if let Some(State::Seen(earlier, under)) = &known.state {
        let mut next = **earlier;
        next.evidence.next_wave();
        let same = |one: &Seen| differ(&after(&judge, one), &after(&judge, &seen)).is_none();
        let anew = seen.evidence.is_fresh() && *under != gathered;
        if !(same(earlier) || same(&next) || anew) {
            return Err("before is not what the entry before had come to".to_owned());
        }
    }
    let read = |text: &str| read_poll(text).ok_or_else(|| format!("the poll {text:?} cannot be read"));
    let polls: Vec<(Tally, Tally)> = parts(&look.news).map(read).collect::<Result<_, _>>()?;
    // One by one: those that came after harm in the same reading are not among them.
    for poll in &polls {
        fold(&judge, &mut seen, &[*poll], absolute);
    }
    if let Some((name, recorded, found)) = differ(&look.after, &after(&judge, &seen)) {
        return Err(format!("the odds ({name}) are recorded as {recorded}, and are {found}"));
    }
    let (capital, _, verdict) = verdict(&judge, &seen);
    let mut counted = line.counted.unwrap_or_default();
    for (settling, settled) in &polls {
        counted.add(settling);
        counted.add(settled);
    }
    line.counted = Some(counted);
    line.harm = Some([capital.harm.max(capital.fuse * judge.harm_at() / judge.fuse_at()), judge.harm_at()]);
    line.safe = Some([capital.safe, judge.safe_at()]);
    known.state = Some(State::Seen(Box::new(seen), gathered));
    Ok(match (verdict, look.by) {
        (Verdict::Harm, _) => VerdictWord::Harm,
        // Restarts are too rare to hold a wave up.
        (_, JudgedBy::Restarts) | (Verdict::Safe, _) => VerdictWord::Safe,
        (Verdict::Undecided, _) => VerdictWord::Undecided,
    })
}

/// The first value that is not the same in both, with what is recorded and what was found.
fn differ(recorded: &Values, found: &Values) -> Option<(String, String, String)> {
    let number = |text: Option<&String>| text.map_or(Some(1.0), |text| text.parse::<f64>().ok());
    let same = |name: &String| match (number(recorded.get(name)), number(found.get(name))) {
        (Some(one), Some(other)) => (one - other).abs() <= EXACT * one.abs().max(other.abs()),
        (_, _) => false,
    };
    let name = recorded.keys().chain(found.keys()).find(|name| !same(name))?;
    let text = |values: &Values| values.get(name).cloned().unwrap_or_else(|| "absent".to_owned());
    Some((name.clone(), text(recorded), text(found)))
}

/// A signal that has limits: the same samples close in the same way.
fn sampled(look: &Look, known: &mut Known, line: &mut SignalLine) -> Result<VerdictWord, String> {
    let policy = |name: &str| value(&look.policy, name).map_err(|why| format!("policy.{why}"));
    let signal = Signal {
        consecutive: parsed(&look.policy, "consecutive").map_err(|why| format!("policy.{why}"))?,
        of: Some(parsed(&look.policy, "of").map_err(|why| format!("policy.{why}"))?),
        ..Signal::default()
    };
    let before = |why: String| format!("before.{why}");
    let mut state = SignalState {
        samples: value(&look.before, "samples").map_err(before)?.to_owned(),
        closed: parsed(&look.before, "closed").map_err(before)?,
        open_requests: parsed(&look.before, "openRequests").map_err(before)?,
        open_errors: parsed(&look.before, "openErrors").map_err(before)?,
        ..SignalState::default()
    };
    if let Some(State::Samples(earlier)) = &known.state {
        let anew = samples::values(&SignalState::default());
        if look.before != *earlier && look.before != anew {
            return Err("before is not what the entry before had come to".to_owned());
        }
    }
    let unreadable = |text: &str| format!("the sample {text:?} cannot be read");
    match look.by {
        JudgedBy::Threshold => {
            let limit: Percent = policy("threshold")?.parse().map_err(|why| format!("policy.threshold: {why}"))?;
            let least = parsed(&look.policy, "minRequests").map_err(|why| format!("policy.{why}"))?;
            let mut counted = line.counted.unwrap_or_default();
            for text in parts(&look.news) {
                let (canary_errors, canary_requests) = read_pair(text).ok_or_else(|| unreadable(text))?;
                let counts = Tally { canary_errors, canary_requests, ..Tally::default() };
                counted.add(&counts);
                let increment = Increment { counts, settled: true };
                threshold::take(&mut state, &signal, least, limit, jiff::Timestamp::UNIX_EPOCH, &increment);
            }
            line.counted = Some(counted);
        }
        JudgedBy::Query => {
            let limit = |name: &str| {
                let text = look.policy.get(name);
                text.map(|text| text.parse::<Number>().map_err(|why| format!("policy.{name}: {why}"))).transpose()
            };
            let (min, max) = (limit("min")?, limit("max")?);
            for text in parts(&look.news) {
                let value: f64 = text.parse().map_err(|_| unreadable(text))?;
                samples::close(&mut state, &signal, query::breaches(min.as_ref(), max.as_ref(), value));
            }
        }
        JudgedBy::BurnRate => {
            let factors: Vec<f64> = policy("factors")?
                .split(',')
                .map(|text| text.parse().map_err(|_| format!("policy.factors has {text:?}")))
                .collect::<Result<_, String>>()?;
            for text in parts(&look.news) {
                let pair = |pair: &str| {
                    let (slow, fast) = pair.split_once(':')?;
                    Some((slow.parse::<f64>().ok()?, fast.parse::<f64>().ok()?))
                };
                let rates: Option<Vec<_>> = text.split(',').map(pair).collect();
                let rates = rates.ok_or_else(|| unreadable(text))?;
                samples::close(&mut state, &signal, burn::fires(factors.iter().copied(), &rates).is_some());
            }
        }
        JudgedBy::Comparison | JudgedBy::Restarts => {}
    }
    let after = samples::values(&state);
    if look.after != after {
        return Err(format!("the samples are recorded as {:?}, and are {after:?}", look.after));
    }
    line.samples = Some(state.samples.clone());
    known.state = Some(State::Samples(after));
    Ok(samples::standing(&state, &signal))
}

fn parts(news: &str) -> impl Iterator<Item = &str> {
    news.split(' ').filter(|one| !one.is_empty())
}
