//! Which Rollouts a changed object concerns. Pure.

use kube::{Resource, ResourceExt};

use super::policies::{PolicyKind, PolicyView};
use super::routes::{RouteView, Sort};
use super::stores::RolloutRef;
use super::views::{DeploymentView, EndpointSliceView, PodView, ReplicaSetView, ScalerView, ServiceView};
use crate::api::{
    Intervention, MetricsProvider, NotificationSink, Reclassification, Release, ReworkEvent, Rollout, Step, names,
};

/// Says whether a change of an object concerns a Rollout of the same namespace.
pub trait Concerns: Resource<DynamicType = ()> {
    /// Whether it concerns this Rollout.
    fn concerns(&self, rollout: &Rollout) -> bool;
    /// Whether it may concern Rollouts of this other namespace too.
    fn reaches(&self, _namespace: &str) -> bool {
        false
    }
    /// Forgets what nobody reads in a cache.
    fn slim(&mut self) {}
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

/// The other Rollouts that may have waited for this one: those of the same workload, and those of the same group once it
/// has no attempt in progress, or is gone.
pub fn waiting(
    changed: &Rollout,
    rollouts: &[std::sync::Arc<kube::core::DeserializeGuard<Rollout>>],
) -> Vec<RolloutRef> {
    let all = || rollouts.iter().filter_map(|guard| guard.0.as_ref().ok());
    let busy = all().any(|own| {
        let run = own.status.as_ref().and_then(|status| status.run.as_ref());
        own.uid() == changed.uid() && run.is_some_and(|run| run.step != Step::Done)
    });
    all()
        .filter(|other| other.namespace() == changed.namespace() && other.uid() != changed.uid())
        .filter(|other| {
            let grouped = other.spec.group.is_some() && other.spec.group == changed.spec.group;
            other.spec.target_ref == changed.spec.target_ref || (grouped && !busy)
        })
        .map(|other| RolloutRef::new(&other.name_any()).within(&other.namespace().unwrap_or_default()))
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

impl Concerns for NotificationSink {
    fn concerns(&self, _: &Rollout) -> bool {
        false // it is told what happened; nothing that is decided knows of it
    }
}

impl Concerns for Release {
    fn concerns(&self, rollout: &Rollout) -> bool {
        self.spec.rollout == rollout.name_any()
    }

    // There may be thousands, and these are the larger part of each.
    fn slim(&mut self) {
        if let Some(status) = self.status.as_mut() {
            status.timeline = Vec::new();
            status.interventions = Vec::new();
        }
    }
}

impl Concerns for ReworkEvent {
    fn concerns(&self, rollout: &Rollout) -> bool {
        self.spec.rollout == rollout.name_any()
    }
}

impl Concerns for Reclassification {
    fn concerns(&self, _: &Rollout) -> bool {
        false // it changes figures, which are counted beside the passes
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kube::core::DeserializeGuard;
    use serde_json::{Value, json};

    use super::*;

    fn rollout(name: &str, target: &str, group: &str, status: &Value) -> Arc<DeserializeGuard<Rollout>> {
        let rollout = json!({
            "apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout",
            "metadata": {"name": name, "namespace": "shops", "uid": name},
            "spec": {
                "targetRef": {"name": target}, "group": group,
                "traffic": {"stableService": target, "routes": [{"name": target}]},
                "analysis": {"providerRef": {"name": "cluster"}, "signals": [{"name": "errors", "errorRatio": {}}]},
            },
            "status": status,
        });
        Arc::new(DeserializeGuard(Ok(serde_json::from_value(rollout).unwrap())))
    }

    fn attempt(step: &str) -> Value {
        json!({"run": {"release": "r", "number": 1, "revision": "b", "fromRevision": "a", "step": step,
            "stepAt": "2026-01-01T00:00:00Z"}})
    }

    fn woken(changed: &Arc<DeserializeGuard<Rollout>>, others: &[Arc<DeserializeGuard<Rollout>>]) -> Vec<String> {
        let woken = waiting(changed.0.as_ref().unwrap(), others);
        woken.into_iter().map(|one| one.name).collect()
    }

    #[test]
    fn whoever_waits_for_a_rollout_is_woken_when_it_is_done_or_gone() {
        let others = [
            rollout("rival", "shop", "other", &json!({})),
            rollout("cart", "cart", "checkout", &json!({})),
            rollout("stock", "stock", "stores", &json!({})),
        ];
        for (step, expected) in [("Baking", &["rival"][..]), ("Done", &["rival", "cart"])] {
            let changed = rollout("shop", "shop", "checkout", &attempt(step));
            let mut all = others.to_vec();
            all.push(changed.clone());
            assert_eq!(woken(&changed, &all), expected, "in {step}");
        }
        let gone = rollout("shop", "shop", "checkout", &attempt("Baking"));
        assert_eq!(woken(&gone, &others), ["rival", "cart"]);
    }
}
