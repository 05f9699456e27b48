//! Whole rollouts under an error budget: what waits, what goes on in spite of it, and that nothing is taken back later.

use std::path::Path;

use kube::core::cel::validate_cel;
use serde_json::{Value, json};
use sluice::api::InterventionResult::{Honoured, Refused};
use sluice::api::{Action, BudgetState, BudgetWord, ErrorBudget, Outcome, Phase, Rollout, Run, Step};
use sluice::decide::{self, Record};

use crate::governing::{ask, baking_at, done, reason, until};
use crate::world::{Behaviour, World, comparing, rollout_spec};

fn sloth() -> Value {
    json!({"sloth": {"service": "shop", "slo": "availability"}})
}

/// An adopted workload under this budget, of which half is left.
fn adopted(budget: Value) -> World {
    let mut world = World::new();
    world.spec.error_budget = Some(serde_json::from_value(budget).unwrap());
    left(&mut world, 0.5, [0.0, 0.0]);
    world.settle(3);
    assert_eq!(world.status.phase, Phase::Stable, "{}", world.status.message);
    world
}

/// What Prometheus answers: what is left, and how fast it burns in the long and in the short window.
fn left(world: &mut World, remaining: f64, [long, short]: [f64; 2]) {
    world.values = vec![
        ("ratio_rate1h", long),
        ("ratio_rate5m", short),
        ("period_error_budget_remaining", remaining),
        ("slo:error_budget:ratio", 0.001),
        ("increase", 864_000.0),
    ];
}

fn run(world: &World) -> &Run {
    world.status.run.as_ref().unwrap()
}

fn budget(world: &World) -> &BudgetState {
    run(world).budget.as_ref().unwrap()
}

/// How often something is in the timeline of the attempt.
fn told(world: &World, reason: &str) -> usize {
    run(world).timeline.iter().filter(|entry| entry.reason == reason).count()
}

fn waits(world: &mut World, because: &str) {
    until(world, because, |world| reason(world) == because && world.status.phase == Phase::Held);
}

/// What the annotations of the Deployment say.
fn says(world: &mut World, annotations: &[(&str, &str)]) {
    world.said = annotations.iter().map(|(key, value)| (format!("sluice.dev/{key}"), (*value).to_owned())).collect();
}

fn repair(world: &mut World) {
    says(world, &[("kind", "rework"), ("reference", "INC-1"), ("requested-by", "alice")]);
}

#[test]
fn without_a_budget_none_is_asked() {
    let mut world = World::new();
    world.settle(3);
    world.apply("v2");
    for _ in 0..20 {
        let decision = world.pass();
        assert!(decision.measure.iter().all(|one| !one.ask.promql().contains("slo:")), "{:?}", decision.measure);
        world.tick();
    }
    assert_eq!(run(&world).budget, None);
}

#[test]
fn with_enough_left_it_is_asked_and_changes_nothing() {
    let mut world = adopted(sloth());
    let asked = |world: &mut World| {
        let measure = world.pass().measure;
        measure.into_iter().filter(|one| one.ask.promql().contains("slo:")).collect::<Vec<_>>()
    };
    assert_eq!(asked(&mut world), vec![], "nothing at rest");
    world.apply("v2");
    let questions = asked(&mut world);
    let series = "slo:period_error_budget_remaining:ratio{sloth_service=\"shop\",sloth_slo=\"availability\"}";
    assert!(questions.iter().any(|one| one.ask.promql() == series), "{questions:?}");
    assert!(questions.iter().all(|one| one.every.as_secs_f64() >= 30.0), "{questions:?}");
    done(&mut world, Outcome::Promoted);
    assert_eq!(world.log.iter().filter(|line| line.contains("Budget")).count(), 0, "{}", world.log.join("\n"));
    let BudgetState { state, slowed, by_lane, by_person, .. } = *budget(&world);
    assert_eq!((state, slowed, by_lane, by_person), (BudgetWord::Normal, false, 0, 0));
    assert_eq!(asked(&mut world), vec![]);
}

