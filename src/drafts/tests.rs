//! The task, with an API server that remembers what it was sent: each failure that the policy names is drafted exactly
//! once, whoever begins again, and none that it does not name.
#![allow(clippy::arithmetic_side_effects)] // small numbers

use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use kube::runtime::reflector::{self, store::Writer as StoreWriter};
use kube::runtime::watcher::Event as Change;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;
use crate::api::Postmortem;
use crate::leadership::Term;

const NOW: &str = "2026-01-02T04:00:00Z";

/// What the API server does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    /// Every write is answered with 500.
    Failing,
    /// Writes into the namespace `closed` are answered with 403.
    Closed,
    /// Nothing is answered.
    Hanging,
}

/// An API server with Releases to read, and Postmortems and Events to create. One for all processes of a test.
#[derive(Clone)]
struct Server {
    /// By path.
    objects: Arc<Mutex<BTreeMap<String, Value>>>,
    /// `METHOD path`, in order.
    asked: Arc<Mutex<Vec<String>>>,
    mood: Arc<Mutex<Mood>>,
}

impl Server {
    fn new() -> Self {
        Self { objects: Arc::default(), asked: Arc::default(), mood: Arc::new(Mutex::new(Mood::Well)) }
    }

    fn client(&self) -> Client {
        let server = self.clone();
        let answer = move |request: axum::extract::Request| {
            let server = server.clone();
            async move {
                let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
                let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
                server.asked.lock().unwrap().push(format!("{method} {path}"));
                let mood = *server.mood.lock().unwrap();
                if mood == Mood::Hanging {
                    std::future::pending::<()>().await;
                }
                let failure = |code: u16, reason: &str| {
                    (
                        code,
                        json!({"kind": "Status", "status": "Failure", "message": "no", "reason": reason, "code": code}),
                    )
                };
                let (status, body) = match method.as_str() {
                    "GET" => match server.objects.lock().unwrap().get(&path) {
                        Some(object) => (200, object.clone()),
                        None => failure(404, "NotFound"),
                    },
                    "POST" if mood == Mood::Failing => failure(500, "InternalError"),
                    "POST" if mood == Mood::Closed && path.contains("/closed/") => failure(403, "Forbidden"),
                    "POST" => {
                        let object: Value = serde_json::from_slice(&body).unwrap();
                        let path = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap());
                        let mut objects = server.objects.lock().unwrap();
                        if let std::collections::btree_map::Entry::Vacant(free) = objects.entry(path) {
                            free.insert(object.clone());
                            (201, object)
                        } else {
                            failure(409, "AlreadyExists")
                        }
                    }
                    other => panic!("{other} {path}: a draft is created, and nothing else"),
                };
                Response::builder().status(status).body(Body::from(body.to_string())).unwrap()
            }
        };
        Client::new(Router::new().fallback(answer), "default")
    }

    fn of(&self, plural: &str) -> Vec<Value> {
        let objects = self.objects.lock().unwrap();
        objects.iter().filter(|(path, _)| path.contains(&format!("/{plural}/"))).map(|(_, one)| one.clone()).collect()
    }

    /// Name and cause of each draft.
    fn drafts(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.of("postmortems").iter().map(|one| (text(&one["metadata"]["name"]), text(&one["spec"]["cause"]))).collect()
    }

    fn creates(&self, plural: &str) -> usize {
        let end = format!("/{plural}");
        self.asked.lock().unwrap().iter().filter(|one| one.starts_with("POST ") && one.ends_with(&end)).count()
    }
}

/// One process of the operator, as far as this task goes.
struct Process {
    drafter: Drafter,
    releases: StoreWriter<Release>,
    reworks: StoreWriter<ReworkEvent>,
    said: StoreWriter<Reclassification>,
    rollouts: StoreWriter<DeserializeGuard<Rollout>>,
    term: watch::Sender<Term>,
    now: Arc<Mutex<Timestamp>>,
}

