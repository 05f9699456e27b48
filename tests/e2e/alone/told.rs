//! What happened is told although nobody listened at first and the operator was started anew meanwhile.

use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::harness::gateway::Client;
use crate::harness::look::{self, text, time, weights};
use crate::harness::prometheus::Outage;
use crate::harness::receiver::{self, Answer, Request};
use crate::harness::record::Kind;
use crate::harness::world::World;
use crate::harness::{alone, operator, slower};
use crate::told::{ALERT, plan};

const KEY: &str = "a key of this scenario";

/// Posts to the receiver what happens in the namespace of a scenario.
fn sink(world: &World, name: &str, more: Value) -> Value {
    let mut sink = json!({
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "NotificationSink",
        "metadata": {"name": format!("{}-{name}", world.namespace)},
        "spec": {
            "url": receiver::url(&path(world, name)),
            "allowPlainHttp": true,
            "environment": "testbed",
            "namespaces": [world.namespace],
            "timeout": "2s",
        },
    });
    for (field, value) in more.as_object().unwrap() {
        sink["spec"][field] = value.clone();
    }
    sink
}

fn path(world: &World, sink: &str) -> String {
    format!("/{}/{sink}", world.namespace)
}

/// The signature is that of the key, the second it names and the body.
fn assert_signed(request: &Request) {
    let signature = request.header("sluice-signature");
    let (second, theirs) = signature
        .strip_prefix("t=")
        .and_then(|rest| rest.split_once(",v1="))
        .unwrap_or_else(|| panic!("{signature:?} is no signature"));
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(&[second.as_bytes(), b".", &request.body].concat());
    let ours: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(theirs, ours, "the signature of {}", request.json());
}

/// Waits until the canary has traffic.
async fn exposed(world: &World) {
    world
        .until("the canary has weight", 60, |now| {
            (look::share(now.get(Kind::HttpRoute, "shop")?, "shop") > 0.0).then_some(())
        })
        .await;
}

#[test]
fn what_happened_is_told_although_nobody_listened_and_the_operator_was_started_anew() {
    alone("told", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            world.deploy(&app).await;
            world.adopt(&app, &plan()).await;
            let secret = format!("{}-hmac", world.namespace);
            let key = format!("--from-literal=hmac={KEY}");
            world.succeeds(&["-n=sluice-system", "create", "secret", "generic", &secret, &key]).await;
            let [refusing, hanging] = ["events", "channel"].map(|name| path(world, name));
            receiver::answer(&refusing, Answer::With(503));
            receiver::answer(&hanging, Answer::Never);
            let events = sink(world, "events", json!({"hmacSecretRef": {"name": secret, "key": "hmac"}}));
            world.apply(&[events, sink(world, "channel", json!({"format": "Slack"}))]).await;
            let client = Client::start(&app, 100).await;

            world.apply(&[app.version("v2").env("CRASH_AFTER", "20s").deployment()]).await;
            exposed(world).await;
            // Nobody scrapes from now on: that the version is taken back is seen by no process that is still there then.
            let outage = Outage::begin().await;
            assert_eq!(world.record.look(|now| look::told(now, "shop", "RolledBack").len()), 0, "too late");
            let rollout = world.complete("shop", "RolledBack", 90).await;
            client.stop().await;
            let verdict = time(&rollout, "/status/run/times/verdictAt").expect("the time of the verdict");
            let weights = weights(&world.record, "shop");
            let zero = weights.last().filter(|last| last.percent == 0.0).expect("weight 0");
            let seconds = zero.at.duration_since(verdict).as_secs_f64();
            eprintln!("told: weight 0 {seconds:.2}s after the verdict, with one sink that refuses and one that hangs");
            assert!(seconds < 3.0 * slower(), "the sinks delay the rollback: {seconds:.2}s");
            receiver::until(&refusing, "the refusing sink is posted to", 30, |come| (!come.is_empty()).then_some(()))
                .await;
            receiver::until(&hanging, "the hanging sink is posted to", 30, |come| (!come.is_empty()).then_some(()))
                .await;
            operator::renew(&world.client).await;
            assert_eq!(receiver::times(ALERT, &world.namespace, "firing"), 0);
            outage.end().await;

            let alert = receiver::alert(ALERT, &world.namespace, "firing", 60).await;
            assert_eq!(text(&alert, "/labels/name"), "shop", "{alert:#}");
            assert_eq!(text(&alert, "/labels/team"), "payments", "{alert:#}");
            assert_eq!(text(&alert, "/labels/reason"), text(&rollout, "/status/run/reason"), "{alert:#}");
            assert!(text(&alert, "/annotations/summary").contains("took a version back"), "{alert:#}");

            for sink in [&refusing, &hanging] {
                receiver::answer(sink, Answer::With(200));
            }
            assert_told(world, &refusing, &hanging).await;
            assert_eq!(receiver::times(ALERT, &world.namespace, "firing"), 1, "it is told of once");
            let names = ["events", "channel"].map(|name| format!("notificationsink/{}-{name}", world.namespace));
            world.succeeds(&["delete", &names[0], &names[1]]).await;
            world.succeeds(&["-n=sluice-system", "delete", "secret", &secret]).await;
        })
    });
}

/// Each sink gets each event, with the id that it was first sent with; the signed one signed.
async fn assert_told(world: &World, events: &str, channel: &str) {
    let word = |request: &Request| text(&request.json(), "/data/customData/event").to_owned();
    let wanted = ["IncidentDetected", "IncidentResolved", "RolledBack"];
    let come = receiver::until(events, "every event is told", 90, |come| {
        let taken = || come.iter().filter(|one| one.answered == 200);
        let all = wanted.iter().all(|wanted| taken().any(|one| word(one) == *wanted));
        all.then(|| come.to_vec())
    })
    .await;
    for request in &come {
        assert_signed(request);
        assert_eq!(request.header("idempotency-key"), text(&request.json(), "/id"));
        assert_eq!(text(&request.json(), "/data/customData/owner/team"), "payments");
    }
    for wanted in wanted {
        let ids: std::collections::BTreeSet<String> =
            come.iter().filter(|one| word(one) == wanted).map(|one| text(&one.json(), "/id").to_owned()).collect();
        assert_eq!(ids.len(), 1, "{wanted} has one id, whoever sends it and however often: {ids:?}");
    }
    let refused = come.iter().filter(|one| one.answered == 503).count();
    assert!(refused > 0, "it was refused at first");
    let said = receiver::until(channel, "the channel is told", 90, |come| {
        let mut taken = come.iter().filter(|one| one.answered == 200).map(Request::json);
        taken.find(|said| text(said, "/text").starts_with("Rolled back: "))
    })
    .await;
    assert!(text(&said, "/text").contains(&world.namespace), "{said:#}");
}
