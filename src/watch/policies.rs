//! The admission policies of the gate, as they are in the cluster, held against those that are shipped.
//!
//! Owns what counts as "as shipped": every field that the shipped manifest sets has the same value; what the API server
//! fills in does not matter. Pure; the watching is done in `stores`.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::decide::snapshot::GatePolicies;

/// What is shipped: the gate itself. Without it a new template rolls at once, or anyone opens.
const SHIPPED: &str = include_str!("../../deploy/base/policies.yaml");
/// What is shipped beside it: who asks by an Intervention is stamped and verified.
const STAMP: &str = include_str!("../../deploy/base/interventions.yaml");
/// The operator's account in the shipped manifests.
const SHIPPED_ACCOUNT: &str = "system:serviceaccount:sluice-system:sluice";

/// One of the four kinds of admissionregistration.k8s.io that the gate is made of.
pub trait PolicyKind: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// The kind.
    const KIND: &'static str;
    /// Its plural.
    const PLURAL: &'static str;
}

macro_rules! kinds {
    ($($name:ident, $plural:literal, $doc:literal;)*) => {$(
        #[doc = $doc]
        #[derive(Debug, Clone)]
        pub struct $name;
        impl PolicyKind for $name {
            const KIND: &'static str = stringify!($name);
            const PLURAL: &'static str = $plural;
        }
    )*};
}

kinds! {
    MutatingAdmissionPolicy, "mutatingadmissionpolicies", "What changes an object on its way in.";
    MutatingAdmissionPolicyBinding, "mutatingadmissionpolicybindings", "Where it is in force.";
    ValidatingAdmissionPolicy, "validatingadmissionpolicies", "What refuses an object.";
    ValidatingAdmissionPolicyBinding, "validatingadmissionpolicybindings", "Where it is in force.";
}

/// A policy or a binding.
#[derive(Debug, Clone, Deserialize)]
pub struct PolicyView<K: PolicyKind> {
    /// Name and versions.
    pub metadata: ObjectMeta,
    /// Everything that it says.
    #[serde(default)]
    pub spec: Value,
    #[serde(skip)]
    kind: std::marker::PhantomData<K>,
}

impl<K: PolicyKind> Resource for PolicyView<K> {
    type DynamicType = ();
    type Scope = kube::core::ClusterResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        K::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "admissionregistration.k8s.io".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// One policy or binding, whatever its kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    kind: String,
    name: String,
    spec: Value,
}

impl<K: PolicyKind> From<&PolicyView<K>> for Policy {
    fn from(view: &PolicyView<K>) -> Self {
        Self { kind: K::KIND.to_owned(), name: view.name_any(), spec: view.spec.clone() }
    }
}

/// What there is to be, for an operator that runs under one account.
#[derive(Debug, Clone)]
pub struct Shipped {
    gate: Vec<Policy>,
    stamp: Vec<Policy>,
}

/// What there is to be, for an operator that runs under this account.
pub fn shipped(account: &str) -> Shipped {
    Shipped { gate: parsed(SHIPPED, account), stamp: parsed(STAMP, account) }
}

fn parsed(manifests: &str, account: &str) -> Vec<Policy> {
    let text = manifests.replace(SHIPPED_ACCOUNT, account);
    text.split("\n---\n")
        .filter_map(|document| serde_saphyr::from_str::<Value>(document).ok())
        .filter_map(|document| {
            let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            Some(Policy { kind: text("/kind")?, name: text("/metadata/name")?, spec: document.get("spec")?.clone() })
        })
        .collect()
}

/// What there is, held against what is to be. Where the API server has no policies that mutate, people write by
/// themselves who asks, and it is verified all the same.
pub fn look_over(shipped: &Shipped, found: &[Policy], mutating: bool) -> GatePolicies {
    let mut digest = Sha256::new();
    // A cache has no order, and each process another one; the fingerprint is of the policies alone.
    let mut in_order: Vec<&Policy> = found.iter().collect();
    in_order.sort_by(|one, other| (&one.kind, &one.name).cmp(&(&other.kind, &other.name)));
    for one in in_order {
        digest.update(format!("{}/{}:{}", one.kind, one.name, one.spec));
    }
    let fingerprint = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let stamp = shipped.stamp.iter().filter(|one| mutating || !one.kind.starts_with("Mutating"));
    GatePolicies {
        problems: shipped.gate.iter().filter_map(|wanted| problem(wanted, found)).collect(),
        fingerprint,
        unstamped: stamp.filter_map(|wanted| problem(wanted, found)).collect(),
    }
}

/// What is wrong with one of them.
fn problem(wanted: &Policy, found: &[Policy]) -> Option<String> {
    let Policy { kind, name, spec } = wanted;
    match found.iter().find(|one| one.kind == *kind && one.name == *name) {
        None => Some(format!("{kind} {name} is missing")),
        Some(one) => differs(spec, &one.spec, "spec").map(|field| format!("{kind} {name} was changed at {field}")),
    }
}

/// The first field that is not as wanted. Lists must be whole; maps may have more.
fn differs(wanted: &Value, found: &Value, at: &str) -> Option<String> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => wanted.iter().find_map(|(key, value)| {
            let at = format!("{at}.{key}");
            match found.get(key) {
                Some(found) => differs(value, found, &at),
                None => Some(at),
            }
        }),
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => wanted
            .iter()
            .zip(found)
            .enumerate()
            .find_map(|(index, (wanted, found))| differs(wanted, found, &format!("{at}[{index}]"))),
        (wanted, found) if wanted == found => None,
        (_, _) => Some(at.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_api_server_fills_in_does_not_matter_and_what_people_change_does() {
        let shipped = shipped(SHIPPED_ACCOUNT);
        assert!(shipped.gate.len() >= 6 && shipped.stamp.len() >= 4, "{shipped:?}");
        let mut found = [shipped.gate.clone(), shipped.stamp.clone()].concat();
        for one in &mut found {
            one.spec["matchConstraints"]["matchPolicy"] = json!("Equivalent");
        }
        let good = look_over(&shipped, &found, true);
        assert_eq!((&good.problems, &good.unstamped), (&Vec::new(), &Vec::new()));

        found.reverse();
        assert_eq!(look_over(&shipped, &found, true).fingerprint, good.fingerprint, "the order is not part of it");

        let gate = found.iter_mut().find(|one| one.kind == "MutatingAdmissionPolicy" && one.name == "sluice-gate");
        gate.unwrap().spec["matchConditions"] = json!([]);
        let edited = look_over(&shipped, &found, true);
        assert_eq!(edited.problems, ["MutatingAdmissionPolicy sluice-gate was changed at spec.matchConditions"]);
        assert_ne!(edited.fingerprint, good.fingerprint);

        found.retain(|one| one.name != "sluice-guard");
        let missing = look_over(&shipped, &found, true).problems;
        assert!(missing.contains(&"ValidatingAdmissionPolicy sluice-guard is missing".to_owned()), "{missing:?}");

        found.retain(|one| !one.kind.starts_with("Mutating"));
        assert_eq!(look_over(&shipped, &found, false).unstamped, Vec::<String>::new());
        assert_eq!(look_over(&shipped, &found, true).unstamped.len(), 2);
    }

    #[test]
    fn an_operator_elsewhere_looks_for_its_own_account() {
        let text = format!("{:?}", shipped("system:serviceaccount:tools:sluice-a").gate);
        assert!(text.contains("system:serviceaccount:tools:sluice-a") && !text.contains(SHIPPED_ACCOUNT));
    }
}
