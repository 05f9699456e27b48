//! `/metrics` of a known set of objects: exact, zero from the beginning, gone with the object, bounded.

use std::time::Duration;

use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use serde_json::json;
use sluice::api::{Rollout, RolloutStatus, VerdictWord};
use sluice::decide::measure::FailureClass;
use sluice::prometheus::QueryObserver;
use sluice::watch::RolloutRef;

use super::told::{Told, put, release, rework, rollout, shop, sink};

const SHOP: [(&str, &str); 2] = [("namespace", "demo"), ("name", "shop")];

fn reference() -> RolloutRef {
    RolloutRef::new("shop").within("demo")
}

/// Labels of the Rollout `shop`, and more.
fn of<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    SHOP.iter().copied().chain(more.iter().copied()).collect()
}

#[test]
fn what_is_told_of_a_known_set_of_objects() {
    let text = Told::known().text();
    // What the process counts of itself comes first, in no order.
    let (_, of_rollouts) = text.split_once("# HELP sluice_rollout_info").unwrap();
    insta::assert_snapshot!(format!("# HELP sluice_rollout_info{of_rollouts}"));
}

#[test]
fn values_are_those_of_the_objects() {
    let read = Told::known().read();
    let value = |name: &str, more: &[(&str, &str)]| read.value(name, &of(more));
    assert_eq!(value("sluice_rollout_wave", &[]), Some(2.0));
    assert_eq!(value("sluice_rollout_wave_started_timestamp_seconds", &[]), Some(1_767_268_800.0));
    // The forecast is longer than the bake time.
    assert_eq!(value("sluice_rollout_wave_expected_seconds", &[]), Some(900.0));
    assert_eq!(value("sluice_rollout_canary_observed_ratio", &[]), Some(0.2));
    assert_eq!(value("sluice_rollout_canary_observed_requests", &[]), Some(1000.0));
    assert_eq!(value("sluice_rollout_waiting", &[("reason", "AwaitingApproval")]), Some(1.0));
    assert_eq!(value("sluice_rollout_waiting", &[("reason", "Frozen")]), Some(0.0));
    let condition = |name, status| value("sluice_rollout_status_condition", &[("condition", name), ("status", status)]);
    assert_eq!((condition("Gated", "true"), condition("Gated", "false")), (Some(1.0), Some(0.0)));
    assert_eq!((condition("Stalled", "true"), condition("Stalled", "false")), (Some(0.0), Some(0.0)));
    let limit = |signal, bound| value("sluice_analysis_threshold", &[("signal", signal), ("bound", bound)]);
    // 1.25 times stable's 2%; a limit; a query's two.
    assert_eq!((limit("errors", "max"), limit("hard", "max")), (Some(0.025), Some(0.02)));
    assert_eq!((limit("queue", "min"), limit("queue", "max")), (Some(1.0), Some(5.0)));
    assert_eq!(value("sluice_rework_events_total", &[("kind", "rollback")]), Some(1.0));
    let count =
        |outcome| read.value("sluice_rollout_duration_seconds_count", &[("namespace", "demo"), ("outcome", outcome)]);
    assert_eq!((count("promoted"), count("rolled_back"), count("aborted")), (Some(1.0), Some(1.0), Some(0.0)));
    let sum = read.value("sluice_rollout_duration_seconds_sum", &[("namespace", "demo"), ("outcome", "promoted")]);
    assert_eq!(sum, Some(2700.0));
    assert_eq!(read.with("name", "gone"), 0, "rework of a Rollout that does not exist");
}

