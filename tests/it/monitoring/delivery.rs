//! The delivery figures as metrics: those of the scripted history of tests/it/figures, zero before the first record,
//! absent where they would be made up, the same after a restart, bounded.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use serde_json::json;
use sluice::api::{Outcome, Release};
use sluice::figures::{Figures, History, Scope, Settings, WINDOWS, facts};
use sluice::report_command::Records;

use super::reader::Exposition;
use super::told::{Told, put, rollout, shop};

const KINDS: [&str; 6] = [
    "sluice_delivery_deployments",
    "sluice_delivery_failed",
    "sluice_delivery_rework",
    "sluice_delivery_recovery_seconds",
    "sluice_delivery_lead_time_seconds",
    "sluice_delivery_open_failures",
];

pub fn now() -> Timestamp {
    "2026-11-25T00:00:00Z".parse().unwrap()
}

fn records() -> Records {
    let mut records = Records::default();
    records.add("history.yaml", include_str!("../../fixtures/figures/history.yaml"));
    records
}

fn apply<K>(writer: &mut Writer<K>, objects: Vec<K>)
where
    K: kube::runtime::reflector::Lookup + Clone + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    for object in objects {
        writer.apply_watcher_event(&Event::Apply(object));
    }
}

/// The scripted history, told beside the Rollouts of this name.
pub fn history(rollouts: &[&str]) -> Told {
    let mut told = Told::new(true);
    let records = records();
    apply(&mut told.releases, records.releases);
    apply(&mut told.reworks, records.events);
    apply(&mut told.reclassifications, records.reclassifications);
    for name in rollouts {
        put(&mut told.rollouts, rollout(name, json!([{"name": "errors", "errorRatio": {}}]), json!(null)));
    }
    told
}

/// What this family says of a service, with these labels beside.
fn value(read: &Exposition, family: &str, name: &str, team: &str, more: &[(&str, &str)]) -> Option<f64> {
    let labels = [("namespace", "demo"), ("name", name), ("team", team)];
    let labels: Vec<(&str, &str)> = labels.into_iter().chain(more.iter().copied()).collect();
    read.value(&format!("sluice_delivery_{family}"), &labels)
}

fn delivered(read: &Exposition) -> usize {
    read.samples.iter().filter(|sample| sample.name.starts_with("sluice_delivery_")).count()
}

#[tokio::test]
async fn they_are_the_figures_of_the_report() {
    let told = history(&["shop", "cart"]);
    told.delivery.count(now()).await;
    let read = told.read();
    let records = records();
    let judged =
        History::new(&facts(&records.releases, &records.events, &records.reclassifications), Settings::default());
    for name in ["shop", "cart"] {
        for days in WINDOWS {
            let figures: Figures = judged.figures(Scope::Service(&format!("demo/{name}")), days, now());
            let window = format!("{days}d");
            let said = |family: &str, more: &[(&str, &str)]| {
                let labels: Vec<(&str, &str)> =
                    [("window", window.as_str())].into_iter().chain(more.to_vec()).collect();
                // `spec.owner.team` of the Rollout, not that of the records.
                value(&read, family, name, "checkout", &labels)
            };
            let count = |number: u64| Some(number as f64);
            assert_eq!(said("deployments", &[]), count(figures.frequency.deployments), "{name} {days}");
            for (class, rate) in [
                ("all", figures.change_fail.all),
                ("contained", figures.change_fail.contained),
                ("escaped", figures.change_fail.escaped),
            ] {
                assert_eq!(said("failed", &[("class", class)]), count(rate.count), "{name} {days} {class}");
            }
            assert_eq!(said("rework", &[]), count(figures.rework.rate.count), "{name} {days}");
            let recovery = figures.recovery.as_ref().and_then(|recovery| recovery.time);
            let lead = figures.lead_time.promoted;
            for (family, spread) in [("recovery_seconds", recovery), ("lead_time_seconds", lead)] {
                let median = spread.map(|spread| spread.median_seconds);
                assert_eq!(said(family, &[("quantile", "0.5")]), median, "{name} {days} {family}");
                let slow = spread.map(|spread| spread.p90_seconds);
                assert_eq!(said(family, &[("quantile", "0.9")]), slow, "{name} {days} {family}");
            }
        }
        let figures = judged.figures(Scope::Service(&format!("demo/{name}")), 28, now());
        let open = value(&read, "open_failures", name, "checkout", &[]);
        assert_eq!(open, Some(figures.open_failures.len() as f64), "{name}");
    }
    // By hand, see tests/it/figures: 11 deployments of the shop in 28 days, 5 failed, all but none of them escaped.
    let month = |family: &str, more: &[(&str, &str)]| {
        let labels: Vec<(&str, &str)> = [("window", "28d")].into_iter().chain(more.to_vec()).collect();
        value(&read, family, "shop", "checkout", &labels)
    };
    assert_eq!((month("deployments", &[]), month("failed", &[("class", "all")])), (Some(11.0), Some(5.0)));
    assert_eq!(value(&read, "open_failures", "shop", "checkout", &[]), Some(1.0), "shop-26");
}

