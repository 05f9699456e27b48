//! How long it takes until a person's wish is honoured.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::harness::app::{Plan, errors};
use crate::harness::asking::{Answer, assert_in_record, bind, held, honoured};
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::look::{self, condition, stable_pods, text, weights};
use crate::harness::record::Kind;
use crate::harness::spread::Spread;
use crate::harness::world::World;
use crate::harness::{shared, slower};
use crate::people::{baking, govern, plan, with_approval};

/// The goal, in seconds.
const PROMPT: f64 = 2.0;

/// The times of one action, in seconds.
struct Times {
    what: &'static str,
    seconds: Vec<f64>,
}

impl Times {
    const fn of(what: &'static str) -> Self {
        Self { what, seconds: Vec::new() }
    }

    fn add(&mut self, answer: &Answer) {
        self.seconds.push(answer.seconds);
    }

    fn judge(self) {
        let Spread { most, .. } =
            Spread::told(&format!("interventions: from the object to {}", self.what), self.seconds);
        assert!(most < PROMPT * slower(), "from the object to {}: {most:.2}s", self.what);
    }
}

#[test]
fn interventions_are_honoured_within_two_seconds() {
    let times = std::env::var("SLUICE_INTERVENTIONS").ok().and_then(|times| times.parse().ok());
    let times = times.unwrap_or(3_usize).clamp(1, 10);
    shared("prompt", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            let plan = Plan { signals: errors("2%", 10, 2), ..plan(&[(20, "2s"), (50, "1h")]) };
            govern(world, &app, with_approval(&app, &plan, 1)).await;
            bind(world, "alice", "sluice-approver", "approve").await;
            bind(world, "bob", "sluice-editor", "abort").await;
            let client = Client::start(&app, 80).await;
            let pods = world.record.look(|now| stable_pods(now, "shop"));
            let (mut hold, mut resume, mut approve) =
                (Times::of("Hold honoured"), Times::of("Resume honoured"), Times::of("Approve honoured"));
            let (mut abort, mut zero) = (Times::of("Abort honoured"), Times::of("weight 0 in the route (Abort)"));
            for attempt in 1..=times {
                world.apply(&[app.version(&format!("v2-{attempt}")).deployment()]).await;
                world.phase("shop", "Shifting", 60).await;
                hold.add(&honoured(world, "bob", "Hold", "a closer look").await);
                let rollout = held(world, "shop", "HeldByPerson", 60).await;
                let says = text(&rollout, "/status/message");
                assert!(says.contains("held by bob (a closer look)"), "{says}");
                resume.add(&honoured(world, "bob", "Resume", "it looks well").await);
                held(world, "shop", "AwaitingApproval", 30).await;
                approve.add(&honoured(world, "alice", "Approve", "go on").await);
                baking(world, 50).await;
                let aborted = honoured(world, "bob", "Abort", "only a rehearsal").await;
                abort.add(&aborted);
                let rollout = world.complete("shop", "Aborted", 60).await;
                zero.seconds.push(weight_zero(world, aborted.asked));
                assert_aborted(world, &rollout, attempt);
            }
            assert_eq!(world.record.look(|now| stable_pods(now, "shop")), pods, "UIDs and restarts of stable's pods");
            assert_unharmed(&client.stop().await);
            for times in [hold, resume, approve, abort, zero] {
                times.judge();
            }
        })
    });
}

/// Seconds from a time until the route was seen with weight 0.
fn weight_zero(world: &World, asked: Timestamp) -> f64 {
    let weights = weights(&world.record, "shop");
    let zero = weights.iter().find(|weight| weight.at > asked && weight.percent == 0.0).expect("weight 0");
    zero.at.duration_since(asked).as_secs_f64()
}

/// The attempt has its records, and nothing of it is left.
fn assert_aborted(world: &World, rollout: &Value, attempt: usize) {
    assert_eq!(condition(rollout, "Stalled").map(|(status, _)| status), Some("True"));
    assert!(look::says(rollout, "Stalled").contains("aborted by bob: only a rehearsal"));
    assert_eq!(world.get(Kind::Deployment, "shop-canary"), None);
    assert_eq!(world.get(Kind::Deployment, "shop").unwrap()["spec"]["paused"], json!(true));
    let (releases, reworks) = world.record.look(|now| (look::releases(now, "shop"), look::reworks(now, "shop")));
    assert_eq!((releases.len(), reworks.len()), (attempt, attempt));
    let release = releases.last().unwrap();
    assert_eq!(text(release, "/status/outcome"), "Aborted");
    let said = [
        ("Hold", "bob", "a closer look"),
        ("Resume", "bob", "it looks well"),
        ("Approve", "alice", "go on"),
        ("Abort", "bob", "only a rehearsal"),
    ];
    assert_in_record(release, &said);
    let name = text(release, "/metadata/name");
    let rework = reworks.iter().find(|rework| text(rework, "/spec/failedRelease") == name).expect("its ReworkEvent");
    assert_eq!((text(rework, "/spec/trigger"), text(rework, "/spec/kind")), ("Manual", "Rollback"));
}
