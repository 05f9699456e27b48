//! The decision log: what was decided, on which counts, with which state and policy, so that it can be done again.
//!
//! Owns when an entry is made, what is in it, its bounds, and when entries are handed to `record`. An entry is made in the
//! pass in which it is decided and committed with the intent; it waits in `Rollout.status` until the DecisionLog shows
//! it, so a crash loses none and writes none twice. Nothing that moves traffic waits for it. `looks` is the form of
//! what a signal saw, `replay` does it again. Must not judge.

mod looks;
pub mod replay;
#[cfg(test)]
mod tests;

pub(super) use looks::{add, number, poll, remember, set_aside};

use super::draft::Draft;
use super::plan::Record;
use super::snapshot::{LogFacts, Snapshot};
use super::time::elapsed;
use super::verdict::joint;
use crate::api::{
    DecisionLogSpec, Duration, LogEntry, LogHead, LogSignal, LogState, Phase, Run, Signal, SignalState, Step, Unlogged,
    VerdictWord,
};

/// The longest text of an entry; what is beyond loses the counts of its longest looks.
const LONGEST: usize = 12_000;
/// So many polls that are in no entry yet, or looks, or bytes of them, make a checkpoint.
const POLLS: usize = 64;
const LOOKS: usize = 8;
const UNLOGGED: usize = 4_000;
/// So many entries are gathered before they are written while an attempt goes on, or for so long.
const GATHERED: usize = 6;
const PATIENCE: Duration = Duration::from_secs(600);
/// How long the end of an attempt waits for its last entries to be seen in the DecisionLog.
const LAST_ENTRIES: Duration = Duration::from_secs(30);

/// What an entry is worth when there is little room: number, bytes and how many wait to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    seq: u32,
    bytes: u32,
    pending: usize,
}

/// Checkpoints and holds.
const ROUTINE: Room = Room { seq: 120, bytes: 100_000, pending: 8 };
/// What is decided on the way.
const DECISION: Room = Room { seq: 180, bytes: 160_000, pending: 10 };
/// The end, and what comes after it.
const END: Room = Room { seq: 200, bytes: 190_000, pending: 16 };

impl Room {
    fn has(self, log: &LogState) -> bool {
        log.head.seq < self.seq && log.bytes < self.bytes && log.pending.len() < self.pending
    }
}

/// What the cache shows of the log of this attempt.
fn shown<'a>(s: &'a Snapshot, run: &Run) -> Option<&'a LogFacts> {
    s.log.as_ref().filter(|log| log.release == run.release)
}

/// What is seen in the DecisionLog need not wait any more.
pub(super) fn seen(d: &mut Draft<'_>) {
    let s = d.s;
    let Some(run) = d.status.run.as_mut() else { return };
    if let Some(LogHead { seq, .. }) = shown(s, run).map(|log| &log.head) {
        run.log.pending.retain(|entry| entry.seq > *seq);
    }
}

/// Makes an entry of a decision.
pub(super) fn decided(s: &Snapshot, run: &mut Run, what: &str, by: Option<&str>) {
    let (room, reason) = match run.outcome {
        Some(_) => (END, run.reason.clone()),
        None => (DECISION, None),
    };
    enter(s, run, room, (what, reason, by));
}

/// Says once why an attempt is held, and makes room for more polls. To be called when the word of the pass is known.
pub(super) fn look_over(d: &mut Draft<'_>) {
    let (s, phase, reason) = (d.s, d.word.phase, d.word.reason.clone());
    let Some(run) = d.status.run.as_mut() else { return };
    if run.outcome.is_none() && phase == Phase::Held {
        if run.log.held != reason {
            run.log.held.clone_from(&reason);
            enter(s, run, ROUTINE, (LogEntry::HELD, Some(reason), None));
        }
    } else {
        run.log.held.clear();
    }
    if run.step == Step::Done {
        // Nothing more is decided on what was counted last.
        drop_looks(run);
    } else if run.signals.iter().any(is_full) {
        enter(s, run, ROUTINE, (LogEntry::CHECKPOINT, None, None));
    }
}

fn is_full(state: &SignalState) -> bool {
    let looks = state.unlogged.as_ref().map_or(&[][..], |unlogged| unlogged.looks.as_slice());
    let polls = looks.iter().map(|look| looks::count(&look.news)).fold(0, usize::saturating_add);
    let bytes = looks.iter().map(|look| look.news.len()).fold(0, usize::saturating_add);
    polls >= POLLS || looks.len() >= LOOKS || bytes >= UNLOGGED
}