#[test]
fn a_planned_release_waits_at_nothing_and_goes_on_when_there_is_more() {
    let mut world = adopted(sloth());
    left(&mut world, 0.0, [0.0, 0.0]);
    world.apply("v2");
    waits(&mut world, "BudgetExhausted");
    world.settle(300);
    assert_eq!((reason(&world).as_str(), world.has_canary(), run(&world).outcome), ("BudgetExhausted", false, None));
    let message = &world.status.message;
    for words in ["SLO shop/availability", "0.00% is left", "blocked at 0% or less", "sluice.dev/kind: rework"] {
        assert!(message.contains(words), "{message}");
    }
    // An approval does not do, nor does skipping; a Hold is what is said first.
    ask(&mut world, Action::Approve, Refused);
    ask(&mut world, Action::Hold, Honoured);
    world.settle(2);
    assert_eq!(reason(&world), "HeldByPerson");
    ask(&mut world, Action::Resume, Honoured);
    left(&mut world, 0.5, [0.0, 0.0]);
    done(&mut world, Outcome::Promoted);
    assert_eq!((told(&world, "BudgetExhausted"), told(&world, "BudgetRecovered")), (1, 1));
    assert!(run(&world).timeline.iter().any(|entry| entry.message.contains("50.00% of the error budget")));
}

#[test]
fn a_repair_passes_and_is_counted() {
    let mut world = adopted(sloth());
    left(&mut world, -0.2, [0.0, 0.0]);
    world.apply("v2");
    waits(&mut world, "BudgetExhausted");
    // The word alone is not enough.
    says(&mut world, &[("kind", "rework"), ("reference", "INC-1")]);
    world.settle(2);
    assert_eq!(reason(&world), "BudgetExhausted");
    let message = &world.status.message;
    assert!(message.contains("annotate Deployment shop with sluice.dev/requested-by"), "{message}");
    repair(&mut world);
    done(&mut world, Outcome::Promoted);
    // Three waves and the promotion.
    let BudgetState { by_lane, by_person, slowed, .. } = *budget(&world);
    assert_eq!((by_lane, by_person, slowed), (4, 0, false));
    assert_eq!(told(&world, "BudgetOverridden"), 4);
    let event = world.events.iter().find(|event| event.starts_with("BudgetOverridden")).unwrap();
    assert!(event.contains("as a repair for INC-1, by alice") && event.contains("-20.00% is left"), "{event}");
}

#[test]
fn with_little_left_a_person_may_let_it_go_on() {
    let mut world = adopted(sloth());
    left(&mut world, 0.05, [0.0, 0.0]);
    world.apply("v2");
    waits(&mut world, "BudgetLow");
    let message = world.status.message.clone();
    assert!(message.contains("5.00%") && message.contains("Intervention Approve"), "{message}");
    assert!(message.contains(&run(&world).release), "{message}");
    let said = ask(&mut world, Action::Approve, Honoured);
    assert!(said.contains("in spite of the error budget of SLO shop/availability"), "{said}");
    baking_at(&mut world, 10);
    // It is approved for all of the attempt, but not to use up what is left.
    left(&mut world, 0.0, [0.0, 0.0]);
    waits(&mut world, "BudgetExhausted");
    assert_eq!(world.share(), 10.0);
    let said = ask(&mut world, Action::Promote, Refused);
    assert!(said.contains("BudgetExhausted") && said.contains("BreakGlass"), "{said}");
    left(&mut world, 0.05, [0.0, 0.0]);
    done(&mut world, Outcome::Promoted);
    let budget = budget(&world);
    assert_eq!((budget.by_lane, budget.by_person, budget.approved_by.as_deref()), (0, 4, Some("alice")));
}

/// Seconds from the first weight to the promotion.
fn takes(world: &mut World) -> f64 {
    world.apply("v2");
    done(world, Outcome::Promoted);
    let times = &run(world).times;
    times.promoted_at.unwrap().duration_since(times.exposed_at.unwrap()).as_secs_f64()
}

