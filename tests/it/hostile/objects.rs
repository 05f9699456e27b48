//! Every kind of `sluice.dev`, as the API server lets it in and as it does not: read, decided upon, written back.

use kube::core::DeserializeGuard;
use proptest::prelude::*;
use serde_json::{Value, json};
use sluice::api::{InterventionSpec, Rollout};
use sluice::decide::measure::{Ask, Measurement, Reading, Sample, Series};
use sluice::decide::neighbours;
use sluice::decide::selectors::Selector;
use sluice::decide::snapshot::{InterventionFacts, Snapshot};
use sluice::decide::{self, Decision, Record};

use super::{nasty, schema};
use crate::neighbours::{allow, database};
use crate::world::{World, rollout_spec};

fn rollout(spec: &Value, status: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "shop", "namespace": "demo", "uid": "uid-rollout", "generation": 1},
        "spec": spec,
    });
    if !status.is_null() {
        object["status"] = status.clone();
    }
    object
}

fn read(object: &Value) -> DeserializeGuard<Rollout> {
    // As from the wire: what is read is bytes.
    serde_json::from_str(&object.to_string()).expect("a guard never fails where metadata are sound")
}

/// The names that the toy world knows, so that what is asked for is done.
fn at_home(mut spec: Value) -> Value {
    spec["targetRef"]["name"] = json!("shop");
    spec["traffic"]["stableService"] = json!("shop");
    spec["traffic"]["routes"] = json!([{"name": "shop"}]);
    spec["traffic"].as_object_mut().unwrap().remove("canaryService");
    spec["analysis"]["providerRef"]["name"] = json!("cluster");
    spec
}

/// What must be true of every decision, whatever it was made of.
pub(super) fn sound(snapshot: &Snapshot, decision: &Decision) -> Result<(), TestCaseError> {
    prop_assert_eq!(decide::check(snapshot, decision), Ok(()));
    // A status that the API server refuses is worse than a wrong one: nothing is committed any more, and nobody is told.
    let before = serde_json::to_value(&snapshot.rollout.status).unwrap();
    let status = schema::of("rollouts", "status");
    if schema::refusal(status, &before, "status").is_none() {
        let after = serde_json::to_value(&decision.status).unwrap();
        prop_assert_eq!(schema::refusal(status, &after, "status"), None);
    }
    for record in &decision.records {
        let refused = match record {
            Record::Release { spec, status, .. } => {
                let spec = serde_json::to_value(spec).unwrap();
                let refused = schema::refusal(schema::of("releases", "spec"), &spec, "spec");
                refused.or_else(|| {
                    let status = serde_json::to_value(status.as_ref()?).unwrap();
                    schema::refusal(schema::of("releases", "status"), &status, "status")
                })
            }
            Record::Rework { spec, .. } => {
                let spec = serde_json::to_value(spec).unwrap();
                schema::refusal(schema::of("reworkevents", "spec"), &spec, "spec")
            }
            Record::Log { log, .. } => {
                let log = serde_json::to_value(log).unwrap();
                schema::refusal(schema::of("decisionlogs", "spec"), &log, "spec")
            }
            Record::Answer { status, .. } => {
                let status = serde_json::to_value(status).unwrap();
                schema::refusal(schema::of("interventions", "status"), &status, "status")
            }
            Record::Escaped { escaped, .. } => {
                let escaped = serde_json::to_value(escaped).unwrap();
                schema::refusal(&schema::of("releases", "status")["properties"]["escaped"], &escaped, "escaped")
            }
        };
        prop_assert_eq!(refused, None);
    }
    Ok(())
}

