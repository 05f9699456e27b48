//! Evidence on versions that were tried before, so that trying again does not wash it off.
//!
//! Capital against harm belongs to a template, not to an attempt: whoever resets it by applying another template in
//! between, or by applying the same one until chance lets it pass, would undo the error rate that is promised. Owns
//! what is kept, and that it stays small. What a wave had shown to be safe is not kept.

use crate::api::{KeptEvidence, Outcome, RolloutStatus, Run, SignalState};
use crate::judge::EVIDENCE_LENGTH;

/// All evidence in a status, running and kept, in bytes.
const ROOM: usize = 2_048;
/// Name, policy and the rest around the evidence of one signal.
const AROUND: usize = 100;

/// An attempt makes room for the next one: what it had seen is kept unless its template became stable.
pub(super) fn keep(status: &mut RolloutStatus) {
    let Some(run) = &status.run else { return };
    let (revision, promoted) = (run.revision.clone(), run.outcome == Some(Outcome::Promoted));
    let signals: Vec<SignalState> = run.signals.iter().filter_map(essence).collect();
    let each = signals.len().max(1);
    status.kept.retain(|kept| kept.revision != revision);
    if !promoted && !signals.is_empty() {
        status.kept.push(KeptEvidence { revision, signals });
    }
    // The next attempt has as many signals, and needs its room first.
    let most = ROOM.saturating_sub(size(each)).checked_div(size(each)).unwrap_or(0).min(4);
    let extra = status.kept.len().saturating_sub(most);
    status.kept.drain(..extra);
}

/// What the template of this attempt is known for.
pub(super) fn known(status: &RolloutStatus, revision: &str) -> Vec<SignalState> {
    let kept = status.kept.iter().find(|kept| kept.revision == revision);
    // The last attempt is still whole if it was of the same template.
    let last = status.run.as_ref().filter(|run| run.revision == revision && run.outcome != Some(Outcome::Promoted));
    let of = |run: &Run| run.signals.iter().filter_map(essence).collect();
    last.map(of).or_else(|| kept.map(|kept| kept.signals.clone())).unwrap_or_default()
}

fn essence(state: &SignalState) -> Option<SignalState> {
    let mut evidence = state.evidence.filter(|evidence| !evidence.is_fresh())?;
    evidence.next_wave();
    Some(SignalState {
        name: state.name.clone(),
        policy: state.policy.clone(),
        dispersion: state.dispersion.clone(),
        evidence: Some(evidence),
        ..SignalState::default()
    })
}

const fn size(signals: usize) -> usize {
    signals.saturating_mul(EVIDENCE_LENGTH.saturating_add(AROUND))
}
