//! Who may ask for what: each right is tried against the API server by impersonating the user.

use serde_json::{Value, json};

use crate::harness::asking::bind;
use crate::harness::look::text;
use crate::harness::person::{OPERATOR, Person, administrator, allowed, refused, set_image, without_pods};
use crate::harness::shared;

fn intervention(action: &str) -> Value {
    json!({
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "Intervention",
        "metadata": {"generateName": "asked-"},
        "spec": {"rollout": "shop", "action": action, "reason": "tried by a test"},
    })
}

const ACTIONS: [(&str, &str); 7] = [
    ("Approve", "sluice-approver"),
    ("Promote", "sluice-approver"),
    ("Abort", "sluice-editor"),
    ("Retry", "sluice-editor"),
    ("Hold", "sluice-editor"),
    ("Resume", "sluice-editor"),
    ("BreakGlass", "sluice-breakglass"),
];

#[test]
fn policies_an_intervention_needs_the_verb_that_it_names() {
    shared("policy-verbs", |world| {
        Box::pin(async {
            // The editor has the built-in role: ours is aggregated into it. The others are not.
            bind(world, "editor", "edit", "abort").await;
            bind(world, "approver", "sluice-approver", "approve").await;
            bind(world, "breaker", "sluice-breakglass", "breakglass").await;
            let holders =
                [("editor", "sluice-editor"), ("approver", "sluice-approver"), ("breaker", "sluice-breakglass")];
            for (user, holds) in holders {
                let person = Person::new(world, user).await;
                for (action, needs) in ACTIONS {
                    let answer = person.create(intervention(action)).await;
                    if holds == needs {
                        assert_eq!(text(&allowed(answer), "/spec/requestedBy"), user);
                    } else {
                        let verb = action.to_lowercase();
                        let rollout = format!("{}/shop", world.namespace);
                        refused(answer, &[&format!("user {user} may not {verb} Rollout"), &rollout, needs]);
                    }
                }
            }
        })
    });
}

#[test]
fn policies_an_intervention_says_who_asked_and_stays_as_it_is() {
    shared("policy-stamp", |world| {
        Box::pin(async {
            bind(world, "approver", "sluice-approver", "approve").await;
            let approver = Person::new(world, "approver").await;
            let mut claimed = intervention("Approve");
            claimed["spec"]["requestedBy"] = json!("somebody-else");
            let made = allowed(approver.create(claimed).await);
            assert_eq!(text(&made, "/spec/requestedBy"), "approver", "who asks is stamped, whatever was sent");

            let object = format!("Intervention/{}", text(&made, "/metadata/name"));
            let administrator = administrator(world);
            let other = json!([{"op": "replace", "path": "/spec/reason", "value": "another one"}]);
            refused(administrator.patch(&object, other).await, &["an Intervention cannot be changed"]);
            let honoured = json!({"result": "Honoured", "message": "tried by a test"});
            let answer = administrator.status(&object, honoured.clone()).await;
            refused(answer, &["may not write the status of Intervention", "only Sluice says what became of it"]);
            let answer = Person::new(world, OPERATOR).await.status(&object, honoured).await;
            assert_eq!(text(&allowed(answer), "/status/message"), "tried by a test");
            allowed(administrator.delete(&object).await);
        })
    });
}

#[test]
fn policies_break_glass_needs_its_verb() {
    shared("policy-glass", |world| {
        Box::pin(async {
            let mut governed = without_pods(world);
            governed["metadata"]["labels"]["sluice.dev/rollout"] = json!("shop");
            world.apply(&[governed]).await;
            bind(world, "editor", "edit", "abort").await;
            bind(world, "breaker", "edit", "abort").await;
            bind(world, "breaker", "sluice-breakglass", "breakglass").await;
            let (editor, breaker) = (Person::new(world, "editor").await, Person::new(world, "breaker").await);

            let held = allowed(editor.patch("Deployment/shop", json!([set_image("sluice.test/shop:never")])).await);
            assert_eq!(held["spec"]["paused"], json!(true), "a new template is held back");
            let open = |reason: &str| {
                json!([
                    {"op": "replace", "path": "/spec/paused", "value": false},
                    {"op": "add", "path": "/metadata/annotations/sluice.dev~1break-glass", "value": reason},
                ])
            };
            let only_open = json!([{"op": "replace", "path": "/spec/paused", "value": false}]);
            refused(breaker.patch("Deployment/shop", only_open).await, &["its template is not proven yet"]);
            let answer = editor.patch("Deployment/shop", open("INC-1")).await;
            let words = ["user editor may not break the glass of Deployment shop", "breakglass", "sluice-breakglass"];
            refused(answer, &words);
            // Another Rollout's name in the same write is not what it is measured by.
            let mut elsewhere = open("INC-2");
            let label = json!({"op": "replace", "path": "/metadata/labels/sluice.dev~1rollout", "value": "mine"});
            elsewhere.as_array_mut().unwrap().push(label);
            refused(editor.patch("Deployment/shop", elsewhere).await, &["rollouts.sluice.dev shop"]);
            let opened = allowed(breaker.patch("Deployment/shop", open("INC-3")).await);
            assert_ne!(opened["spec"]["paused"], json!(true));
        })
    });
}
