//! Objects of other kinds, with everything that their own API lets into the fields that are read, and more.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use futures::StreamExt;
use kube::core::DeserializeGuard;
use kube::{Client, ResourceExt};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sluice::api::{Intervention, MetricsProvider, NotificationSink, Release, ReworkEvent, Rollout};
use sluice::watch::guard::Guarded;
use sluice::watch::neighbours::{BudgetView, NetworkPolicyView};
use sluice::watch::policies::{PolicyView, ValidatingAdmissionPolicy};
use sluice::watch::routes::{GrpcRouteView, HttpRouteView};
use sluice::watch::views::{DeploymentView, EndpointSliceView, PodView, ReplicaSetView, ScalerView, ServiceView};
use sluice::watch::{Freshness, Sight, stores};
use tokio::sync::mpsc;

use super::{nasty, schema};

type Check = fn(&Value) -> Result<(), String>;

fn reads<T: DeserializeOwned>(object: &Value) -> Result<(), String> {
    serde_json::from_str::<T>(&object.to_string()).map(drop).map_err(|error| error.to_string())
}

fn guards<T: DeserializeOwned>(object: &Value) -> Result<(), String> {
    let Guarded(read) = serde_json::from_str::<Guarded<T>>(&object.to_string()).map_err(|error| error.to_string())?;
    match read {
        Err(unreadable) if unreadable.error.is_empty() || unreadable.error.chars().count() > 300 => {
            Err(unreadable.error)
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Each kind that is watched: an object with every field that is read, how its view reads it, how the watch does.
fn kinds() -> Vec<(&'static str, Value, Check, Check)> {
    let meta = json!({"name": "a", "namespace": "demo", "uid": "u", "resourceVersion": "1", "generation": 1,
        "labels": {"a": "b"}, "annotations": {"a": "b"}, "creationTimestamp": "2026-01-01T00:00:00Z",
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "a", "uid": "u"}]});
    let template = json!({
        "metadata": {"creationTimestamp": null, "labels": {"app": "shop"}},
        "spec": {"terminationGracePeriodSeconds": 30, "hostNetwork": false, "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}],
            "containers": [{"name": "a", "image": "i", "ports": [{"containerPort": 80, "hostPort": 1}], "lifecycle": {"preStop": {"sleep": {"seconds": 5}}}}]},
    });
    let condition =
        json!({"type": "Available", "status": "True", "reason": "r", "message": "m", "observedGeneration": 1});
    let container = json!({"restartCount": 1, "state": {"waiting": {"reason": "r", "message": "m"}}});
    let route = json!({"metadata": meta,
        "spec": {"rules": [{"name": "a", "backendRefs": [{"name": "s", "port": 80, "weight": 1}]}]},
        "status": {"parents": [{"controllerName": "c", "conditions": [condition]}]}});
    vec![
        (
            "Deployment",
            json!({"metadata": meta, "spec": {"replicas": 4, "paused": false,
            "selector": {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "Exists"}]},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}}, "template": template},
            "status": {"observedGeneration": 1, "replicas": 4, "updatedReplicas": 4, "availableReplicas": 4, "conditions": [condition]}}),
            reads::<DeploymentView> as Check,
            guards::<DeploymentView> as Check,
        ),
        (
            "ReplicaSet",
            json!({"metadata": meta, "spec": {"replicas": 4, "template": template},
            "status": {"replicas": 4, "readyReplicas": 4, "availableReplicas": 4}}),
            reads::<ReplicaSetView>,
            guards::<ReplicaSetView>,
        ),
        (
            "HorizontalPodAutoscaler",
            json!({"metadata": meta, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "a"},
            "behavior": {"scaleDown": {"selectPolicy": "Max"}}}}),
            reads::<ScalerView>,
            guards::<ScalerView>,
        ),
        (
            "Service",
            json!({"metadata": meta, "spec": {"selector": {"a": "b"}, "ports": [{"port": 80, "targetPort": "http"}]}}),
            reads::<ServiceView>,
            guards::<ServiceView>,
        ),
        (
            "EndpointSlice",
            json!({"metadata": meta, "endpoints": [{"conditions": {"ready": true}}]}),
            reads::<EndpointSliceView>,
            guards::<EndpointSliceView>,
        ),
        (
            "Pod",
            json!({"metadata": meta, "status": {"conditions": [condition], "initContainerStatuses": [container], "containerStatuses": [container]}}),
            reads::<PodView>,
            guards::<PodView>,
        ),
        (
            "PodDisruptionBudget",
            json!({"metadata": meta, "spec": {"selector": {"matchLabels": {"a": "b"}}}}),
            reads::<BudgetView>,
            guards::<BudgetView>,
        ),
        (
            "NetworkPolicy",
            json!({"metadata": meta, "spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]}}),
            reads::<NetworkPolicyView>,
            guards::<NetworkPolicyView>,
        ),
        ("HTTPRoute", route.clone(), reads::<HttpRouteView>, guards::<HttpRouteView>),
        ("GRPCRoute", route, reads::<GrpcRouteView>, guards::<GrpcRouteView>),
        (
            "ValidatingAdmissionPolicy",
            json!({"metadata": {"name": "a"}, "spec": {"failurePolicy": "Fail"}}),
            reads::<PolicyView<ValidatingAdmissionPolicy>>,
            guards::<PolicyView<ValidatingAdmissionPolicy>>,
        ),
    ]
}

