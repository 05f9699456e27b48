//! The tasks, with real HTTP servers for sinks and an API server that writes down what it is sent.
#![allow(clippy::arithmetic_side_effects)] // small numbers

use std::sync::Mutex;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use kube::Client;
use kube::runtime::reflector::{self, store::Writer as StoreWriter};
use kube::runtime::watcher::Event as Change;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;
use crate::leadership::Term;
use crate::notify::HttpPost;
use crate::prometheus::scripted_secrets::ScriptedSecrets;
use crate::prometheus::scripted_server::{Reply, ScriptedServer};

/// The time of the tests. Real time goes on while servers answer; this is what everything is told.
fn clock() -> (Clock, Arc<Mutex<Timestamp>>) {
    let now: Arc<Mutex<Timestamp>> = Arc::new(Mutex::new("2026-01-02T04:00:00Z".parse().unwrap()));
    let told = now.clone();
    (Clock::of(move || *told.lock().unwrap()), now)
}

/// An API server that takes status patches, or refuses them, and remembers each that it took.
#[derive(Clone, Default)]
struct Statuses {
    taken: Arc<Mutex<Vec<(String, Value)>>>,
    refusing: Arc<Mutex<bool>>,
}

impl Statuses {
    fn client(&self) -> Client {
        let (taken, refusing) = (self.taken.clone(), self.refusing.clone());
        let answer = move |request: axum::extract::Request| {
            let (taken, refusing) = (taken.clone(), refusing.clone());
            async move {
                let path = request.uri().path().to_owned();
                assert_eq!(request.method(), "PATCH", "{path}");
                let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
                let patch: Value = serde_json::from_slice(&body).unwrap();
                let respond =
                    |status: u16, body: Value| Response::builder().status(status).body(Body::from(body.to_string()));
                if *refusing.lock().unwrap() {
                    let failure =
                        json!({"kind": "Status", "status": "Failure", "message": "no", "reason": "x", "code": 500});
                    return respond(500, failure).unwrap();
                }
                let name = path.rsplit('/').nth(1).unwrap().to_owned();
                taken.lock().unwrap().push((name.clone(), patch));
                respond(
                    200,
                    json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "NotificationSink",
                    "metadata": {"name": name}, "spec": {}}),
                )
                .unwrap()
            }
        };
        Client::new(Router::new().fallback(answer), "default")
    }

    fn last(&self, sink: &str) -> Option<Value> {
        let taken = self.taken.lock().unwrap();
        let (_, patch) = taken.iter().rev().find(|(name, _)| name == sink)?;
        // As the API server takes it: what is null is not there.
        let mut status = json!({});
        json_patch::merge(&mut status, &patch["status"]);
        Some(status)
    }
}

/// What is in the cluster, to be changed by the test.
struct Cluster {
    sinks: StoreWriter<NotificationSink>,
    releases: StoreWriter<Release>,
    /// Keeps the stores alive.
    _rest: (StoreWriter<ReworkEvent>, StoreWriter<DeserializeGuard<Rollout>>),
    statuses: Statuses,
    notifier: Notifier,
    now: Arc<Mutex<Timestamp>>,
    term: watch::Sender<Term>,
}