/// Passes and seconds. What the world has no counters of is answered by `answers`.
fn play(world: &mut World, seconds: u32, answers: &[Series]) -> Result<(), TestCaseError> {
    let mut others: Vec<Measurement> = Vec::new();
    for _ in 0..seconds {
        for _ in 0..6 {
            let mut snapshot = world.snapshot();
            let foreign: Vec<Reading> = others.iter().map(|wanted| reading(wanted, &snapshot, answers)).collect();
            snapshot.readings.extend(foreign);
            let decision = decide::decide(&snapshot);
            sound(&snapshot, &decision)?;
            let quiet = decision.plan.is_empty() && decision.records.is_empty() && !decision.material;
            let mut known = decision.clone();
            (known.measure, others) = decision.measure.into_iter().partition(|wanted| {
                let traefik = wanted.ask.promql().starts_with("traefik_service_request");
                traefik && matches!(wanted.ask, Ask::Counter(_))
            });
            world.carry_out(world.rollout_version(), &known, usize::MAX);
            let waves = &world.spec.waves;
            let most = waves.iter().map(|wave| f64::from(wave.weight)).fold(0.0, f64::max);
            // What a status says was committed may come from waves that are no more.
            let most = world.status.run.as_ref().map_or(most, |run| most.max(f64::from(run.max_weight.min(100))));
            prop_assert!(world.share() <= most + 1e-9, "share {} above every wave", world.share());
            if quiet {
                break;
            }
        }
        world.tick();
    }
    Ok(())
}

/// What Prometheus has of a question that the toy world does not know.
fn reading(wanted: &Measurement, snapshot: &Snapshot, answers: &[Series]) -> Reading {
    let counter = matches!(wanted.ask, Ask::Counter(_));
    let values = answers.iter().flat_map(|series| series.samples.iter().copied());
    Reading {
        provider: wanted.provider.name.clone(),
        ask: wanted.ask.clone(),
        answered_at: Some(snapshot.now),
        series: if counter { answers.to_vec() } else { Vec::new() },
        values: if counter { Vec::new() } else { values.collect() },
        failure: None,
    }
}

/// Series of which nothing is sure but what the decoder sees to: samples in order, values finite.
pub(super) fn answers() -> impl Strategy<Value = Vec<Series>> {
    let value = prop_oneof![
        3 => (0_u32..1_000_000).prop_map(f64::from),
        1 => proptest::sample::select(vec![-1.0, -0.0, f64::MAX, f64::MIN, 5e-324, 1e18, 0.5, 9_007_199_254_740_993.0]),
    ];
    let at = prop_oneof![5 => 999_900_i64..1_000_100, 1 => proptest::sample::select(vec![-377_705_023_201, 0, 253_402_207_200])];
    let samples = proptest::collection::btree_map(at, value, 0..6);
    let label = proptest::sample::select(vec![
        "service",
        "code",
        "le",
        "pod",
        "instance",
        "job",
        "status",
        "destination_service_name",
        "envoy_cluster_name",
    ]);
    let word = prop_oneof![
        3 => proptest::sample::select(vec![
            "shop", "shop-canary", "200", "500", "5xx", "+Inf", "0.3", "300", "300.0", "nan",
            "httproute-demo-shop-gw-x-svc-demo-shop-canary-0@kubernetesgateway",
        ]).prop_map(str::to_owned),
        1 => nasty::text(),
    ];
    let labels = proptest::collection::btree_map(label.prop_map(str::to_owned), word, 0..5);
    let series = ("[a-c]", labels, samples).prop_map(|(id, labels, samples)| Series {
        id,
        labels,
        samples: samples
            .into_iter()
            .map(|(at, value)| Sample { at: jiff::Timestamp::from_second(at).unwrap(), value })
            .collect(),
    });
    proptest::collection::vec(series, 0..4)
}