/// What Go's types let through at a place that holds this: `int32` of any sign, lists and maps as `null`, an empty struct
/// where nothing is set, a number or a text (`IntOrString`).
fn upstream(at: &str, value: &Value) -> Vec<Value> {
    let int_or_string = ["/maxSurge", "/maxUnavailable", "/targetPort"].iter().any(|end| at.ends_with(end));
    match value {
        _ if int_or_string => vec![json!(0), json!(i32::MIN), json!(i32::MAX), json!("25%"), json!("http"), json!("")],
        Value::Number(_) if at.ends_with("eneration") || at.ends_with("PeriodSeconds") => {
            vec![json!(0), json!(-1), json!(i64::MIN), json!(i64::MAX)]
        }
        Value::Number(_) => vec![json!(0), json!(-1), json!(i32::MIN), json!(i32::MAX), json!(1_000_000)],
        Value::String(_) if at.ends_with("Timestamp") => {
            vec![json!("0001-01-01T00:00:00Z"), json!("9999-12-30T21:59:59Z"), Value::Null]
        }
        Value::String(_) => nasty::texts().into_iter().map(Value::String).collect(),
        Value::Array(_) => vec![json!([]), Value::Null],
        // A map, or a pointer to a struct.
        Value::Object(_) if at.ends_with("abels") || at.ends_with("nnotations") || at.ends_with("/selector") => {
            vec![json!({}), Value::Null]
        }
        Value::Object(_) if at.is_empty() || at == "/metadata" => Vec::new(),
        Value::Object(_) => vec![json!({})],
        Value::Bool(was) => vec![json!(!was)],
        Value::Null => Vec::new(),
    }
}

#[test]
fn every_view_reads_what_its_kind_may_hold() {
    for (kind, object, read, _) in kinds() {
        read(&object).unwrap_or_else(|error| panic!("{kind}: {error}"));
        for at in nasty::places(&object) {
            let value = object.pointer(&at).unwrap();
            // An owner without a name is none, and a Deployment has a selector.
            if at.contains("ownerReferences/") || (kind, at.as_str()) == ("Deployment", "/spec/selector") {
                continue;
            }
            for other in upstream(&at, value) {
                let mut object = object.clone();
                *object.pointer_mut(&at).unwrap() = other.clone();
                read(&object).unwrap_or_else(|error| panic!("{kind}{at} = {other}: {error}"));
            }
            let Some((parent, key)) = at.rsplit_once('/') else { continue };
            let mut object = object.clone();
            if let (Some(Value::Object(fields)), true) = (object.pointer_mut(parent), at != "/metadata") {
                fields.remove(key);
                read(&object).unwrap_or_else(|error| panic!("{kind}{at} is left out: {error}"));
            }
        }
    }
}

#[test]
fn what_is_less_than_nothing_is_nothing() {
    let pod = json!({"metadata": {"name": "a"}, "status": {"containerStatuses": [{"restartCount": -1, "state": {}}]}});
    let pod: PodView = serde_json::from_value(pod).unwrap();
    assert_eq!(pod.status.container_statuses[0].restart_count, 0);
    let deployment =
        json!({"metadata": {"name": "a"}, "spec": {"replicas": null}, "status": {"replicas": 4_294_967_296_i64}});
    let deployment: DeploymentView = serde_json::from_value(deployment).unwrap();
    assert_eq!((deployment.spec.replicas, deployment.status.replicas), (None, u32::MAX));
}

