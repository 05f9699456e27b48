//! What follows from which object: by name, once, and with what the records say.

use serde_json::{Value, json};

use super::*;
use crate::api::SinkFormat;

const T0: &str = "2026-01-02T03:00:00Z";

fn release(name: &str, spec: Value, status: Value) -> Arc<Release> {
    let mut object = json!({
        "metadata": {"name": name, "namespace": "demo"},
        "spec": {"rollout": "shop", "rolloutUid": "u", "workload": "Deployment/shop", "number": 3, "revision": "bbb",
            "fromRevision": "aaa", "images": ["shop=ghcr.io/acme/shop:v3"]},
        "status": status,
    });
    for (field, value) in spec.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    Arc::new(serde_json::from_value(object).unwrap())
}

fn rework(kind: &str, trigger: &str) -> Arc<ReworkEvent> {
    let object = json!({
        "metadata": {"name": "shop-3", "namespace": "demo"},
        "spec": {"kind": kind, "rollout": "shop", "failedRelease": "shop-3", "revision": "bbb", "trigger": trigger,
            "reason": "Harm", "message": "too many errors", "signal": "errors", "exposedAt": "2026-01-02T03:01:00Z",
            "verdictAt": "2026-01-02T03:02:00Z", "detectSeconds": 60.0, "signature": "s1", "recurrence": 2},
    });
    Arc::new(serde_json::from_value(object).unwrap())
}

fn rollout(status: Value) -> Arc<DeserializeGuard<Rollout>> {
    let object = json!({
        "metadata": {"name": "shop", "namespace": "demo", "uid": "u"},
        "spec": {
            "targetRef": {"name": "shop"}, "traffic": {"stableService": "shop", "routes": [{"name": "shop"}]},
            "waves": [{"weight": 5}, {"weight": 25, "approval": "Required"}],
            "analysis": {"providerRef": {"name": "cluster"}, "signals": [{"name": "errors", "errorRatio": {}}]},
        },
        "status": status,
    });
    Arc::new(DeserializeGuard(Ok(serde_json::from_value(object).unwrap())))
}

fn run(more: Value) -> Value {
    let mut run = json!({"release": "shop-3", "number": 3, "revision": "bbb", "fromRevision": "aaa", "step": "Baking",
        "stepAt": T0, "weight": 5, "maxWeight": 5});
    for (field, value) in more.as_object().unwrap() {
        run[field] = value.clone();
    }
    json!({"run": run})
}

fn since(world: &World, after: &str, select: &dyn Fn(SinkEvent, &str) -> bool) -> Happened {
    let now = "2026-01-02T04:00:00Z".parse().unwrap();
    world.happened(&Wanted { after: after.parse().unwrap(), select, now })
}

fn all(world: &World) -> Happened {
    since(world, T0, &|_, _| true)
}

fn words(happened: &Happened) -> Vec<SinkEvent> {
    happened.events.iter().map(|event| event.word).collect()
}

fn of(releases: Vec<Arc<Release>>) -> World {
    World { releases, ..World::default() }
}

fn cloud(event: &Event) -> Value {
    serde_json::from_slice(&event.body(SinkFormat::CloudEvents, None).0).unwrap()
}