#[test]
fn slow_is_twice_the_bake_and_the_evidence_of_the_next_wave() {
    let usual = takes(&mut adopted(sloth()));
    let mut world = adopted(sloth());
    left(&mut world, 0.2, [0.0, 0.0]);
    let slow = takes(&mut world);
    assert!(slow >= usual + 30.0, "three waves of 10 s: {slow} and {usual}");
    assert_eq!(told(&world, "BudgetLow"), 1);
    let baking = world.log.iter().find(|line| line.contains("event WaveBaking")).unwrap();
    assert!(baking.contains("baking for at least 20s"), "{baking}");
    // A repair is not slowed.
    let mut world = adopted(sloth());
    left(&mut world, 0.2, [0.0, 0.0]);
    world.apply("v2");
    world.pass();
    repair(&mut world);
    done(&mut world, Outcome::Promoted);
    assert_eq!((budget(&world).by_lane, budget(&world).slowed), (0, false));

    let mut world = adopted(sloth());
    world.spec.analysis = comparing(json!([{"name": "errors", "errorRatio": {}}])).analysis;
    world.apply("v2");
    baking_at(&mut world, 10);
    let policy = |world: &World| run(world).signals[0].policy.clone();
    assert!(policy(&world).ends_with(";5 0.02"), "{}", policy(&world));
    // In mid-wave it turns slow at once, and stays so to the end of the wave, also if there is more again.
    left(&mut world, 0.2, [0.0, 0.0]);
    world.settle(1);
    assert!(policy(&world).ends_with(";3 0.01"), "{}", policy(&world));
    let message = &world.status.message;
    assert!(message.contains("20.00% of the error budget") && message.contains("bakes twice as long"), "{message}");
    left(&mut world, 0.5, [0.0, 0.0]);
    world.settle(1);
    assert!(policy(&world).ends_with(";3 0.01") && budget(&world).slowed, "{}", policy(&world));
    baking_at(&mut world, 25);
    assert!(!budget(&world).slowed);
}

#[test]
fn what_cannot_be_read_is_slow_and_recorded() {
    let mut world = adopted(sloth());
    world.unanswered = vec!["period_error_budget_remaining"];
    let usual = takes(&mut adopted(sloth()));
    let slow = takes(&mut world);
    assert!(slow >= usual + 30.0, "{slow} and {usual}");
    assert_eq!(budget(&world).state, BudgetWord::Missing);
    let entry = run(&world).timeline.iter().find(|entry| entry.reason == "BudgetUnknown").unwrap();
    for words in ["cannot be read", "onMissing: Slow", "no series", "asked: slo:period_error_budget_remaining"] {
        assert!(entry.message.contains(words), "{}", entry.message);
    }
    assert!(world.events.iter().any(|event| event.starts_with("BudgetUnknown")));
    // Or it waits for a person.
    let mut world = adopted(json!({"pyrra": {"slo": "shop"}, "onMissing": "Block"}));
    world.unanswered = vec!["pyrra_"];
    world.apply("v2");
    waits(&mut world, "BudgetUnknown");
    ask(&mut world, Action::Approve, Honoured);
    done(&mut world, Outcome::Promoted);
    assert_eq!((budget(&world).by_person, budget(&world).state), (4, BudgetWord::Missing));
    // Or it changes nothing, and is told all the same.
    let mut world = adopted(json!({"query": {"remaining": "left"}, "onMissing": "Normal"}));
    world.unanswered = vec!["left"];
    assert!(takes(&mut world) <= usual + 1.0);
    assert_eq!(told(&world, "BudgetUnknown"), 1);
}

#[test]
fn a_budget_that_burns_fast_pauses_a_wave_where_it_is() {
    let mut world = adopted(sloth());
    world.apply("v2");
    baking_at(&mut world, 10);
    left(&mut world, 0.5, [20.0, 25.0]);
    waits(&mut world, "BudgetBurning");
    world.settle(60);
    assert_eq!((world.share(), run(&world).outcome), (10.0, None), "{}", world.status.message);
    let message = &world.status.message;
    assert!(message.contains("burns 20.0x in the long and 25.0x in the short window (limit 14.4x)"), "{message}");
    // The short window is over it: it does not go on.
    left(&mut world, 0.5, [20.0, 1.0]);
    done(&mut world, Outcome::Promoted);
    assert_eq!((told(&world, "BudgetBurning"), told(&world, "BudgetRecovered")), (1, 1));
}

