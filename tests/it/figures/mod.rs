//! Delivery figures of a scripted history, worked out by hand; and of whatever else records may say.
//!
//! The history is tests/fixtures/figures/history.yaml: Rollouts demo/shop and demo/cart of team payments over a hundred
//! days, up to 25 November 2026, 00:00. Times are UTC. What each Release is there for:
//!
//! | Release | What | Counts as |
//! | --- | --- | --- |
//! | shop-1 | 17 Aug, promoted | the first of 100 days |
//! | shop-2 | 1 Sep 10:00 exposed, 10:02 verdict, 10:02:01 weight 0, 10:03:01 recovered; signature S1 | F1, contained |
//! | shop-3 | 2 Sep, a person says Rework | rework |
//! | shop-4 | 10 Sep 10:00 exposed, superseded without suspicion | a deployment, not failed |
//! | shop-5 | 10 Sep 12:00 promoted | has the commit of shop-4, too: 2 commits |
//! | shop-6 | 20 Sep 10:00 exposed, 11:00 promoted; its commit is of 11:30 | F3 by shop-7; a negative lead time |
//! | shop-7 | 21 Sep 10:00 exposed, 10:30 promoted: back to the revision of shop-5 | return to the predecessor: rework |
//! | shop-8 | 1 Oct 10:00 exposed, 11:00 promoted | F3 by shop-10 |
//! | shop-9 | 2 Oct, promoted | not failed, though it was the immediate predecessor of shop-10 |
//! | shop-10 | 3 Oct 10:00 exposed, 10:30 promoted: back to the revision of shop-5 and shop-7 | rework; no commit known |
//! | shop-11 | 10 Oct 10:00 exposed, superseded under suspicion, 10:10 weight 0, 10:12 recovered | F2, contained |
//! | shop-12 | 10 Oct 12:00 promoted | rework, inferred; has the commit of shop-11, too |
//! | shop-13 | 28 Oct 00:00 exposed | exactly 28 days: in no window of 28 days |
//! | shop-14 | 29 Oct 10:00 exposed, 11:00 promoted, 11:30 harm; S2 | F1, escaped |
//! | shop-15 | 29 Oct 12:00 exposed, 13:00 promoted; a person says Hotfix and names shop-14 | rework |
//! | shop-16, -17 | 1 Nov, failed before exposure | no deployments |
//! | shop-18 | 2 Nov, aborted before exposure | no deployment, no failure |
//! | shop-19 | 3 Nov 10:05 promoted, bypassed; its commit has no time | a deployment, not failed |
//! | shop-20, cart-1 | 5 Nov 10:00 and 10:10 exposed, 11:00 and 11:10 promoted; one release id | one deployment; F4: the last word of a person, 6 Nov 00:00 |
//! | shop-21 | 7 Nov 09:00 requested, 10:00 exposed, 11:00 promoted | rework, inferred: shop-20 is open |
//! | shop-22 | 10 Nov 10:00 exposed, 10:01 verdict, 10:01:02 weight 0, never seen to recover; S1 again; 25 % of the budget | F1, escaped by what it cost; recurring |
//! | shop-23 | 12 Nov, rolled back; a person says that it did not fail; the same release id as shop-22 | a deployment of its own, not failed; rework: names shop-22 |
//! | shop-24 | 14 Nov 10:00 exposed, 11:00 promoted; a person says Planned | F3 by shop-25, by a guess |
//! | shop-25 | 15 Nov 10:00 exposed, 10:30 promoted; taken for a hotfix, names nothing | rework |
//! | shop-26 | 20 Nov 10:00 exposed, 11:00 promoted, 12:00 harm; S3; nothing repairs it | F1, escaped, open |
//! | shop-27 | 25 Nov 00:00 exposed, going on | exactly now: in the window; rework, inferred: shop-26 is open |
//! | shop-28 | one second later | in no window |
//! | cart-2, cart-3 | 8 and 19 Nov, promoted | |

mod anything;
mod picture;

use jiff::Timestamp;
use serde_json::{Value, json};
use sluice::api::Stage;
use sluice::figures::{FailedBy, Figures, History, Rate, ReworkBy, Scope, Settings, Spread, StageCount, facts};
use sluice::report_command::{Format, Question, Records, Report};

const HISTORY: &str = include_str!("../../fixtures/figures/history.yaml");
const HOUR: f64 = 3600.0;

fn now() -> Timestamp {
    "2026-11-25T00:00:00Z".parse().unwrap()
}