#[test]
fn a_release_is_told_by_its_outcome() {
    let times = json!({"exposedAt": "2026-01-02T03:01:00Z", "verdictAt": "2026-01-02T03:02:00Z",
        "weightZeroAt": "2026-01-02T03:03:00Z", "promotedAt": "2026-01-02T03:04:00Z", "endedAt": "2026-01-02T03:05:00Z"});
    for (outcome, expected, kind, minute) in [
        ("Promoted", &[SinkEvent::Promoted][..], "dev.cdevents.service.upgraded.0.3.0", 4),
        ("Escaped", &[SinkEvent::Promoted], "dev.cdevents.service.upgraded.0.3.0", 4),
        ("Bypassed", &[SinkEvent::Bypassed], "dev.cdevents.service.upgraded.0.3.0", 2),
        ("Aborted", &[SinkEvent::Aborted], "dev.cdevents.service.rolledback.0.3.0", 3),
        ("Superseded", &[SinkEvent::Superseded], "dev.cdeventsx.sluice-attempt.superseded.0.1.0", 2),
        ("SupersededUnderSuspicion", &[SinkEvent::Superseded], "dev.cdeventsx.sluice-attempt.superseded.0.1.0", 2),
        ("FailedBeforeExposure", &[SinkEvent::FailedBeforeExposure], "dev.cdeventsx.sluice-attempt.failed.0.1.0", 2),
    ] {
        let happened = all(&of(vec![release("shop-3", json!({}), json!({"outcome": outcome, "times": times}))]));
        assert_eq!(words(&happened), expected, "{outcome}");
        let event = &happened.events[0];
        assert_eq!(event.order, Some("2026-01-02T03:05:00Z".parse().unwrap()), "{outcome}");
        let told = cloud(event);
        assert_eq!(told["type"], kind, "{outcome}");
        assert_eq!(told["time"], format!("2026-01-02T03:0{minute}:00Z"), "{outcome}");
    }
    let going = json!({"times": {"exposedAt": "2026-01-02T03:01:00Z"}});
    assert_eq!(words(&all(&of(vec![release("shop-3", json!({}), going)]))), []);
    let first = release("shop-1", json!({"fromRevision": ""}), json!({"outcome": "Promoted", "times": times}));
    assert_eq!(cloud(&all(&of(vec![first])).events[0])["type"], "dev.cdevents.service.deployed.0.3.0");
    let unexposed = json!({"outcome": "Aborted", "times": {"endedAt": "2026-01-02T03:05:00Z"}});
    let told = cloud(&all(&of(vec![release("shop-3", json!({}), unexposed)])).events[0]);
    assert_eq!(told["type"], "dev.cdeventsx.sluice-attempt.aborted.0.1.0");
}

#[test]
fn a_rollback_names_the_version_that_serves_again_and_the_incident() {
    let times = json!({"verdictAt": "2026-01-02T03:02:00Z", "weightZeroAt": "2026-01-02T03:03:00Z",
        "recoveredAt": "2026-01-02T03:04:00Z", "endedAt": "2026-01-02T03:05:00Z"});
    let status = json!({"outcome": "RolledBack", "times": times, "message": "errors", "wave": 2, "stage": "Wave",
        "exposure": {"maxWeight": 25, "requests": 900, "errors": 40, "excessErrors": 39}});
    let back = release(
        "shop-3",
        json!({"classification": {"kind": "Hotfix", "confidence": "High", "by": "x"},
        "remediates": "shop-1", "owner": {"team": "checkout"}}),
        status,
    );
    let before = release(
        "shop-2",
        json!({"revision": "aaa", "number": 2, "images": ["shop=ghcr.io/acme/shop:v2"]}),
        json!({"outcome": "Promoted", "times": {"endedAt": "2026-01-01T03:05:00Z"}}),
    );
    let world = World {
        releases: vec![before, back.clone()],
        reworks: vec![rework("Rollback", "Automatic")],
        ..World::default()
    };
    let happened = all(&world);
    // In the order of time; the two of one end in that of their ids.
    let (first, rest) = happened.events.split_first().unwrap();
    assert_eq!((first.word, rest.len()), (SinkEvent::IncidentDetected, 2));
    let find = |word: SinkEvent| happened.events.iter().find(|event| event.word == word).unwrap();
    let told = cloud(find(SinkEvent::RolledBack));
    assert_eq!(told["time"], "2026-01-02T03:03:00Z");
    let data = &told["data"];
    let artifact = |tag: &str| format!("pkg:oci/shop?repository_url=ghcr.io/acme/shop&tag={tag}");
    assert_eq!(data["subject"]["content"], json!({"environment": {"id": "demo"}, "artifactId": artifact("v2")}));
    assert_eq!(data["context"]["links"][0]["target"]["contextId"], first.id);
    assert_eq!(
        data["customData"],
        json!({
            "event": "RolledBack", "rollout": "shop", "release": "shop-3", "number": 3, "revision": "bbb",
            "fromRevision": "aaa", "outcome": "RolledBack", "message": "errors", "stage": "Wave", "wave": 2, "weight": 25,
            "requests": 900, "errors": 40, "excessErrors": 39, "kind": "Hotfix", "remediates": "shop-1",
            "owner": {"team": "checkout", "contact": null}, "takenBack": artifact("v3"),
        })
    );
    let resolved = find(SinkEvent::IncidentResolved);
    assert_eq!(resolved.link, Some(Link::Path(first.id.clone())));
    let told = cloud(resolved);
    assert_eq!(
        (&told["time"], &told["data"]["customData"]["recoverySeen"]),
        (&json!("2026-01-02T03:04:00Z"), &json!(true))
    );
    assert_eq!(told["subject"], cloud(first)["subject"]);
    assert_eq!(told["data"]["context"]["chainId"], cloud(first)["data"]["context"]["chainId"]);
    // Nothing is known of the version before: its template is named.
    let alone = all(&of(vec![back]));
    let told = cloud(alone.events.iter().find(|event| event.word == SinkEvent::RolledBack).unwrap());
    assert_eq!(told["data"]["subject"]["content"]["artifactId"], "pkg:generic/demo/Deployment/shop@aaa");
}