#[test]
fn what_does_not_fit_is_named() {
    let rollout = |spec: Value| json!({"metadata": {"name": "shop", "namespace": "demo", "uid": "u"}, "spec": spec});
    let base = || serde_json::to_value(crate::world::rollout_spec()).unwrap();
    let large = nasty::megabyte("10");
    for (at, value, expected) in [
        ("/waves/1/bake", json!("10x"), "spec.waves[1].bake: \"10x\" is not a duration"),
        ("/waves/0/weight", json!(-1), "spec.waves[0].weight: invalid value: integer `-1`"),
        ("/waves/0/weight", json!("5%"), "spec.waves[0].weight: invalid type: string \"5%\""),
        ("/waves", Value::Null, "spec.waves: invalid type: null"),
        ("/analysis/interval", json!(15), "spec.analysis.interval: invalid type: integer `15`"),
        ("/analysis/interval", json!(large), "spec.analysis.interval: \"10"),
        (
            "/analysis/signals/0/errorRatio/threshold",
            json!("2"),
            "spec.analysis.signals[0].errorRatio.threshold: \"2\" is not a percentage",
        ),
        ("/analysis/providerRef", json!({}), "spec.analysis.providerRef: missing field `name`"),
        ("/traffic/routes/0/kind", json!("TCPRoute"), "spec.traffic.routes[0].kind: unknown variant `TCPRoute`"),
        ("/traffic/routes", json!(large), "spec.traffic.routes: invalid type: string"),
        ("/targetRef", json!([]), "spec.targetRef: invalid length"),
    ] {
        let mut spec = base();
        *spec.pointer_mut(at).unwrap() = value;
        let guarded: Guarded<Rollout> = serde_json::from_str(&rollout(spec).to_string()).unwrap();
        let guard = DeserializeGuard::from(guarded);
        let invalid = guard.0.unwrap_err();
        assert!(invalid.error.starts_with(expected), "{at}: {:.300}", invalid.error);
        assert!(invalid.error.chars().count() <= 300);
        assert_eq!((invalid.metadata.name.as_deref(), invalid.metadata.uid.as_deref()), (Some("shop"), Some("u")));
    }
    let whole: Guarded<Rollout> = serde_json::from_value(rollout(base())).unwrap();
    assert_eq!(whole.0.unwrap().spec, crate::world::rollout_spec());
}

proptest! {
    #![proptest_config(nasty::cases(300))]

    /// Whatever an object holds, the list that it is part of is read.
    #[test]
    fn any_object_of_any_kind(which in 0_usize..11, changes in nasty::changes(4)) {
        let (kind, object, read, guard) = kinds().swap_remove(which);
        let object = nasty::changed(object, changes);
        let _ = read(&object);
        prop_assert_eq!(guard(&object), Ok(()), "{}", kind);
    }

    /// The same for the other kinds of `sluice.dev`: what the API server lets in is read.
    #[test]
    fn other_kinds_of_ours(
        provider in schema::valid(schema::of("metricsproviders", "spec")),
        sink in schema::valid(schema::of("notificationsinks", "spec")),
        intervention in schema::valid(schema::of("interventions", "spec")),
        release in schema::valid(schema::of("releases", "spec")),
        rework in schema::valid(schema::of("reworkevents", "spec")),
        changes in nasty::changes(3),
    ) {
        let object = |spec: &Value| json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "x", "metadata": {"name": "a", "namespace": "demo"}, "spec": spec});
        prop_assert_eq!(reads::<MetricsProvider>(&object(&provider)), Ok(()));
        prop_assert_eq!(reads::<NotificationSink>(&object(&sink)), Ok(()));
        prop_assert_eq!(reads::<Intervention>(&object(&intervention)), Ok(()));
        let kinds: [(&Value, Check); 5] = [
            (&provider, guards::<MetricsProvider>), (&sink, guards::<NotificationSink>), (&intervention, guards::<Intervention>), (&release, guards::<Release>), (&rework, guards::<ReworkEvent>),
        ];
        for (spec, guard) in kinds {
            prop_assert_eq!(guard(&object(spec)), Ok(()));
            prop_assert_eq!(guard(&nasty::changed(object(spec), changes.clone())), Ok(()));
        }
    }
}

/// An API server with these objects, by their resource, that tells of these changes once and then of nothing.
fn server(objects: &[(&'static str, Vec<Value>)], changes: &[(&'static str, Vec<Value>)]) -> Client {
    let map = |all: &[(&'static str, Vec<Value>)]| all.iter().cloned().collect::<BTreeMap<_, _>>();
    let (objects, changes) = (map(objects), map(changes));
    let answer = move |request: axum::extract::Request| {
        let resource = request.uri().path().rsplit('/').next().unwrap_or_default();
        let of = |all: &BTreeMap<&'static str, Vec<Value>>| all.get(resource).cloned().unwrap_or_default();
        let body = if request.uri().query().is_some_and(|query| query.contains("watch=true")) {
            let told: String = of(&changes).iter().map(|change| format!("{change}\n")).collect();
            let told = futures::stream::iter([Ok::<_, std::convert::Infallible>(told)]);
            Body::from_stream(told.chain(futures::stream::pending()))
        } else {
            let items = of(&objects);
            Body::from(
                json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items})
                    .to_string(),
            )
        };
        async move { Response::new(body) }
    };
    Client::new(Router::new().fallback(answer), "default")
}

