//! What selects pods by label around a canary, over whole rollouts in the toy world: policies that are made for the
//! canary and go with it, refusals that heal, and what a person is told.

use serde_json::{Value, json};
use sluice::api::{Phase, Step};
use sluice::decide::neighbours::{BudgetFacts, PolicyFacts, SelectingService};
use sluice::decide::selectors::Selector;
use sluice::decide::{self, Write};

use crate::world::World;

/// A policy of the team's own.
pub fn policy(name: &str, spec: Value) -> PolicyFacts {
    PolicyFacts {
        name: name.into(),
        namespace: "demo".into(),
        uid: format!("uid-{name}"),
        resource_version: "1".into(),
        spec,
        ..PolicyFacts::default()
    }
}

/// Nobody but the gateway's namespace may talk to the shop.
pub fn allow() -> PolicyFacts {
    let gateway = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateway-system"}}});
    let shop = json!({"matchLabels": {"app": "shop"}});
    policy("allow", json!({"podSelector": shop, "policyTypes": ["Ingress"], "ingress": [{"from": [gateway]}]}))
}

/// Only the shop may talk to the database.
pub fn database() -> PolicyFacts {
    let shop = json!({"podSelector": {"matchLabels": {"app": "shop"}}});
    let db = json!({"matchLabels": {"app": "db"}});
    policy("db", json!({"podSelector": db, "policyTypes": ["Ingress"], "ingress": [{"from": [shop]}]}))
}

fn deny() -> PolicyFacts {
    policy("default-deny", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}))
}

fn adopted(policies: Vec<PolicyFacts>) -> World {
    let mut world = World::new();
    world.neighbours.policies = policies;
    world.settle(5);
    assert_eq!(world.status.phase, Phase::Stable, "{}", world.status.message);
    world.log.clear();
    world
}

fn ours(world: &World) -> Vec<&str> {
    world.neighbours.policies.iter().filter(|policy| policy.ours).map(|policy| policy.name.as_str()).collect()
}

/// Where a line of the log is; lines are in the order of the writes.
fn at(world: &World, line: &str) -> usize {
    let found = world.log.iter().position(|one| one.starts_with(line));
    found.unwrap_or_else(|| panic!("no {line} in {:#?}", world.log))
}

fn spec(world: &World, name: &str) -> Value {
    world.neighbours.policies.iter().find(|policy| policy.name == name).unwrap().spec.clone()
}

#[test]
fn the_canary_has_its_policies_before_its_first_pod_and_they_go_after_it() {
    let mut world = adopted(vec![deny(), allow(), database()]);
    let before = world.neighbours.policies.clone();
    world.apply("v2");
    world.settle(10);
    assert_eq!(ours(&world), ["allow-shop-canary", "db-shop-canary-peer"]);
    for name in ["allow-shop-canary", "db-shop-canary-peer"] {
        assert!(at(&world, &format!("write create_policy {name}")) < at(&world, "write create_canary"));
    }
    world.settle(80);
    assert_eq!(world.status.phase, Phase::Promoted, "{}", world.status.message);
    for name in ["allow-shop-canary", "db-shop-canary-peer"] {
        assert!(at(&world, "write delete_canary") < at(&world, &format!("write delete_policy {name}")));
    }
    assert_eq!(world.neighbours.policies, before, "the team's own are as they were");
    assert_eq!(world.log.iter().filter(|line| line.contains("_policy ")).count(), 4, "{:#?}", world.log);
}

#[test]
fn policies_are_deleted_only_when_no_pod_of_the_canary_is_left() {
    let mut world = adopted(vec![allow()]);
    world.apply("v2");
    for _ in 0..100 {
        world.settle(1);
        if world.log.iter().any(|line| line.starts_with("write patch_route shop as it was")) {
            break;
        }
    }
    while world.has_canary() {
        world.pass();
        world.tick();
    }
    let run = world.status.run.clone().unwrap();
    assert_eq!((run.step, ours(&world)), (Step::Closing, vec!["allow-shop-canary"]));
    let mut snapshot = world.snapshot();
    snapshot.neighbours.canary_pods = 1;
    let decision = decide::decide(&snapshot);
    assert_eq!((decision.plan, decision.status.run.unwrap().step), (vec![], Step::Closing));
    // A cache that does not show them proves nothing.
    let mut snapshot = world.snapshot();
    snapshot.live = false;
    snapshot.neighbours.policies.clear();
    assert_eq!(decide::decide(&snapshot).status.run.unwrap().step, Step::Closing);
    // A pod that never ends does not keep the attempt open for ever.
    let mut snapshot = world.snapshot();
    snapshot.neighbours.canary_pods = 1;
    snapshot.now += std::time::Duration::from_secs(60);
    assert!(matches!(decide::decide(&snapshot).plan.as_slice(), [Write::DeletePolicy { .. }]));
}