fn records() -> Records {
    let mut records = Records::default();
    records.add("history.yaml", HISTORY);
    assert_eq!((records.unreadable.len(), records.notes.len()), (0, 0), "{:?}", records.unreadable);
    assert_eq!((records.releases.len(), records.events.len(), records.reclassifications.len()), (31, 8, 3));
    records
}

fn judged(records: &Records) -> History {
    History::new(&facts(&records.releases, &records.events, &records.reclassifications), Settings::default())
}

fn of(scope: Scope<'_>, days: u32) -> Figures {
    judged(&records()).figures(scope, days, now())
}

fn shop(days: u32) -> Figures {
    of(Scope::Service("demo/shop"), days)
}

fn spread(n: u64, median_seconds: f64, p90_seconds: f64) -> Option<Spread> {
    Some(Spread { n, median_seconds, p90_seconds })
}

#[test]
fn what_counts_and_what_failed() {
    // Exposed after 28 Oct 00:00 and up to 25 Nov 00:00: shop-14, 15, 19, 20, 21, 22, 23, 24, 25, 26, 27.
    // Failed: 14, 20, 22, 24, 26. All of them after they served everybody, but 22, which took 25 % of the budget.
    let month = shop(28);
    assert_eq!(month.frequency.deployments, 11);
    assert_eq!(month.change_fail.all, Rate::new(5, 11));
    assert_eq!((month.change_fail.contained.count, month.change_fail.escaped.count), (0, 5));
    assert_eq!(month.change_fail.low_confidence, 1, "shop-24");
    assert_eq!((month.pre_exposure_failures, month.cancelled_before_exposure), (2, 1));
    assert_eq!((month.bypassed, month.superseded, month.going_on), (1, 0, 1));

    // 90 days: shop-2 to shop-13, too: 12 more, of which 2, 6, 8 and 11 failed, and 2 and 11 were contained.
    let quarter = shop(90);
    assert_eq!(quarter.change_fail.all, Rate::new(9, 23));
    assert_eq!(quarter.change_fail.contained, Rate::new(2, 23));
    assert_eq!(quarter.change_fail.escaped, Rate::new(7, 23));
    assert_eq!(quarter.superseded, 1, "shop-4");
    // 9 of 23 by hand: p = 0.3913, z² = 3.8415. Centre (0.3913 + 0.08351)/1.16702 = 0.40686; half
    // 1.95996·√(0.23818/23 + 3.8415/2116)/1.16702 = 1.95996·√(0.010356 + 0.001815)/1.16702 = 0.18528.
    let Rate { rate: Some(rate), low: Some(low), high: Some(high), .. } = quarter.change_fail.all else { panic!() };
    assert!((rate - 0.3913).abs() < 1e-4 && (low - 0.2216).abs() < 2e-4 && (high - 0.5921).abs() < 2e-4);
}

#[test]
fn each_failure_has_its_rule() {
    let history = judged(&records());
    let failed: Vec<(String, FailedBy)> = history
        .deployments()
        .iter()
        .filter_map(|one| Some((one.releases().join("+").replace("demo/", ""), one.failure?.by)))
        .collect();
    let expected = [
        ("shop-2", FailedBy::RolledBack),
        ("shop-6", FailedBy::Remediated),
        ("shop-8", FailedBy::Remediated),
        ("shop-11", FailedBy::UnderSuspicion),
        ("shop-14", FailedBy::Escaped),
        ("shop-20+cart-1", FailedBy::Marked),
        ("shop-22", FailedBy::RolledBack),
        ("shop-24", FailedBy::Remediated),
        ("shop-26", FailedBy::Escaped),
    ];
    assert_eq!(failed, expected.map(|(name, by)| (name.to_owned(), by)));
}

#[test]
fn what_is_rework_and_why() {
    let history = judged(&records());
    let rework: Vec<(String, ReworkBy)> = history
        .deployments()
        .iter()
        .filter_map(|one| Some((one.releases().join("+").replace("demo/", ""), one.rework?)))
        .collect();
    let expected = [
        ("shop-3", ReworkBy::Said),
        ("shop-7", ReworkBy::Return),
        ("shop-10", ReworkBy::Return),
        ("shop-12", ReworkBy::Suspicion),
        ("shop-15", ReworkBy::Said),
        ("shop-21", ReworkBy::OpenFailure),
        ("shop-23", ReworkBy::Remediates),
        ("shop-25", ReworkBy::Recorded),
        ("shop-27", ReworkBy::OpenFailure),
        ("shop-28", ReworkBy::OpenFailure),
    ];
    assert_eq!(rework, expected.map(|(name, by)| (name.to_owned(), by)));
    let (month, half) = (shop(28).rework, shop(180).rework);
    assert_eq!((month.rate, month.inferred), (Rate::new(5, 11), 2));
    // shop-1 is the 24th deployment.
    assert_eq!((half.rate, half.inferred), (Rate::new(9, 24), 3));
}