proptest! {
    #![proptest_config(nasty::cases(60))]

    /// What the API server lets in is read, and decided upon without a contradiction.
    #[test]
    fn a_rollout_as_the_schema_has_it(
        spec in schema::valid(schema::of("rollouts", "spec")),
        home in any::<bool>(),
        answers in answers(),
    ) {
        let spec = if home { at_home(spec) } else { spec };
        let rollout = read(&rollout(&spec, &Value::Null)).0;
        let rollout = rollout.map_err(|error| TestCaseError::fail(format!("{error}: {spec}")))?;
        let mut world = World::new();
        world.spec = rollout.spec;
        play(&mut world, 5, &answers)?;
        world.apply("v2");
        play(&mut world, 25, &answers)?;
    }

    /// What it would refuse, such as an object of an older schema, is read all the same or says why not.
    #[test]
    fn a_rollout_that_the_schema_refuses(changes in nasty::changes(3)) {
        let spec = serde_json::to_value(rollout_spec()).unwrap();
        match read(&rollout(&nasty::changed(spec, changes), &Value::Null)).0 {
            Ok(rollout) => {
                let mut world = World::new();
                world.spec = rollout.spec;
                if world.spec.traffic.routes.is_empty() {
                    return Ok(()); // the toy world has at least one
                }
                play(&mut world, 5, &[])?;
                world.apply("v2");
                play(&mut world, 15, &[])?;
            }
            Err(invalid) => {
                prop_assert!(!invalid.error.is_empty() && invalid.error.len() < 500, "{}", invalid.error);
            }
        }
    }

    /// Whatever stands in the status (people with the right can write it; older versions wrote other things), nobody is
    /// given more than a wave of the spec.
    #[test]
    fn a_status_that_nobody_expects(
        status in schema::valid(schema::of("rollouts", "status")),
        real in any::<bool>(),
        seconds in 0_u32..20,
        answers in answers(),
    ) {
        let spec = serde_json::to_value(rollout_spec()).unwrap();
        let mut status = status;
        if real {
            // Digests that there are, so that what is said of them counts.
            for (pointer, digest) in [("/run/revision", "v2"), ("/run/fromRevision", "v1"), ("/stable/digest", "v1")] {
                if let Some(found) = status.pointer_mut(pointer) {
                    *found = json!(World::digest(digest));
                }
            }
        }
        let Ok(rollout) = read(&rollout(&spec, &status)).0 else { return Ok(()) };
        let mut world = World::new();
        play(&mut world, 3, &[])?;
        world.apply("v2");
        play(&mut world, seconds, &[])?;
        world.status = rollout.status.unwrap_or_default();
        play(&mut world, 15, &answers)?;
    }

    /// The same with a status that was right until something in it was changed.
    #[test]
    fn a_status_that_was_edited(changes in nasty::changes(3), seconds in 0_u32..40, answers in answers()) {
        let mut world = World::new();
        play(&mut world, 3, &[])?;
        world.apply("v2");
        play(&mut world, seconds, &[])?;
        let spec = serde_json::to_value(rollout_spec()).unwrap();
        let status = nasty::changed(serde_json::to_value(&world.status).unwrap(), changes);
        let Ok(rollout) = read(&rollout(&spec, &status)).0 else { return Ok(()) };
        world.status = rollout.status.unwrap_or_default();
        play(&mut world, 15, &answers)?;
    }
}

/// A world with an attempt in progress.
fn trying() -> World {
    let mut world = World::new();
    play(&mut world, 3, &[]).unwrap();
    world.apply("v2");
    play(&mut world, 4, &[]).unwrap();
    assert!(world.share() > 0.0, "{}", world.status.message);
    world
}