#[test]
fn nothing_begins_while_it_burns_but_a_repair_that_a_person_approves() {
    let mut world = adopted(sloth());
    left(&mut world, 0.5, [20.0, 25.0]);
    world.apply("v2");
    waits(&mut world, "BudgetBurning");
    ask(&mut world, Action::Approve, Refused);
    repair(&mut world);
    world.settle(30);
    assert_eq!((reason(&world).as_str(), world.has_canary()), ("BudgetBurning", false));
    assert!(world.status.message.contains("Intervention Approve"), "{}", world.status.message);
    ask(&mut world, Action::Approve, Honoured);
    done(&mut world, Outcome::Promoted);
    assert_eq!(budget(&world).by_person, 4);
}

/// Seconds from when v2 turns bad to weight 0.
fn back_in(world: &mut World) -> i64 {
    world.behave("v2", Behaviour { errors: 0.3, ..Behaviour::default() });
    let began = world.now.as_second();
    until(world, "weight 0", |world| world.share() == 0.0);
    assert_eq!(run(world).outcome, Some(Outcome::RolledBack));
    world.now.as_second() - began
}

#[test]
fn harm_is_taken_back_as_fast_as_ever() {
    let mut plain = World::new();
    plain.settle(3);
    plain.apply("v2");
    baking_at(&mut plain, 10);
    plain.settle(2);
    let usual = back_in(&mut plain);
    for (remaining, burn, unanswered) in [
        (0.5, [20.0, 25.0], vec![]),
        (-1.0, [0.0, 0.0], vec![]),
        (0.05, [0.0, 0.0], vec![]),
        (0.2, [0.0, 0.0], vec![]),
        (0.5, [0.0, 0.0], vec!["slo:"]),
    ] {
        let mut world = adopted(json!({"sloth": {"service": "shop", "slo": "availability"}, "onMissing": "Block"}));
        world.apply("v2");
        baking_at(&mut world, 10);
        left(&mut world, remaining, burn);
        world.unanswered = unanswered;
        world.settle(2);
        assert_eq!(back_in(&mut world), usual, "{remaining} {burn:?}");
        done(&mut world, Outcome::RolledBack);
    }
    // Also from a wait that lasts.
    let mut world = adopted(sloth());
    world.apply("v2");
    baking_at(&mut world, 10);
    left(&mut world, 0.0, [20.0, 25.0]);
    waits(&mut world, "BudgetBurning");
    world.settle(100);
    assert!(back_in(&mut world) <= usual);
}

#[test]
fn a_person_ends_what_the_budget_holds() {
    let mut world = adopted(sloth());
    world.apply("v2");
    baking_at(&mut world, 10);
    left(&mut world, 0.0, [0.0, 0.0]);
    waits(&mut world, "BudgetExhausted");
    ask(&mut world, Action::Abort, Honoured);
    world.settle(2);
    assert_eq!(world.share(), 0.0);
    done(&mut world, Outcome::Aborted);
    // The stable template goes back in without being asked.
    world.apply("v1");
    until(&mut world, "Stable", |world| world.status.phase == Phase::Stable && !world.paused);
    // And one that waits before its first wave is withdrawn.
    world.apply("v3");
    waits(&mut world, "BudgetExhausted");
    world.apply("v1");
    until(&mut world, "Stable", |world| world.status.phase == Phase::Stable && !world.paused);
}