#[test]
fn recovery_is_measured_from_the_first_exposure() {
    // 28 days: 14 in 3 h (10:00 to 13:00, when shop-15 was promoted); 20 in 49 h (5 Nov 10:00 to 7 Nov 11:00, when
    // shop-21 was); 22 in 62 s, and nobody saw that it was enough; 24 in 24.5 h; 26 is open.
    // Sorted 62 s, 3 h, 24.5 h, 49 h: the middle of 3 h and 24.5 h is 13.75 h; nine of ten of four is the fourth.
    let month = shop(28).recovery.unwrap();
    assert_eq!((month.failed, month.open, month.unverified), (5, 1, 1));
    assert_eq!(month.time, spread(4, 13.75 * HOUR, 49.0 * HOUR));
    // Seen to fail: 14 after 90 min, 22 after 60 s, 26 after 2 h. The rest has no verdict.
    assert_eq!(month.segments.detect, spread(3, 1.5 * HOUR, 2.0 * HOUR));
    assert_eq!(month.segments.act, spread(1, 2.0, 2.0), "weight 0 of what was promoted took nothing back");
    assert_eq!(month.segments.verify, None, "absent, not 0");

    // 90 days: 2 in 181 s, 6 in 24.5 h, 8 in 48.5 h, 11 in 12 min, too. Sorted: 62 s, 181 s, 12 min, 3 h, 24.5 h,
    // 24.5 h, 48.5 h, 49 h. Verified: 60 s of 2 and 120 s of 11.
    let quarter = shop(90).recovery.unwrap();
    assert_eq!((quarter.failed, quarter.open), (9, 1));
    assert_eq!(quarter.time, spread(8, 13.75 * HOUR, 49.0 * HOUR));
    assert_eq!(quarter.segments.verify, spread(2, 90.0, 120.0));

    let open = shop(7).open_failures;
    assert_eq!(open, shop(1).open_failures, "open failures are told in every window");
    assert_eq!((open.len(), open[0].releases.clone()), (1, vec!["demo/shop-26".to_owned()]));
    assert_eq!(open[0].age_seconds, 110.0 * HOUR);
}

#[test]
fn without_failures_recovery_is_absent() {
    let week = of(Scope::Service("demo/cart"), 7);
    assert_eq!(week.frequency.deployments, 1, "cart-3");
    assert_eq!(week.recovery, None);
    assert_eq!(week.recurrence, Rate::new(0, 0));
    assert!(!serde_json::to_string(&week).unwrap().contains("recovery"));
    // Below ten there are counts only.
    let month = of(Scope::Service("demo/cart"), 28);
    assert_eq!(month.change_fail.all, Rate { count: 1, n: 3, rate: None, low: None, high: None });
}

#[test]
fn a_commit_counts_where_it_first_gets_to() {
    // Promoted, 28 days: 14 24 h, 15 85 min, 20 24 h 10 min (until cart-1 was promoted), 21 3 h, 24 24 h and, of what was
    // rolled back before, 119 h and 72 h, 25 1 h, 26 24 h. Sorted: 1 h, 85 min, 3 h, 24 h, 24 h, 24 h, …
    let month = shop(28).lead_time;
    assert_eq!(month.promoted, spread(9, 24.0 * HOUR, 119.0 * HOUR));
    // Exposed: 14 23 h, 15 25 min, 20 23 h, 21 2 h, 22 22 h, 23 23 h (its other commit was in 22), 24 23 h, 25 30 min,
    // 26 23 h.
    assert_eq!(month.exposed, spread(9, 23.0 * HOUR, 23.0 * HOUR));
    assert_eq!((month.negative, month.undated), (0, 1), "shop-19 has a commit without a time");
    // shop-6 has a commit of half an hour after its promotion.
    assert_eq!(shop(90).lead_time.negative, 1);
    // 90 days: 3 48, 48 and 24 h, 5 24 and 2 h, 8 24 h, 9 24 h, 12 24 and 3 h, too; 7 brings nothing new.
    assert_eq!(shop(90).lead_time.promoted.unwrap().n, 18);
}

