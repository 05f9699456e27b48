//! Everything in the namespace that selects pods by label and so may treat canary and stable differently: Services,
//! PodDisruptionBudgets, NetworkPolicies.
//!
//! Owns the facts and the refusals. What can be evened out by a copy of a NetworkPolicy is in [`clones`]; how its
//! rules are read, in `rules`.

pub(super) mod clones;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::canary;
use super::preflight::{Refusal, refuse};
use super::selectors::{Labels, Selector};
use super::snapshot::{Snapshot, Workload};
use crate::api::names;
use rules::Reader;

/// What selects pods by label around a Rollout.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Neighbours {
    /// Services of the namespace.
    pub services: Vec<SelectingService>,
    /// PodDisruptionBudgets of the namespace.
    pub budgets: Vec<BudgetFacts>,
    /// NetworkPolicies of the namespace, those that were made for the canary included.
    pub policies: Vec<PolicyFacts>,
    /// NetworkPolicies of other namespaces with a peer that may name pods of this one.
    pub foreign: Vec<PolicyFacts>,
    /// Pods of the canary, those that are going away included.
    pub canary_pods: u32,
}

/// A Service, as far as it selects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SelectingService {
    /// Its name.
    pub name: String,
    /// Its selector; without one it selects nothing.
    pub selector: BTreeMap<String, String>,
}

/// A PodDisruptionBudget.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BudgetFacts {
    /// Its name.
    pub name: String,
    /// Its selector; without one it selects nothing, with an empty one everything.
    pub selector: Option<Selector>,
}

/// A NetworkPolicy.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PolicyFacts {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion; a changed copy is tied to this.
    pub resource_version: String,
    /// It was made by this Rollout.
    pub ours: bool,
    /// It was made for a canary, of whichever Rollout.
    pub for_canary: bool,
    /// Its spec as it stands in the object, so that a copy keeps every field.
    pub spec: Value,
}

impl PolicyFacts {
    fn selector(&self) -> Selector {
        self.spec.get("podSelector").map(Selector::read).unwrap_or_default()
    }
}

/// What the checks of one Rollout look at.
struct Around<'a> {
    neighbours: &'a Neighbours,
    namespace: &'a str,
    rollout: &'a str,
    /// The stable Service and the canary's: they may select what they select.
    own_services: [String; 2],
    sides: Sides,
}

impl<'a> Around<'a> {
    fn of(s: &'a Snapshot, workload: &Workload) -> Self {
        let traffic = &s.rollout.spec.traffic;
        let service = s.stable_service.as_ref().map(|service| service.selector.clone()).unwrap_or_default();
        let mut canary = canary::labels(workload, &service);
        let (key, value) = canary::belonging(s);
        canary.insert(key.to_owned(), value);
        Self {
            neighbours: &s.neighbours,
            namespace: &s.rollout.namespace,
            rollout: &s.rollout.name,
            own_services: [traffic.stable_service.clone(), traffic.canary_service_name()],
            sides: Sides { stable: workload.pod_labels.clone(), canary },
        }
    }

