//! People who ask for something: what they may, an Intervention as `kubectl` makes it in their name, and what becomes
//! of it.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::api::PostParams;
use serde_json::{Value, json};

use super::look::{self, text};
use super::record::Kind;
use super::world::{Ended, World};

/// Gives a user a ClusterRole in the namespace, and asks the API server, which offers no way to be told, until it knows.
pub async fn bind(world: &World, user: &str, role: &str, verb: &str) {
    let name = format!("{user}-{role}");
    let (role, as_user) = (format!("--clusterrole={role}"), format!("--user={user}"));
    let ended = world.kubectl(&["create", "rolebinding", &name, &role, &as_user], None).await;
    assert!(ended.ok, "{}", ended.err);
    let deadline = Instant::now() + Duration::from_secs(20);
    let as_user = format!("--as={user}");
    while !world.kubectl(&["auth", "can-i", verb, "rollouts.sluice.dev", &as_user], None).await.ok {
        assert!(Instant::now() < deadline, "{user} may not {verb} rollouts.sluice.dev after 20s");
    }
}

/// What became of an Intervention.
#[derive(Debug, Clone)]
pub struct Answer {
    pub name: String,
    pub result: String,
    pub message: String,
    /// When the Intervention was first seen.
    pub asked: Timestamp,
    /// Seconds from then until its answer was seen.
    pub seconds: f64,
}

/// `kubectl create -f - --as=USER`, which may be refused.
pub async fn try_ask(world: &World, user: &str, action: &str, reason: &str) -> Ended {
    let body = json!({
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "Intervention",
        "metadata": {"generateName": format!("{}-", action.to_lowercase()), "namespace": world.namespace},
        "spec": {"rollout": "shop", "action": action, "reason": reason},
    });
    let as_user = format!("--as={user}");
    world.kubectl(&["create", "-f", "-", "-o", "name", &as_user], Some(body.to_string())).await
}

/// The Intervention that `kubectl create -o name` has made, once it is answered.
pub async fn answered(world: &World, created: &Ended) -> (String, Value) {
    assert!(created.ok, "{}", created.err);
    let name = created.out.trim().rsplit('/').next().unwrap_or_default().to_owned();
    let answered = world
        .until(&format!("Intervention {name} is answered"), 30, |now| {
            now.get(Kind::Intervention, &name).filter(|asked| !text(asked, "/status/result").is_empty()).cloned()
        })
        .await;
    (name, answered)
}

/// Asks for something of Rollout `shop` and waits until it is answered.
pub async fn ask(world: &World, user: &str, action: &str, reason: &str) -> Answer {
    let (name, answered) = answered(world, &try_ask(world, user, action, reason).await).await;
    assert_eq!(text(&answered, "/spec/requestedBy"), user);
    let history = world.record.history(Kind::Intervention, &name);
    let seen = |what: &str, wanted: fn(&Value) -> bool| {
        history.iter().find(|seen| wanted(&seen.object)).unwrap_or_else(|| panic!("{name} was seen {what}")).at
    };
    let asked = seen("without an answer", |object| text(object, "/status/result").is_empty());
    let at = seen("with an answer", |object| !text(object, "/status/result").is_empty());
    Answer {
        result: text(&answered, "/status/result").to_owned(),
        message: text(&answered, "/status/message").to_owned(),
        seconds: at.duration_since(asked).as_secs_f64(),
        name,
        asked,
    }
}

/// Asks the operator for something as the administrator, and waits until it is done. Returns what was said.
pub async fn ask_as_admin(world: &World, action: &str) -> String {
    let body = json!({
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "Intervention",
        "metadata": {"generateName": "asked-"},
        "spec": {"rollout": "shop", "action": action, "reason": "asked by a test"},
    });
    let body = serde_json::from_value(body).unwrap();
    let made = world.api(Kind::Intervention).create(&PostParams::default(), &body).await.expect("an Intervention");
    let name = made.metadata.name.unwrap_or_default();
    world
        .until(&format!("{action} is honoured"), 30, |now| {
            let asked = now.get(Kind::Intervention, &name)?;
            let (result, message) = (text(asked, "/status/result"), text(asked, "/status/message"));
            assert!(result.is_empty() || result == "Honoured", "{action} was {result}: {message}");
            (result == "Honoured").then(|| message.to_owned())
        })
        .await
}

/// Asks for something that is to be done.
pub async fn honoured(world: &World, user: &str, action: &str, reason: &str) -> Answer {
    let answer = ask(world, user, action, reason).await;
    assert_eq!(answer.result, "Honoured", "{answer:?}");
    answer
}

/// Asks for something that is to be refused, in a sentence that holds all of these.
pub async fn refused(world: &World, user: &str, action: &str, words: &[&str]) {
    let answer = ask(world, user, action, "tried by a test").await;
    assert_eq!(answer.result, "Refused", "{answer:?}");
    for word in words {
        assert!(answer.message.contains(word), "{answer:?} does not say {word:?}");
    }
}

/// The record of a Release holds exactly these actions, each by this user for this reason.
#[track_caller]
pub fn assert_in_record(release: &Value, expected: &[(&str, &str, &str)]) {
    let recorded = release.pointer("/status/interventions").and_then(Value::as_array).cloned().unwrap_or_default();
    let recorded: Vec<(&str, &str, &str)> =
        recorded.iter().map(|one| (text(one, "/action"), text(one, "/by"), text(one, "/reason"))).collect();
    assert_eq!(recorded, expected, "what the Release says of people");
}

/// Waits until the Rollout is Held for this reason, and returns it.
pub async fn held(world: &World, app: &str, reason: &str, seconds: u64) -> Value {
    world
        .until(&format!("Rollout {app} is Held by {reason}"), seconds, |now| {
            let rollout = now.get(Kind::Rollout, app)?;
            let held = look::phase(rollout) == "Held"
                && look::condition(rollout, "Ready").is_some_and(|(_, because)| because == reason);
            held.then(|| rollout.clone())
        })
        .await
}