#[test]
fn frequency_counts_both() {
    // Promoted: 29 Oct 11:00 and 13:00, 3 Nov 10:05, 5 Nov 11:10, 7 Nov 11:00, 14 Nov 11:00, 15 Nov 10:30, 20 Nov 11:00.
    // Gaps in hours: 2, 117:05, 49:05, 47:50, 168, 23:30, 120:30; the fourth of seven is 49:05.
    let month = shop(28).frequency;
    assert_eq!((month.deployments, month.promoted, month.promoted_per_week), (11, 8, 2.0));
    assert_eq!(month.median_gap_seconds, Some(49.0 * HOUR + 300.0));
    // cart: 71:50 and 264 in between, too; the fifth of nine is 71:50.
    let team = of(Scope::Owner(Some("payments")), 28).frequency;
    assert_eq!((team.deployments, team.promoted, team.promoted_per_week), (13, 10, 2.5));
    assert_eq!(team.median_gap_seconds, Some(71.0 * HOUR + 3000.0));
}

#[test]
fn a_team_is_the_sum_and_a_release_id_is_one_deployment() {
    // shop has 11, cart 3, and one of them is the same.
    let team = of(Scope::Owner(Some("payments")), 28);
    assert_eq!(team.change_fail.all, Rate::new(5, 13));
    assert_eq!(team.rework.rate, Rate::new(5, 13));
    assert_eq!(of(Scope::Service("demo/cart"), 28).change_fail.all.count, 1, "the worst outcome counts for both");
    assert_eq!(of(Scope::All, 28), team);
    assert_eq!(of(Scope::Owner(None), 28).frequency.deployments, 0);
}

#[test]
fn recurrence_stages_and_batches() {
    let month = shop(28);
    // S1 of shop-22 was seen on 1 Sep, 70 days before.
    assert_eq!((month.recurrence.count, month.recurrence.n), (1, 5));
    let stage = |stage, wave, count| StageCount { stage, wave, count };
    assert_eq!(
        month.stages,
        [
            stage(Stage::Preflight, None, 1),
            stage(Stage::BeforeExposure, None, 1),
            stage(Stage::Wave, Some(1), 1),
            stage(Stage::Watch, None, 2),
            stage(Stage::Later, None, 2),
        ]
    );
    // One commit: 14, 15, 19, 20, 21, 22, 25, 26, of which 14, 20, 22, 26 failed; 23 has two, 24 has three and failed;
    // of 27 nobody knows.
    let sizes: Vec<(&str, u64, u64)> =
        month.batches.sizes.iter().map(|one| (one.size, one.failed.count, one.failed.n)).collect();
    assert_eq!(sizes, [("1", 4, 8), ("2-5", 1, 2), ("6-20", 0, 0), (">20", 0, 0), ("unknown", 0, 1)]);
    assert_eq!(month.batches.median, Some(1.0));
    let quarter = shop(90).batches.sizes;
    assert_eq!(quarter[3].failed.n, 1, "shop-13 has 25 commits");
}

#[test]
fn a_window_is_open_at_its_begin_and_closed_at_its_end() {
    assert_eq!(shop(29).frequency.deployments, 12, "shop-13 is 28 days old to the second");
    let history = judged(&records());
    let at = |text: &str| history.figures(Scope::Service("demo/shop"), 28, text.parse().unwrap()).frequency.deployments;
    assert_eq!(at("2026-11-25T00:00:00Z"), 11);
    assert_eq!(at("2026-11-24T23:59:59.999Z"), 11, "shop-27 not yet, shop-13 still");
    assert_eq!(at("2026-11-25T00:00:01Z"), 12, "shop-28, too");
    // Windows that follow on each other count everything once.
    let first = history.figures(Scope::All, 28, "2026-10-28T00:00:00Z".parse().unwrap());
    assert_eq!(
        first.frequency.deployments,
        of(Scope::All, 56).frequency.deployments - of(Scope::All, 28).frequency.deployments
    );
}

#[test]
fn the_order_of_the_records_does_not_matter() {
    let straight = records();
    let question = Question { service: None, owner: None, days: 90, now: now(), settings: Settings::default() };
    let expected = Report::new(&straight, &question).unwrap();
    assert_eq!(expected.notes.len(), 1, "{:?}", expected.notes);
    assert!(expected.notes[0].contains("ReworkEvent demo/gone-3 speaks of Release gone-3"), "{:?}", expected.notes);
    for turn in 1..31 {
        let mut turned = straight.clone();
        turned.releases.rotate_left(turn);
        turned.releases[..turn].reverse();
        turned.events.rotate_left(turn % 7);
        turned.reclassifications.rotate_left(turn % 3);
        assert_eq!(Report::new(&turned, &question).unwrap(), expected);
    }
    // Twice the same record is once the same record.
    let mut twice = straight.clone();
    twice.releases.extend(straight.releases.clone());
    twice.events.extend(straight.events.clone());
    assert_eq!(Report::new(&twice, &question).unwrap(), expected);
}

