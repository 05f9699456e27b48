//! Whether a failure is one that was seen before: in this Rollout, or in several of its owner.
//!
//! Owns how it is counted and told. When two failures are one defect is said in `crate::api` (`Defect`).

use super::draft::Draft;
use super::plan::Severity;
use super::snapshot::ReworkFacts;
use super::time::elapsed;
use crate::api::{Defect, Duration, Owner, REMEMBERED_DAYS, ReworkEventSpec};

/// So often a defect of one Rollout must be seen before it is told, this time included.
const OF_ONE: usize = 2;
/// The same over the Rollouts of one owner.
const OF_OWNER: usize = 3;
/// Releases that are named.
const NAMED: usize = 3;

/// The signature of a failure of this Rollout.
pub(super) fn sign(d: &Draft<'_>, defect: &Defect<'_>) -> String {
    defect.sign(&d.s.rollout.namespace, &d.s.rollout.name)
}

/// How often this Rollout failed so in 90 days, this time included.
pub(super) fn times(d: &Draft<'_>, defect: &Defect<'_>, this: &str) -> u32 {
    let earlier = before(d, defect, this).into_iter().filter(|one| here(d, one)).count();
    u32::try_from(earlier).unwrap_or(u32::MAX).saturating_add(1)
}

/// Says once of a failure that it came back. `this` is the name of its record.
pub(super) fn tell(d: &mut Draft<'_>, this: &str, spec: &ReworkEventSpec) {
    let (Some(_), Some(signature)) = (spec.recurrence, &spec.signature) else { return };
    let defect = Defect {
        signature: Some(signature),
        reason: &spec.reason,
        signal: spec.signal.as_deref(),
        symptoms: spec.symptoms.as_deref(),
    };
    let all = before(d, &defect, this);
    let (own, others): (Vec<_>, Vec<_>) = all.iter().partition(|one| here(d, one));
    let team = d.s.rollout.spec.owner.as_ref().map(|Owner { team, .. }| team.as_str());
    let note = if own.len().saturating_add(1) >= OF_ONE {
        let who = match own.len() {
            1 => "one".to_owned(),
            more => format!("{more} others"),
        };
        said(d, &defect, spec, &format!("{who} before it"), &own)
    } else if !others.is_empty() && all.len().saturating_add(1) >= OF_OWNER {
        let whose = team.map(|team| format!(" of team {team}")).unwrap_or_default();
        said(d, &defect, spec, &format!("{} others{whose} before it", all.len()), &all)
    } else {
        return;
    };
    d.notify(Severity::Warning, format!("{}.recurrence", spec.failed_release), "RecurringDefect", "End", note);
}

/// Which Releases failed so, the newest first, and what they have in common.
fn said(d: &Draft<'_>, defect: &Defect<'_>, spec: &ReworkEventSpec, who: &str, all: &[&ReworkFacts]) -> String {
    let name = |one: &&ReworkFacts| {
        if one.namespace == d.s.rollout.namespace {
            one.release.clone()
        } else {
            format!("{}/{}", one.namespace, one.release)
        }
    };
    let names: Vec<String> = all.iter().take(NAMED).map(name).collect();
    let rest = if all.len() > NAMED { ", …" } else { "" };
    let others: Vec<Defect<'_>> = all.iter().map(|one| of(one)).collect();
    format!(
        "Release {} failed as {who} within {REMEMBERED_DAYS} days: {}{rest}; in common: {} (signature {})",
        spec.failed_release,
        names.join(", "),
        defect.common(&others).join(", "),
        spec.signature.as_deref().unwrap_or_default()
    )
}

/// Earlier failures that are the same defect, the newest first: of this Rollout, and of others of its owner.
fn before<'s>(d: &Draft<'s>, defect: &Defect<'_>, this: &str) -> Vec<&'s ReworkFacts> {
    let signature = sign(d, defect);
    let defect = Defect { signature: Some(&signature), ..*defect };
    let days = Duration::from_secs(u64::from(REMEMBERED_DAYS).saturating_mul(24 * 3600));
    let alike = |one: &&ReworkFacts| {
        if here(d, one) { one.name != this && defect.same(&of(one)) } else { defect.kin(&of(one)) }
    };
    let mut all: Vec<&ReworkFacts> =
        d.s.reworks.iter().filter(|one| elapsed(d.s.now, one.at) <= days).filter(alike).collect();
    all.sort_by(|one, other| other.at.cmp(&one.at).then_with(|| one.name.cmp(&other.name)));
    all
}

fn here(d: &Draft<'_>, one: &ReworkFacts) -> bool {
    one.rollout == d.s.rollout.name && one.namespace == d.s.rollout.namespace
}

fn of(one: &ReworkFacts) -> Defect<'_> {
    Defect {
        signature: Some(&one.signature),
        reason: &one.reason,
        signal: one.signal.as_deref(),
        symptoms: one.symptoms.as_deref(),
    }
}