#[test]
fn a_verdict_is_told_before_it_is_recorded_and_once() {
    let status =
        run(json!({"outcome": "RolledBack", "trigger": "Automatic", "signal": "errors", "summary": "too many",
        "step": "Closing", "times": {"verdictAt": "2026-01-02T03:02:00Z", "exposedAt": "2026-01-02T03:01:00Z"}}));
    let mut world = World { rollouts: vec![rollout(status)], ..World::default() };
    let early = all(&world);
    assert_eq!(words(&early), [SinkEvent::IncidentDetected]);
    world.reworks.push(rework("Rollback", "Automatic"));
    let late = all(&world);
    assert_eq!(words(&late), [SinkEvent::IncidentDetected]);
    assert_eq!((&late.events[0].id, late.events[0].order), (&early.events[0].id, early.events[0].order));
    // The records know more.
    assert_eq!(late.events[0].data["signature"], "s1");
    for (kind, trigger) in [("Rollback", "Manual"), ("Bypass", "Automatic"), ("Hotfix", "Manual")] {
        let world = World { reworks: vec![rework(kind, trigger)], ..World::default() };
        assert_eq!(words(&all(&world)), [], "{kind} {trigger}");
    }
}

#[test]
fn what_escaped_is_an_incident_until_it_is_remedied() {
    let escaped = json!({"at": "2026-01-02T03:02:00Z", "signal": "errors", "message": "too many", "recorded": true});
    let failed = release(
        "shop-3",
        json!({}),
        json!({"outcome": "Promoted", "escaped": escaped,
        "times": {"endedAt": "2026-01-02T02:00:00Z"}}),
    );
    let fix = release(
        "shop-4",
        json!({"remediates": "shop-3", "revision": "ccc"}),
        json!({"outcome": "Promoted", "times": {"promotedAt": "2026-01-02T03:30:00Z", "endedAt": "2026-01-02T03:31:00Z"}}),
    );
    let world =
        World { releases: vec![failed, fix], reworks: vec![rework("Escaped", "Automatic")], ..World::default() };
    let happened = all(&world);
    assert_eq!(happened.events[0].word, SinkEvent::Escaped);
    assert_eq!(happened.events.len(), 3, "{:?}", words(&happened));
    let resolved = happened.events.iter().find(|event| event.word == SinkEvent::IncidentResolved).unwrap();
    assert_eq!(resolved.link, Some(Link::Path(happened.events[0].id.clone())));
    let told = cloud(resolved);
    assert_eq!((&told["subject"], &told["time"]), (&json!("demo/shop-3"), &json!("2026-01-02T03:30:00Z")));
    assert_eq!(cloud(&happened.events[0])["subject"], "demo/shop-3");
}