impl Cluster {
    fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ((sinks, sinks_writer), (releases, releases_writer)) = (reflector::store(), reflector::store());
        let ((reworks, mut reworks_writer), (rollouts, mut rollouts_writer)) = (reflector::store(), reflector::store());
        let (mut sinks_writer, mut releases_writer) = (sinks_writer, releases_writer);
        sinks_writer.apply_watcher_event(&Change::InitDone);
        releases_writer.apply_watcher_event(&Change::InitDone);
        reworks_writer.apply_watcher_event(&Change::InitDone);
        rollouts_writer.apply_watcher_event(&Change::InitDone);
        let statuses = Statuses::default();
        let (clock, now) = clock();
        let (term, terms) = watch::channel(Term::Always);
        let leadership = Leadership::told(terms);
        let post = Arc::new(HttpPost::new(Arc::new(ScriptedSecrets::default())).unwrap());
        let writer = Writer::new(statuses.client(), leadership.clone());
        let notifier = Notifier {
            clock,
            sinks,
            releases,
            reworks,
            rollouts,
            freshness: Freshness::default(),
            post,
            writer,
            leadership,
        };
        Self {
            sinks: sinks_writer,
            releases: releases_writer,
            _rest: (reworks_writer, rollouts_writer),
            statuses,
            notifier,
            now,
            term,
        }
    }

    fn sink(&mut self, name: &str, server: &ScriptedServer, more: Value) {
        let mut sink = json!({
            "metadata": {"name": name, "uid": name, "generation": 1, "creationTimestamp": "2026-01-02T03:00:00Z"},
            "spec": {"url": server.provider().address, "allowPlainHttp": true},
        });
        for (field, value) in more.as_object().unwrap() {
            sink[field] = value.clone();
        }
        self.sinks.apply_watcher_event(&Change::Apply(serde_json::from_value(sink).unwrap()));
    }

    fn promoted(&mut self, name: &str, ended: &str) {
        let release = json!({
            "metadata": {"name": name, "namespace": "demo"},
            "spec": {"rollout": "shop", "rolloutUid": "u", "workload": "Deployment/shop", "number": 3,
                "revision": "bbb", "fromRevision": "aaa"},
            "status": {"outcome": "Promoted", "times": {"endedAt": ended}},
        });
        self.releases.apply_watcher_event(&Change::Apply(serde_json::from_value(release).unwrap()));
    }

    /// Runs the notifier until this is so.
    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let holds = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = self.notifier.clone().run(std::future::pending()) => panic!("it ended by itself"),
            reached = tokio::time::timeout(Duration::from_secs(30), holds) => assert!(reached.is_ok(), "not reached: {what}"),
        }
    }
}

async fn taking() -> ScriptedServer {
    ScriptedServer::start(|_| Reply::Send(200, Vec::new())).await
}

fn ids(server: &ScriptedServer) -> Vec<String> {
    server.asked().iter().map(|asked| asked["@idempotency-key"].clone()).collect()
}

#[tokio::test]
async fn each_sink_is_told_once_and_a_restart_tells_nothing_again() {
    let (one, other) = (taking().await, taking().await);
    let mut cluster = Cluster::new();
    cluster.sink("one", &one, json!({}));
    cluster.sink(
        "other",
        &other,
        json!({"spec": {"url": other.provider().address, "allowPlainHttp": true,
        "format": "Slack", "namespaces": ["elsewhere"]}}),
    );
    cluster.promoted("old", "2026-01-02T02:59:59Z");
    cluster.promoted("shop-3", "2026-01-02T03:30:00Z");
    let statuses = cluster.statuses.clone();
    let delivered = |name: &str| statuses.last(name).map(|status| status["delivered"].clone());
    cluster
        .until("both have a cursor", || delivered("one") == Some(json!(1)) && delivered("other") == Some(json!(0)))
        .await;
    assert_eq!((one.asked().len(), other.asked().len()), (1, 0));
    let status = statuses.last("one").unwrap();
    assert_eq!((&status["pending"], &status["lastFailure"]), (&json!(0), &Value::Null));
    // As the next process finds it.
    cluster.sink("one", &one, json!({"status": status}));
    cluster.promoted("shop-4", "2026-01-02T03:40:00Z");
    cluster.until("the next one is told", || delivered("one") == Some(json!(2))).await;
    assert_eq!(one.asked().len(), 2);
}

#[tokio::test]
async fn a_server_that_fails_once_is_told_again() {
    let tries = Mutex::new(0);
    let server = ScriptedServer::start(move |_| {
        let mut tries = tries.lock().unwrap();
        *tries += 1;
        Reply::Send(if *tries == 1 { 500 } else { 200 }, b"secret of the server".to_vec())
    })
    .await;
    let mut cluster = Cluster::new();
    cluster.sink("one", &server, json!({}));
    cluster.promoted("shop-3", "2026-01-02T03:30:00Z");
    let statuses = cluster.statuses.clone();
    let now = cluster.now.clone();
    cluster
        .until("it is delivered", || {
            let status = statuses.last("one").unwrap_or_default();
            if !status["failingSince"].is_null() {
                // The pause is over as soon as the clock says so.
                *now.lock().unwrap() = "2026-01-02T04:00:02Z".parse().unwrap();
            }
            status["delivered"] == 1
        })
        .await;
    let [first, second] = ids(&server).try_into().unwrap();
    assert_eq!(first, second, "the receiver knows that it is the same");
    let status = statuses.last("one").unwrap();
    assert_eq!(status["failingSince"], Value::Null);
    let failure = json!({"at": "2026-01-02T04:00:00Z", "class": "HttpStatus", "httpStatus": 500});
    assert_eq!(status["lastFailure"], failure);
    let written = format!("{:?}", statuses.taken.lock().unwrap());
    assert!(!written.contains("secret of the server"), "{written}");
}

