//! The policy as a table, who is of the rework lane, and what a release costs.

use serde_json::{Value, json};

use super::ruling::{Despite, Ruling, allowed, approvable, cost_percent, ruling, slow, stand};
use super::{lacking, lane};
use crate::api::{BudgetWord, Duration, ErrorBudget, OnMissing, Run};

fn policy() -> ErrorBudget {
    serde_json::from_value(json!({"sloth": {"service": "shop", "slo": "availability"}})).unwrap()
}

const FREE: Ruling = Ruling::Free;
const SLOWLY: Ruling = Ruling::Slowly;
const LANE: Ruling = Ruling::Despite(Despite::Lane);
const PERSON: Ruling = Ruling::Despite(Despite::Person);
const BURNING: Ruling = Ruling::Wait("BudgetBurning");

#[test]
fn what_is_left_says_what_may_begin() {
    let low = Ruling::Wait("BudgetLow");
    let exhausted = Ruling::Wait("BudgetExhausted");
    // What is left; then what a planned release, an approved one, a repair and an approved repair may.
    let table = [
        (1.0, BudgetWord::Normal, [FREE, FREE, FREE, FREE]),
        (0.2501, BudgetWord::Normal, [FREE, FREE, FREE, FREE]),
        (0.25, BudgetWord::Slow, [SLOWLY, SLOWLY, FREE, FREE]),
        (0.1001, BudgetWord::Slow, [SLOWLY, SLOWLY, FREE, FREE]),
        (0.1, BudgetWord::Restricted, [low, PERSON, LANE, LANE]),
        (0.0001, BudgetWord::Restricted, [low, PERSON, LANE, LANE]),
        (0.0, BudgetWord::Blocked, [exhausted, exhausted, LANE, LANE]),
        (-12.5, BudgetWord::Blocked, [exhausted, exhausted, LANE, LANE]),
    ];
    let policy = policy();
    for (remaining, word, rulings) in table {
        for (burn, burning) in
            [(None, false), (Some([14.4, 20.0]), false), (Some([20.0, 14.4]), false), (Some([14.5, 14.5]), true)]
        {
            assert_eq!(stand(&policy, remaining, burn), (word, burning), "{remaining} {burn:?}");
            let cases = [(false, false), (false, true), (true, false), (true, true)];
            for ((lane, approved), calm) in cases.into_iter().zip(rulings) {
                let expected = match (burning, lane && approved) {
                    (false, _) => calm,
                    (true, false) => BURNING,
                    (true, true) => PERSON,
                };
                let said = ruling(&policy, word, burning, lane, approved);
                assert_eq!(said, expected, "{remaining}, burning {burning}, lane {lane}, approved {approved}");
            }
        }
    }
}

#[test]
fn what_cannot_be_read_is_as_the_spec_has_it() {
    let unknown = Ruling::Wait("BudgetUnknown");
    for (on_missing, planned, approved, repair) in [
        (OnMissing::Normal, FREE, FREE, FREE),
        (OnMissing::Slow, SLOWLY, SLOWLY, FREE),
        (OnMissing::Block, unknown, PERSON, LANE),
    ] {
        let policy = ErrorBudget { on_missing, ..policy() };
        let says = |lane, approved| ruling(&policy, BudgetWord::Missing, false, lane, approved);
        assert_eq!([says(false, false), says(false, true), says(true, false)], [planned, approved, repair]);
        assert_eq!(slow(&policy, BudgetWord::Missing, false), on_missing != OnMissing::Normal);
    }
    // Before the first answer nobody's word is enough: it comes, or it is missing.
    assert_eq!(ruling(&policy(), BudgetWord::Awaited, false, true, true), unknown);
}

#[test]
fn an_approval_is_asked_for_where_it_would_do() {
    let policy = policy();
    let asks = |word, burning, lane| approvable(&policy, word, burning, lane);
    assert!(asks(BudgetWord::Restricted, false, false) && asks(BudgetWord::Blocked, true, true));
    assert!(!asks(BudgetWord::Blocked, false, false) && !asks(BudgetWord::Normal, true, false));
    assert!(!asks(BudgetWord::Restricted, false, true) && !asks(BudgetWord::Slow, false, false));
}

fn run(fields: Value) -> Run {
    let mut run = json!({
        "release": "r", "number": 1, "revision": "b", "fromRevision": "a", "step": "Preflight",
        "stepAt": "2026-01-01T00:00:00Z",
    });
    run.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(run).unwrap()
}

#[test]
fn a_repair_has_a_reason_and_a_person() {
    let class = |kind: &str| json!({"kind": kind, "confidence": "High", "by": "annotation"});
    let change = json!({"reference": "INC-1", "requestedBy": "alice"});
    for kind in ["Rework", "Hotfix", "Security"] {
        assert!(lane(&run(json!({"classification": class(kind), "change": change}))), "{kind}");
        let named = json!({"classification": class(kind), "remediates": "shop-1", "change": {"requestedBy": "alice"}});
        assert!(lane(&run(named)), "{kind}");
        let nobody = run(json!({"classification": class(kind), "change": {"reference": "INC-1", "requestedBy": " "}}));
        assert!(!lane(&nobody), "{kind}");
        assert_eq!(lacking(&nobody), Some("sluice.dev/requested-by"));
        let groundless = run(json!({"classification": class(kind), "change": {"requestedBy": "alice"}}));
        assert_eq!(lacking(&groundless), Some("sluice.dev/reference or sluice.dev/remediates"));
    }
    assert!(!lane(&run(json!({"classification": class("Planned"), "change": change}))));
    assert!(!lane(&run(json!({"change": change}))), "of a change that nobody classified nothing is known");
}

#[test]
fn a_release_costs_its_part_of_the_month() {
    // 99.9% of 864,000 requests a day: 25,920 bad ones are allowed in 30 days.
    let month = Duration::from_secs(30 * 86_400);
    assert_eq!(allowed(0.001, 864_000.0, month), Some(25_920));
    assert_eq!(cost_percent(2_592, 25_920), Some(10.0));
    assert_eq!(cost_percent(0, 25_920), Some(0.0));
    assert_eq!(cost_percent(1, 3_000_000), Some(0.0));
    assert_eq!(cost_percent(51_840, 25_920), Some(200.0));
    for (budget, requests) in [(0.0, 1e6), (0.001, 0.0), (-0.001, 1e6), (f64::MAX, f64::MAX), (1e-9, 1.0)] {
        assert_eq!(allowed(budget, requests, month), None, "{budget} {requests}");
    }
    assert_eq!(cost_percent(1, 0), None);
}