#[tokio::test]
async fn nothing_is_told_before_the_first_count_and_zero_before_the_first_record() {
    let mut told = Told::new(true);
    put(&mut told.rollouts, shop());
    assert_eq!(delivered(&told.read()), 0, "zeros would be untrue");
    told.delivery.count(now()).await;
    let read = told.read();
    for window in ["7d", "28d", "90d", "180d"] {
        let window = ("window", window);
        assert_eq!(value(&read, "deployments", "shop", "checkout", &[window]), Some(0.0));
        assert_eq!(value(&read, "rework", "shop", "checkout", &[window]), Some(0.0));
        for class in ["all", "contained", "escaped"] {
            assert_eq!(value(&read, "failed", "shop", "checkout", &[window, ("class", class)]), Some(0.0));
        }
        for family in ["recovery_seconds", "lead_time_seconds"] {
            let absent = value(&read, family, "shop", "checkout", &[window, ("quantile", "0.5")]);
            assert_eq!(absent, None, "absent, not 0");
        }
    }
    assert_eq!(value(&read, "open_failures", "shop", "checkout", &[]), Some(0.0));
    // With the Rollout goes what was never recorded.
    told.rollouts.apply_watcher_event(&Event::Delete(serde_json::from_value(shop()).unwrap()));
    assert_eq!(delivered(&told.read()), 0);
}

