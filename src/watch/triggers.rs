//! Which Rollouts a changed object concerns. Pure.

use kube::{Resource, ResourceExt};

use super::policies::{PolicyKind, PolicyView};
use super::routes::{RouteView, Sort};
use super::stores::RolloutRef;
use super::views::{DeploymentView, EndpointSliceView, PodView, ReplicaSetView, ScalerView, ServiceView};
use crate::api::{Intervention, MetricsProvider, Release, ReworkEvent, Rollout, names};

/// Says whether a change of an object concerns a Rollout of the same namespace.
pub trait Concerns: Resource<DynamicType = ()> {
    /// Whether it concerns this Rollout.
    fn concerns(&self, rollout: &Rollout) -> bool;
    /// Whether it may concern Rollouts of this other namespace too.
    fn reaches(&self, _namespace: &str) -> bool {
        false
    }
    /// The Rollout it was made for, if the object itself says so.
    fn made_for(&self) -> Option<String> {
        self.meta().labels.as_ref()?.get(names::ROLLOUT_NAME_LABEL).cloned()
    }
}

/// The Rollouts that a change of `object` concerns.
pub fn of<K: Concerns>(
    object: &K,
    rollouts: &[std::sync::Arc<kube::core::DeserializeGuard<Rollout>>],
) -> Vec<RolloutRef> {
    let namespace = object.meta().namespace.as_deref();
    let made_for = object.made_for();
    rollouts
        .iter()
        .filter_map(|guard| guard.0.as_ref().ok())
        .filter(|rollout| {
            let its = rollout.namespace().unwrap_or_default();
            namespace.is_none_or(|namespace| namespace == its) || object.reaches(&its)
        })
        .filter(|rollout| {
            made_for.as_deref() == Some(names::with_suffix(&rollout.name_any(), "").as_str())
                || object.concerns(rollout)
        })
        .map(|rollout| RolloutRef::new(&rollout.name_any()).within(&rollout.namespace().unwrap_or_default()))
        .collect()
}

impl Concerns for DeploymentView {
    fn concerns(&self, rollout: &Rollout) -> bool {
        let target = &rollout.spec.target_ref.name;
        self.name_any() == *target || self.name_any() == names::canary(target)
    }
}

impl Concerns for ReplicaSetView {
    fn concerns(&self, rollout: &Rollout) -> bool {
        self.owner_references()
            .iter()
            .any(|owner| owner.kind == "Deployment" && owner.name == rollout.spec.target_ref.name)
    }
}

impl Concerns for ServiceView {
    fn concerns(&self, _: &Rollout) -> bool {
        true // whether it selects the canary is seen only with the labels of both
    }
}

impl Concerns for EndpointSliceView {
    fn concerns(&self, _: &Rollout) -> bool {
        false // only slices of canary Services are watched; they carry the label of the Service
    }
}

impl Concerns for PodView {
    fn concerns(&self, _: &Rollout) -> bool {
        false // only pods of canaries are watched; they carry the label
    }
}

impl<S: Sort> Concerns for RouteView<S> {
    fn concerns(&self, rollout: &Rollout) -> bool {
        rollout.spec.traffic.routes.iter().any(|route| route.kind == S::KIND && route.name == self.name_any())
    }
}

impl Concerns for MetricsProvider {
    fn concerns(&self, rollout: &Rollout) -> bool {
        rollout.spec.analysis.provider_ref.name == self.name_any()
    }
}

impl Concerns for Release {
    fn concerns(&self, rollout: &Rollout) -> bool {
        self.spec.rollout == rollout.name_any()
    }
}

impl Concerns for ReworkEvent {
    fn concerns(&self, rollout: &Rollout) -> bool {
        self.spec.rollout == rollout.name_any()
    }
}

impl Concerns for Intervention {
    fn concerns(&self, rollout: &Rollout) -> bool {
        self.spec.rollout == rollout.name_any()
    }
}

impl Concerns for ScalerView {
    fn concerns(&self, rollout: &Rollout) -> bool {
        let target = &self.spec.scale_target_ref;
        target.kind == "Deployment" && target.name == rollout.spec.target_ref.name
    }
}

impl<K: PolicyKind> Concerns for PolicyView<K> {
    fn concerns(&self, _: &Rollout) -> bool {
        // Every gate is made of the same policies; those of other programs are nobody's business here.
        self.name_any().starts_with("sluice-")
    }
}
