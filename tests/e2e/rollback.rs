//! Scenarios 18 and 19: a bad version is taken back at once; one bad sample is not a bad version.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::harness::app::{App, Plan, errors};
use crate::harness::gateway::Client;
use crate::harness::look::{self, condition, number, percents, stable_pods, text, time, weights};
use crate::harness::record::Kind;
use crate::harness::spread::Spread;
use crate::harness::world::World;
use crate::harness::{receiver, shared, slower};

/// Applies a version that fails too often, waits until it was taken back, and returns the seconds from the scrape that
/// carried the breaching sample to weight 0 as this client's own watch saw it.
async fn taken_back(world: &World, app: &App) -> f64 {
    let began = Timestamp::now();
    world.apply(&[app.deployment()]).await;
    world.phase("shop", "Shifting", 60).await;
    let rollout = world.complete("shop", "RolledBack", 90).await;
    let sample = time(&rollout, "/status/run/times/sampleAt").expect("the time of the breaching sample");
    let weights = weights(&world.record, "shop");
    let exposed = weights.iter().position(|weight| weight.at > began && weight.percent > 0.0).expect("exposed");
    let zero = weights[exposed..].iter().find(|weight| weight.percent == 0.0).expect("weight 0");
    zero.at.duration_since(sample).as_secs_f64()
}

#[test]
fn scenario_18_a_failing_version_is_rolled_back_within_seconds() {
    let times =
        std::env::var("SLUICE_ROLLBACKS").ok().and_then(|times| times.parse().ok()).unwrap_or(1_usize).clamp(1, 20);
    shared("bad", |world| {
        Box::pin(async move {
            let app = world.app("shop").replicas(4);
            world.deploy(&app).await;
            let plan = Plan { waves: vec![(10, "20s"), (50, "20s")], signals: errors("2%", 50, 2), ..Plan::default() };
            world.adopt(&app, &plan).await;
            let client = Client::start(&app, 200).await;
            let pods = world.record.look(|now| stable_pods(now, "shop"));
            let route = world.get(Kind::HttpRoute, "shop").unwrap();

            let mut seconds = Vec::new();
            for attempt in 1..=times {
                let bad = app.version(&format!("v3-{attempt}")).env("ERROR_RATE", "5%");
                seconds.push(taken_back(world, &bad).await);
                assert_taken_back(world, &bad, attempt);
                assert_eq!(
                    world.record.look(|now| stable_pods(now, "shop")),
                    pods,
                    "UIDs and restarts of stable's pods"
                );
                let after = world.get(Kind::HttpRoute, "shop").unwrap();
                assert_eq!(after["spec"].to_string(), route["spec"].to_string());
                assert_recorded(world, attempt, &client.so_far().by_version[&bad.version]);
            }
            let served = client.stop().await;
            let of_stable = &served.by_version["v1"];
            assert_eq!(of_stable.failed, 0, "stable failed");
            assert_eq!(served.by_status.get("error"), None, "{:#?}", served.failures);
            let unscathed = served.requests - served.failed;
            eprintln!("scenario 18: {unscathed} of {} requests of the client were answered well", served.requests);
            judge(seconds);

            let alert = receiver::alert("RolloutAutomaticallyRolledBack", &world.namespace, "firing", 30).await;
            assert_eq!(text(&alert, "/labels/name"), "shop", "{alert:#}");
            rejected_stays_rejected(world, &app.version(&format!("v3-{times}")).env("ERROR_RATE", "5%"), times).await;
        })
    });
}

/// What the namespace looks like after a rollback: the user's spec untouched and held back, nothing of ours left.
fn assert_taken_back(world: &World, bad: &App, attempt: usize) {
    let rollout = world.get(Kind::Rollout, "shop").unwrap();
    assert_eq!(look::phase(&rollout), "RolledBack");
    assert_eq!(condition(&rollout, "Complete"), Some(("True", "RolledBack")));
    assert_eq!(condition(&rollout, "Stalled"), Some(("True", "RolledBack")));
    assert_eq!(condition(&rollout, "Ready"), Some(("False", "RolledBack")));
    assert_eq!(text(&rollout, "/status/run/reason"), "SignalBreached");
    assert_eq!(number(&rollout, "/status/rollbacks"), attempt as u64);
    let deployment = world.get(Kind::Deployment, "shop").unwrap();
    assert_eq!(deployment["spec"]["paused"], json!(true));
    let env = &deployment["spec"]["template"]["spec"]["containers"][0]["env"];
    assert_eq!(*env, bad.deployment()["spec"]["template"]["spec"]["containers"][0]["env"], "the user's template");
    assert_eq!(world.get(Kind::Deployment, "shop-canary"), None);
    assert_eq!(world.get(Kind::Service, "shop-canary"), None);
}

