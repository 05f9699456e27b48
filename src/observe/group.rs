//! Which other Rollout of the same group goes first. Pure.
//!
//! One canary at a time: an attempt that has left its preflight has the group. Two that leave it in the same moment see
//! each other before either has traffic, and the older attempt goes on.

use std::sync::Arc;

use kube::ResourceExt;
use kube::core::DeserializeGuard;

use crate::api::{Rollout, Run, Step};

/// The attempt that a Rollout has in progress.
fn attempt(rollout: &Rollout) -> Option<&Run> {
    rollout.status.as_ref()?.run.as_ref().filter(|run| run.step != Step::Done)
}

/// The name of the Rollout that this one must wait for.
pub(super) fn busy(rollouts: &[Arc<DeserializeGuard<Rollout>>], of: &Rollout) -> Option<String> {
    let group = of.spec.group.as_ref()?;
    let own = attempt(of).filter(|run| run.step != Step::Preflight);
    let age = |rollout: &Rollout, run: &Run| (run.step_at, rollout.uid());
    rollouts
        .iter()
        .filter_map(|guard| guard.0.as_ref().ok())
        .filter(|other| other.namespace() == of.namespace() && other.uid() != of.uid())
        .filter(|other| other.spec.group.as_ref() == Some(group))
        .filter_map(|other| Some((other, attempt(other).filter(|run| run.step != Step::Preflight)?)))
        .filter(|(other, run)| match own {
            None => true,
            Some(own) => run.wave.is_some() || age(other, run) < age(of, own),
        })
        .map(|(other, _)| other.name_any())
        .min()
}
