//! Whole rollouts in the toy world, as readable transcripts. A changed transcript is a changed behaviour: look at it,
//! then accept it with `INSTA_UPDATE=always cargo test --test it`.

use sluice::api::{Outcome, Phase, RolloutSpec, Step};

use crate::world::{Behaviour, World, rollout_spec};

/// Runs for some seconds and writes down what a person would see change, and every write.
pub fn play(world: &mut World, seconds: u32, transcript: &mut String) {
    for _ in 0..seconds {
        for _ in 0..20 {
            let before = world.status.message.clone();
            let decision = world.pass();
            for line in world.log.drain(..) {
                transcript.push_str(&format!("{:>5}s  {line}\n", world.now.as_second() - 1_000_000));
            }
            let status = &world.status;
            if before != status.message {
                let (now, message) = (world.now.as_second() - 1_000_000, &status.message);
                transcript.push_str(&format!(
                    "{now:>5}s  {:?} {} {} | {message}\n",
                    status.phase, status.wave, status.weight
                ));
            }
            if decision.plan.is_empty() && decision.records.is_empty() && !decision.material {
                break;
            }
        }
        world.tick();
    }
}

pub fn adopted() -> (World, String) {
    adopted_with(rollout_spec())
}

pub fn adopted_with(spec: RolloutSpec) -> (World, String) {
    let (mut world, mut transcript) = (World::new(), String::new());
    world.spec = spec;
    play(&mut world, 5, &mut transcript);
    assert_eq!(world.status.phase, Phase::Stable, "{transcript}");
    (world, transcript)
}

#[test]
fn a_good_version_is_promoted() {
    let (mut world, mut transcript) = adopted();
    world.apply("v2");
    play(&mut world, 80, &mut transcript);
    assert_eq!(world.status.phase, Phase::Promoted, "{transcript}");
    assert_eq!((world.pods_of("v2"), world.pods_of("v1")), (4, 0));
    assert!(!world.has_canary() && !world.canary_service && !world.paused);
    assert_eq!(world.route["spec"], World::new().route["spec"]);
    assert_eq!(world.releases.values().copied().collect::<Vec<_>>(), [Some(Outcome::Promoted)]);
    assert!(world.reworks.is_empty());
    insta::assert_snapshot!(transcript);
}

#[test]
fn a_bad_version_is_taken_back() {
    let (mut world, mut transcript) = adopted();
    world.behave("v2", Behaviour { errors: 0.05, ..Behaviour::default() });
    world.apply("v2");
    play(&mut world, 60, &mut transcript);
    assert_eq!(world.status.phase, Phase::RolledBack, "{transcript}");
    assert_eq!((world.pods_of("v2"), world.pods_of("v1")), (0, 4));
    assert!(world.paused && !world.has_canary());
    assert_eq!(world.route["spec"], World::new().route["spec"]);
    assert_eq!(world.reworks.len(), 1);
    // The rejected template is not tried again; the stable one opens the gate; a fix is a new attempt.
    let attempts = world.status.attempts;
    play(&mut world, 20, &mut transcript);
    assert_eq!(world.status.attempts, attempts);
    world.apply("v1");
    play(&mut world, 5, &mut transcript);
    assert_eq!((world.status.phase, world.paused), (Phase::Stable, false), "{transcript}");
    world.apply("v3");
    play(&mut world, 80, &mut transcript);
    assert_eq!(world.status.phase, Phase::Promoted, "{transcript}");
    assert!(world.status.run.as_ref().unwrap().remediates.is_some());
    insta::assert_snapshot!(transcript);
}

#[test]
fn a_canary_that_never_comes_up_is_given_no_traffic() {
    let (mut world, mut transcript) = adopted();
    world.behave("v2", Behaviour { never_ready: true, ..Behaviour::default() });
    world.apply("v2");
    play(&mut world, 80, &mut transcript);
    let run = world.status.run.clone().unwrap();
    assert_eq!((run.outcome, run.max_weight), (Some(Outcome::FailedBeforeExposure), 0), "{transcript}");
    assert!(world.reworks.is_empty());
    assert!(world.status.last_rollback.is_some());
    insta::assert_snapshot!(transcript);
}

#[test]
fn prometheus_away_holds_and_never_decides() {
    let (mut world, mut transcript) = adopted();
    world.behave("v2", Behaviour { errors: 0.05, ..Behaviour::default() });
    world.apply("v2");
    play(&mut world, 4, &mut transcript);
    assert_eq!(world.status.run.as_ref().unwrap().step, Step::Shifting, "{transcript}");
    world.prometheus = false;
    play(&mut world, 300, &mut transcript);
    assert_eq!(world.status.run.as_ref().unwrap().outcome, None, "{transcript}");
    assert_eq!(world.share(), 10.0);
    world.prometheus = true;
    play(&mut world, 60, &mut transcript);
    assert_eq!(world.status.phase, Phase::RolledBack, "{transcript}");
}

#[test]
fn a_crash_loop_needs_no_metrics() {
    let (mut world, mut transcript) = adopted();
    world.apply("v2");
    play(&mut world, 12, &mut transcript);
    assert!(world.share() > 0.0);
    world.prometheus = false;
    world.behave("v2", Behaviour { crashes: true, ..Behaviour::default() });
    play(&mut world, 30, &mut transcript);
    let run = world.status.run.clone().unwrap();
    assert_eq!((run.outcome, run.reason.as_deref()), (Some(Outcome::RolledBack), Some("CrashLoop")), "{transcript}");
}

