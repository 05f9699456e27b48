//! The election against a server that keeps one Lease as the API server does: what is sent, who leads, who does not
//! write.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use futures::channel::mpsc;
use http_body_util::BodyExt;
use kube::Client;
use serde_json::{Value, json};
use sluice::act;
use sluice::api::RolloutStatus;
use sluice::clock::Clock;
use sluice::decide::{Record, Write};
use sluice::leadership::{Elector, Ended, Leadership, Loss, TERM, Term, Writer, elect};
use sluice::record;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::world::{notice, rollout, target};

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/sluice-system/leases";

/// What the server keeps, and how it behaves.
#[derive(Default)]
struct Kept {
    lease: Option<Value>,
    version: u64,
    /// `method path` and body of every request that is not a watch.
    sent: Vec<(String, Value)>,
    watchers: Vec<mpsc::UnboundedSender<Result<Bytes, Infallible>>>,
    refuses_watches: bool,
    hangs: bool,
    /// Somebody who writes just before the next replace arrives.
    faster: Option<&'static str>,
}

#[derive(Clone, Default)]
struct Server(Arc<Mutex<Kept>>);

impl Server {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self) -> Client {
        Client::new(Router::new().fallback(answer).with_state(self.clone()), "sluice-system")
    }

    /// Writes the Lease as somebody else.
    fn hold(&self, holder: &str, seconds: u64) {
        let spec = json!({"holderIdentity": holder, "leaseDurationSeconds": seconds, "leaseTransitions": 4});
        let _ = self.kept().put(json!({"metadata": {"name": "sluice"}, "spec": spec}));
    }

    fn holder(&self) -> String {
        let kept = self.kept();
        let lease = kept.lease.as_ref().expect("a Lease");
        lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
    }

    fn writes(&self) -> Vec<(String, Value)> {
        self.kept().sent.iter().filter(|(line, _)| !line.starts_with("GET")).cloned().collect()
    }
}

impl Kept {
    fn put(&mut self, mut lease: Value) -> Value {
        self.version += 1;
        lease["apiVersion"] = json!("coordination.k8s.io/v1");
        lease["kind"] = json!("Lease");
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let event = format!("{}\n", json!({"type": "MODIFIED", "object": lease}));
        self.watchers.retain(|watcher| watcher.unbounded_send(Ok(event.clone().into())).is_ok());
        self.lease = Some(lease.clone());
        lease
    }

    fn answer(&mut self, method: &str, path: &str, query: &str, body: Value) -> (u16, Value) {
        let refusal = |code: u16| {
            (code, json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code}))
        };
        let listed = path == PATH && method == "GET";
        if listed && self.refuses_watches {
            return refusal(403);
        }
        if !query.contains("fieldSelector") {
            self.sent.push((format!("{method} {path}"), body.clone()));
        }
        if method == "PUT"
            && let Some(faster) = self.faster.take()
        {
            let mut lease = self.lease.clone().unwrap();
            lease["spec"]["holderIdentity"] = json!(faster);
            self.put(lease);
        }
        match (method, &self.lease) {
            ("GET", lease) if listed => {
                let items: Vec<&Value> = lease.iter().collect();
                let version = json!({"resourceVersion": self.version.to_string()});
                (200, json!({"kind": "LeaseList", "apiVersion": "v1", "metadata": version, "items": items}))
            }
            ("GET" | "PUT", None) => refusal(404),
            ("GET", Some(lease)) => (200, lease.clone()),
            ("POST", None) => (201, self.put(body)),
            ("PUT", Some(lease)) if lease["metadata"]["resourceVersion"] == body["metadata"]["resourceVersion"] => {
                (200, self.put(body))
            }
            _ => refusal(409),
        }
    }
}

