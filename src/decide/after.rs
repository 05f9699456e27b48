//! A promoted version is watched for a while with the signals that need no comparison: what escaped the waves is found
//! and recorded. Nothing is taken back any more: there is no canary, and stable is the version itself.

use super::draft::Draft;
use super::plan::{Record, Severity};
use super::time::elapsed;
use super::words::grouped;
use super::{recurrence, verdict};
use crate::api::{
    Defect, Duration, Escaped, Outcome, ReworkEventSpec, ReworkKind, Run, Signal, Trigger, Watching, names,
};

/// Whether a signal says something of a version without another one beside it.
pub(super) fn absolute(signal: &Signal) -> bool {
    let threshold = signal.error_ratio.as_ref().is_some_and(|ratio| ratio.threshold.is_some());
    !signal.dry_run && (threshold || signal.query.is_some() || signal.burn_rate.is_some())
}

/// Watches the version that was promoted last, as long as it is stable and the time is not over.
pub(super) fn watch(d: &mut Draft<'_>) {
    let (s, span) = (d.s, d.s.rollout.spec.watch);
    let stable = d.status.stable.as_ref().map(|stable| stable.digest.as_str()).unwrap_or_default();
    let promoted = d.status.run.clone().filter(|run| run.outcome == Some(Outcome::Promoted) && run.revision == stable);
    let (Some(run), Some(provider)) = (promoted, &s.provider) else {
        d.status.watching = None;
        return;
    };
    let Some(since) = run.times.ended_at else { return };
    if !s.rollout.spec.analysis.signals.iter().any(absolute) || span == Duration::default() {
        d.status.watching = None;
        return;
    }
    let escaped = d.status.watching.as_ref().is_some_and(|watching| watching.escaped.is_some());
    // What escaped stays in sight until another attempt begins.
    if d.passed(since, span) && !escaped {
        d.status.watching = None;
        return;
    }
    let mut watching = d.status.watching.clone().filter(|watching| watching.release == run.release);
    let watching = watching.get_or_insert_with(|| Watching {
        release: run.release.clone(),
        revision: run.revision.clone(),
        since,
        signals: Vec::new(),
        escaped: None,
    });
    if watching.escaped.is_none()
        && let Some(harm) = verdict::watch(s, provider, &run, watching)
    {
        let contact = s.rollout.spec.owner.as_ref().and_then(|owner| owner.contact.as_ref());
        let who = contact.map(|contact| format!("; {contact} should look")).unwrap_or_default();
        let message =
            format!("{}, {} after the promotion{who}", harm.sentence, super::time::human(elapsed(s.now, since)));
        d.notify(Severity::Warning, format!("{}.escaped", run.release), "Escaped", "Watch", message.clone());
        watching.escaped = Some(Escaped { at: s.now, signal: harm.signal, message, recorded: false });
        // It is recorded by the pass that comes next, which knows what failed so before.
        d.wake_in(Duration::from_secs(1));
    } else if let Some(escaped) = watching.escaped.as_mut().filter(|escaped| !escaped.recorded) {
        if s.escape_recorded {
            escaped.recorded = true;
        } else {
            let escaped = escaped.clone();
            d.records.push(Record::Escaped {
                name: run.release.clone(),
                signature: recurrence::sign(d, &defect(&escaped)),
                escaped: Escaped { recorded: true, ..escaped.clone() },
            });
            let rework = rework(d, &run, &escaped);
            if let Record::Rework { spec, .. } = &rework {
                recurrence::tell(d, &names::escaped(&run.release), spec);
            }
            d.records.push(rework);
        }
    }
    d.status.watching = Some(watching.clone());
}

/// What escaped has no canary beside stable any more, and so no excess that could be looked at by its labels.
fn defect(escaped: &Escaped) -> Defect<'_> {
    Defect { signature: None, reason: "Escaped", signal: Some(&escaped.signal), symptoms: None }
}

fn rework(d: &Draft<'_>, run: &Run, escaped: &Escaped) -> Record {
    let exposed_at = run.times.exposed_at.unwrap_or(escaped.at);
    let name = names::escaped(&run.release);
    let spec = ReworkEventSpec {
        kind: ReworkKind::Escaped,
        rollout: d.s.rollout.name.clone(),
        failed_release: run.release.clone(),
        revision: run.revision.clone(),
        trigger: Trigger::Automatic,
        reason: "Escaped".to_owned(),
        message: format!(
            "{}; the waves had seen {} canary requests",
            escaped.message,
            grouped(run.traffic.run.canary_requests)
        ),
        signal: Some(escaped.signal.clone()),
        owner: d.s.rollout.spec.owner.clone(),
        exposed_at,
        verdict_at: escaped.at,
        weight_zero_at: None,
        detect_seconds: elapsed(escaped.at, exposed_at).as_secs_f64(),
        act_seconds: None,
        verify_seconds: None,
        recurrence: Some(recurrence::times(d, &defect(escaped), &name)),
        signature: Some(recurrence::sign(d, &defect(escaped))),
        symptoms: None,
        remedied_by: None,
    };
    Record::Rework { name, spec: Box::new(spec) }
}