#[test]
fn every_counter_stands_at_zero_before_anything_happened() {
    let mut told = Told::new(true);
    put(&mut told.rollouts, rollout("shop", json!([{"name": "errors", "errorRatio": {}}]), json!(null)));
    put(
        &mut told.providers,
        json!({
            "apiVersion": "sluice.dev/v1alpha1", "kind": "MetricsProvider", "metadata": {"name": "cluster"},
            "spec": {"address": "http://prometheus:9090"},
        }),
    );
    let read = told.read();
    for result in ["pass", "fail", "inconclusive", "error"] {
        assert_eq!(read.value("sluice_analysis_evaluations_total", &of(&[("result", result)])), Some(0.0));
    }
    for kind in ["rollback", "escaped", "bypass", "hotfix"] {
        assert_eq!(read.value("sluice_rework_events_total", &of(&[("kind", kind)])), Some(0.0));
    }
    for name in ["rollout_promotions", "rollout_rollbacks", "traffic_reassertions", "reconcile_errors"] {
        assert_eq!(read.value(&format!("sluice_{name}_total"), &SHOP), Some(0.0), "{name}");
    }
    for class in FailureClass::ALL {
        let labels = [("provider", "cluster"), ("reason", class.reason())];
        assert_eq!(read.value("sluice_prometheus_query_errors_total", &labels), Some(0.0));
    }
    assert_eq!(read.value("sluice_reconciles_total", &[("reason", "conflict")]), Some(0.0));
}

#[test]
fn a_sink_is_told_of_as_its_status_says() {
    let mut told = Told::new(true);
    put(&mut told.sinks, sink("new", json!(null)));
    let failing = json!({"delivered": 41, "dropped": 2, "pending": 3, "failingSince": "2026-01-01T00:00:00Z"});
    put(&mut told.sinks, sink("away", failing));
    let read = told.read();
    let value = |of: &str, name| read.value(&format!("sluice_notification_sink_{of}"), &[("sink", name)]);
    let all = |name| ["failing", "pending", "delivered_total", "dropped_total"].map(|of| value(of, name));
    assert_eq!(all("new"), [Some(0.0); 4]);
    assert_eq!(all("away"), [Some(1.0), Some(3.0), Some(41.0), Some(2.0)]);
    told.sinks.apply_watcher_event(&Event::Delete(serde_json::from_value(sink("away", json!(null))).unwrap()));
    assert_eq!(told.read().with("sink", "away"), 0);
}

#[test]
fn what_this_process_does_is_counted() {
    let told = Told::known();
    let Ok(rollout) = serde_json::from_value::<DeserializeGuard<Rollout>>(shop()).unwrap().0 else { panic!() };
    let status = |verdict| RolloutStatus { verdict, ..rollout.status.clone().unwrap() };
    let metrics = &told.metrics;
    metrics.decided(&reference(), &rollout.spec, &status(VerdictWord::Safe), sluice::clock::instant());
    metrics.told(&reference(), "TrafficReasserted");
    metrics.told(&reference(), "WaveStarted");
    metrics.reconciled(&reference(), "ok", false, Duration::from_millis(3));
    metrics.reconciled(&reference(), "read_timeout", true, Duration::from_millis(3));
    metrics.failed("cluster", FailureClass::Timeout, Duration::from_millis(3));
    metrics.failed("gone", FailureClass::Timeout, Duration::from_millis(3));
    let read = told.read();
    assert_eq!(read.value("sluice_analysis_evaluations_total", &of(&[("result", "pass")])), Some(1.0));
    assert_eq!(read.value("sluice_traffic_reassertions_total", &SHOP), Some(1.0));
    assert_eq!(read.value("sluice_reconcile_errors_total", &SHOP), Some(1.0));
    assert_eq!(read.value("sluice_reconciles_total", &[("reason", "read_timeout")]), Some(1.0));
    let labels = [("provider", "cluster"), ("reason", "QueryTimeout")];
    assert_eq!(read.value("sluice_prometheus_query_errors_total", &labels), Some(1.0));
    assert_eq!(read.with("provider", "gone"), 0);
}