impl Process {
    fn new(server: &Server, policy: Policy) -> Self {
        let ((releases, mut releases_writer), (reworks, mut reworks_writer)) = (reflector::store(), reflector::store());
        let (rollouts, mut rollouts_writer) = reflector::store();
        let (reclassifications, said) = reflector::store();
        releases_writer.apply_watcher_event(&Change::InitDone);
        reworks_writer.apply_watcher_event(&Change::InitDone);
        rollouts_writer.apply_watcher_event(&Change::InitDone);
        let now: Arc<Mutex<Timestamp>> = Arc::new(Mutex::new(NOW.parse().unwrap()));
        let told = now.clone();
        let (term, terms) = watch::channel(Term::Always);
        let leadership = Leadership::told(terms);
        let drafter = Drafter {
            clock: Clock::of(move || *told.lock().unwrap()),
            releases,
            reworks,
            reclassifications,
            rollouts,
            freshness: Freshness::default(),
            client: server.client(),
            writer: Writer::new(server.client(), leadership.clone()),
            leadership,
            policy,
            reporter: "sluice-0".to_owned(),
            known: HashMap::new(),
        };
        Self { drafter, releases: releases_writer, reworks: reworks_writer, said, rollouts: rollouts_writer, term, now }
    }

    /// A ReworkEvent, as its cache holds it.
    fn rework(&mut self, release: &str, more: Value) {
        let mut event = json!({
            "metadata": {"name": release, "namespace": "demo", "uid": format!("w-{release}"),
                "creationTimestamp": "2026-01-02T03:59:00Z"},
            "spec": {"kind": "Rollback", "rollout": "shop", "failedRelease": release, "revision": "bbb",
                "trigger": "Automatic", "reason": "SignalBreached", "message": "errors 4%", "signal": "errors",
                "exposedAt": "2026-01-02T03:50:00Z", "verdictAt": "2026-01-02T03:58:00Z", "detectSeconds": 480.0,
                "signature": "s1", "recurrence": 1},
        });
        json_patch::merge(&mut event, &more);
        self.reworks.apply_watcher_event(&Change::Apply(serde_json::from_value(event).unwrap()));
    }

    /// A Release, in the API server as it is and in the cache without what is left out there.
    fn release(&mut self, server: &Server, name: &str, more: Value) {
        let mut release = json!({
            "apiVersion": "sluice.dev/v1alpha1", "kind": "Release",
            "metadata": {"name": name, "namespace": "demo", "uid": format!("r-{name}")},
            "spec": {"rollout": "shop", "rolloutUid": "u", "workload": "Deployment/shop", "number": 3, "revision": "bbb",
                "fromRevision": "aaa"},
            "status": {"outcome": "RolledBack", "message": "errors 4%", "signature": "s1",
                "times": {"requestedAt": "2026-01-02T03:40:00Z", "exposedAt": "2026-01-02T03:50:00Z"},
                "timeline": [{"at": "2026-01-02T03:40:00Z", "reason": "Detected", "message": "held back"}]},
        });
        json_patch::merge(&mut release, &more);
        let namespace = release["metadata"]["namespace"].as_str().unwrap().to_owned();
        let path = format!("/apis/sluice.dev/v1alpha1/namespaces/{namespace}/releases/{name}");
        server.objects.lock().unwrap().insert(path, release.clone());
        release["status"].as_object_mut().unwrap().remove("timeline");
        self.releases.apply_watcher_event(&Change::Apply(serde_json::from_value(release).unwrap()));
    }

    fn rollout(&mut self, uid: &str) {
        let rollout = json!({
            "metadata": {"name": "shop", "namespace": "demo", "uid": uid},
            "spec": {"targetRef": {"name": "shop"}, "traffic": {"stableService": "shop", "routes": [{"name": "shop"}]},
                "analysis": {"providerRef": {"name": "p"}, "signals": [{"name": "e", "errorRatio": {}}]}},
        });
        let rollout = DeserializeGuard(Ok(serde_json::from_value(rollout).unwrap()));
        self.rollouts.apply_watcher_event(&Change::Apply(rollout));
    }

