//! Whether a wave, or the promotion, may begin: what people, the error budget, calendars and neighbours say beside the
//! evidence.
//!
//! An ordered chain; the first that waits is named. Going back never asks here.

use super::budget;
use super::calendar::{self, Closed};
use super::draft::Draft;
use super::people::PROMOTION;
use super::time::elapsed;
use crate::api::{Approval, Run, Wave};

/// Why a step does not begin yet.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) reason: &'static str,
    pub(super) sentence: String,
}

fn wait(reason: &'static str, sentence: String) -> Result<(), Wait> {
    Err(Wait { reason, sentence })
}

/// Whether this wave may begin; `None` is the promotion.
pub(super) fn may_begin(d: &mut Draft<'_>, run: &Run, wave: Option<&Wave>) -> Result<(), Wait> {
    held(d)?;
    budget::permits(d.s, run)?;
    approval(d, run, wave)?;
    calendar(d)?;
    group(d, run)?;
    capacity(d, run)
}

/// A person wants nothing to advance.
fn held(d: &Draft<'_>) -> Result<(), Wait> {
    let Some(hold) = &d.status.hold else { return Ok(()) };
    wait("HeldByPerson", format!("held by {} ({}); an Intervention Resume ends it", hold.by, hold.reason))
}

fn approval(d: &Draft<'_>, run: &Run, wave: Option<&Wave>) -> Result<(), Wait> {
    let spec = &d.s.rollout.spec;
    let (asks, key, what) = match wave {
        Some(wave) => (wave.approval, wave.weight, format!("the wave at {}%", wave.weight)),
        None => (spec.promotion.approval, PROMOTION, "the promotion".to_owned()),
    };
    if asks == Approval::None || run.approved.contains(&key) {
        return Ok(());
    }
    let contact = spec.owner.as_ref().and_then(|owner| owner.contact.as_ref());
    let who = contact.map(|contact| format!(" of {contact}")).unwrap_or_default();
    wait("AwaitingApproval", format!("{what} waits for an Intervention Approve{who}, for release {}", run.release))
}

/// Windows and freezes of the owner.
fn calendar(d: &mut Draft<'_>) -> Result<(), Wait> {
    let closed = d.s.rollout.spec.schedule.as_ref().and_then(|schedule| calendar::closed(schedule, d.s.now));
    let Some(Closed { reason, sentence, opens }) = closed else { return Ok(()) };
    if let Some(opens) = opens {
        d.wake_in(elapsed(opens, d.s.now));
    }
    wait(reason, sentence)
}

/// One canary at a time in a group.
fn group(d: &Draft<'_>, run: &Run) -> Result<(), Wait> {
    let (Some(other), None, Some(group)) = (&d.s.group_busy, &run.wave, &d.s.rollout.spec.group) else {
        return Ok(());
    };
    wait("GroupBusy", format!("Rollout {other} of group {group} has a canary; this one is next when it is done"))
}

/// Whoever served everybody when the attempt began must be able to again, at any moment. Not more: a stable version that
/// is broken must not keep its fix out.
fn capacity(d: &Draft<'_>, run: &Run) -> Result<(), Wait> {
    let Some(workload) = &d.s.workload else { return Ok(()) };
    let wanted = run.serving.min(workload.replicas);
    if workload.available >= wanted {
        return Ok(());
    }
    wait(
        "FallbackTooSmall",
        format!(
            "{} pods of Deployment {} are available, {wanted} served before; a wave begins when they could take all traffic back",
            workload.available, workload.name
        ),
    )
}