/// Exactly one Release and one ReworkEvent for each attempt, with what the client saw.
fn assert_recorded(world: &World, attempt: usize, seen: &testbed::load::VersionCounts) {
    let (releases, reworks) = world.record.look(|now| (look::releases(now, "shop"), look::reworks(now, "shop")));
    assert_eq!((releases.len(), reworks.len()), (attempt, attempt));
    let release = releases.last().unwrap();
    assert_eq!(text(release, "/status/outcome"), "RolledBack");
    let (requests, errors) = (number(release, "/status/exposure/requests"), number(release, "/status/exposure/errors"));
    let about = |recorded: u64, seen: u64| recorded.abs_diff(seen) <= seen / 10 + 3;
    assert!(
        about(requests, seen.requests) && about(errors, seen.failed),
        "recorded: {errors} of {requests} requests failed; the client saw {} of {}",
        seen.failed,
        seen.requests
    );
    let name = text(release, "/metadata/name");
    let rework = reworks.iter().find(|rework| text(rework, "/spec/failedRelease") == name).expect("its ReworkEvent");
    assert_eq!(text(rework, "/spec/trigger"), "Automatic");
    assert_eq!(text(rework, "/spec/signal"), "errors");
    assert_eq!(text(rework, "/spec/owner/team"), "payments");
    assert_eq!((text(release, "/status/stage"), number(release, "/status/wave")), ("Wave", 1));
    assert_eq!(number(release, "/status/exposure/excessErrors"), errors, "stable has no errors");
    assert!(text(release, "/status/digests/0").starts_with("shop=sha256:"), "{:#}", release["status"]);
    // Stable is well: three polls after the weight was 0.
    let well = time(release, "/status/times/recoveredAt").expect("when users were well again");
    assert!(well > time(release, "/status/times/weightZeroAt").unwrap());
    assert!(rework["spec"]["verifySeconds"].as_f64().is_some_and(|seconds| seconds > 0.0 && seconds < 60.0));
    assert_eq!(text(rework, "/spec/signature"), text(release, "/status/signature"));
    assert_eq!(number(rework, "/spec/recurrence"), attempt as u64);
    let kind = if attempt == 1 { "Planned" } else { "Rework" };
    assert_eq!(text(release, "/spec/classification/kind"), kind, "what follows a failure is rework");
}

/// The goal: weight 0 within 3 s of the sample at worst, and within 1 s in the middle of many.
fn judge(seconds: Vec<f64>) {
    let times = seconds.len();
    let Spread { least, middle, most } =
        Spread::told("scenario 18: from the breaching sample to weight 0 in the route", seconds);
    assert!(least >= 0.0, "weight 0 before the sample: the clocks differ");
    assert!(most < 3.0 * slower(), "the worst took {most:.2}s");
    assert!(times < 5 || middle < 1.0 * slower(), "the median is {middle:.2}s");
}

/// The rejected template applied again does nothing, and an administrator cannot let it roll by accident.
async fn rejected_stays_rejected(world: &World, bad: &App, attempts: usize) {
    let mut again = bad.clone();
    again.annotations = json!({"team.example/note": "applied again"});
    world.apply(&[again.deployment()]).await;
    let resume = world.kubectl(&["rollout", "resume", "deployment/shop"], None).await;
    let patch = world.kubectl(&["patch", "deployment/shop", "-p", r#"{"spec":{"paused":false}}"#], None).await;
    for refused in [resume, patch] {
        let said = refused.err.contains("is governed by a Rollout and its template is not proven yet");
        assert!(!refused.ok && said, "{refused:?}");
    }
    world
        .stays("the rejected template is left alone", 3, |now| {
            let rollout = now.get(Kind::Rollout, "shop").unwrap();
            let paused = now.get(Kind::Deployment, "shop").is_some_and(|found| found["spec"]["paused"] == json!(true));
            look::phase(rollout) == "RolledBack"
                && number(rollout, "/status/attempts") == attempts as u64
                && paused
                && now.get(Kind::Deployment, "shop-canary").is_none()
        })
        .await;
    let rollout = world.get(Kind::Rollout, "shop").unwrap();
    assert!(look::says(&rollout, "Stalled").contains("was rejected"), "{}", look::says(&rollout, "Stalled"));
}

/// The shop draws its failures from a counter: at 0.5 % a pod fails its 145th request, and then none before the 378th.
#[test]
fn scenario_19_one_bad_sample_is_no_reason_to_roll_back() {
    shared("once", |world| {
        Box::pin(async move {
            let app = world.app("shop").replicas(1);
            world.deploy(&app).await;
            // One failed request of ten breaches; three breaches of twenty samples would be harm.
            let mut signals = errors("2%", 10, 3);
            signals[0]["of"] = json!(20);
            // The shop fails the 145th request of a pod, and then the 378th. At 15 requests per second for the canary,
            // 14 seconds of baking and 1 to 6 until they begin, between 225 and 300 are served.
            world.adopt(&app, &Plan { waves: vec![(20, "14s")], signals, ..Plan::default() }).await;
            let client = Client::start(&app, 75).await;
            world.apply(&[app.version("v2").env("ERROR_RATE", "0.5%").deployment()]).await;
            world.phase("shop", "Promoting", 90).await;
            let served = client.stop().await;
            world.complete("shop", "Promoted", 90).await;
            let samples: Vec<String> = world
                .record
                .history(Kind::Rollout, "shop")
                .iter()
                .map(|seen| text(&seen.object, "/status/run/signals/0/samples").to_owned())
                .collect();
            let bad = samples.iter().map(|samples| samples.matches('x').count()).max();
            assert_eq!(bad, Some(1), "the samples that breached: {:?}", samples.last());
            let releases = world.record.look(|now| look::releases(now, "shop"));
            assert_eq!(releases.len(), 1);
            assert_eq!(text(&releases[0], "/status/outcome"), "Promoted");
            assert_eq!(number(&releases[0], "/status/exposure/errors"), 1, "{:#}", releases[0]["status"]["exposure"]);
            assert_eq!(world.record.look(|now| look::reworks(now, "shop")), Vec::<Value>::new());
            assert_eq!(served.by_version["v2"].failed, 1, "of {} requests", served.by_version["v2"].requests);
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 20.0, 0.0]);
        })
    });
}