#[test]
fn a_second_template_replaces_the_first() {
    let (mut world, mut transcript) = adopted();
    world.apply("v2");
    play(&mut world, 15, &mut transcript);
    world.apply("v3");
    play(&mut world, 90, &mut transcript);
    assert_eq!(world.pods_of("v3"), 4, "{transcript}");
    assert_eq!(world.pods_of("v2"), 0);
    let mut outcomes: Vec<_> = world.releases.values().map(|outcome| format!("{outcome:?}")).collect();
    outcomes.sort();
    assert_eq!(outcomes, ["Some(Promoted)", "Some(Superseded)"]);
}

#[test]
fn the_stable_template_again_ends_the_attempt() {
    let (mut world, mut transcript) = adopted();
    world.apply("v2");
    play(&mut world, 15, &mut transcript);
    world.apply("v1");
    play(&mut world, 30, &mut transcript);
    assert_eq!(world.status.phase, Phase::Stable, "{transcript}");
    assert_eq!(world.releases.values().copied().collect::<Vec<_>>(), [Some(Outcome::Aborted)]);
    assert!(!world.paused && !world.has_canary());
    assert_eq!(world.reworks.len(), 1, "it was exposed, and a person took it back");
}

#[test]
fn a_promotion_that_turns_bad_goes_back() {
    let (mut world, mut transcript) = adopted();
    world.apply("v2");
    play(&mut world, 200, &mut String::new());
    assert_eq!(world.status.phase, Phase::Promoted);
    world.apply("v3");
    while world.status.run.as_ref().unwrap().step != Step::Promoting {
        play(&mut world, 1, &mut transcript);
    }
    world.behave("v3", Behaviour { errors: 0.2, ..Behaviour::default() });
    play(&mut world, 60, &mut transcript);
    assert_eq!((world.pods_of("v2"), world.pods_of("v3")), (4, 0), "{transcript}");
    assert_eq!(world.status.phase, Phase::Stable, "{transcript}");
    assert_eq!(world.reworks.len(), 1);
}

#[test]
fn deleting_the_rollout_never_completes_an_unproven_template() {
    let (mut world, mut transcript) = adopted();
    world.apply("v2");
    play(&mut world, 15, &mut transcript);
    assert!(world.share() > 0.0);
    world.deleting = true;
    play(&mut world, 40, &mut transcript);
    assert!(world.deleted, "{transcript}");
    assert_eq!((world.pods_of("v2"), world.paused, world.label.clone()), (0, true, None));
    assert_eq!(world.route["spec"], World::new().route["spec"]);
}

#[test]
fn a_canary_is_seen_by_nothing_else() {
    use serde_json::json;
    use sluice::decide::Write;

    let (mut world, _) = adopted();
    world.apply("v2");
    let mut bodies = Vec::new();
    for _ in 0..4 {
        for write in world.pass().plan {
            if let Write::CreateCanary { body } | Write::CreateService { body } = write {
                bodies.push(body);
            }
        }
    }
    let [service, deployment] = bodies.try_into().unwrap();
    let revision = World::digest("v2");
    // A label that stable's selectors ask for differs, and pods of an earlier canary are not selected either.
    let selector = json!({"app": "shop-canary", "sluice.dev/role": "canary", "sluice.dev/revision": revision});
    assert_eq!(service["spec"]["selector"], selector);
    assert_eq!(deployment["spec"]["selector"]["matchLabels"], selector);
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    for (key, value) in selector.as_object().unwrap() {
        assert_eq!(&labels[key], value);
    }
    for body in [&service, &deployment] {
        assert_eq!(body["metadata"]["ownerReferences"][0]["uid"], "uid-rollout");
        // The label by which the gate knows governed Deployments must not be on the canary.
        assert!(body["metadata"]["labels"].get("sluice.dev/rollout").is_none());
    }
}

#[test]
fn shortened_waves_are_judged_all_the_same() {
    let (mut world, mut transcript) = adopted();
    world.apply("v2");
    while world.status.run.as_ref().is_none_or(|run| run.weight < 25 || run.step != Step::Baking) {
        play(&mut world, 1, &mut transcript);
    }
    world.behave("v2", Behaviour { errors: 0.2, ..Behaviour::default() });
    world.spec.waves.truncate(1);
    play(&mut world, 30, &mut transcript);
    assert_eq!(world.status.phase, Phase::RolledBack, "{transcript}");
    assert_eq!(world.pods_of("v2"), 0);
}

#[test]
fn a_namespace_that_goes_does_not_hold_the_rollout() {
    let (mut world, mut transcript) = adopted();
    world.apply("v2");
    play(&mut world, 15, &mut transcript);
    world.records = false;
    world.deleting = true;
    play(&mut world, 80, &mut transcript);
    assert!(world.deleted, "{transcript}");
    assert_eq!(world.share(), 0.0);
}

#[test]
fn a_route_that_was_reset_by_someone_does_not_spoil_the_share_of_its_wave() {
    let (mut world, mut transcript) = adopted();
    world.apply("v2");
    while world.status.run.as_ref().is_none_or(|run| run.weight < 50) {
        play(&mut world, 1, &mut transcript);
    }
    play(&mut world, 2, &mut transcript);
    world.reset_route();
    // Nobody looks for a while: all that time stable has the canary's requests too.
    for _ in 0..20 {
        world.tick();
    }
    play(&mut world, 40, &mut transcript);
    assert_eq!(world.status.run.as_ref().unwrap().outcome, Some(Outcome::Promoted), "{transcript}");
}