    /// One failure of each kind, and what is none.
    fn fill(&mut self, server: &Server) {
        self.rollout("u");
        self.release(server, "contained", json!({}));
        self.rework("contained", json!({}));
        self.release(server, "again", json!({}));
        self.rework("again", json!({"spec": {"recurrence": 2}}));
        self.release(server, "costly", json!({"status": {"budgetPercent": 20.1}}));
        self.rework("costly", json!({}));
        let escaped = json!({"at": "2026-01-02T03:58:00Z", "signal": "errors", "message": "errors 4%"});
        self.release(server, "escaped", json!({"status": {"outcome": "Escaped", "escaped": escaped}}));
        self.rework("escaped", json!({"spec": {"kind": "Escaped", "recurrence": 3, "weightZeroAt": null}}));
        self.release(server, "past", json!({"status": {"outcome": "Bypassed"}}));
        self.rework("past", json!({"spec": {"kind": "Bypass", "trigger": "Manual", "recurrence": null}}));
        self.release(server, "hotfix", json!({"status": {"outcome": "Promoted"}}));
        self.rework("hotfix", json!({"spec": {"kind": "Hotfix", "trigger": "Manual", "recurrence": 2}}));
        self.release(server, "old", json!({"status": {"outcome": "Escaped", "escaped": escaped}}));
        let made = json!({"creationTimestamp": "2026-01-02T02:59:59Z"});
        self.rework("old", json!({"metadata": made, "spec": {"kind": "Escaped"}}));
    }

    async fn looks(&mut self, times: usize) {
        for _ in 0..times {
            self.drafter.look().await;
        }
    }
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, cause)| ((*name).to_owned(), (*cause).to_owned())).collect()
}

#[tokio::test]
async fn each_policy_drafts_what_it_names_once() {
    use PostmortemCause::{BreakGlass, Escaped, Recurrence};
    let escaped: &[(&str, &str)] = &[("costly", "Escaped"), ("escaped", "Escaped")];
    for (causes, expected) in [
        (vec![Escaped], escaped),
        (vec![Recurrence], &[("again", "Recurrence"), ("escaped", "Recurrence")]),
        (vec![BreakGlass], &[("past", "BreakGlass")]),
        (
            vec![Escaped, Recurrence, BreakGlass],
            &[("again", "Recurrence"), ("costly", "Escaped"), ("escaped", "Escaped"), ("past", "BreakGlass")],
        ),
        (vec![], &[]),
    ] {
        let server = Server::new();
        let mut process = Process::new(&server, Policy::new(causes.clone()));
        process.fill(&server);
        process.looks(3).await;
        assert_eq!(server.drafts(), pairs(expected), "{causes:?}");
        assert_eq!(server.creates("postmortems"), expected.len(), "{causes:?}: one request for each");
        assert_eq!(server.of("events").len(), expected.len(), "{causes:?}");
    }
    assert_eq!(Policy::default(), Policy::new([Escaped, Recurrence, BreakGlass]));
}

#[tokio::test]
async fn a_draft_says_what_its_release_says_and_the_rollout_tells_of_it() {
    let server = Server::new();
    let mut process = Process::new(&server, Policy::default());
    process.fill(&server);
    let said = json!({
        "metadata": {"name": "costly-was-planned", "namespace": "demo", "creationTimestamp": NOW},
        "spec": {"release": "costly", "kind": "Security", "reason": "it closed CVE-2026-1", "requestedBy": "alice"},
    });
    process.said.apply_watcher_event(&Change::Apply(serde_json::from_value(said).unwrap()));
    process.looks(1).await;
    let all = server.of("postmortems");
    let draft: Postmortem = serde_json::from_value(all[1].clone()).unwrap();
    assert!(draft.spec.markdown.contains("it closed CVE-2026-1"), "{}", draft.spec.markdown);
    assert_eq!(draft.metadata.name.as_deref(), Some("costly"));
    assert_eq!((draft.spec.rollout.as_str(), draft.spec.drafted_at.to_string().as_str()), ("shop", NOW));
    assert!(
        draft.spec.markdown.starts_with("# Postmortem: Release `costly` of `demo/shop`"),
        "{}",
        draft.spec.markdown
    );
    // The timeline is in no cache: the Release was read.
    assert!(
        draft.spec.markdown.contains("| 2026-01-02T03:40:00Z | `Detected` | `held back` |"),
        "{}",
        draft.spec.markdown
    );
    assert_eq!(draft.metadata.owner_references.unwrap()[0].uid, "r-costly");
    let events = server.of("events");
    let event = events.iter().find(|event| event["note"].as_str().unwrap().contains("Postmortem costly")).unwrap();
    assert_eq!((&event["reason"], &event["regarding"]["name"]), (&json!("PostmortemDrafted"), &json!("shop")));
}