#[test]
fn series_go_with_the_rollout() {
    let mut told = Told::known();
    told.metrics.told(&reference(), "TrafficReasserted");
    assert!(told.read().with("name", "shop") > 0);
    told.rollouts.apply_watcher_event(&Event::Delete(serde_json::from_value(shop()).unwrap()));
    let read = told.read();
    assert_eq!(read.with("name", "shop"), 0);
    assert!(read.with("name", "cart") > 0);
    // Made anew it is another one.
    put(&mut told.rollouts, shop());
    assert_eq!(told.read().value("sluice_traffic_reassertions_total", &SHOP), Some(0.0));
}

#[test]
fn a_standby_tells_nothing_of_rollouts() {
    let mut told = Told::new(false);
    put(&mut told.rollouts, shop());
    put(&mut told.releases, release("shop-1", "Promoted", "2026-01-01T10:00:00Z", "2026-01-01T10:45:00Z"));
    let read = told.read();
    assert_eq!(read.with("namespace", "demo"), 0);
    assert_eq!(read.value("sluice_leader", &[]), Some(0.0));
    assert_eq!(read.value("sluice_watch_ready", &[("kind", "Rollout")]), Some(1.0));
}

#[test]
fn a_rollout_that_cannot_be_read_is_counted_and_spoils_nothing() {
    let mut told = Told::known();
    let mut broken = shop();
    broken["metadata"]["name"] = json!("broken");
    broken["spec"] = json!({"waves": "many"});
    put(&mut told.rollouts, broken);
    let read = told.read();
    let broken = [("namespace", "demo"), ("name", "broken")];
    assert_eq!(read.value("sluice_reconcile_errors_total", &broken), Some(0.0));
    assert_eq!(read.value("sluice_rollout_wave", &broken), None);
    assert_eq!(read.value("sluice_rollout_wave", &SHOP), Some(2.0));
}

#[test]
fn odd_names_are_escaped() {
    let mut told = Told::new(true);
    let mut odd = shop();
    odd["spec"]["owner"]["team"] = json!("a \"b\" \\ c\nd");
    put(&mut told.rollouts, odd);
    let read = told.read();
    assert!(read.with("team", "a \"b\" \\ c\nd") > 0);
}

/// Names change from attempt to attempt, numbers of signals are limited by the schema: this is the most.
#[test]
fn the_number_of_series_of_a_rollout_is_bounded() {
    let signals = |compares: usize, asks: usize| {
        let compared = (0..compares).map(|n| json!({"name": format!("errors-{n}"), "errorRatio": {}}));
        let asked =
            (0..asks).map(|n| json!({"name": format!("q-{n}"), "query": {"promql": "up", "min": "0", "max": "1"}}));
        compared.chain(asked).collect::<Vec<_>>()
    };
    let count = |compares, asks| {
        let mut told = Told::new(true);
        let mut one = shop();
        let all = signals(compares, asks);
        let states: Vec<_> = all
            .iter()
            .map(|signal| {
                json!({"name": signal["name"], "policy": "1.25 0.001 0.01", "evidence": sluice::judge::Evidence::default()})
            })
            .collect();
        one["spec"]["analysis"]["signals"] = json!(all);
        one["status"]["run"]["signals"] = json!(states);
        put(&mut told.rollouts, one);
        for n in 0..50 {
            put(&mut told.reworks, rework(&format!("shop-{n}"), "Rollback"));
            put(
                &mut told.releases,
                release(&format!("shop-{n}"), "Promoted", "2026-01-01T10:00:00Z", "2026-01-01T10:45:00Z"),
            );
        }
        told.read().with("name", "shop")
    };
    let (one, most) = (count(1, 0), count(3, 7));
    let page = super::text("docs/monitoring.md");
    let sentence = format!("{one} series with one signal, {most} at most");
    assert!(page.contains(&sentence), "docs/monitoring.md does not say: {sentence}");
    let mut told = Told::new(true);
    put(&mut told.rollouts, shop());
    let namespace = told.read().with("namespace", "demo") - told.read().with("name", "shop");
    let sentence = format!("{namespace} more for each namespace");
    assert!(page.contains(&sentence), "docs/monitoring.md does not say: {sentence}");
}