async fn answer(State(server): State<Server>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
    let body = body.collect().await.unwrap().to_bytes();
    if server.kept().hangs {
        std::future::pending::<()>().await;
    }
    if query.contains("watch=true") && !server.kept().refuses_watches {
        let (sender, events) = mpsc::unbounded();
        server.kept().watchers.push(sender);
        return Response::new(Body::from_stream(events));
    }
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let (status, answer) = server.kept().answer(parts.method.as_str(), &path, &query, body);
    Response::builder().status(status).body(Body::from(answer.to_string())).unwrap()
}

/// One replica.
struct Replica {
    leadership: Leadership,
    release: oneshot::Sender<()>,
    ended: JoinHandle<Ended>,
}

impl Replica {
    fn start(server: &Server, me: &str) -> Self {
        let (elector, leadership): (Elector, _) =
            elect(&server.client(), Clock::system(), "sluice-system", "sluice", me.to_owned());
        let (release, released) = oneshot::channel();
        let ended = tokio::spawn(elector.run(async {
            let _ = released.await;
        }));
        Self { leadership, release, ended }
    }

    async fn leads_within(&self, seconds: u64) -> Duration {
        let began = Instant::now();
        let acquired = tokio::time::timeout(Duration::from_secs(seconds), self.leadership.acquired()).await;
        assert!(acquired.is_ok(), "does not lead within {seconds}s");
        began.elapsed()
    }

    async fn release(self) -> Ended {
        let _ = self.release.send(());
        self.ended.await.unwrap()
    }

    async fn ends(self) -> Ended {
        self.ended.await.unwrap()
    }
}

#[tokio::test]
async fn the_first_replica_makes_the_lease() {
    let server = Server::default();
    let one = Replica::start(&server, "one");
    one.leads_within(5).await;
    assert!(one.leadership.may_write());
    let writes = server.writes();
    assert_eq!(writes.len(), 1);
    assert_eq!(writes[0].0, format!("POST {PATH}"));
    let spec = &writes[0].1["spec"];
    assert_eq!((&spec["holderIdentity"], &spec["leaseDurationSeconds"]), (&json!("one"), &json!(15)));
}

#[tokio::test]
async fn a_released_lease_is_taken_at_once_with_the_version_that_was_seen() {
    let server = Server::default();
    server.hold("other", 15);
    let one = Replica::start(&server, "one");
    while server.kept().watchers.is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(!one.leadership.may_write() && server.writes().is_empty(), "it is held");
    server.hold("", 1);
    let took = one.leads_within(5).await;
    assert!(took < Duration::from_millis(800), "the watch tells, not the poll: {took:?}");
    let (line, body) = server.writes().remove(0);
    assert_eq!(line, format!("PUT {PATH}/sluice"));
    assert_eq!(body["metadata"]["resourceVersion"], "2", "of what was judged");
    assert_eq!((&body["spec"]["holderIdentity"], &body["spec"]["leaseTransitions"]), (&json!("one"), &json!(5)));
}

#[tokio::test]
async fn without_a_watch_a_standby_looks_every_second() {
    let server = Server::default();
    server.kept().refuses_watches = true;
    server.hold("other", 15);
    let one = Replica::start(&server, "one");
    while server.kept().sent.len() < 2 {
        tokio::task::yield_now().await;
    }
    server.hold("", 1);
    one.leads_within(3).await;
}

#[tokio::test]
async fn a_holder_who_is_silent_for_as_long_as_it_asked_for_is_replaced() {
    let server = Server::default();
    server.hold("gone", 2);
    let one = Replica::start(&server, "one");
    let took = one.leads_within(6).await;
    assert!(took >= Duration::from_millis(1900), "{took:?}");
    assert_eq!(server.holder(), "one");
}

#[tokio::test]
async fn of_two_who_try_at_once_the_slower_one_does_not_lead() {
    let server = Server::default();
    server.hold("", 1);
    server.kept().faster = Some("other");
    let one = Replica::start(&server, "one");
    // The conflict, and the look at what is there now.
    while server.kept().sent.len() < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.writes().len(), 1);
    assert_eq!(server.holder(), "other");
    assert!(!one.leadership.may_write());
    assert_eq!(one.release().await, Ended::Released);
    assert_eq!(server.holder(), "other", "whoever leaves as a standby touches nothing");
}