/// Each status that was ever too much, and those that looked as if they could be.
#[test]
fn statuses_that_once_failed() {
    let entry = json!({"at": "1970-01-12T13:46:40Z", "reason": "r", "message": "m"});
    let cases: [(&str, Value); 10] = [
        // Cut in the middle of a character.
        ("/run/signals/0/samples", json!("éééééé")),
        ("/run/signals/0/samples", json!("\u{1F600}x\u{1F600}o")),
        ("/run/signals/0/closed", json!(u32::MAX)),
        ("/run/signals/0/evidence", json!("AAAA")),
        // Full before the end.
        ("/run/timeline", json!(vec![entry; 64])),
        // An outcome in the middle of the way, and a weight at the end of it.
        ("/run/outcome", json!("Promoted")),
        ("/run/outcome", json!("RolledBack")),
        ("/run/step", json!("Closing")),
        ("/run/weight", json!(255)),
        ("/run/weight", json!(90)),
    ];
    for (at, value) in cases {
        let mut world = trying();
        let mut status = serde_json::to_value(&world.status).unwrap();
        let (parent, key) = at.rsplit_once('/').unwrap();
        status.pointer_mut(parent).unwrap()[key] = value.clone();
        world.status = serde_json::from_value(status).unwrap();
        let share = world.share();
        play(&mut world, 1, &[]).unwrap_or_else(|error| panic!("{at} = {value}: {error}"));
        assert!(world.share() <= share, "{at} = {value} raised the share to {}", world.share());
        play(&mut world, 20, &[]).unwrap_or_else(|error| panic!("{at} = {value}: {error}"));
        world.behave("v2", crate::world::Behaviour { errors: 1.0, ..Default::default() });
        play(&mut world, 40, &[]).unwrap_or_else(|error| panic!("{at} = {value}, then errors: {error}"));
        assert_eq!(world.share(), 0.0, "{at} = {value}: {}", world.status.message);
    }
}

/// Whoever renames signals in mid-run leaves their states behind; there is room for ten.
#[test]
fn signals_that_are_renamed_again_and_again() {
    let mut world = trying();
    for round in 0..4 {
        let signal = |number: usize| json!({"name": format!("s{round}-{number}"), "errorRatio": {"threshold": "2%"}, "consecutive": 2});
        world.spec.analysis.signals = serde_json::from_value((0..10).map(signal).collect()).unwrap();
        play(&mut world, 2, &[]).unwrap();
    }
}

proptest! {
    #![proptest_config(nasty::cases(40))]

    /// What people ask, in any words, is answered in words that fit.
    #[test]
    fn interventions_of_any_text(
        asked in proptest::collection::vec(schema::valid(schema::of("interventions", "spec")), 1..6),
        owner in schema::valid(&schema::of("rollouts", "spec")["properties"]["owner"]),
        bad in any::<bool>(),
    ) {
        let mut world = trying();
        let mut spec = serde_json::to_value(&world.spec).unwrap();
        spec["owner"] = owner;
        world.spec = serde_json::from_value(spec).unwrap();
        for (number, asked) in asked.iter().enumerate() {
            let asked: InterventionSpec = serde_json::from_value(asked.clone()).unwrap();
            let InterventionSpec { action, reason, release, requested_by: by, .. } = asked;
            world.asked.push((InterventionFacts { name: format!("a{number}"), uid: format!("u{number}"), action, reason, release, by, at: None }, None));
            play(&mut world, 3, &[])?;
        }
        if bad {
            world.behave("v2", crate::world::Behaviour { errors: 1.0, ..Default::default() });
        }
        play(&mut world, 40, &[])?;
        prop_assert!(world.asked.iter().all(|(_, answer)| answer.is_some()));
    }
}

