//! Records as the operator writes them, from runs in the toy world.

use serde_json::{Value, json};
use sluice::api::{Outcome, Owner, Release, ReworkEvent, Step};

use crate::world::{Behaviour, World};

/// A governed shop with an owner.
pub fn adopted() -> World {
    let mut world = World::new();
    world.spec.owner =
        Some(Owner { team: "checkout".to_owned(), contact: Some("https://chat.example.com/checkout".to_owned()) });
    world.settle(3);
    world
}

/// One attempt, to its end.
pub fn attempt(world: &mut World, version: &str) -> Outcome {
    world.apply(version);
    for _ in 0..900 {
        world.settle(1);
        let run = world.status.run.as_ref();
        let ended = run.filter(|run| run.step == Step::Done && run.revision == World::digest(version));
        if let Some(outcome) = ended.and_then(|run| run.outcome) {
            return outcome;
        }
    }
    panic!("{version} does not end: {}", world.status.message);
}

/// What the annotations of a change with five commits say.
pub fn five_commits(world: &mut World) {
    let commits: Vec<String> = (0..5).map(|number| format!("{number:040x}@2001-09-09T0{number}:00:00Z")).collect();
    world.said = [
        ("sluice.dev/commits".to_owned(), commits.join(",")),
        ("sluice.dev/requested-by".to_owned(), "jane@example.com".to_owned()),
        ("sluice.dev/reference".to_owned(), "SHOP-1234".to_owned()),
    ]
    .into();
}

fn metadata(name: &str, generation: i64) -> Value {
    json!({
        "name": name, "namespace": "demo", "uid": "0b8ad4ee-73f4-4c2c-9c5c-7f1f6f0c6a11", "resourceVersion": "12345678",
        "generation": generation, "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {
            "app.kubernetes.io/managed-by": "sluice", "sluice.dev/rollout-name": "shop", "sluice.dev/team": "checkout",
        },
    })
}

/// The Releases of a world, as the API server has them.
pub fn releases(world: &World) -> Vec<Release> {
    let object = |(name, (spec, status)): (&String, &(_, _))| {
        serde_json::from_value(json!({
            "apiVersion": "sluice.dev/v1alpha1", "kind": "Release", "metadata": metadata(name, 1),
            "spec": spec, "status": status,
        }))
        .unwrap()
    };
    world.recorded.iter().map(object).collect()
}

/// The ReworkEvents of a world, as the API server has them.
pub fn reworks(world: &World) -> Vec<ReworkEvent> {
    let object = |(name, spec): (&String, &_)| {
        serde_json::from_value(json!({
            "apiVersion": "sluice.dev/v1alpha1", "kind": "ReworkEvent", "metadata": metadata(name, 1), "spec": spec,
        }))
        .unwrap()
    };
    world.reworks.iter().map(object).collect()
}

/// A good version and a bad one.
pub fn good_and_bad() -> World {
    let mut world = adopted();
    five_commits(&mut world);
    assert_eq!(attempt(&mut world, "v2"), Outcome::Promoted);
    world.behave("v3", Behaviour { errors: 0.05, ..Behaviour::default() });
    assert_eq!(attempt(&mut world, "v3"), Outcome::RolledBack);
    assert_eq!((world.recorded.len(), world.reworks.len()), (2, 1));
    world
}