#[tokio::test]
async fn a_sink_that_hangs_delays_no_other() {
    let hanging = ScriptedServer::start(|_| Reply::Hang).await;
    let server = taking().await;
    let mut cluster = Cluster::new();
    cluster.sink("a-hangs", &hanging, json!({}));
    cluster.sink("b-works", &server, json!({}));
    for number in 0..5 {
        cluster.promoted(&format!("shop-{number}"), "2026-01-02T03:30:00Z");
    }
    cluster.until("the other has all", || server.asked().len() == 5).await;
    assert!(hanging.asked().len() <= 1, "one delivery at a time");
}

#[tokio::test]
async fn what_was_delivered_and_not_written_down_is_delivered_again_with_the_same_id() {
    let server = taking().await;
    let mut cluster = Cluster::new();
    cluster.sink("one", &server, json!({}));
    cluster.promoted("shop-3", "2026-01-02T03:30:00Z");
    *cluster.statuses.refusing.lock().unwrap() = true;
    cluster.until("it is delivered", || server.asked().len() == 1).await;
    // The process ends here.
    *cluster.statuses.refusing.lock().unwrap() = false;
    let statuses = cluster.statuses.clone();
    cluster.until("it is written down", || statuses.last("one").is_some_and(|status| status["delivered"] == 1)).await;
    let [first, second] = ids(&server).try_into().unwrap();
    assert_eq!(first, second);
}

#[tokio::test]
async fn who_does_not_lead_sends_nothing() {
    let server = taking().await;
    let mut cluster = Cluster::new();
    cluster.term.send(Term::Standby).unwrap();
    cluster.sink("one", &server, json!({}));
    cluster.promoted("shop-3", "2026-01-02T03:30:00Z");
    let run = cluster.notifier.clone().run(std::future::pending());
    assert!(tokio::time::timeout(Duration::from_millis(300), run).await.is_err());
    assert!(server.asked().is_empty());
    // A term that is over while the tasks run: they look each time.
    cluster.term.send(Term::Until(crate::clock::instant())).unwrap();
    let run = cluster.notifier.clone().run(std::future::pending());
    assert!(tokio::time::timeout(Duration::from_millis(300), run).await.is_err());
    assert!(server.asked().is_empty() && cluster.statuses.taken.lock().unwrap().is_empty());
    cluster.term.send(Term::Always).unwrap();
    cluster.until("it leads", || server.asked().len() == 1).await;
}

#[tokio::test]
async fn a_sink_that_is_gone_or_made_anew_gets_nothing_of_the_old_one() {
    let server = taking().await;
    let mut cluster = Cluster::new();
    cluster.sink("one", &server, json!({}));
    let statuses = cluster.statuses.clone();
    cluster.until("it is known", || statuses.last("one").is_some()).await;
    let made = json!({"name": "one", "uid": "new", "generation": 1, "creationTimestamp": "2026-01-02T03:50:00Z"});
    cluster.sink("one", &server, json!({"metadata": made}));
    cluster.promoted("before", "2026-01-02T03:40:00Z");
    cluster.promoted("after", "2026-01-02T03:55:00Z");
    cluster.until("the new one is told", || statuses.last("one").is_some_and(|status| status["delivered"] == 1)).await;
    assert_eq!(server.asked().len(), 1);
    assert_eq!(statuses.taken.lock().unwrap().last().unwrap().1["metadata"]["uid"], "new");
}