#[test]
fn a_restart_forgets_nothing() {
    let mut world = adopted(sloth());
    world.apply("v2");
    baking_at(&mut world, 10);
    left(&mut world, 0.0, [0.0, 0.0]);
    waits(&mut world, "BudgetExhausted");
    let text = serde_json::to_string(&world.status).unwrap();
    world.status = serde_json::from_str(&text).unwrap();
    let mut snapshot = world.snapshot();
    snapshot.readings.clear();
    let decision = decide::decide(&snapshot);
    let after = decision.status.run.as_ref().unwrap();
    assert_eq!(after.budget.as_ref().unwrap().state, BudgetWord::Blocked);
    assert_eq!((after.weight, after.step), (10, Step::Baking));
    // What was committed is too old: nothing begins before there is an answer.
    let budget = snapshot.rollout.status.run.as_mut().unwrap().budget.as_mut().unwrap();
    budget.remaining = Some(80.0);
    budget.at = Some(world.now - jiff::SignedDuration::from_hours(1));
    let decision = decide::decide(&snapshot);
    let after = decision.status.run.as_ref().unwrap();
    assert_eq!((after.budget.as_ref().unwrap().state, after.weight), (BudgetWord::Awaited, 10));
    assert_eq!(after.step, Step::Baking);
    left(&mut world, 0.5, [0.0, 0.0]);
    done(&mut world, Outcome::Promoted);
}

#[test]
fn the_record_says_what_it_cost() {
    let mut world = adopted(sloth());
    world.apply("v2");
    let mut cost = None;
    for _ in 0..300 {
        for record in world.pass().records {
            if let Record::Release { status: Some(status), .. } = record {
                cost = status.budget_percent;
            }
        }
        world.tick();
    }
    assert_eq!(budget(&world).allowed, Some(25_920), "0.1% of 864,000 a day for 30 days");
    assert!(cost.is_some());
}

#[test]
fn a_name_cannot_leave_its_string() {
    let mut world = adopted(json!({"sloth": {"service": "a\"} or vector(1) #", "slo": "b\\"}}));
    world.apply("v2");
    let measure = world.pass().measure;
    let asked: Vec<&str> = measure.iter().map(|one| one.ask.promql()).filter(|text| text.contains("slo:")).collect();
    assert!(asked.len() >= 3, "{asked:?}");
    for text in asked {
        assert!(text.contains("sloth_service=\"a\\\"} or vector(1) #\",sloth_slo=\"b\\\\\""), "{text}");
    }
}

/// What the API server says of a budget.
fn verdict(budget: Value) -> String {
    let mut spec = rollout_spec();
    spec.error_budget = Some(serde_json::from_value(budget).unwrap());
    validate_cel(&Rollout::new("shop", spec)).map_or_else(|errors| format!("{errors:?}"), |()| String::new())
}

#[test]
fn rules_of_a_budget_name_the_field() {
    assert_eq!(verdict(sloth()), "");
    let with = |field: &str, value: Value| {
        let mut budget = sloth();
        budget[field] = value;
        verdict(budget)
    };
    for (field, value, expected) in [
        ("pyrra", json!({"slo": "shop"}), "exactly one of sloth, pyrra and query"),
        ("blockBelow", json!("20%"), "blockBelow must not be above"),
        ("restrictBelow", json!("30.5%"), "nor that above slowBelow"),
        ("fastBurn", json!("0.5"), "fastBurn must be between"),
        ("period", json!("1h"), "period must be between 24h"),
    ] {
        let said = with(field, value);
        assert!(said.contains(expected), "{field}: {said}");
    }
    assert!(verdict(json!({"slowBelow": "20%"})).contains("exactly one of"));
    assert_eq!(with("restrictBelow", json!("25%")), "", "they may be equal");
}

#[test]
fn the_examples_of_the_documentation_are_valid() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/budgets.md")).unwrap();
    let blocks: Vec<&str> = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let budgets: Vec<&&str> = blocks.iter().filter(|block| block.contains("errorBudget:")).collect();
    assert_eq!(budgets.len(), 3);
    for text in budgets {
        let written: Value = serde_saphyr::from_str(text).unwrap();
        let budget: ErrorBudget = serde_json::from_value(written["errorBudget"].clone()).unwrap();
        let read = serde_json::to_value(&budget).unwrap();
        for field in written["errorBudget"].as_object().unwrap().keys() {
            assert!(!read[field].is_null(), "{text}: {field} is not known");
        }
        assert_eq!(verdict(written["errorBudget"].clone()), "", "{text}");
    }
}