#[test]
fn a_copy_follows_its_original() {
    let mut world = adopted(vec![allow(), database()]);
    world.apply("v2");
    world.settle(10);
    let step = world.status.run.as_ref().unwrap().step;
    assert!(matches!(step, Step::Shifting | Step::Baking), "{step:?}");
    let wider = json!([{"from": [{"podSelector": {"matchLabels": {"app": "probe"}}}]}]);
    world.neighbours.policies[0].spec["ingress"] = wider.clone();
    world.pass();
    assert_eq!(spec(&world, "allow-shop-canary")["ingress"], wider);
    at(&world, "write replace_policy allow-shop-canary");
    // The API server leaves out what is empty: that is no difference.
    world.neighbours.policies.iter_mut().filter(|policy| policy.ours).for_each(|policy| {
        policy.spec["egress"] = json!([]);
    });
    assert_eq!(world.pass().plan, vec![]);
    // What a policy was made for is gone: it would be the only one that governs the database.
    world.neighbours.policies.retain(|policy| policy.name != "db");
    world.pass();
    assert_eq!(ours(&world), ["allow-shop-canary"]);
    // One that somebody deletes comes back.
    world.neighbours.policies.retain(|policy| !policy.ours);
    world.pass();
    assert_eq!(ours(&world), ["allow-shop-canary"]);
    world.settle(80);
    assert_eq!((world.status.phase, ours(&world)), (Phase::Promoted, vec![]), "{}", world.status.message);
}

#[test]
fn a_policy_that_the_canary_needs_is_not_deleted() {
    let mut world = adopted(vec![allow()]);
    world.apply("v2");
    world.settle(10);
    let snapshot = world.snapshot();
    let mut decision = decide::decide(&snapshot);
    assert_eq!(decide::check(&snapshot, &decision), Ok(()));
    let policy = world.neighbours.policies.iter().find(|policy| policy.ours).unwrap();
    decision.plan.push(Write::DeletePolicy { name: policy.name.clone(), uid: policy.uid.clone() });
    let refused = decide::check(&snapshot, &decision).unwrap_err();
    assert_eq!(refused, "NetworkPolicy allow-shop-canary would be deleted while the canary needs it");
}

#[test]
fn what_would_treat_the_canary_alike_is_refused_before_any_pod_and_heals() {
    let mut world = adopted(vec![]);
    let budget = |selector: Value| BudgetFacts { name: "web".into(), selector: Some(Selector::read(&selector)) };
    let service = |key: &str, value: &str| SelectingService {
        name: "all".into(),
        selector: [(key.to_owned(), value.to_owned())].into(),
    };
    world.neighbours.budgets = vec![budget(json!({}))];
    world.pass();
    assert_eq!(world.status.phase, Phase::Stalled, "it shows before the first release: {}", world.status.message);
    world.apply("v2");
    world.settle(10);
    assert_eq!(world.status.phase, Phase::Stalled);
    assert!(world.status.message.contains("PodDisruptionBudget web"), "{}", world.status.message);
    world.neighbours.budgets = vec![budget(json!({"matchLabels": {"app": "shop"}}))];
    world.neighbours.services = vec![service("sluice.dev/role", "canary")];
    world.settle(10);
    assert!(world.status.message.contains("Service all"), "{}", world.status.message);
    assert!(!world.has_canary() && !world.canary_service);
    world.neighbours.services = vec![service("app", "shop")];
    world.settle(90);
    assert_eq!(world.status.phase, Phase::Promoted, "{}", world.status.message);
}

#[test]
fn a_name_that_is_taken_in_mid_run_is_said() {
    let mut world = adopted(vec![allow()]);
    world.apply("v2");
    let mut taken = deny();
    taken.name = "allow-shop-canary".into();
    let mut snapshot = world.snapshot();
    while world.status.run.as_ref().is_none_or(|run| run.step != Step::Starting) {
        world.pass();
        snapshot = world.snapshot();
    }
    snapshot.neighbours.policies = vec![allow(), taken];
    snapshot.canary = None;
    let decision = decide::decide(&snapshot);
    assert!(!decision.plan.iter().any(|write| matches!(write, Write::CreateCanary { .. })), "{:?}", decision.plan);
    assert!(decision.status.message.contains("NetworkPolicy allow-shop-canary exists"), "{}", decision.status.message);
}

#[test]
fn what_stops_nothing_is_one_warning() {
    let mut world = adopted(vec![]);
    world.apply("v2");
    // What is read of stable is asked for first.
    world.pass();
    world.tick();
    let warnings = |snapshot: &decide::Snapshot| -> Vec<String> {
        let events = decide::decide(snapshot).events;
        assert!(events.iter().any(|event| event.reason == "PreflightPassed"), "{events:?}");
        events.into_iter().filter(|event| event.reason == "PreflightWarning").map(|event| event.note).collect()
    };
    let mut careless = world.snapshot();
    let workload = careless.workload.as_mut().unwrap();
    workload.pre_stop = false;
    workload.max_unavailable = Some("25%".into());
    let told = warnings(&careless);
    assert_eq!(told.len(), 1, "{told:?}");
    for words in ["lifecycle.preStop.sleep.seconds: 5", "maxUnavailable of Deployment shop is 25%"] {
        assert!(told[0].contains(words), "{words}: {}", told[0]);
    }
    let mut clean = world.snapshot();
    clean.workload.as_mut().unwrap().max_unavailable = Some("0%".into());
    assert_eq!(warnings(&clean), Vec::<String>::new());
}
