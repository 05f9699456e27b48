//! What `deploy/gitops` says of a Rollout is tried on Rollouts of the toy world: every phase and reason that the plays
//! below reach, each with what the operator would honour then. They are kept in `tests/gitops/rollouts.jsonl`, where
//! `tests/gitops` runs the Lua of Argo CD and the CEL of Flux over them. A changed line is a changed behaviour: look at
//! it, then accept it with `INSTA_UPDATE=always cargo test --test it gitops::`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sluice::api::{Action, Approval, GateMode, InterventionResult, OnRollback};

use crate::governing::reason;
use crate::world::{Behaviour, World, comparing, rollout_spec};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}

/// The file holds this, or is made to where changes are accepted.
fn holds(file: &str, text: &str) {
    if std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always") {
        std::fs::write(root().join(file), text).unwrap();
    }
    let there = std::fs::read_to_string(root().join(file)).unwrap_or_default();
    let differs = there.lines().zip(text.lines()).find(|(there, wanted)| there != wanted);
    assert!(
        there == text,
        "{file} is not what it would be written as: {differs:#?}\nsee the head of tests/it/gitops.rs"
    );
}

/// What the operator honours of what people may ask now.
fn honoured(world: &World) -> Vec<&'static str> {
    let honours = |action: &Action| {
        let mut world = world.clone();
        world.ask(*action);
        world.pass();
        world.answer() == Some(InterventionResult::Honoured)
    };
    Action::ALL.into_iter().filter(honours).map(Action::name).collect()
}

