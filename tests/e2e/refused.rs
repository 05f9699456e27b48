//! What a user gets wrong: refused by the API server with a sentence, or told in conditions, and healed by itself.

use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use crate::harness::app::Plan;
use crate::harness::look::{self, condition};
use crate::harness::record::Kind;
use crate::harness::shared;
use crate::harness::world::World;

#[test]
fn invalid_rollouts_are_refused_with_a_sentence() {
    shared("invalid", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            let valid = app.rollout(&Plan::default());
            let with = |pointer: &str, value: Value| {
                let mut rollout = valid.clone();
                *rollout.pointer_mut(pointer).unwrap() = value;
                rollout
            };
            let both =
                json!([{"name": "two", "errorRatio": {"threshold": "2%"}, "query": {"promql": "1", "max": "1"}}]);
            let neither = json!([{"name": "none"}]);
            for (rollout, sentence) in [
                (
                    with("/spec/waves", json!([{"weight": 25}, {"weight": 10}])),
                    "weights must increase from wave to wave",
                ),
                (
                    with("/spec/waves", json!([{"weight": 25}, {"weight": 25}])),
                    "weights must increase from wave to wave",
                ),
                (with("/spec/waves", json!([{"weight": 101}])), "should be less than or equal to 100"),
                (
                    with("/spec/waves", json!([{"weight": 5, "bake": "10m", "maxBake": "5m"}])),
                    "bake must not be longer than maxBake",
                ),
                (
                    with("/spec/analysis/signals", both),
                    "give exactly one of errorRatio, latency, query, burnRate and restarts",
                ),
                (
                    with("/spec/analysis/signals", neither),
                    "give exactly one of errorRatio, latency, query, burnRate and restarts",
                ),
                (with("/spec/progressDeadline", json!("soon")), "spec.progressDeadline"),
                (with("/spec/traffic/drain", json!("5 s")), "spec.traffic.drain"),
                (with("/spec/traffic/routes", json!([])), "spec.traffic.routes"),
            ] {
                let refused = world.try_apply(std::slice::from_ref(&rollout)).await;
                assert!(
                    !refused.ok && refused.err.contains(sentence),
                    "{}\n{sentence:?} is not said: {refused:?}",
                    rollout["spec"]
                );
            }
            // The same manifest without a mistake is taken, and then its target stays.
            world.apply(std::slice::from_ref(&valid)).await;
            let moved = world.try_apply(&[with("/spec/targetRef/name", json!("other"))]).await;
            assert!(!moved.ok && moved.err.contains("targetRef cannot be changed"), "{moved:?}");
        })
    });
}

#[test]
fn missing_references_are_named_and_heal_when_they_come() {
    shared("missing", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            let plan = Plan { provider: world.namespace.clone(), ..Plan::default() };
            world.apply(&[app.rollout(&plan)]).await;
            stalled(world, "TargetMissing", "Deployment shop ").await;
            world.apply(&[app.deployment()]).await;
            stalled(world, "ServiceMissing", "Service shop ").await;
            world.apply(&[app.service()]).await;
            stalled(world, "RouteMissing", "HTTPRoute shop ").await;
            world.apply(&[app.route()]).await;
            stalled(world, "ProviderMissing", &format!("MetricsProvider {} ", plan.provider)).await;
            let provider = json!({
                "apiVersion": "sluice.dev/v1alpha1",
                "kind": "MetricsProvider",
                "metadata": {"name": plan.provider},
                "spec": {"address": "http://10.250.0.1:9090", "scrapeInterval": "1s"},
            });
            world.apply(&[provider]).await;
            let rollout = world.phase("shop", "Stable", 30).await;
            assert_eq!(condition(&rollout, "Stalled"), None);
            let kind = GroupVersionKind::gvk("sluice.dev", "v1alpha1", "MetricsProvider");
            let resource = ApiResource::from_gvk_with_plural(&kind, "metricsproviders");
            let providers: kube::Api<DynamicObject> = kube::Api::all_with(world.client.clone(), &resource);
            providers.delete(&plan.provider, &DeleteParams::default()).await.unwrap();
            stalled(world, "ProviderMissing", &format!("MetricsProvider {} ", plan.provider)).await;
        })
    });
}

/// Waits until the Rollout says what is missing.
async fn stalled(world: &World, reason: &str, names: &str) {
    world
        .until(&format!("the Rollout is stalled by {reason}"), 60, |now| {
            let rollout = now.get(Kind::Rollout, "shop")?;
            let says = look::says(rollout, "Stalled");
            (condition(rollout, "Stalled")? == ("True", reason) && says.contains(names)).then_some(())
        })
        .await;
}
