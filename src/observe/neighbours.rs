//! What selects pods by label around a Rollout, from the caches; copies of NetworkPolicies from the API server where
//! their absence must not be concluded from a cache.

use kube::api::ListParams;
use kube::{Api, Resource, ResourceExt};

use super::facts::{belongs, ours};
use super::patience::within;
use super::{Error, Reader};
use crate::api::names;
use crate::decide::neighbours::{BudgetFacts, Neighbours, PolicyFacts, SelectingService, may_reach};
use crate::decide::selectors::Selector;
use crate::watch::Stores;
use crate::watch::guard::Guarded;
use crate::watch::neighbours::NetworkPolicyView;

/// Everything of the Rollout's namespace, and what may reach into it from others.
pub(super) async fn around(
    reader: &Reader<'_>,
    stores: &Stores,
    rollout: &str,
    rollout_uid: &str,
) -> Result<Neighbours, Error> {
    let namespace = reader.namespace;
    let here = |meta: &dyn Fn() -> Option<String>| meta().as_deref() == Some(namespace);
    let services = stores.services.state();
    let services = services.iter().filter(|service| here(&|| service.namespace()));
    let budgets = stores.budgets.state();
    let budgets = budgets.iter().filter(|budget| here(&|| budget.namespace()));
    let cached = stores.policies.state();
    let mut policies: Vec<PolicyFacts> =
        cached.iter().filter(|one| here(&|| one.namespace())).map(|one| policy(one, rollout_uid)).collect();
    if reader.live {
        let made_for = format!("{}={}", names::ROLLOUT_NAME_LABEL, names::with_suffix(rollout, ""));
        let api: Api<Guarded<NetworkPolicyView>> = Api::namespaced(reader.client.clone(), namespace);
        let params = ListParams::default().labels(&made_for);
        let made = within("NetworkPolicies".to_owned(), || api.list(&params)).await?;
        policies.retain(|policy| !policy.ours);
        let made = made.items.iter().filter_map(|one| one.0.as_ref().ok());
        policies.extend(made.map(|one| policy(one, rollout_uid)).filter(|policy| policy.ours));
    }
    policies.sort_by(|one, other| one.name.cmp(&other.name));
    let foreign = cached.iter().filter(|one| !here(&|| one.namespace()) && may_reach(&one.spec, namespace));
    let pods = stores.pods.state();
    let pods = pods.iter().filter(|pod| belongs(pod.as_ref(), rollout, namespace)).count();
    let mut services: Vec<SelectingService> = services
        .map(|service| SelectingService { name: service.name_any(), selector: service.spec.selector.clone() })
        .collect();
    // A cache has no order; equal worlds are to look equal.
    services.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Neighbours {
        services,
        budgets: budgets
            .map(|budget| BudgetFacts {
                name: budget.name_any(),
                selector: budget.spec.selector.as_ref().map(Selector::read),
            })
            .collect(),
        policies,
        foreign: foreign.map(|one| policy(one, rollout_uid)).collect(),
        canary_pods: u32::try_from(pods).unwrap_or(u32::MAX),
    })
}

fn policy(view: &NetworkPolicyView, rollout_uid: &str) -> PolicyFacts {
    let role = view.labels().get(names::ROLE_LABEL).is_some_and(|role| role == names::CANARY_ROLE);
    PolicyFacts {
        name: view.name_any(),
        namespace: view.namespace().unwrap_or_default(),
        uid: view.uid().unwrap_or_default(),
        resource_version: view.resource_version().unwrap_or_default(),
        ours: ours(view, rollout_uid),
        for_canary: role && view.meta().labels.as_ref().is_some_and(|all| all.contains_key(names::ROLLOUT_NAME_LABEL)),
        spec: view.spec.clone(),
    }
}
