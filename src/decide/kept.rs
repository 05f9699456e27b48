//! Evidence on versions that were tried before, so that trying again does not wash it off.
//!
//! Capital against harm belongs to a template, not to an attempt: whoever resets it by applying another template in
//! between, or by applying the same one until chance lets it pass, would undo the error rate that is promised. Owns
//! what is kept, and that it stays small. What a wave had shown to be safe is not kept.

use crate::api::{KeptEvidence, KeptSignal, Outcome, RolloutStatus, Run, SignalState};
use crate::judge::{EVIDENCE_LENGTH, KEPT_LENGTH};

/// All evidence in a status, running and kept, in bytes.
const ROOM: usize = 2_048;
/// Name, policy and the rest around the evidence of one signal.
const AROUND: usize = 90;

/// An attempt makes room for the next one: what it had seen is kept unless its template became stable.
pub(super) fn keep(status: &mut RolloutStatus) {
    let Some(run) = &status.run else { return };
    let (revision, stable) = (run.revision.clone(), run.from_revision.clone());
    let promoted = run.outcome == Some(Outcome::Promoted);
    let signals: Vec<KeptSignal> = run.signals.iter().filter_map(essence).collect();
    let each = signals.len().max(1);
    // What was compared with a version that is stable no longer answers a question that nobody asks any more.
    status.kept.retain(|kept| kept.revision != revision && kept.stable == stable && !promoted);
    if !promoted && !signals.is_empty() {
        status.kept.push(KeptEvidence { revision, stable, signals });
    }
    // The next attempt has as many signals, and needs its room first.
    let room = ROOM.saturating_sub(size(each, EVIDENCE_LENGTH));
    let most = room.checked_div(size(each, KEPT_LENGTH)).unwrap_or(0).min(4);
    let extra = status.kept.len().saturating_sub(most);
    status.kept.drain(..extra);
}

/// Forgets what is known of a template.
pub(super) fn forget(status: &mut RolloutStatus, revision: &str) {
    status.kept.retain(|kept| kept.revision != revision);
    if let Some(run) = status.run.as_mut().filter(|run| run.revision == revision) {
        for signal in &mut run.signals {
            signal.evidence = None;
            signal.absolute = None;
        }
    }
}

/// What a template is known for in comparison with this stable one.
pub(super) fn known(status: &RolloutStatus, revision: &str, stable: &str) -> Vec<SignalState> {
    // The last attempt is still whole if it was of the same template.
    let last = status.run.as_ref().filter(|run| run.revision == revision && run.from_revision == stable);
    let of = |run: &Run| run.signals.iter().filter_map(essence).collect::<Vec<_>>();
    let kept = status.kept.iter().find(|kept| kept.revision == revision && kept.stable == stable);
    let signals = last.map(of).or_else(|| kept.map(|kept| kept.signals.clone())).unwrap_or_default();
    signals.into_iter().map(resumed).collect()
}

fn essence(state: &SignalState) -> Option<KeptSignal> {
    let mut evidence = state.evidence.filter(|evidence| !evidence.is_fresh())?;
    evidence.next_wave();
    let SignalState { name, policy, dispersion, .. } = state.clone();
    Some(KeptSignal { name, policy, dispersion, evidence })
}

fn resumed(kept: KeptSignal) -> SignalState {
    let KeptSignal { name, policy, dispersion, evidence } = kept;
    SignalState { name, policy, dispersion, evidence: Some(evidence), ..SignalState::default() }
}

const fn size(signals: usize, each: usize) -> usize {
    signals.saturating_mul(each.saturating_add(AROUND))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::judge::{Evidence, Judge, Policy, Poll};

    fn tried(revision: &str, stable: &str, outcome: &str) -> Run {
        let mut run: Run = serde_json::from_value(json!({
            "release": "r", "number": 1, "revision": revision, "fromRevision": stable, "step": "Done",
            "stepAt": "2026-01-01T00:00:00Z", "outcome": outcome,
        }))
        .unwrap();
        let mut evidence = Evidence::default();
        Judge::new(Policy::default()).unwrap().look(&mut evidence, &Poll::new(5, 100, 1, 900));
        run.signals = vec![SignalState { name: "errors".into(), evidence: Some(evidence), ..SignalState::default() }];
        run
    }

    #[test]
    fn evidence_is_of_one_template_against_one_stable() {
        let mut status = RolloutStatus { run: Some(tried("b", "a", "Superseded")), ..RolloutStatus::default() };
        keep(&mut status);
        status.run = Some(tried("c", "a", "Aborted"));
        keep(&mut status);
        status.run = Some(tried("d", "a", "Superseded"));
        assert_eq!(known(&status, "b", "a").len(), 1);
        assert_eq!(known(&status, "d", "a").len(), 1, "the last attempt is still whole");
        assert_eq!(known(&status, "b", "z").len(), 0, "compared with another version");
        assert_eq!(known(&status, "e", "a").len(), 0);
        // Everything that is kept was compared with a version that is stable no longer.
        status.run = Some(tried("e", "a", "Promoted"));
        keep(&mut status);
        assert!(status.kept.is_empty());
    }

    #[test]
    fn what_is_kept_stays_small() {
        for signals in 1..=3 {
            bounded(signals);
        }
    }

    fn bounded(signals: usize) {
        let mut status = RolloutStatus::default();
        for revision in 0..20 {
            let mut run = tried(&format!("r{revision}"), "a", "Superseded");
            run.signals = vec![run.signals[0].clone(); signals];
            status.run = Some(run);
            keep(&mut status);
            let running = serde_json::to_string(&status.run.as_ref().unwrap().signals).unwrap();
            let kept = serde_json::to_string(&status.kept).unwrap();
            assert!(running.len().saturating_add(kept.len()) <= ROOM, "{} and {}", running.len(), kept.len());
        }
        // The shop's two signals have room for one earlier template, three signals or more for none but the last.
        status.run = Some(tried("next", "a", "Superseded"));
        assert_eq!(known(&status, "r19", "a").is_empty(), signals > 2, "{signals}");
        assert!(known(&status, "r1", "a").is_empty());
    }
}