#[test]
fn a_person_is_asked_once_for_each_approval() {
    let waiting = |approved: Value, reason: &str| {
        let mut status = run(json!({"approved": approved}));
        status["conditions"] = json!([{"type": "Reconciling", "status": "True", "observedGeneration": 1,
            "lastTransitionTime": T0, "reason": reason, "message": "waits for an Intervention Approve"}]);
        all(&World { rollouts: vec![rollout(status)], ..World::default() })
    };
    let first = waiting(json!([]), "AwaitingApproval");
    assert_eq!(words(&first), [SinkEvent::AwaitingApproval]);
    let event = &first.events[0];
    assert_eq!((event.order, &event.data["waitsAt"]), (None, &json!(25)));
    assert!(first.standing.contains(&event.id));
    // Held by something else for a while, it waits for the same approval still.
    let held = waiting(json!([]), "HeldByPerson");
    assert_eq!((words(&held), held.standing), (vec![], first.standing.clone()));
    let second = waiting(json!([25]), "AwaitingApproval");
    assert_ne!(second.standing, first.standing);
    let over = all(&World { rollouts: vec![rollout(run(json!({"outcome": "Aborted"})))], ..World::default() });
    assert!(over.standing.is_empty());
}

#[test]
fn an_approval_is_told_while_the_attempt_goes_on_and_from_its_record() {
    let asked = json!([
        {"name": "h", "action": "Hold", "by": "joe", "reason": "x", "at": "2026-01-02T03:01:00Z", "message": "held"},
        {"name": "a", "action": "Approve", "by": "jane", "reason": "fine", "at": "2026-01-02T03:02:00Z", "message": "wave 2/2 is approved"},
    ]);
    let going = World { rollouts: vec![rollout(run(json!({"interventions": asked})))], ..World::default() };
    let ended = of(vec![release("shop-3", json!({}), json!({"interventions": asked}))]);
    let (going, ended) = (all(&going), all(&ended));
    assert_eq!((words(&going), words(&ended)), (vec![SinkEvent::Approved], vec![SinkEvent::Approved]));
    let (one, other) = (&going.events[0], &ended.events[0]);
    assert_eq!((&one.id, one.order, &one.subject), (&other.id, other.order, &other.subject));
    assert_eq!(one.subject, Subject::Approved { number: 0, by: "jane".to_owned() });
    assert_eq!(one.link, Some(Link::Path(Event::id("demo", "shop-3", SinkEvent::AwaitingApproval, "0"))));
    assert_eq!((&one.data["by"], &one.data["reason"]), (&json!("jane"), &json!("fine")));
}

/// An attempt that waits for an approval.
fn waiting(more: Value) -> World {
    let mut status = run(more);
    status["conditions"] = json!([{"type": "Reconciling", "status": "True", "observedGeneration": 1,
        "lastTransitionTime": T0, "reason": "AwaitingApproval", "message": "waits for an Intervention Approve"}]);
    World { rollouts: vec![rollout(status)], ..World::default() }
}

/// An approval in spite of the error budget is none of a step, and is told as `Approved` as well.
#[test]
fn an_answer_leads_to_its_question_after_an_approval_for_the_budget() {
    let approval = |minute: u8, message: &str| {
        json!({"name": "a", "action": "Approve", "by": "jane", "reason": "x",
        "at": format!("2026-01-02T03:0{minute}:00Z"), "message": message})
    };
    let budget = json!({"since": T0, "approvedBy": "jane"});
    let first = approval(1, "approved in spite of the error budget");
    let asked = all(&waiting(json!({"budget": budget, "interventions": [first]})));
    let question = asked.events.iter().find(|event| event.word == SinkEvent::AwaitingApproval).unwrap();
    let both = json!([first, approval(2, "wave 2/2 is approved")]);
    let given = run(json!({"budget": budget, "approved": [25], "interventions": both}));
    let given = all(&World { rollouts: vec![rollout(given)], ..World::default() });
    let answer = given.events.iter().rfind(|event| event.word == SinkEvent::Approved).unwrap();
    assert_eq!(answer.message, "wave 2/2 is approved");
    assert_eq!(answer.link, Some(Link::Path(question.id.clone())));
    assert_eq!(cloud(answer)["subject"], cloud(question)["subject"]);
    // The same when it has ended.
    let ended = all(&of(vec![release("shop-3", json!({}), json!({"interventions": both}))]));
    assert_eq!(ended.events.last().unwrap().link, answer.link);
}

