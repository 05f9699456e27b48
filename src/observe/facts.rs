//! From the views of foreign objects to the facts of a snapshot. Pure.

use kube::{Resource, ResourceExt};
use serde_json::Value;

use crate::api::{BasicAuth, BearerAuth, Intervention, InterventionSpec, MetricsProvider, ProviderAuth, names};
use crate::decide::measure::{Access, Credential, Provider, SecretKey};
use crate::decide::snapshot::{
    BackendFacts, CanaryFacts, InterventionFacts, ParentFacts, PodFacts, ReplicaSetFacts, RouteFacts, RuleFacts,
    ScalerFacts, ServiceFacts, Workload,
};
use crate::watch::routes::{RouteParentView, RouteView, Sort};
use crate::watch::views::{
    ContainerStatusView, DeploymentView, EndpointSliceView, PodView, ReplicaSetView, ScalerView, ServiceView,
};

/// Whether an object of a canary belongs to this Rollout.
pub(super) fn belongs<K: Resource>(object: &K, rollout: &str, namespace: &str) -> bool {
    let meta = object.meta();
    let label = meta.labels.as_ref().and_then(|labels| labels.get(names::ROLLOUT_NAME_LABEL));
    meta.namespace.as_deref() == Some(namespace) && label.is_some_and(|label| *label == names::with_suffix(rollout, ""))
}

pub(super) fn workload(view: &DeploymentView) -> Workload {
    let (spec, status) = (&view.spec, &view.status);
    let mut hazards = spec.template.hazards.clone();
    if spec.strategy.type_ == "Recreate" {
        hazards.insert(0, "its strategy is Recreate, which asks that two versions never run at once".to_owned());
    }
    Workload {
        name: view.name_any(),
        uid: view.uid().unwrap_or_default(),
        resource_version: view.resource_version().unwrap_or_default(),
        generation: view.meta().generation.unwrap_or_default(),
        observed_generation: status.observed_generation,
        replicas: spec.replicas.unwrap_or(1),
        paused: spec.paused,
        governed_by: view.labels().get(names::ROLLOUT_LABEL).cloned(),
        said: names::SAID
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), view.annotations().get(*key)?.clone())))
            .collect(),
        digest: spec.template.digest.clone(),
        images: spec.template.images.clone(),
        selector: spec.selector.match_labels.clone(),
        selector_expressions: !spec.selector.match_expressions.is_empty(),
        pod_labels: spec.template.labels.clone(),
        hazards,
        pre_stop: spec.template.pre_stop,
        max_unavailable: spec.strategy.rolling_update.as_ref().and_then(max_unavailable),
        // What the API server fills in.
        termination_grace: spec.template.termination_grace.unwrap_or(30),
        status_replicas: status.replicas,
        updated: status.updated_replicas,
        available: status.available_replicas,
    }
}

/// A number or a percentage, in the words of the object.
fn max_unavailable(rolling_update: &Value) -> Option<String> {
    let value = rolling_update.get("maxUnavailable")?;
    value.as_str().map(str::to_owned).or_else(|| value.as_u64().map(|number| number.to_string()))
}

pub(super) fn replica_set(view: &ReplicaSetView) -> ReplicaSetFacts {
    ReplicaSetFacts {
        name: view.name_any(),
        uid: view.uid().unwrap_or_default(),
        resource_version: view.resource_version().unwrap_or_default(),
        created_at: view.creation_timestamp().map_or(0, |time| time.0.as_second()),
        present: view.status.replicas,
        ready: view.status.ready_replicas,
        digest: view.spec.template.digest.clone(),
        images: view.spec.template.images.clone(),
        replicas: view.spec.replicas,
        available: view.status.available_replicas,
    }
}

pub(super) fn scaler(view: &ScalerView) -> ScalerFacts {
    ScalerFacts {
        name: view.name_any(),
        resource_version: view.resource_version().unwrap_or_default(),
        behavior: view.spec.behavior.clone(),
    }
}

pub(super) fn intervention(object: &Intervention) -> InterventionFacts {
    let InterventionSpec { rollout: _, action, reason, release, requested_by } = object.spec.clone();
    InterventionFacts {
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        action,
        reason,
        release,
        by: requested_by,
        at: object.creation_timestamp().map(|time| time.0),
    }
}