fn answer(question: &Question, format: Format) -> String {
    let mut output = Vec::new();
    Report::new(&records(), question).unwrap().print(format, &mut output).unwrap();
    String::from_utf8(output).unwrap()
}

fn question() -> Question {
    Question { service: None, owner: None, days: 28, now: now(), settings: Settings::default() }
}

#[test]
fn the_table_says_every_number_with_what_it_is_of() {
    let table = answer(&Question { service: Some("shop".to_owned()), ..question() }, Format::Table);
    for words in [
        "Delivery figures of the 28 days up to 2026-11-25T00:00:00Z",
        "Service demo/shop, team payments",
        "11, of which 8 promoted (2.0 a week, median gap 2d 1h)",
        "45.5 % (5 of 11, 95 % interval 21.3 to 72.0 %); 1 of them by a guess",
        "median 13h 45m, p90 2d 1h, n = 4; 5 failed, 1 open, 1 taken back, effect not seen",
        "1 of 5, of what failed",
        "preflight: 1, before exposure: 1, wave 1: 1, watch: 2, later: 2",
        "median 1; failed, by size: 1 commit 4 of 8, 2-5 commits 1 of 2, unknown 0 of 1",
        "demo/shop-26 for 4d 14h (Escaped)",
    ] {
        assert!(table.contains(words), "{table}\ndoes not say {words:?}");
    }
    assert!(!table.contains("demo/cart,") && !table.contains("Team"), "{table}");
    let json: Value = serde_json::from_str(&answer(&question(), Format::Json)).unwrap();
    assert_eq!(json["services"].as_array().unwrap().len(), 2);
    assert_eq!(json["owners"][0]["services"], 2);
    assert_eq!(json["owners"][0]["figures"]["changeFail"]["all"]["n"], 13);
    let missing = Report::new(&records(), &Question { service: Some("shopp".to_owned()), ..question() });
    let said = missing.unwrap_err().to_string();
    assert_eq!(said, "no record of service shopp; there are records of: demo/cart, demo/shop");
}

#[test]
fn what_cannot_be_read_is_named_and_spoils_nothing_else() {
    let mut bad = HISTORY.replacen("  number: 9\n", "  number: many\n", 1);
    bad.push_str("---\nkind: Rollout\napiVersion: sluice.dev/v1alpha1\nmetadata: {name: shop}\n---\na: [1\n");
    let mut records = Records::default();
    records.add("h.yaml", &bad);
    assert_eq!((records.releases.len(), records.events.len()), (30, 8));
    let said = records.unreadable.join("\n");
    assert!(said.contains("h.yaml, document 9: Release demo/shop-9 cannot be read: spec.number: "), "{said}");
    assert_eq!(records.unreadable.len(), 2, "{said}");
    assert_eq!(records.notes, ["h.yaml: 1 objects are no records of Sluice and were left out"]);
    let report = Report::new(&records, &question()).unwrap();
    let mut output = Vec::new();
    report.print(Format::Table, &mut output).unwrap();
    assert!(String::from_utf8(output).unwrap().contains("2 of the records could not be read"));

    // A List, as kubectl writes it, in JSON; and a missing field.
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        serde_json::to_value(&records.releases[0]).unwrap(),
        {"apiVersion": "sluice.dev/v1alpha1", "kind": "Reclassification", "metadata": {"name": "x", "namespace": "demo"},
            "spec": {"release": "shop-1"}},
    ]});
    let mut records = Records::default();
    records.add("list.json", &list.to_string());
    assert_eq!(records.releases.len(), 1);
    let mut late = serde_json::to_value(&records.releases[0]).unwrap();
    late["spec"]["change"]["commits"] = json!([{"sha": "a"}, {"sha": 1}, {"sha": 2}]);
    records.add("late.json", &late.to_string());
    assert!(records.unreadable[1].contains("cannot be read: spec.change.commits.1.sha: "), "{:?}", records.unreadable);
    let said = &records.unreadable[0];
    assert!(said.contains("items[1]: Reclassification demo/x cannot be read: spec: missing field `reason`"), "{said}");
}
