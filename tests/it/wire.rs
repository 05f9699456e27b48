//! The exact requests: method, path, content type and body of what `act` and `record` send, and how a Secret is read.

use std::pin::pin;

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use sluice::act;
use sluice::api::{LogHead, RolloutStatus, RouteKind};
use sluice::clock::Clock;
use sluice::decide::{Record, Write};
use sluice::leadership::{Leadership, Writer};
use sluice::observe::OwnSecrets;
use sluice::prometheus::{Hidden, SecretData, SecretFault, SecretSource};
use sluice::record;

use crate::world::{notice, rollout, rollout_spec, target};

/// What was sent.
struct Sent {
    method: String,
    path: String,
    content_type: String,
    body: Value,
}

/// A client whose requests come back here, each answered with `status` and `answer`.
fn served(status: u16, answer: Value) -> (Client, tokio::task::JoinHandle<Vec<Sent>>) {
    let (service, handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let client = Client::new(service, "demo");
    let served = tokio::spawn(async move {
        let mut handle = pin!(handle);
        let mut sent = Vec::new();
        while let Some((request, send)) = handle.next_request().await {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            sent.push(Sent {
                method: parts.method.to_string(),
                path: parts.uri.to_string(),
                content_type: parts
                    .headers
                    .get("content-type")
                    .map(|v| v.to_str().unwrap().to_owned())
                    .unwrap_or_default(),
                body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            });
            let body = Body::from(answer.to_string().into_bytes());
            send.send_response(Response::builder().status(status).body(body).unwrap());
        }
        sent
    });
    (client, served)
}

/// The only process there is.
fn writer(client: &Client) -> Writer {
    Writer::new(client.clone(), Leadership::always())
}

fn deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop", "namespace": "demo"},
        "spec": {"paused": true, "selector": {}, "template": {}}})
}

async fn act_on(write: Write, status: u16, answer: Value) -> (act::Applied, Sent) {
    let (client, served) = served(status, answer);
    let applied = act::apply(&writer(&client), &Clock::system(), &target(), &[write]).await;
    drop(client);
    let sent = served.await.unwrap().pop().expect("one request");
    (applied, sent)
}

#[tokio::test]
async fn a_weight_is_a_json_patch_with_its_guards() {
    let patch = json!([
        {"op": "test", "path": "/metadata/resourceVersion", "value": "5"},
        {"op": "test", "path": "/spec/rules/0/backendRefs/0/name", "value": "shop"},
        {"op": "add", "path": "/spec/rules/0/backendRefs/0/weight", "value": 90},
    ]);
    for (kind, plural) in [(RouteKind::HTTPRoute, "httproutes"), (RouteKind::GRPCRoute, "grpcroutes")] {
        let write = Write::PatchRoute { kind, name: "shop".into(), weight: Some(10), patch: patch.clone() };
        let route = json!({"metadata": {"name": "shop", "namespace": "demo"}});
        let (applied, sent) = act_on(write, 200, route).await;
        assert_eq!(applied.done, ["patch_route"]);
        assert_eq!(sent.method, "PATCH");
        // GitOps tools tell Sluice's fields by this name.
        let path = format!("/apis/gateway.networking.k8s.io/v1/namespaces/demo/{plural}/shop?&fieldManager=sluice");
        assert_eq!(sent.path, path);
        assert_eq!(sent.content_type, "application/json-patch+json");
        assert_eq!(sent.body, patch);
    }
}

#[tokio::test]
async fn a_failed_test_is_a_conflict_and_not_an_error() {
    let kind = RouteKind::HTTPRoute;
    let write = Write::PatchRoute { kind, name: "shop".into(), weight: Some(10), patch: json!([]) };
    let refusal = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Invalid",
        "message": "the server rejected our request due to an error in our request", "code": 422});
    let (applied, _) = act_on(write, 422, refusal).await;
    assert!(matches!(applied.error, Some(act::Error::Conflict { .. })), "{:?}", applied.error);
}

#[tokio::test]
async fn the_gate_opens_only_for_the_version_that_was_judged() {
    let write = Write::OpenGate { workload: "shop".into(), resource_version: "42".into() };
    let (_, sent) = act_on(write, 200, deployment()).await;
    assert_eq!(sent.path, "/apis/apps/v1/namespaces/demo/deployments/shop?&fieldManager=sluice");
    assert_eq!(sent.content_type, "application/merge-patch+json");
    let metadata = json!({"resourceVersion": "42", "labels": {"sluice.dev/restoring": null}});
    assert_eq!(sent.body, json!({"metadata": metadata, "spec": {"paused": false}}));
}

#[tokio::test]
async fn a_template_is_put_back_in_a_marked_write() {
    let template = json!({"spec": {"containers": []}});
    let (workload, resource_version) = ("shop".into(), "42".into());
    let write = Write::RestoreTemplate { workload, resource_version, template: template.clone() };
    let (_, sent) = act_on(write, 200, deployment()).await;
    assert_eq!(
        sent.body,
        json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": "42"},
            {"op": "replace", "path": "/spec/template", "value": template},
            {"op": "add", "path": "/metadata/labels/sluice.dev~1restoring", "value": "true"},
        ])
    );
}