pub(super) fn service(view: &ServiceView, rollout_uid: &str) -> ServiceFacts {
    ServiceFacts {
        name: view.name_any(),
        uid: view.uid().unwrap_or_default(),
        ours: ours(view, rollout_uid),
        selector: view.spec.selector.clone(),
        ports: view.spec.ports.clone(),
    }
}

pub(super) fn canary(view: &DeploymentView, rollout_uid: &str) -> CanaryFacts {
    let failure = view.status.conditions.iter().find(|c| c.type_ == "ReplicaFailure" && c.status == "True");
    CanaryFacts {
        name: view.name_any(),
        uid: view.uid().unwrap_or_default(),
        resource_version: view.resource_version().unwrap_or_default(),
        ours: ours(view, rollout_uid),
        revision: view.annotations().get(names::REVISION_ANNOTATION).cloned().unwrap_or_default(),
        replicas: view.spec.replicas.unwrap_or(1),
        available: view.status.available_replicas,
        observed: view.status.observed_generation >= view.meta().generation.unwrap_or_default(),
        failure: failure.map(|condition| condition.message.clone()),
    }
}

pub(super) fn ours<K: Resource>(object: &K, rollout_uid: &str) -> bool {
    object.meta().owner_references.iter().flatten().any(|owner| owner.kind == "Rollout" && owner.uid == rollout_uid)
}

pub(super) fn pod(view: &PodView) -> PodFacts {
    let containers = || view.status.init_container_statuses.iter().chain(&view.status.container_statuses);
    let waiting = containers().find_map(|one| one.state.waiting.as_ref());
    PodFacts {
        name: view.name_any(),
        ready: view.status.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True"),
        restarts: containers().map(|one| one.restart_count).max().unwrap_or(0),
        waiting: waiting.map(|waiting| (waiting.reason.clone(), waiting.message.clone())),
        digests: view.status.container_statuses.iter().filter_map(image_digest).collect(),
    }
}

/// `name=sha256:…`, of an image ID such as `registry/app@sha256:…` or `sha256:…`.
fn image_digest(container: &ContainerStatusView) -> Option<String> {
    let id = container.image_id.rsplit_once('@').map_or(container.image_id.as_str(), |(_, digest)| digest);
    let hex = id.strip_prefix("sha256:")?;
    (hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| format!("{}={id}", container.name))
}

pub(super) fn ready(view: &EndpointSliceView) -> u32 {
    let ready = view.endpoints.iter().filter(|endpoint| endpoint.conditions.ready.unwrap_or(true)).count();
    u32::try_from(ready).unwrap_or(u32::MAX)
}

pub(super) fn route<S: Sort>(view: &RouteView<S>) -> RouteFacts {
    let namespace = view.namespace().unwrap_or_default();
    RouteFacts {
        kind: S::KIND,
        name: view.name_any(),
        resource_version: view.resource_version().unwrap_or_default(),
        generation: view.meta().generation.unwrap_or_default(),
        rules: view
            .spec
            .rules
            .iter()
            .map(|rule| {
                let backends = rule.get("backendRefs").and_then(Value::as_array);
                RuleFacts {
                    name: rule.get("name").and_then(Value::as_str).map(str::to_owned),
                    backends: backends.into_iter().flatten().map(|raw| backend(raw, &namespace)).collect(),
                }
            })
            .collect(),
        parents: view.status.parents.iter().map(parent).collect(),
    }
}