/// People may ask for more than is recorded of an attempt: the next question is another one all the same.
#[test]
fn each_question_has_its_id_when_no_more_is_recorded() {
    let held: Vec<Value> = (0..20)
        .map(|second| {
            json!({"name": "h", "action": "Hold", "by": "joe", "reason": "x", "message": "held",
            "at": format!("2026-01-02T03:01:{second:02}Z")})
        })
        .collect();
    let question = |approved: Value| all(&waiting(json!({"approved": approved, "interventions": held}))).standing;
    assert_ne!(question(json!([])), question(json!([5])));
}

/// What waits is what `decide` says waits.
#[test]
fn nothing_that_is_being_promoted_waits_for_the_promotion() {
    let told = |step: &str| {
        let mut world = waiting(json!({"step": step, "weight": 25}));
        let Ok(rollout) = &mut Arc::make_mut(&mut world.rollouts[0]).0 else { unreachable!() };
        rollout.spec.promotion.approval = crate::api::Approval::Required;
        all(&world).events[0].data.get("waitsAt").cloned()
    };
    assert_eq!((told("Baking"), told("Promoting")), (Some(json!(100)), None));
}

#[test]
fn the_last_that_happened_in_a_release_is_what_it_is_left_out_by() {
    let of = |status: Value| last(release("shop-3", json!({}), status).status.as_ref().unwrap());
    let at = |minute: u8| format!("2026-01-02T03:0{minute}:00Z");
    let time = |minute: u8| Some(at(minute).parse().unwrap());
    let ended = json!({"outcome": "Promoted", "times": {"endedAt": at(3)}});
    let with = |field: &str, value: Value| {
        let mut status = ended.clone();
        status[field] = value;
        status
    };
    let escaped = |minute: u8| json!({"at": at(minute), "signal": "errors", "message": "x", "recorded": true});
    let asked = |minutes: &[u8]| {
        let one = |minute: &u8| {
            json!({"name": "a", "action": "Approve", "by": "jane", "reason": "x", "at": at(*minute),
            "message": "x"})
        };
        json!(minutes.iter().map(one).collect::<Vec<_>>())
    };
    assert_eq!(of(json!({"times": {"exposedAt": at(1)}})), None, "nothing of it is told");
    assert_eq!(of(ended.clone()), time(3));
    assert_eq!((of(with("escaped", escaped(2))), of(with("escaped", escaped(9)))), (time(3), time(9)));
    assert_eq!(of(with("interventions", asked(&[1, 2]))), time(3));
    assert_eq!(of(with("interventions", asked(&[1, 5, 4]))), time(5));
    // None of them gets lost by it.
    let world = |status: Value| self::of(vec![release("shop-3", json!({}), status)]);
    let after = |status: Value, minute: u8| words(&since(&world(status), &at(minute), &|_, _| true));
    assert_eq!(after(with("escaped", escaped(9)), 8), [SinkEvent::Escaped]);
    assert_eq!(after(with("escaped", escaped(9)), 9), []);
    assert_eq!(after(with("interventions", asked(&[5])), 4), [SinkEvent::Approved]);
    assert_eq!(after(with("interventions", asked(&[5])), 5), []);
}

#[test]
fn only_what_a_sink_wants_is_looked_at() {
    let ended = |at: &str| release("shop-3", json!({}), json!({"outcome": "Promoted", "times": {"endedAt": at}}));
    let world = of(vec![ended("2026-01-02T03:05:00Z")]);
    assert_eq!(words(&since(&world, "2026-01-02T03:05:00Z", &|_, _| true)), [], "it is in the past");
    assert_eq!(words(&since(&world, "2026-01-02T03:04:59Z", &|_, _| true)), [SinkEvent::Promoted]);
    assert_eq!(words(&since(&world, T0, &|_, namespace| namespace != "demo")), []);
    assert_eq!(words(&since(&world, T0, &|word, _| word != SinkEvent::Promoted)), []);
    let unreadable = World { rollouts: vec![Arc::new(DeserializeGuard(Err(unreadable())))], ..World::default() };
    assert_eq!(all(&unreadable), Happened::default());
}

fn unreadable() -> kube::core::error_boundary::InvalidObject {
    let guard: DeserializeGuard<Rollout> =
        serde_json::from_value(json!({"metadata": {"name": "x"}, "spec": 1})).unwrap();
    guard.0.unwrap_err()
}