#[tokio::test]
async fn they_outlive_the_rollout_and_the_process_but_not_the_records() {
    let mut told = history(&["shop"]);
    told.delivery.count(now()).await;
    // cart has no Rollout: the team is that of its records.
    let seven = [("window", "180d")];
    assert_eq!(value(&told.read(), "deployments", "cart", "payments", &seven), Some(3.0));
    // Another process, in another order.
    let mut again = Told::new(true);
    let mut others = records();
    others.releases.reverse();
    apply(&mut again.reworks, others.events);
    apply(&mut again.releases, others.releases);
    apply(&mut again.reclassifications, others.reclassifications);
    put(&mut again.rollouts, rollout("shop", json!([{"name": "errors", "errorRatio": {}}]), json!(null)));
    again.delivery.count(now()).await;
    let delivery = |told: &Told| {
        let text = told.text();
        text.lines().filter(|line| line.starts_with("sluice_delivery_")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(delivery(&again), delivery(&told));
    // Half a year later they still tell of the Rollout that exists, and no more of the one that is gone.
    told.delivery.count(now() + SignedDuration::from_hours(181 * 24)).await;
    let read = told.read();
    assert_eq!(value(&read, "deployments", "shop", "checkout", &seven), Some(0.0));
    assert_eq!(value(&read, "deployments", "cart", "payments", &seven), None);
    // Without records there is nothing to tell, and that is seen at once.
    for release in records().releases {
        told.releases.apply_watcher_event(&Event::Delete(release));
    }
    told.delivery.count(now() + SignedDuration::from_hours(181 * 24)).await;
    assert_eq!(value(&told.read(), "open_failures", "shop", "checkout", &[]), Some(0.0));
}

#[tokio::test]
async fn a_standby_tells_none() {
    let mut told = Told::new(false);
    put(&mut told.rollouts, shop());
    apply(&mut told.releases, records().releases);
    told.delivery.count(now()).await;
    assert_eq!(delivered(&told.read()), 0);
}

#[tokio::test]
async fn only_what_has_changed_is_counted_again_within_a_minute() {
    let mut told = history(&["shop"]);
    let changed = told.delivery.count(now()).await;
    let key = |name: &str| ("demo".to_owned(), name.to_owned());
    assert!(changed.contains(&key("shop")) && changed.contains(&key("cart")), "{changed:?}");
    let soon = now() + SignedDuration::from_secs(30);
    // shop-28 is exposed at the first second after `now`: a count of everything would see it.
    assert_eq!(told.delivery.count(soon).await.len(), 0);
    let shown = told.delivery.shown("demo", "shop", false).unwrap();
    assert_eq!(shown.deployments, 11);
    let minute = now() + SignedDuration::from_secs(60);
    assert!(told.delivery.count(minute).await.contains(&key("shop")), "windows have moved on");
    assert_eq!(told.delivery.shown("demo", "shop", false).unwrap().deployments, 12);
    // A record that has changed counts at once.
    let mut release: Release = records().releases.into_iter().find(|one| one.name_any() == "cart-3").unwrap();
    release.metadata.resource_version = Some("2".into());
    release.status.as_mut().unwrap().outcome = Some(Outcome::RolledBack);
    release.status.as_mut().unwrap().times.promoted_at = None;
    let at = release.status.as_ref().unwrap().times.exposed_at;
    release.status.as_mut().unwrap().times.weight_zero_at = at;
    told.releases.apply_watcher_event(&Event::Apply(release));
    let changed = told.delivery.count(minute).await;
    assert_eq!(changed.into_iter().collect::<Vec<_>>(), [key("cart")]);
    assert_eq!(told.delivery.shown("demo", "nothing", false), None);
    assert_eq!(told.delivery.shown("demo", "nothing", true).unwrap().deployments, 0, "all its records were deleted");
}

/// The page states how many series there are.
#[tokio::test]
async fn the_number_of_series_is_bounded() {
    let mut told = Told::new(true);
    put(&mut told.rollouts, shop());
    told.delivery.count(now()).await;
    let none = delivered(&told.read());
    let told = history(&["shop", "cart"]);
    let of = |read: &Exposition, name: &str| {
        read.samples
            .iter()
            .filter(|sample| sample.name.starts_with("sluice_delivery_"))
            .filter(|sample| sample.labels.get("name").is_some_and(|is| is == name))
            .count()
    };
    let (mut most, mut read) = (0, Exposition::default());
    for days in 0..100 {
        told.delivery.count(now() - SignedDuration::from_hours(days * 24)).await;
        read = told.read();
        most = most.max(of(&read, "shop"));
    }
    let sentence = format!("{none} delivery figures, {most} with failures and commits");
    assert!(super::text("docs/monitoring.md").contains(&sentence), "docs/monitoring.md does not say: {sentence}");
    assert!(KINDS.iter().all(|kind| read.families.contains_key(*kind)), "{:?}", read.families);
    // Rollouts that are made and deleted again and again: 200 of these, the busiest first.
    let mut told = Told::new(true);
    let releases: Vec<Release> = records().releases;
    for number in 0..300 {
        let mut one = releases[0].clone();
        (one.metadata.name, one.spec.rollout) = (Some(format!("preview-{number}-1")), format!("preview-{number:03}"));
        one.status.as_mut().unwrap().times.exposed_at = Some(now());
        one.status.as_mut().unwrap().times.promoted_at = Some(now());
        told.releases.apply_watcher_event(&Event::Apply(one));
    }
    told.delivery.count(now()).await;
    assert_eq!(told.read().samples.iter().filter(|one| one.name == "sluice_delivery_open_failures").count(), 200);
}