#[tokio::test]
async fn one_of_two_replicas_leads_and_hands_over() {
    let server = Server::default();
    let (one, two) = (Replica::start(&server, "one"), Replica::start(&server, "two"));
    tokio::select! {
        () = one.leadership.acquired() => {}
        () = two.leadership.acquired() => {}
    }
    let (first, second) = if one.leadership.may_write() { (one, two) } else { (two, one) };
    while server.kept().watchers.is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(!second.leadership.may_write());
    let leadership = first.leadership.clone();
    assert_eq!(first.release().await, Ended::Released);
    assert!(!leadership.may_write(), "nothing is written after the release");
    let took = second.leads_within(5).await;
    assert!(took < Duration::from_millis(800), "{took:?}");
}

#[tokio::test]
async fn a_lease_that_somebody_took_is_lost() {
    let server = Server::default();
    let one = Replica::start(&server, "one");
    one.leads_within(5).await;
    let leadership = one.leadership.clone();
    server.hold("other", 15);
    assert_eq!(one.ends().await, Ended::Lost(Loss::Taken("other".to_owned())));
    assert!(!leadership.may_write());
}

#[tokio::test]
async fn a_leader_whose_server_hangs_ends_with_its_term() {
    let server = Server::default();
    let one = Replica::start(&server, "one");
    let began = Instant::now();
    one.leads_within(5).await;
    server.kept().hangs = true;
    let leadership = one.leadership.clone();
    assert_eq!(one.ends().await, Ended::Lost(Loss::Expired));
    assert!(!leadership.may_write());
    let took = began.elapsed();
    assert!(took < TERM + Duration::from_secs(2), "the Lease lasts 5 s longer than the term: {took:?}");
}

#[tokio::test]
async fn after_the_end_of_the_term_nothing_is_sent() {
    let server = Server::default();
    let (terms, told) = watch::channel(Term::Until(Instant::now()));
    let writer = Writer::new(server.client(), Leadership::told(told));

    let plan = [Write::AddFinalizer, Write::ProveGate { workload: "shop".into(), policies: String::new() }];
    let applied = act::apply(&writer, &Clock::system(), &target(), &plan).await;
    assert!(applied.done.is_empty());
    let error = applied.error.unwrap();
    assert!(matches!(error, act::Error::NotLeader { write: "add_finalizer" }), "{error}");
    assert_eq!(error.reason(), "not_leader");

    let at = "2026-01-01T00:00:00Z";
    let rework = json!({"kind": "Rollback", "rollout": "shop", "failedRelease": "shop-1", "revision": "a", "trigger": "Automatic",
        "reason": "SignalBreached", "message": "m", "exposedAt": at, "verdictAt": at, "weightZeroAt": at,
        "detectSeconds": 1.0, "actSeconds": 1.0});
    let spec = Box::new(serde_json::from_value(rework).unwrap());
    let rework = Record::Rework { name: "shop-1".into(), spec };
    let refused = [
        record::commit(&writer, &rollout(), RolloutStatus::default()).await.map(drop),
        record::publish(&writer, &Clock::system(), &rollout(), &notice(), "sluice-0").await,
        record::write_record(&writer, &rollout(), &rework).await,
        record::malformed(&writer, &invalid()).await,
    ];
    for refused in refused {
        let error = refused.unwrap_err();
        assert!(matches!(error, record::Error::NotLeader { .. }), "{error}");
        assert_eq!(error.reason(), "not_leader");
    }
    drop(terms);
    assert_eq!(server.kept().sent.len(), 0);
}

fn invalid() -> kube::core::error_boundary::InvalidObject {
    let metadata = kube::api::ObjectMeta {
        name: Some("shop".into()),
        namespace: Some("demo".into()),
        ..kube::api::ObjectMeta::default()
    };
    kube::core::error_boundary::InvalidObject { error: "no spec".into(), metadata }
}
