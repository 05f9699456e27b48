//! What outlives an attempt: its Release, and the ReworkEvent if it had to be taken back.
//!
//! Owns what the records say; that they are written exactly once is the work of `closing` and `crate::record`. Pure facts:
//! what is computed from them (change fail rate and the like) is in `crate::figures`.

use super::draft::Draft;
use super::plan::Record;
use super::time::elapsed;
use super::words::{as_f64, grouped, share_text};
use super::{budget, recurrence};
use crate::api::{
    ChangeKind, Defect, Exposure, Outcome, ReleaseSpec, ReleaseStatus, ReworkEventSpec, ReworkKind, Run, Tally, Trigger,
};

/// Plans the Release as far as it is known.
pub(super) fn record(d: &mut Draft<'_>, run: &Run) {
    let rollout = &d.s.rollout;
    let spec = ReleaseSpec {
        rollout: rollout.name.clone(),
        rollout_uid: rollout.uid.clone(),
        workload: format!("Deployment/{}", rollout.spec.target_ref.name),
        number: run.number,
        revision: run.revision.clone(),
        from_revision: run.from_revision.clone(),
        images: run.images.clone(),
        owner: rollout.spec.owner.clone(),
        remediates: run.remediates.clone(),
        classification: run.classification.clone(),
        change: run.change.clone().unwrap_or_default(),
    };
    let status = run.times.ended_at.map(|_| ReleaseStatus {
        outcome: run.outcome,
        reason: run.reason.clone(),
        message: run.summary.clone().unwrap_or_default(),
        stage: run.stage,
        wave: run.wave.as_ref().map(|wave| wave.index.saturating_add(1)),
        digests: run.digests.clone(),
        signature: signature(d, run),
        signal: run.signal.clone(),
        symptoms: run.symptoms.clone(),
        budget_percent: budget::cost(run, excess(&run.traffic.run)),
        exposure: Exposure {
            max_weight: run.max_weight,
            requests: run.traffic.run.canary_requests,
            errors: run.traffic.run.canary_errors,
            excess_errors: excess(&run.traffic.run),
        },
        times: run.times.clone(),
        interventions: run.interventions.clone(),
        escaped: None,
        timeline: run.timeline.clone(),
    });
    d.records.push(Record::Release { name: run.release.clone(), spec: Box::new(spec), status: status.map(Box::new) });
}

/// How many more requests of the canary failed than would have failed at stable's rate in the same time.
fn excess(tally: &Tally) -> u64 {
    let usual = as_f64(tally.stable_errors) / as_f64(tally.stable_requests.max(1)) * as_f64(tally.canary_requests);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and a count
    let usual = usual.round().max(0.0) as u64;
    tally.canary_errors.saturating_sub(usual)
}

/// What the run was like as a failure, if it was one.
fn defect(run: &Run) -> Option<Defect<'_>> {
    run.stage?;
    Some(Defect {
        signature: None,
        reason: run.reason.as_deref().unwrap_or_default(),
        signal: run.signal.as_deref(),
        symptoms: run.symptoms.as_deref(),
    })
}

/// What failures of the same kind have in common.
fn signature(d: &Draft<'_>, run: &Run) -> Option<String> {
    defect(run).map(|defect| recurrence::sign(d, &defect))
}

/// A change that was made in a hurry.
fn hotfix(run: &Run) -> bool {
    run.classification.as_ref().is_some_and(|known| known.kind == ChangeKind::Hotfix)
}

/// The ReworkEvent of a run that users met and that was taken back, that rolled unproven, or that was made in a hurry.
pub(super) fn rework(d: &Draft<'_>, run: &Run) -> Option<Record> {
    let kind = match run.outcome? {
        Outcome::RolledBack | Outcome::Aborted => ReworkKind::Rollback,
        Outcome::Bypassed => ReworkKind::Bypass,
        Outcome::Promoted if hotfix(run) => ReworkKind::Hotfix,
        Outcome::Promoted
        | Outcome::Escaped
        | Outcome::Superseded
        | Outcome::SupersededUnderSuspicion
        | Outcome::FailedBeforeExposure => return None,
    };
    let verdict_at = run.times.verdict_at?;
    // What rolls past the gate meets everybody, whether it had a canary or not.
    let exposed_at = run.times.exposed_at.or((kind == ReworkKind::Bypass).then_some(verdict_at))?;
    let taken_back = kind != ReworkKind::Hotfix;
    let weight_zero_at = run.times.weight_zero_at.or(run.times.route_restored_at).filter(|_| taken_back);
    if taken_back && weight_zero_at.is_none() {
        return None;
    }
    let failed = run.remediates.clone().filter(|_| !taken_back).unwrap_or_else(|| run.release.clone());
    let signature = signature(d, run);
    let tally = &run.traffic.run;
    let spec = ReworkEventSpec {
        kind,
        rollout: d.s.rollout.name.clone(),
        failed_release: failed,
        revision: run.revision.clone(),
        trigger: if taken_back { run.trigger.unwrap_or(Trigger::Automatic) } else { Trigger::Manual },
        reason: run.reason.clone().unwrap_or_default(),
        message: format!(
            "{}; in all {} of {} canary requests failed ({})",
            run.summary.clone().unwrap_or_default(),
            grouped(tally.canary_errors),
            grouped(tally.canary_requests),
            share_text(tally.canary_errors, tally.canary_requests),
        ),
        signal: run.signal.clone(),
        owner: d.s.rollout.spec.owner.clone(),
        exposed_at,
        verdict_at,
        weight_zero_at,
        detect_seconds: elapsed(verdict_at, exposed_at).as_secs_f64(),
        act_seconds: weight_zero_at.map(|zero| elapsed(zero, verdict_at).as_secs_f64()),
        verify_seconds: weight_zero_at
            .zip(run.times.recovered_at)
            .map(|(zero, well)| elapsed(well, zero).as_secs_f64()),
        recurrence: defect(run).map(|defect| recurrence::times(d, &defect, &run.release)),
        signature,
        symptoms: run.symptoms.clone(),
        remedied_by: (!taken_back).then(|| run.release.clone()),
    };
    Some(Record::Rework { name: run.release.clone(), spec: Box::new(spec) })
}