/// Whom to ask and how it lets us in; the Secrets themselves are not looked at.
pub(super) fn provider(object: &MetricsProvider) -> Provider {
    let spec = &object.spec;
    let key = |secret: &str, key: &str| SecretKey { secret: secret.to_owned(), key: key.to_owned() };
    let credential = spec.auth.as_ref().and_then(|auth| match auth {
        ProviderAuth { bearer: Some(BearerAuth { secret_ref }), .. } => {
            Some(Credential::Bearer(key(&secret_ref.name, &secret_ref.key)))
        }
        ProviderAuth { basic: Some(BasicAuth { secret_ref, username_key, password_key }), .. } => {
            let (username, password) = (key(&secret_ref.name, username_key), key(&secret_ref.name, password_key));
            Some(Credential::Basic { username, password })
        }
        ProviderAuth { bearer: None, basic: None, .. } => None,
    });
    let tls = spec.tls.as_ref();
    Provider {
        name: object.name_any(),
        address: spec.address.trim_end_matches('/').to_owned(),
        scrape_interval: spec.scrape_interval,
        timeout: spec.timeout,
        access: Access {
            credential,
            allow_plain_http: spec.auth.as_ref().is_some_and(|auth| auth.allow_plain_http),
            ca: tls.and_then(|tls| tls.ca.as_ref()).map(|ca| key(&ca.secret_ref.name, &ca.secret_ref.key)),
            client_certificate: tls
                .and_then(|tls| tls.client_certificate.as_ref())
                .map(|certificate| certificate.secret_ref.name.clone()),
            headers: spec.headers.iter().map(|header| (header.name.clone(), header.value.clone())).collect(),
        },
    }
}

fn backend(raw: &Value, namespace: &str) -> BackendFacts {
    let text = |key: &str| raw.get(key).and_then(Value::as_str);
    let service = text("kind").unwrap_or("Service") == "Service" && text("group").unwrap_or("").is_empty();
    let weight = raw.get("weight").and_then(Value::as_u64).unwrap_or(1);
    BackendFacts {
        name: text("name").unwrap_or_default().to_owned(),
        local_service: service && text("namespace").is_none_or(|other| other == namespace),
        weight: u32::try_from(weight).unwrap_or(u32::MAX),
        raw: raw.clone(),
    }
}

fn parent(view: &RouteParentView) -> ParentFacts {
    let condition = |type_: &str| view.conditions.iter().find(|condition| condition.type_ == type_);
    let (accepted, resolved) = (condition("Accepted"), condition("ResolvedRefs"));
    let bad = [accepted, resolved].into_iter().flatten().find(|condition| condition.status != "True");
    ParentFacts {
        controller: view.controller_name.clone(),
        accepted: accepted.is_some() && resolved.is_some() && bad.is_none(),
        backend_missing: bad.is_some_and(|condition| condition.reason == "BackendNotFound"),
        message: bad.map_or_else(|| "it has not said so yet".to_owned(), |c| format!("{}: {}", c.reason, c.message)),
        observed_generation: [accepted, resolved]
            .into_iter()
            .flatten()
            .map(|c| c.observed_generation)
            .min()
            .unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(spec: Value) -> Provider {
        let object = json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "MetricsProvider",
            "metadata": {"name": "cluster"}, "spec": spec});
        provider(&serde_json::from_value(object).unwrap())
    }

    fn key(secret: &str, key: &str) -> SecretKey {
        SecretKey { secret: secret.to_owned(), key: key.to_owned() }
    }

    #[test]
    fn a_provider_without_access_is_asked_as_it_is() {
        let provider = of(json!({"address": "http://prometheus:9090/"}));
        assert_eq!((provider.address.as_str(), provider.access), ("http://prometheus:9090", Access::default()));
    }

    #[test]
    fn keys_of_secrets_have_the_usual_names() {
        let provider = of(json!({
            "address": "https://prometheus",
            "auth": {"bearer": {"secretRef": {"name": "reader"}}},
            "tls": {"ca": {"secretRef": {"name": "trust"}}, "clientCertificate": {"secretRef": {"name": "us"}}},
            "headers": [{"name": "X-Scope-OrgID", "value": "team-a"}],
        }));
        assert_eq!(
            provider.access,
            Access {
                credential: Some(Credential::Bearer(key("reader", "token"))),
                allow_plain_http: false,
                ca: Some(key("trust", "ca.crt")),
                client_certificate: Some("us".to_owned()),
                headers: vec![("X-Scope-OrgID".to_owned(), "team-a".to_owned())],
            }
        );
        let auth = json!({"basic": {"secretRef": {"name": "reader"}, "passwordKey": "pw"}, "allowPlainHttp": true});
        let access = of(json!({"address": "http://prometheus", "auth": auth})).access;
        let basic = Credential::Basic { username: key("reader", "username"), password: key("reader", "pw") };
        assert_eq!((access.credential, access.allow_plain_http), (Some(basic), true));
    }
}