#[tokio::test]
async fn a_restart_and_two_leaders_draft_nothing_twice() {
    let server = Server::new();
    let (mut one, mut other) = (Process::new(&server, Policy::default()), Process::new(&server, Policy::default()));
    one.fill(&server);
    other.fill(&server);
    tokio::join!(one.looks(2), other.looks(2));
    assert_eq!((server.drafts().len(), server.of("events").len()), (4, 4));
    // People write on, and the next process leaves it as it is.
    let path = "/apis/sluice.dev/v1alpha1/namespaces/demo/postmortems/escaped";
    server.objects.lock().unwrap().get_mut(path).unwrap()["spec"]["markdown"] = json!("written by people");
    let mut next = Process::new(&server, Policy::default());
    next.fill(&server);
    next.looks(2).await;
    assert_eq!((server.drafts().len(), server.of("events").len()), (4, 4));
    assert_eq!(server.objects.lock().unwrap()[path]["spec"]["markdown"], "written by people");
}

#[tokio::test]
async fn a_process_that_ends_before_the_event_leaves_it_to_the_next() {
    let server = Server::new();
    let mut one = Process::new(&server, Policy::default());
    one.fill(&server);
    one.looks(1).await;
    // As if it had ended after the draft: the event is not there.
    server.objects.lock().unwrap().retain(|path, _| !path.contains("/events/"));
    let mut next = Process::new(&server, Policy::default());
    next.fill(&server);
    next.looks(1).await;
    assert_eq!((server.drafts().len(), server.of("events").len()), (4, 4));
}

#[tokio::test]
async fn a_deleted_draft_stays_deleted() {
    let server = Server::new();
    let mut process = Process::new(&server, Policy::default());
    process.fill(&server);
    process.looks(1).await;
    server.objects.lock().unwrap().retain(|path, _| !path.contains("/postmortems/"));
    process.looks(3).await;
    assert_eq!(server.drafts(), []);
    // Nor does another process make it again, an hour after the failure.
    let mut next = Process::new(&server, Policy::default());
    next.fill(&server);
    *next.now.lock().unwrap() = "2026-01-02T04:59:01Z".parse().unwrap();
    next.looks(1).await;
    assert_eq!(server.drafts(), []);
}

#[tokio::test]
async fn who_does_not_lead_drafts_nothing() {
    let server = Server::new();
    let mut process = Process::new(&server, Policy::default());
    process.fill(&server);
    for term in [Term::Standby, Term::Until(crate::clock::instant())] {
        process.term.send(term).unwrap();
        process.looks(2).await;
        assert_eq!(server.asked.lock().unwrap().len(), 0, "{term:?}");
    }
    process.term.send(Term::Always).unwrap();
    process.looks(1).await;
    assert_eq!(server.drafts().len(), 4);
}

#[tokio::test]
async fn a_rework_event_that_comes_before_its_release_waits_for_it() {
    let server = Server::new();
    let mut process = Process::new(&server, Policy::default());
    process.rework("shop-3", json!({"spec": {"kind": "Escaped"}}));
    process.looks(1).await;
    process.release(&server, "shop-3", json!({"status": {"outcome": "Promoted"}}));
    process.looks(1).await;
    assert_eq!(server.asked.lock().unwrap().len(), 0, "the Release does not say yet what escaped");
    let escaped = json!({"at": "2026-01-02T03:58:00Z", "signal": "errors", "message": "errors 4%"});
    process.release(&server, "shop-3", json!({"status": {"outcome": "Escaped", "escaped": escaped}}));
    process.looks(1).await;
    assert_eq!(server.drafts(), pairs(&[("shop-3", "Escaped")]));
    // The Rollout is gone, or another one has its name: nobody is told.
    assert_eq!(server.of("events").len(), 0);
    process.rollout("made anew");
    process.release(&server, "shop-4", json!({"status": {"outcome": "Bypassed"}}));
    process.rework("shop-4", json!({"spec": {"kind": "Bypass"}}));
    process.looks(1).await;
    assert_eq!((server.drafts().len(), server.of("events").len()), (2, 0));
}