#[tokio::test]
async fn the_gate_is_proven_by_a_dry_run() {
    let write = Write::ProveGate { workload: "shop".into(), policies: "p1".into() };
    let (applied, sent) = act_on(write, 200, deployment()).await;
    assert_eq!(sent.path, "/apis/apps/v1/namespaces/demo/deployments/shop?&dryRun=All&fieldManager=sluice");
    assert_eq!(sent.content_type, "application/merge-patch+json");
    assert!(sent.body.pointer("/spec/template/metadata/annotations").is_some());
    let proof = applied.gate.unwrap();
    assert_eq!((proof.held, proof.policies.as_str()), (true, "p1"));
}

#[tokio::test]
async fn a_canary_is_deleted_by_its_uid() {
    let write = Write::DeleteCanary { name: "shop-canary".into(), uid: "abc".into() };
    let gone = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "NotFound",
        "message": "not found", "code": 404});
    let (applied, sent) = act_on(write, 404, gone).await;
    assert_eq!((sent.method.as_str(), sent.body["preconditions"]["uid"].as_str()), ("DELETE", Some("abc")));
    assert!(applied.error.is_none(), "what is gone is gone: {:?}", applied.error);
}

fn network_policy() -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "db-shop-canary-peer", "namespace": "demo"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 1, "unknown": 2}]}]}})
}

#[tokio::test]
async fn a_policy_of_the_canary_is_made_with_every_field() {
    let write = Write::CreatePolicy { body: network_policy() };
    let (applied, sent) = act_on(write, 201, network_policy()).await;
    assert_eq!(applied.done, ["create_policy"]);
    assert_eq!(sent.method, "POST");
    assert_eq!(sent.path, "/apis/networking.k8s.io/v1/namespaces/demo/networkpolicies?&fieldManager=sluice");
    assert_eq!(sent.body, network_policy());
}

#[tokio::test]
async fn a_policy_of_the_canary_is_replaced_as_it_was_judged() {
    let (name, resource_version) = ("db-shop-canary-peer".to_owned(), "9".to_owned());
    let write = Write::ReplacePolicy { name, resource_version, spec: network_policy()["spec"].clone() };
    let (applied, sent) = act_on(write, 200, network_policy()).await;
    assert_eq!(applied.done, ["replace_policy"]);
    assert_eq!(sent.method, "PATCH");
    assert_eq!(
        sent.path,
        "/apis/networking.k8s.io/v1/namespaces/demo/networkpolicies/db-shop-canary-peer?&fieldManager=sluice"
    );
    assert_eq!(sent.content_type, "application/json-patch+json");
    assert_eq!(
        sent.body,
        json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": "9"},
            {"op": "replace", "path": "/spec", "value": network_policy()["spec"]},
        ])
    );
}

#[tokio::test]
async fn a_policy_of_the_canary_is_deleted_by_its_uid() {
    let write = Write::DeletePolicy { name: "db-shop-canary-peer".into(), uid: "abc".into() };
    let (applied, sent) = act_on(write, 200, network_policy()).await;
    assert_eq!(applied.done, ["delete_policy"]);
    assert_eq!(
        (sent.method.as_str(), sent.path.as_str()),
        ("DELETE", "/apis/networking.k8s.io/v1/namespaces/demo/networkpolicies/db-shop-canary-peer?")
    );
    assert_eq!(sent.body["preconditions"]["uid"], "abc");
}

#[tokio::test]
async fn other_finalizers_stay() {
    let rollout = json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "shop"}, "spec": rollout_spec()});
    let (_, sent) = act_on(Write::AddFinalizer, 200, rollout).await;
    assert_eq!(sent.body[0], json!({"op": "test", "path": "/metadata/resourceVersion", "value": "7"}));
    assert_eq!(sent.body[1]["value"], json!(["other.dev/keep", "sluice.dev/restore-traffic"]));
}

#[tokio::test]
async fn the_intent_carries_the_version_that_was_read() {
    let (client, served) = served(200, serde_json::to_value(rollout()).unwrap());
    record::commit(&writer(&client), &rollout(), RolloutStatus::default()).await.unwrap();
    drop(client);
    let sent = served.await.unwrap().pop().unwrap();
    assert_eq!(sent.method, "PUT");
    assert_eq!(sent.path, "/apis/sluice.dev/v1alpha1/namespaces/demo/rollouts/shop/status?");
    assert_eq!(sent.body["metadata"]["resourceVersion"], "11");
}

#[tokio::test]
async fn a_conflict_on_the_intent_moves_nothing() {
    let conflict = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Conflict",
        "message": "the object has been modified", "code": 409});
    let (client, _served) = served(409, conflict);
    let error = record::commit(&writer(&client), &rollout(), RolloutStatus::default()).await.unwrap_err();
    assert!(matches!(error, record::Error::Conflict { .. }), "{error}");
}

