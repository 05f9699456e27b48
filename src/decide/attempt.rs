//! What an attempt is when it begins, what is known of the one before, and which version is stable after it.
//!
//! Owns the first state of a `Run`. When one begins is decided in `rest`, how it goes on in `run`.

use super::change::{self, Said};
use super::draft::Draft;
use super::plan::Severity;
use super::snapshot::Workload;
use super::{kept, people};
use crate::api::{Former, LogState, Revision, Run, Step, Times, TrafficState, names};

/// How many images a status may name.
pub(super) const IMAGES: usize = 20;
/// How many former versions a status may name.
const FORMER: usize = 10;

/// Makes a new attempt the present one.
pub(super) fn begin(
    d: &mut Draft<'_>,
    (digest, images): (&String, &[String]),
    serving: u32,
    stable: &Revision,
    (said, failed): (&Said, Option<String>),
) {
    let (classification, remediates) = change::classify(&d.status, said, digest, failed);
    let number = d.status.attempts.saturating_add(1);
    let rollout = &d.s.rollout;
    let run = Run {
        release: names::release(&rollout.name, &rollout.uid, number, digest),
        number,
        revision: digest.clone(),
        from_revision: stable.digest.clone(),
        images: images.iter().take(IMAGES).cloned().collect(),
        remediates,
        classification: Some(classification),
        change: Some(said.change.clone()),
        budget: None,
        step: Step::Preflight,
        step_at: d.s.now,
        wave: None,
        weight: 0,
        routes: Vec::new(),
        forecast: Vec::new(),
        traffic: TrafficState::default(),
        signals: kept::known(&d.status, digest, &stable.digest),
        restarts_before: 0,
        outcome: None,
        trigger: None,
        reason: None,
        signal: None,
        symptoms: None,
        summary: None,
        stage: None,
        digests: Vec::new(),
        recovery: None,
        times: Times { requested_at: Some(d.s.now), ..Times::default() },
        max_weight: 0,
        serving,
        effective_weight: None,
        approved: Vec::new(),
        interventions: people::asked_since(d.status.run.as_ref()),
        conflicts: None,
        scaler: None,
        timeline: Vec::new(),
        log: LogState::default(),
    };
    d.status.attempts = number;
    kept::keep(&mut d.status);
    let release = run.release.clone();
    d.status.run = Some(run);
    d.status.watching = None;
    if !said.unreadable.is_empty() {
        let target = &d.s.rollout.spec.target_ref.name;
        let note = format!(
            "annotations of Deployment {target} are left out of the record of Release {release}: {}",
            said.unreadable.join("; ")
        );
        d.notify(Severity::Warning, format!("{release}.annotations"), "AnnotationUnreadable", "Gate", note);
    }
}

/// Annotations that were added while the template waits count: whoever calls it a repair then need not apply it anew.
pub(super) fn heed(d: &mut Draft<'_>, workload: &Workload) {
    let said = change::read(&workload.said);
    let Some(run) = d.status.run.as_mut() else { return };
    if let Some(known) = change::told(&said) {
        run.classification = Some(known);
    }
    if said.remediates.is_some() {
        run.remediates.clone_from(&said.remediates);
    }
    run.change = Some(said.change);
}

/// Another version is stable from now on, by the last attempt: whoever goes back to the one before says that this
/// attempt had failed.
pub(super) fn serves(d: &mut Draft<'_>, version: Revision) {
    let now = d.s.now;
    let before = d.status.stable.replace(version.clone());
    let replaced = before.filter(|before| before.digest != version.digest);
    if let (Some(before), Some(run)) = (replaced, &d.status.run) {
        d.status.former.retain(|former| former.revision != before.digest && former.revision != version.digest);
        d.status.former.push(Former { revision: before.digest, replaced_by: run.release.clone(), until: now });
        let extra = d.status.former.len().saturating_sub(FORMER);
        d.status.former.drain(..extra);
    }
}
