//! A MetricsProvider with a private authority and a password, and one whose answers may be incomplete (scenario 25).

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};

use crate::harness::app::Plan;
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::look::{self, condition, percents, weights};
use crate::harness::record::Kind;
use crate::harness::second::{PASSWORD, Second, USER};
use crate::harness::shared;
use crate::harness::world::World;

/// Where the operator reads Secrets: its own namespace.
fn secrets(world: &World) -> Api<Secret> {
    Api::namespaced(world.client.clone(), "sluice-system")
}

async fn keep(world: &World, name: &str, data: Value) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
    secrets(world).patch(name, &PatchParams::apply("e2e").force(), &Patch::Apply(secret)).await.unwrap();
}

#[test]
fn scenario_25_a_refused_password_and_an_incomplete_answer_hold_back_and_heal() {
    shared("let-in", |world| {
        Box::pin(async move {
            let second = Second::start(&world.namespace).await;
            let (login, trust) = (format!("{}-login", world.namespace), format!("{}-ca", world.namespace));
            keep(world, &login, json!({"username": USER, "password": "wrong"})).await;
            keep(world, &trust, json!({"ca.crt": second.authority})).await;
            let provider = json!({
                "apiVersion": "sluice.dev/v1alpha1",
                "kind": "MetricsProvider",
                "metadata": {"name": world.namespace},
                "spec": {
                    "address": second.address,
                    "scrapeInterval": "1s",
                    "auth": {"basic": {"secretRef": {"name": login}}},
                    "tls": {"ca": {"secretRef": {"name": trust}}},
                },
            });
            world.apply(&[provider]).await;
            let app = world.app("shop").replicas(1);
            world.deploy(&app).await;
            let plan = Plan { waves: vec![(50, "3s")], provider: world.namespace.clone(), ..Plan::default() };
            world.adopt(&app, &plan).await;
            let client = Client::start(&app, 60).await;
            world.apply(&[app.version("v2").deployment()]).await;

            let signal = format!("signal errors: MetricsProvider {}: ", world.namespace);
            let asked = "Asked: traefik_service_requests_total{service=~";
            let refused = format!("HTTP status 401: the credentials in Secret sluice-system/{login} were refused");
            let rollout = world.unreadable("shop", "QueryHttpStatus", &[&signal, &refused, asked], 30).await;
            assert_eq!(condition(&rollout, "Reconciling"), Some(("True", "QueryHttpStatus")));
            assert!(!rollout.to_string().contains("wrong"), "the password is shown");

            keep(world, &login, json!({"username": USER, "password": PASSWORD})).await;
            let partial = "the server gave 1 warning: the answer may be incomplete";
            let rollout = world.unreadable("shop", "AnswerPartial", &[&signal, partial, asked], 30).await;
            assert_eq!(condition(&rollout, "Reconciling"), Some(("True", "AnswerPartial")));
            world
                .stays("nothing starts", 3, |now| {
                    let rollout = now.get(Kind::Rollout, "shop");
                    rollout.is_some_and(|rollout| look::phase(rollout) == "Preflight")
                        && now.get(Kind::Deployment, "shop-canary").is_none()
                })
                .await;

            second.forget_the_store();
            world.complete("shop", "Promoted", 90).await;
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 50.0, 0.0]);
            assert_unharmed(&client.stop().await);
            for name in [&login, &trust] {
                secrets(world).delete(name, &DeleteParams::default()).await.unwrap();
            }
            let kind = GroupVersionKind::gvk("sluice.dev", "v1alpha1", "MetricsProvider");
            let resource = ApiResource::from_gvk_with_plural(&kind, "metricsproviders");
            let providers: Api<DynamicObject> = Api::all_with(world.client.clone(), &resource);
            providers.delete(&world.namespace, &DeleteParams::default()).await.unwrap();
        })
    });
}