#[tokio::test]
async fn an_event_told_twice_is_one_event() {
    let exists = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "AlreadyExists",
        "message": "exists", "code": 409});
    let mut names = Vec::new();
    for _ in 0..2 {
        let (client, served) = served(409, exists.clone());
        record::publish(&writer(&client), &Clock::system(), &rollout(), &notice(), "sluice-0").await.unwrap();
        drop(client);
        let sent = served.await.unwrap().pop().unwrap();
        assert_eq!(sent.path, "/apis/events.k8s.io/v1/namespaces/demo/events?");
        assert_eq!((&sent.body["note"], &sent.body["type"]), (&json!("errors 5.2%"), &json!("Warning")));
        names.push(sent.body["metadata"]["name"].clone());
    }
    assert_eq!(names[0], names[1]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_refused_is_sent_again_and_given_up_in_the_end() {
    let busy = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "reason": "TooManyRequests", "message": "busy", "code": 429});
    let (client, served) = served(429, busy);
    record::publish(&writer(&client), &Clock::system(), &rollout(), &notice(), "sluice-0").await.unwrap_err();
    drop(client);
    let names: Vec<Value> = served.await.unwrap().iter().map(|sent| sent.body["metadata"]["name"].clone()).collect();
    assert_eq!(names.len(), 3);
    assert!(names.iter().all(|name| *name == names[0]), "one event, however often it is sent: {names:?}");
}

#[tokio::test]
async fn a_secret_is_read_by_its_name_in_one_namespace() {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "reader"}, "type": "Opaque",
        "data": {"token": "dmFsdWU=", "odd": 7}});
    let refused = |code: u16| {
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
            "reason": "no", "message": "no"})
    };
    let known = SecretData::from([("token".to_owned(), Hidden::new(b"value".to_vec()))]);
    for (status, answer, expected) in [
        (200, secret, Ok(known)),
        (404, refused(404), Err(SecretFault::Missing)),
        (403, refused(403), Err(SecretFault::Forbidden)),
        (500, refused(500), Err(SecretFault::Unread)),
    ] {
        let (client, served) = served(status, answer);
        let secrets = OwnSecrets::new(&client, "sluice-system".to_owned());
        assert_eq!(secrets.namespace(), "sluice-system");
        assert_eq!(secrets.read("reader").await, expected);
        drop((client, secrets));
        let sent = served.await.unwrap().pop().expect("one request");
        assert_eq!(
            (sent.method.as_str(), sent.path.as_str()),
            ("GET", "/api/v1/namespaces/sluice-system/secrets/reader")
        );
    }
}

#[tokio::test]
async fn entries_of_a_log_are_added_onto_the_last_one_and_late_ones_change_nothing() {
    let entry = |seq: u32| {
        json!({"seq": seq, "at": "2026-01-01T00:00:00Z", "what": "WaveStarted", "weight": 10, "verdict": "None",
            "previous": "p", "hash": format!("h{seq}")})
    };
    let log = json!({"rollout": "shop", "rolloutUid": "uid-1", "revision": "b",
        "head": {"seq": 3, "hash": "h3"}, "entries": [entry(2), entry(3)]});
    let head = |seq: u32| LogHead { seq, hash: format!("h{seq}") };
    let record = |onto: Option<LogHead>| Record::Log {
        name: "shop-1".into(),
        log: serde_json::from_value(log.clone()).unwrap(),
        onto,
    };
    let path = "/apis/sluice.dev/v1alpha1/namespaces/demo/decisionlogs";
    let object = json!({"metadata": {"name": "shop-1", "namespace": "demo"}, "spec": log});
    let refused = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Invalid",
        "message": "the server rejected our request due to an error in our request", "code": 422});
    for (status, answer) in [(200, object.clone()), (422, refused)] {
        let (client, served) = served(status, answer);
        record::write_record(&writer(&client), &rollout(), &record(Some(head(2)))).await.unwrap();
        drop(client);
        let sent = served.await.unwrap().pop().unwrap();
        assert_eq!((sent.method.as_str(), sent.path), ("PATCH", format!("{path}/shop-1?")));
        assert_eq!(sent.content_type, "application/json-patch+json");
        // What was written in the meantime is not written again.
        let expected = json!([
            {"op": "test", "path": "/spec/head", "value": {"seq": 2, "hash": "h2"}},
            {"op": "add", "path": "/spec/entries/-", "value": entry(3)},
            {"op": "replace", "path": "/spec/head", "value": {"seq": 3, "hash": "h3"}},
        ]);
        assert_eq!(sent.body, expected);
    }
    let (client, served) = served(201, object);
    record::write_record(&writer(&client), &rollout(), &record(None)).await.unwrap();
    drop(client);
    let sent = served.await.unwrap().pop().unwrap();
    assert_eq!((sent.method.as_str(), sent.path), ("POST", format!("{path}?")));
    assert_eq!(sent.body["spec"], log);
    assert_eq!(sent.body["metadata"]["labels"]["sluice.dev/rollout-name"], "shop");
}