    fn reader(&self) -> Reader<'_> {
        Reader { namespace: self.namespace, sides: &self.sides }
    }

    fn check(&self) -> Result<(), Refusal> {
        self.services()?;
        self.budgets()?;
        self.strays()?;
        self.foreign()?;
        clones::free(self)
    }

    /// A Service that selects the canary's pods would send them requests that no weight governs.
    fn services(&self) -> Result<(), Refusal> {
        let others = self.neighbours.services.iter().filter(|one| !self.own_services.contains(&one.name));
        for service in others {
            if canary::selects(&service.selector, &self.sides.canary) {
                return Err(refuse(
                    "LabelsLeak",
                    format!(
                        "Service {} would select the canary's pods, which would get requests that no weight governs; add a label that only stable's pods have to its spec.selector, such as {}",
                        service.name,
                        self.sides.varied()
                    ),
                ));
            }
        }
        Ok(())
    }

    /// One budget for both would count an unready canary against stable, or a ready one for it.
    fn budgets(&self) -> Result<(), Refusal> {
        for budget in &self.neighbours.budgets {
            let Some(selector) = &budget.selector else { continue };
            if selector.selects(&self.sides.canary) && selector.selects(&self.sides.stable) {
                return Err(refuse(
                    "LabelsLeak",
                    format!(
                        "PodDisruptionBudget {} would count the canary's pods with stable's: a canary that is not ready would block drains of stable; add a label that only stable's pods have to its spec.selector.matchLabels, such as {}",
                        budget.name,
                        self.sides.varied()
                    ),
                ));
            }
        }
        Ok(())
    }

    /// A policy that is meant for something else and hits the canary.
    fn strays(&self) -> Result<(), Refusal> {
        for policy in self.neighbours.policies.iter().filter(|policy| !policy.ours && !policy.for_canary) {
            let selector = policy.selector();
            if self.sides.canary_only(&selector) {
                return Err(refuse(
                    "NetworkPolicyDiffers",
                    format!(
                        "NetworkPolicy {} selects the canary's pods and not stable's, by {}; let its spec.podSelector leave out pods with the label {} (matchExpressions, DoesNotExist)",
                        policy.name,
                        selector.tells_apart(&self.sides.stable, &self.sides.canary),
                        names::ROLE_LABEL
                    ),
                ));
            }
        }
        Ok(())
    }

    /// A policy of another namespace that lets stable's pods in, or is let in by them, and not the canary's. What stands
    /// in another namespace is not for us to change.
    fn foreign(&self) -> Result<(), Refusal> {
        let reader = self.reader();
        for policy in &self.neighbours.foreign {
            if let Some((section, selector)) = reader.leaves_out(policy, &self.neighbours.foreign) {
                let Sides { stable, canary } = &self.sides;
                return Err(refuse(
                    "NetworkPolicyDiffers",
                    format!(
                        "NetworkPolicy {}/{} names stable's pods in spec.{section} and not the canary's, by {}; add a peer with the same namespaceSelector and podSelector.matchLabels {}: {}, or select by a label that canary and stable share",
                        policy.namespace,
                        policy.name,
                        selector.tells_apart(stable, canary),
                        names::ROLE_LABEL,
                        names::CANARY_ROLE
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// The labels of both kinds of pods.
struct Sides {
    stable: Labels,
    canary: Labels,
}

impl Sides {
    fn stable_only(&self, selector: &Selector) -> bool {
        selector.selects(&self.stable) && !selector.selects(&self.canary)
    }

    fn canary_only(&self, selector: &Selector) -> bool {
        selector.selects(&self.canary) && !selector.selects(&self.stable)
    }

    /// A label that stable's pods have and the canary's have not, for the next step in a message.
    fn varied(&self) -> String {
        let varied = self.stable.iter().find(|(key, value)| self.canary.get(*key) != Some(*value));
        varied.map(|(key, value)| format!("{key}: {value}")).unwrap_or_default()
    }
}

/// Whether everything around the canary will treat its pods as it should, or can be made to.
pub(super) fn check(s: &Snapshot, workload: &Workload) -> Result<(), Refusal> {
    Around::of(s, workload).check()
}

/// Policies of other namespaces of which it cannot be said whether they name this one.
pub(super) fn unclear(s: &Snapshot, workload: &Workload) -> Vec<String> {
    let around = Around::of(s, workload);
    let reader = around.reader();
    let unclear = around.neighbours.foreign.iter().filter(|policy| reader.may_leave_out(policy));
    unclear
        .map(|policy| {
            format!(
                "NetworkPolicy {}/{} chooses namespaces by labels that are not looked at; if it means this one, it names stable's pods and not the canary's",
                policy.namespace, policy.name
            )
        })
        .collect()
}

/// Whether a policy may have something to say on pods of another namespace than its own.
pub fn may_reach(spec: &Value, namespace: &str) -> bool {
    rules::may_reach(spec, namespace)
}