fn enter(s: &Snapshot, run: &mut Run, room: Room, (what, reason, by): (&str, Option<String>, Option<&str>)) {
    let spec = &s.rollout.spec.analysis.signals;
    let signals: Vec<LogSignal> = spec.iter().filter_map(|signal| taken(run, signal)).collect();
    // Of a signal that was taken out of the spec nothing more is told.
    drop_looks(run);
    if !room.has(&run.log) {
        run.log.omitted = run.log.omitted.saturating_add(1);
        return;
    }
    let previous = if run.log.head.seq == 0 {
        LogEntry::genesis(&s.rollout.uid, &run.release, &run.revision)
    } else {
        run.log.head.hash.clone()
    };
    let words = signals.iter().filter(|signal| !signal.dry_run).map(|signal| signal.verdict);
    let mut entry = LogEntry {
        seq: run.log.head.seq.saturating_add(1),
        at: s.now,
        what: short(what, 64),
        reason: reason.map(|reason| short(&reason, 64)),
        by: by.map(|by| short(by, 253)),
        weight: run.weight,
        wave: run.wave.as_ref().map(|wave| wave.index.saturating_add(1)),
        verdict: if signals.is_empty() { VerdictWord::None } else { joint(words) },
        signals,
        omitted: std::mem::take(&mut run.log.omitted),
        previous,
        hash: String::new(),
    };
    let size = shorten(&mut entry);
    entry.hash = entry.digest();
    run.log.head = LogHead { seq: entry.seq, hash: entry.hash.clone() };
    run.log.bytes = run.log.bytes.saturating_add(u32::try_from(size).unwrap_or(u32::MAX));
    run.log.pending.push(entry);
}

fn drop_looks(run: &mut Run) {
    run.signals.iter_mut().filter_map(|state| state.unlogged.as_mut()).for_each(|unlogged| unlogged.looks.clear());
}

fn short(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// What a signal saw since the last entry, which is in this one from now on.
fn taken(run: &mut Run, signal: &Signal) -> Option<LogSignal> {
    let state = run.signals.iter_mut().find(|state| state.name == signal.name)?;
    let Unlogged { looks, verdict, blind } = state.unlogged.as_deref_mut()?;
    Some(LogSignal {
        name: signal.name.clone(),
        dry_run: signal.dry_run,
        looks: std::mem::take(looks),
        verdict: *verdict,
        blind: blind.clone(),
    })
}

/// Leaves out the longest counts of an entry until it fits. Its length.
fn shorten(entry: &mut LogEntry) -> usize {
    loop {
        let length = entry.canonical().len();
        let looks = entry.signals.iter_mut().flat_map(|signal| &mut signal.looks);
        let longest = looks.filter(|look| !look.news.is_empty()).max_by_key(|look| look.news.len());
        let Some(look) = longest.filter(|_| length > LONGEST) else { return length };
        look.left_out = u32::try_from(looks::count(&look.news)).unwrap_or(u32::MAX);
        look.news.clear();
    }
}

/// Hands entries to `record`: several at a time while the attempt goes on, so that a release costs few writes, and all
/// of them once it has ended.
pub(super) fn flush(d: &mut Draft<'_>) {
    let s = d.s;
    let Some(run) = d.status.run.as_ref() else { return };
    let LogState { pending, .. } = &run.log;
    let Some(first) = pending.first() else { return };
    let gathered = run.outcome.is_none() && pending.len() >= GATHERED;
    if !gathered && run.times.ended_at.is_none() && elapsed(s.now, first.at) < PATIENCE {
        return;
    }
    if s.log.as_ref().is_some_and(|log| !log.served) {
        return;
    }
    let onto = shown(s, run).filter(|log| log.head.seq > 0).map(|log| log.head.clone());
    let spec = DecisionLogSpec {
        rollout: s.rollout.name.clone(),
        rollout_uid: s.rollout.uid.clone(),
        revision: run.revision.clone(),
        head: run.log.head.clone(),
        entries: pending.clone(),
    };
    d.records.push(Record::Log { name: run.release.clone(), log: Box::new(spec), onto });
}

/// Whether the attempt need not wait for its log: every entry is seen in it, or it was waited for long enough.
pub(super) fn complete(d: &mut Draft<'_>) -> bool {
    let served = d.s.log.as_ref().is_none_or(|log| log.served);
    let Some(run) = d.status.run.as_ref() else { return true };
    let ended_at = run.times.ended_at;
    run.log.pending.is_empty() || !served || ended_at.is_some_and(|at| d.passed(at, LAST_ENTRIES))
}