/// The object as the API server has it, less what no script has a use for.
fn object(world: &World) -> Value {
    let spec = json!(world.spec);
    let status = json!(world.status);
    let some = |of: &Value, fields: &[&str]| -> Value {
        fields
            .iter()
            .filter(|field| !of[**field].is_null())
            .map(|field| ((*field).to_owned(), of[*field].clone()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let mut kept = some(&status, &["observedGeneration", "phase", "message", "hold", "rejected", "lastRollback"]);
    let conditions = status["conditions"].as_array().unwrap();
    kept["conditions"] = conditions.iter().map(|one| some(one, &["type", "status", "reason"])).collect();
    if status["run"].is_object() {
        kept["run"] = some(&status["run"], &["release", "step", "weight", "approved", "outcome"]);
    }
    let mut metadata = json!({"name": "shop", "namespace": "demo", "uid": "uid-rollout", "generation": 1});
    if world.deleting {
        metadata["deletionTimestamp"] = json!(world.now);
    }
    json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout",
        "metadata": metadata,
        "spec": some(&spec, &["waves", "promotion", "onRollback", "disabled"]),
        "status": kept,
    })
}

/// One Rollout for each phase, reason and set of what is honoured.
#[derive(Default)]
struct Seen {
    cases: BTreeMap<(String, String, Vec<&'static str>), Value>,
    /// What was looked at already: seven worlds are asked for each.
    known: BTreeSet<String>,
}

impl Seen {
    /// Lets time pass and looks after every pass.
    fn play(&mut self, world: &mut World, seconds: u32) {
        for _ in 0..seconds {
            for _ in 0..20 {
                let decision = world.pass();
                self.look(world);
                if decision.plan.is_empty() && decision.records.is_empty() && !decision.material {
                    break;
                }
            }
            world.tick();
        }
    }

    fn look(&mut self, world: &World) {
        if world.deleted {
            return;
        }
        let (status, phase) = (&world.status, json!(world.status.phase).as_str().unwrap().to_owned());
        let run =
            status.run.as_ref().map(|run| (run.step, run.outcome, run.weight, &run.approved, run.conflicts.is_some()));
        let waiting = (status.hold.is_some(), &status.rejected, world.paused, world.deleting, &world.spec);
        if !self.known.insert(format!(
            "{phase} {} {run:?} {waiting:?} {}",
            reason(world),
            world.snapshot().workload.unwrap().digest
        )) {
            return;
        }
        self.cases.entry((phase, reason(world), honoured(world))).or_insert_with(|| object(world));
    }

    fn lines(&self) -> String {
        let line = |((phase, reason, honoured), object): (&(String, String, Vec<&str>), &Value)| {
            json!({"phase": phase, "reason": reason, "honoured": honoured, "object": object}).to_string() + "\n"
        };
        self.cases.iter().map(line).collect()
    }
}

fn broken() -> Behaviour {
    Behaviour { errors: 0.3, ..Behaviour::default() }
}

/// People: approvals, a hold, a version that is taken back and retried, one that is aborted and one let through.
fn people(seen: &mut Seen) {
    let mut world = World::new();
    seen.play(&mut world, 3);
    world.spec.waves[0].approval = Approval::Required;
    world.spec.waves[1].approval = Approval::Required;
    world.spec.promotion.approval = Approval::Required;
    world.apply("v2");
    for seconds in [5, 30, 60, 30] {
        seen.play(&mut world, seconds);
        world.ask(Action::Approve);
    }
    world.behave("v3", broken());
    world.spec = rollout_spec();
    world.ask(Action::Hold);
    world.apply("v3");
    seen.play(&mut world, 10);
    world.ask(Action::Resume);
    seen.play(&mut world, 60);
    world.ask(Action::Retry);
    seen.play(&mut world, 15);
    world.ask(Action::Hold);
    world.apply("v4");
    seen.play(&mut world, 20);
    world.ask(Action::Resume);
    seen.play(&mut world, 15);
    world.ask(Action::Abort);
    seen.play(&mut world, 30);
    world.ask(Action::BreakGlass);
    seen.play(&mut world, 20);
}

/// What goes wrong around the version, and after the promotion has begun.
fn surroundings(seen: &mut Seen) {
    let start = |seen: &mut Seen, change: fn(&mut World)| {
        let mut world = World::new();
        change(&mut world);
        seen.play(&mut world, 3);
        world.apply("v2");
        seen.play(&mut world, 8);
        world
    };
    // The answer stays away in mid-wave; the route is fought over; the version is no longer wanted.
    let mut world = start(seen, |_| {});
    world.prometheus = false;
    seen.play(&mut world, 20);
    world.prometheus = true;
    for _ in 0..8 {
        world.reset_route();
        seen.play(&mut world, 2);
    }
    world.ask(Action::Resume);
    seen.play(&mut world, 4);
    world.apply("v1");
    seen.play(&mut world, 20);
    // The pods never come up, before the first user.
    let mut world = start(seen, |world| world.behave("v2", Behaviour { never_ready: true, ..Behaviour::default() }));
    seen.play(&mut world, 80);
    // The promotion fails.
    let mut world = start(seen, |_| {});
    for _ in 0..90 {
        seen.play(&mut world, 1);
        if world.pods_of("v2") == 2 {
            world.behave("v2", broken());
        }
    }
    // The template is put back for the team.
    let mut world = start(seen, |world| {
        world.spec.on_rollback = OnRollback::RestoreTemplate;
        world.behave("v2", broken());
    });
    seen.play(&mut world, 60);
    // No pods, and another canary of the group.
    let mut world = start(seen, |world| world.spec.group = Some("checkout".into()));
    world.scale(0);
    seen.play(&mut world, 20);
    world.group_busy = Some("cart".into());
    world.scale(4);
    seen.play(&mut world, 10);
    // Evidence that takes too long: hardly any requests.
    let mut world = start(seen, |world| {
        world.spec = comparing(json!([{"name": "errors", "errorRatio": {"tolerance": "1.25", "floor": "0.1%"}}]));
        world.spec.waves = serde_json::from_value(json!([{"weight": 10, "bake": "10s", "maxBake": "20s"}])).unwrap();
        world.rate = 2.0;
    });
    seen.play(&mut world, 60);
}

/// Policies, the route, deletion and switching off.
fn leaving(seen: &mut Seen) {
    let mut world = World::new();
    world.policies = vec!["ValidatingAdmissionPolicy sluice-gate is missing".into()];
    seen.play(&mut world, 3);
    let mut world = World::new();
    world.spec.gate = GateMode::Resting;
    seen.play(&mut world, 3);
    world.edit_route(|route| route["spec"]["rules"] = json!([]));
    world.apply("v2");
    seen.play(&mut world, 5);
    world.edit_route(|route| *route = World::new().route);
    seen.play(&mut world, 8);
    world.spec.disabled = true;
    seen.play(&mut world, 30);
    world.spec.disabled = false;
    world.apply("v3");
    seen.play(&mut world, 12);
    world.break_glass();
    seen.play(&mut world, 20);
    world.apply("v4");
    seen.play(&mut world, 12);
    world.deleting = true;
    seen.play(&mut world, 20);
}

#[test]
fn every_phase_and_what_is_honoured_in_it_is_on_file() {
    let mut seen = Seen::default();
    people(&mut seen);
    surroundings(&mut seen);
    leaving(&mut seen);
    let crd: Value = serde_saphyr::from_str(&read("crds/rollouts.yaml")).unwrap();
    let phases =
        crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/phase/enum").unwrap();
    let phases: BTreeSet<&str> = phases.as_array().unwrap().iter().map(|phase| phase.as_str().unwrap()).collect();
    let reached: BTreeSet<&str> = seen.cases.keys().map(|(phase, ..)| phase.as_str()).collect();
    assert_eq!(reached, phases, "a phase that no play reaches is a phase whose health nobody has looked at");
    let table: Value = serde_saphyr::from_str(&read("tests/gitops/phases.yaml")).unwrap();
    let mapped: BTreeSet<&str> = table.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(mapped, phases, "tests/gitops/phases.yaml says how each phase is shown");
    holds("tests/gitops/rollouts.jsonl", &seen.lines());
}

/// The actions of Argo CD, by the names of their folders, and what each asks for.
fn actions() -> BTreeMap<String, String> {
    let folder = root().join("deploy/gitops/argocd/actions");
    let mut actions = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir()) {
        let script = std::fs::read_to_string(entry.path().join("action.lua")).unwrap();
        let asks = script.split("action = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
        actions.insert(entry.file_name().into_string().unwrap(), asks);
    }
    actions
}

fn indented(text: &str, by: usize) -> String {
    let line = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("{:by$}{line}\n", "") };
    text.lines().map(line).collect()
}

#[test]
fn argocd_is_offered_every_action_but_break_glass() {
    let asked: BTreeSet<String> = actions().into_values().collect();
    let all = Action::ALL.into_iter().filter(|action| *action != Action::BreakGlass);
    assert_eq!(asked, all.map(|action| action.name().to_owned()).collect());
}

#[test]
fn the_config_map_of_argocd_holds_the_scripts() {
    let script = |file: &str| read(&format!("deploy/gitops/argocd/{file}"));
    let mut custom = format!("discovery.lua: |\n{}definitions:\n", indented(&script("actions/discovery.lua"), 2));
    for name in actions().keys() {
        let action = indented(&script(&format!("actions/{name}/action.lua")), 4);
        custom.push_str(&format!("- name: {name}\n  action.lua: |\n{action}"));
    }
    let text = format!(
        "# A patch of Argo CD's ConfigMap: how it shows a Rollout, and what it offers. Made of the scripts beside it by\n\
         # `INSTA_UPDATE=always cargo test --test it gitops::`. docs/gitops.md says how to apply it.\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: argocd-cm\n  namespace: argocd\ndata:\n  \
         resource.customizations.health.sluice.dev_Rollout: |\n{}  \
         resource.customizations.actions.sluice.dev_Rollout: |\n{}",
        indented(&script("health.lua"), 4),
        indented(&custom, 4)
    );
    holds("deploy/gitops/argocd/argocd-cm.yaml", &text);
}

#[test]
fn argocd_may_ask_only_for_what_lets_nothing_go_on() {
    let text = read("deploy/gitops/argocd/rights.yaml");
    let role: Value = serde_saphyr::from_str(text.split("\n---\n").next().unwrap()).unwrap();
    let rules = role["rules"].as_array().unwrap();
    assert_eq!((&rules[0]["resources"], &rules[0]["verbs"]), (&json!(["interventions"]), &json!(["create"])));
    let verbs: BTreeSet<&str> =
        rules[1]["verbs"].as_array().unwrap().iter().map(|verb| verb.as_str().unwrap()).collect();
    assert_eq!(verbs, BTreeSet::from(["abort", "hold", "resume", "retry"]));
}