/// Go knows more times than this program, and people may write these: with an object of theirs nobody must be able to
/// stop the watch of everybody's.
#[test]
fn times_in_managed_fields_stop_nothing() {
    for time in ["9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59"] {
        let fields = json!([{"manager": "me", "operation": "Update", "apiVersion": "v1", "time": time, "fieldsType": "FieldsV1", "fieldsV1": {}}]);
        let service = json!({"metadata": {"name": "a", "namespace": "demo", "managedFields": fields}, "spec": {"selector": {"a": "b"}}});
        let read: Guarded<ServiceView> = serde_json::from_value(service.clone()).unwrap();
        assert_eq!(read.0.unwrap().spec.selector.len(), 1);
    }
}

/// Waits until it is so.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not reached: {what}");
}

#[tokio::test]
async fn one_object_that_cannot_be_read_hides_no_other() {
    let object = |kind: &str, name: &str, spec: Value| {
        let (group, namespace) =
            if kind == "Service" { ("v1", Some("demo")) } else { ("sluice.dev/v1alpha1", Some("demo")) };
        json!({"apiVersion": group, "kind": kind, "metadata": {"name": name, "namespace": namespace, "uid": name, "resourceVersion": "1"}, "spec": spec})
    };
    let asks = |name: &str, action: &str| {
        object("Intervention", name, json!({"rollout": "shop", "action": action, "reason": "because"}))
    };
    let provider = |name: &str, interval: Value| {
        object("MetricsProvider", name, json!({"address": "http://p", "scrapeInterval": interval}))
    };
    let rollout = |name: &str, bake: &str| {
        let mut spec = serde_json::to_value(crate::world::rollout_spec()).unwrap();
        spec["waves"][0]["bake"] = json!(bake);
        object("Rollout", name, spec)
    };
    let change = |kind: &str, object: Value| json!({"type": kind, "object": object});
    let client = server(
        &[
            ("rollouts", vec![rollout("bad", "forever"), rollout("good", "10m")]),
            ("interventions", vec![asks("bad", "Explode"), asks("good", "Hold"), asks("turns", "Hold")]),
            (
                "metricsproviders",
                vec![provider("bad", json!(15)), provider("good", json!("15s")), provider("back", Value::Null)],
            ),
            (
                "services",
                vec![
                    object("Service", "bad", json!({"selector": {"app": null}})),
                    object("Service", "good", json!({})),
                ],
            ),
        ],
        &[
            // One that was read becomes one that cannot be, and one that could not be read is put right.
            (
                "interventions",
                vec![change("MODIFIED", asks("turns", "Explode")), change("MODIFIED", asks("other", "Abort"))],
            ),
            (
                "metricsproviders",
                vec![
                    change("MODIFIED", provider("bad", json!("5s"))),
                    change("DELETED", provider("back", Value::Null)),
                ],
            ),
        ],
    );
    let (wake, _woken) = mpsc::channel(1_024);
    let freshness = Freshness::default();
    let (stores, tasks) = stores(&client, &Sight::default(), &freshness, &wake);
    let tasks: Vec<_> = tasks.into_iter().map(|(_, task)| tokio::spawn(task)).collect();
    until("every kind is listed", || freshness.missing().is_empty()).await;
    let names = |all: Vec<String>| {
        all.into_iter().collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
    };
    let interventions = || names(stores.interventions.state().iter().map(|one| one.name_any()).collect());
    let providers = || names(stores.providers.state().iter().map(|one| one.name_any()).collect());
    until("interventions", || interventions() == "good other").await;
    until("providers", || providers() == "bad good").await;
    assert_eq!(names(stores.services.state().iter().map(|one| one.name_any()).collect()), "good");
    // A Rollout stays in sight: its own status says what is wrong with it.
    let rollouts = stores.rollouts.state();
    assert_eq!(rollouts.len(), 2);
    let bad = rollouts.iter().find_map(|one| one.0.as_ref().err()).unwrap();
    assert!(bad.error.starts_with("spec.waves[0].bake: \"forever\" is not a duration"), "{}", bad.error);
    for task in tasks {
        task.abort();
    }
}