#[tokio::test]
async fn what_is_refused_is_tried_again_later_and_keeps_no_other_waiting() {
    let server = Server::new();
    let mut process = Process::new(&server, Policy::default());
    process.release(&server, "a", json!({"metadata": {"namespace": "closed"}, "status": {"outcome": "Bypassed"}}));
    process.rework("a", json!({"metadata": {"namespace": "closed"}, "spec": {"kind": "Bypass"}}));
    process.release(&server, "b", json!({"status": {"outcome": "Bypassed"}}));
    process.rework("b", json!({"spec": {"kind": "Bypass"}}));
    *server.mood.lock().unwrap() = Mood::Closed;
    process.looks(3).await;
    assert_eq!((server.drafts(), server.creates("postmortems")), (pairs(&[("b", "BreakGlass")]), 2));
    *server.mood.lock().unwrap() = Mood::Well;
    process.looks(1).await;
    assert_eq!(server.drafts().len(), 1, "not yet");
    *process.now.lock().unwrap() = "2026-01-02T04:01:00Z".parse().unwrap();
    process.looks(1).await;
    assert_eq!(server.drafts().len(), 2);
    // Everything fails: one try for each, until the next minute.
    let server = Server::new();
    let mut process = Process::new(&server, Policy::default());
    process.fill(&server);
    *server.mood.lock().unwrap() = Mood::Failing;
    process.looks(5).await;
    assert_eq!(server.creates("postmortems"), 4);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_hangs_is_asked_once_a_look() {
    let server = Server::new();
    let mut process = Process::new(&server, Policy::default());
    process.fill(&server);
    *server.mood.lock().unwrap() = Mood::Hanging;
    process.looks(1).await;
    assert_eq!(server.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn after_a_bad_day_some_are_made_at_a_time() {
    let server = Server::new();
    let mut process = Process::new(&server, Policy::default());
    for number in 0..12 {
        let name = format!("shop-{number}");
        process.release(&server, &name, json!({"status": {"outcome": "Bypassed"}}));
        process.rework(&name, json!({"spec": {"kind": "Bypass"}}));
    }
    for expected in [5, 10, 12, 12] {
        process.looks(1).await;
        assert_eq!(server.drafts().len(), expected);
    }
}

#[tokio::test]
async fn a_release_that_is_gone_or_made_anew_is_not_written_about() {
    let server = Server::new();
    let mut process = Process::new(&server, Policy::default());
    process.fill(&server);
    let path = "/apis/sluice.dev/v1alpha1/namespaces/demo/releases/";
    server.objects.lock().unwrap().remove(&format!("{path}past"));
    server.objects.lock().unwrap().get_mut(&format!("{path}again")).unwrap()["metadata"]["uid"] = json!("another");
    process.looks(2).await;
    assert_eq!(server.drafts(), pairs(&[("costly", "Escaped"), ("escaped", "Escaped")]));
}

#[tokio::test]
async fn nothing_of_another_namespace_is_told() {
    let server = Server::new();
    let mut process = Process::new(&server, Policy::default());
    process.fill(&server);
    let near = json!({"metadata": {"namespace": "secret"}, "spec": {"rollout": "vault"}});
    process.release(&server, "vault-1", near);
    process.release(&server, "cart-1", json!({"spec": {"rollout": "cart"}}));
    process.looks(1).await;
    let all = server.of("postmortems");
    let text =
        all.iter().find(|one| one["metadata"]["name"] == "escaped").unwrap()["spec"]["markdown"].as_str().unwrap();
    assert!(text.contains("`demo/cart`") && !text.contains("vault"), "{text}");
}

/// A thousand records of the Rollout and ten thousand of others: how long a draft takes, and that it is made.
#[tokio::test]
async fn many_records_are_no_matter() {
    let server = Server::new();
    let mut process = Process::new(&server, Policy::default());
    for number in 0..11_000_u32 {
        let rollout = if number % 11 == 0 { "shop".to_owned() } else { format!("other-{}", number % 50) };
        let release = json!({
            "metadata": {"name": format!("past-{number}"), "namespace": "demo", "uid": format!("p-{number}")},
            "spec": {"rollout": rollout, "rolloutUid": "u", "workload": "Deployment/shop", "number": number,
                "revision": format!("r{number}"), "fromRevision": "aaa"},
            "status": {"outcome": "RolledBack", "signature": "s1",
                "times": {"exposedAt": "2026-01-02T03:50:00Z", "verdictAt": "2026-01-02T03:51:00Z"}},
        });
        process.releases.apply_watcher_event(&Change::Apply(serde_json::from_value(release).unwrap()));
    }
    process.fill(&server);
    let begin = crate::clock::instant();
    process.looks(1).await;
    let took = begin.elapsed();
    assert_eq!(server.drafts().len(), 4);
    assert!(took < Duration::from_secs(20), "four drafts took {took:?}");
    println!("four drafts among 11,000 records: {took:?}");
}