/// What the API server refuses as too long would keep the whole status out: nothing would move, and nobody would know why.
#[test]
fn what_is_long_is_cut_or_left_alone() {
    // Counters of which nobody has a series: the sentence names each that was asked for.
    let mut world = World::new();
    play(&mut world, 3, &[]).unwrap();
    let selector = |metric: &str| format!("{metric}{{pod=~\"{{{{pods}}}}\",x=\"{}\"}}", "y".repeat(900));
    let counters = json!({"requests": selector("a"), "errors": selector("b")});
    world.spec.analysis.signals =
        serde_json::from_value(json!([{"name": "errors", "errorRatio": {"source": "Query", "counters": counters}}]))
            .unwrap();
    world.apply("v2");
    play(&mut world, 5, &[]).unwrap();
    let condition = world.status.conditions.iter().find(|one| one.type_.name() == "AnalysisReady").unwrap();
    assert!(condition.message.contains("no counters of stable"), "{}", condition.message);
    // An autoscaler whose behavior is longer than a status has room for.
    let mut world = World::new();
    let policies: Vec<Value> = (1..200).map(|n| json!({"type": "Pods", "value": n, "periodSeconds": 60})).collect();
    world.scaler = Some(Some(json!({"scaleUp": {"policies": policies}})));
    play(&mut world, 3, &[]).unwrap();
    world.apply("v2");
    play(&mut world, 60, &[]).unwrap();
    assert_eq!(world.pods_of("v2"), 4, "{}", world.status.message);
    assert_eq!(world.scaler, Some(Some(json!({"scaleUp": {"policies": policies}}))));
}

/// The name of a Rollout becomes the value of a label.
#[test]
fn a_rollout_with_a_long_name_says_so() {
    let mut snapshot = World::new().snapshot();
    snapshot.rollout.finalizer = true;
    snapshot.rollout.name = "a".repeat(64);
    let decision = decide::decide(&snapshot);
    assert_eq!(decision.plan, vec![]);
    assert!(decision.status.message.contains("64 characters and may have 63"), "{}", decision.status.message);
}

/// A name that is none is refused where it is written.
#[test]
fn names_that_lead_elsewhere_are_refused() {
    for name in ["../secrets/x", "a/b", "a?watch=true", "a#", "A", "", " a", "a%2Fb", "-a", "é", "a\"} or vector(0) #"]
    {
        for at in [
            "/targetRef/name",
            "/traffic/stableService",
            "/traffic/canaryService",
            "/traffic/routes/0/name",
            "/analysis/providerRef/name",
        ] {
            let mut spec = serde_json::to_value(rollout_spec()).unwrap();
            spec["traffic"]["canaryService"] = json!("canary");
            *spec.pointer_mut(at).unwrap() = json!(name);
            let refused = schema::refusal(schema::of("rollouts", "spec"), &spec, "spec");
            assert!(
                refused.as_ref().is_some_and(|why| why.contains("ame") || why.contains("Service")),
                "{at} {name:?}: {refused:?}"
            );
        }
    }
    assert_eq!(
        schema::refusal(schema::of("rollouts", "spec"), &serde_json::to_value(rollout_spec()).unwrap(), "spec"),
        None
    );
}

proptest! {
    #![proptest_config(nasty::cases(60))]

    /// What others of the cluster have around a Rollout, NetworkPolicies of foreign namespaces included, of any shape.
    #[test]
    fn surroundings_of_any_shape(
        changes in proptest::collection::vec(nasty::changes(3), 4),
        behavior in proptest::option::of(nasty::junk()),
        which in 0_u8..4,
        namespace in nasty::text(),
    ) {
        let mut world = World::new();
        play(&mut world, 3, &[])?;
        let mut policies = vec![allow(), database()];
        for (policy, changes) in policies.iter_mut().zip(changes.clone()) {
            policy.spec = nasty::changed(policy.spec.clone(), changes);
            let _ = neighbours::may_reach(&policy.spec, &namespace);
        }
        let selector = nasty::changed(json!({"matchLabels": {"app": "shop"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}), changes[2].clone());
        let fact = |policy: &neighbours::PolicyFacts| neighbours::PolicyFacts { namespace: namespace.clone(), ..policy.clone() };
        match which {
            0 => world.neighbours.policies = policies,
            1 => world.neighbours.foreign = policies.iter().map(fact).collect(),
            2 => world.neighbours.budgets = vec![neighbours::BudgetFacts { name: "b".into(), selector: Some(Selector::read(&selector)) }],
            _ => world.scaler = Some(behavior),
        }
        world.apply("v2");
        play(&mut world, 40, &[])?;
    }
}
