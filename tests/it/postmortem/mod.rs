//! Drafts of postmortems: what stands in them, from records of `tests/fixtures/postmortem`.

mod command;
mod hostile;

use sluice::api::PostmortemCause;
use sluice::postmortem::{Case, Sources, draft};
use sluice::report_command::Records;

/// Where the records and the drafts are.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/postmortem");

fn records() -> Records {
    let mut records = Records::default();
    records.add("records.yaml", include_str!("../../fixtures/postmortem/records.yaml"));
    assert_eq!((&records.unreadable, &records.notes), (&Vec::<String>::new(), &Vec::new()));
    records
}

fn case(records: &Records, name: &str) -> Case {
    let sources =
        Sources { releases: &records.releases, events: &records.events, reclassifications: &records.reclassifications };
    Case::of(&("demo".to_owned(), name.to_owned()), sources).unwrap_or_else(|| panic!("no case of {name}"))
}

fn drafted(name: &str, cause: PostmortemCause) -> String {
    draft(&case(&records(), name), cause, "2026-11-01T09:00:00Z".parse().unwrap(), None)
}

/// The draft is what is in the file. With UPDATE_DRAFTS=1 the file is written: look at the difference before it is
/// committed.
fn golden(file: &str, name: &str, cause: PostmortemCause) -> String {
    let (path, text) = (format!("{FOLDER}/{file}"), drafted(name, cause));
    if std::env::var_os("UPDATE_DRAFTS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == expected, "{file} is another text; UPDATE_DRAFTS=1 writes it anew. Now:\n{text}");
    text
}

/// What people have to say is asked for, in this order.
const QUESTIONS: [&str; 9] = [
    "## Summary",
    "## Contributing factors",
    "## Why tests and checks did not show it earlier",
    "### What went well",
    "### What went wrong",
    "### Where we were lucky",
    "| Action | Type | Owner | Due | Ticket |",
    "| Severity | _to be set_ |",
    "| Approval | _open_ |",
];

fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{text}\ndoes not say {word:?}");
    }
}

#[test]
fn a_contained_rollback() {
    let text = golden("contained.md", "shop-8-f79d0e09", PostmortemCause::Manual);
    says(&text, &QUESTIONS);
    says(
        &text,
        &[
            // By hand: 60 / 5 % = 1,200, of 1,240 / 5 % = 24,800 requests; 1,140 more than the 60 that did.
            "at least 1,200 requests would have failed beyond stable's rate, 1,140 more than did",
            "for at least 24,800 requests in the same time",
            "n = 1,240 canary requests",
            // 13:10:00 to 13:24:31.2 and to 13:24:31.6.
            "14m 31s",
            "| The canary had no more traffic | 2026-10-12T13:24:31.6Z | 0.4s |",
            "| The routes were as before | 2026-10-12T13:24:33Z | 1.4s |",
            "| Requests that remained were within tolerance again | 2026-10-12T13:24:50Z | 17s |",
            "Failed deployment, contained: taken back by Sluice after users had met it (confidence high)",
            "took 1.40 % of the month's error budget",
            "| `demo/cart` | `cart-3-5b90c1e2` | `Promoted` | the promotion: 2m 30s before first exposure here |",
            "Repaired by: `shop-9-4e1b60d3`",
            "Accountable for the change: `ada@example.com`",
        ],
    );
    // Named where she approved, and nowhere else.
    assert_eq!(text.matches("grace@example.com").count(), 1, "{text}");
    says(&text, &["Approve by (accountable person)"]);
}

#[test]
fn an_escaped_failure_that_came_back() {
    let text = golden("escaped.md", "shop-9-4e1b60d3", PostmortemCause::Escaped);
    says(&text, &QUESTIONS);
    says(
        &text,
        &[
            "Had it served everybody: it did; there is nothing to estimate",
            "Recorded once before, 1 of them in the 90 days before",
            "Its ReworkEvent counts 2 in 90 days, this one included",
            // 1 Oct 11:20:00 to 20 Oct 10:31:12.
            "| `shop-6-1c9e02b7` | 18d 23h before | the watch after the promotion | `Escaped, signal checkout-errors` |",
            "Failed deployment, escaped: harm was found after it served everybody",
            // 08:06:00 to 10:31:12, and to 11:14:00 when the hotfix served everybody.
            "2h 25m",
            "3h 8m (Remediation)",
            "It recurred: seen in the 90 days before",
            "Repaired by: `shop-10-be52aa91`",
            "Nothing was taken back: after a promotion Sluice records harm and leaves the way back to people",
            "| 2026-10-20T10:31:12Z | `Escaped` |",
        ],
    );
}

#[test]
fn a_template_that_went_past_the_gate() {
    let text = golden("bypass.md", "shop-11-02c7d4f6", PostmortemCause::BreakGlass);
    says(&text, &QUESTIONS);
    says(
        &text,
        &[
            "Requests that it served: not known",
            "The template rolled unproven by an Intervention `BreakGlass`",
            "Nothing was judged: it was seen to roll at 2026-10-27T22:18:00Z",
            "| `BreakGlass` | `grace@example.com` |",
            "let through unproven by (accountable person)",
            "| 2026-10-28T08:30:00Z | it did not fail, security | `lin@example.com` |",
            "Kind: security (confidence high)",
        ],
    );
}

/// A release of the shop that was taken back as number 8 was.
fn taken_back(records: &mut Records, number: u32, change: &dyn Fn(&mut serde_json::Value)) {
    let like = records.releases.iter().find(|release| release.spec.number == 8).unwrap();
    let mut value = serde_json::to_value(like).unwrap();
    value["metadata"]["name"] = format!("shop-{number}").into();
    value["spec"]["number"] = number.into();
    change(&mut value);
    records.releases.push(serde_json::from_value(value).unwrap());
}

#[test]
fn what_is_alike_is_the_same_defect_whatever_its_signature() {
    let mut records = records();
    let symptoms = |code: &str| {
        let one = |label: &str, value: &str| serde_json::json!({"label": label, "value": value, "share": 90});
        serde_json::json!([
            one("route", "/pay"),
            one("zone", "b"),
            one("method", "POST"),
            one("code", "503"),
            one("x", code)
        ])
    };
    taken_back(&mut records, 20, &|release| {
        release["status"]["signal"] = "errors".into();
        release["status"]["symptoms"] = symptoms("1");
    });
    taken_back(&mut records, 21, &|release| {
        release["status"]["signal"] = "errors".into();
        release["status"]["signature"] = "another".into();
        release["status"]["symptoms"] = symptoms("2");
        for time in release["status"]["times"].as_object_mut().unwrap().values_mut() {
            *time = time.as_str().unwrap().replace("-10-12", "-10-13").into();
        }
    });
    let text = draft(&case(&records, "shop-21"), PostmortemCause::Manual, jiff::Timestamp::UNIX_EPOCH, None);
    let row = text.lines().find(|line| line.starts_with("| `shop-20` |")).unwrap_or_else(|| panic!("{text}"));
    assert!(row.contains("`SignalBreached, signal errors, code=503, method=POST, route=/pay, zone=b`"), "{row}");
    says(&text, &["It recurred: seen in the 90 days before"]);
    let earlier = draft(&case(&records, "shop-20"), PostmortemCause::Manual, jiff::Timestamp::UNIX_EPOCH, None);
    says(&earlier, &["Since then it was recorded in", "`shop-21`"]);
}

#[test]
fn the_draft_and_the_report_agree_on_what_escaped() {
    // Two Rollouts with one release id: one was taken back at 5 %, the other one served everybody and did harm.
    let mut records = records();
    for release in &mut records.releases {
        if [8, 9].contains(&release.spec.number) {
            release.spec.change.release_id = Some("together".to_owned());
        }
        if release.spec.number == 9 {
            release.spec.rollout = "till".to_owned();
        }
    }
    let text = draft(&case(&records, "shop-8-f79d0e09"), PostmortemCause::Manual, jiff::Timestamp::UNIX_EPOCH, None);
    says(
        &text,
        &["One deployment with: `shop-9-4e1b60d3`", "Failed deployment, escaped: ", "(above: failed, escaped)"],
    );
    let facts = sluice::figures::facts(&records.releases, &records.events, &records.reclassifications);
    let history = sluice::figures::History::new(&facts, sluice::figures::Settings::default());
    let now = "2026-11-01T09:00:00Z".parse().unwrap();
    let fail = history.figures(sluice::figures::Scope::Service("demo/shop"), 28, now).change_fail;
    assert_eq!((fail.all.count, fail.escaped.count), (fail.all.count, fail.all.count), "{fail:?}");
}

#[test]
fn nobody_is_named_elsewhere_however_many_they_are() {
    let mut records = records();
    let release = records.releases.iter_mut().find(|release| release.spec.number == 8).unwrap();
    let status = release.status.as_mut().unwrap();
    let like = status.interventions[0].clone();
    let people = (0..60).map(|number| format!("somebody-with-a-long-name-{number:02}")).chain(["bo".to_owned()]);
    status.interventions = people.map(|by| sluice::api::Intervened { by, ..like.clone() }).collect();
    status.message = "taken back while bo looked".to_owned();
    let text = draft(&case(&records, "shop-8-f79d0e09"), PostmortemCause::Manual, jiff::Timestamp::UNIX_EPOCH, None);
    says(&text, &["`taken back while (accountable person) looked`"]);
}

#[test]
fn what_is_read_twice_is_told_once() {
    let mut twice = records();
    twice.add("again.yaml", include_str!("../../fixtures/postmortem/records.yaml"));
    for release in &records().releases {
        let name = release.metadata.name.clone().unwrap();
        let now = "2026-11-01T09:00:00Z".parse().unwrap();
        let one = draft(&case(&records(), &name), PostmortemCause::Manual, now, None);
        assert_eq!(one, draft(&case(&twice, &name), PostmortemCause::Manual, now, None));
    }
}

#[test]
fn what_needs_none_says_so_and_has_its_facts() {
    let going = golden("going-on.md", "shop-12-e6f0b85d", PostmortemCause::Manual);
    says(&going, &["# Facts: ", "there is nothing to explain yet", "`40ce9b17aa6d3f52`", "Outcome | going on"]);
    let promoted = golden("promoted.md", "shop-10-be52aa91", PostmortemCause::Manual);
    says(&promoted, &["there is nothing to explain.", "It repairs: `shop-9-4e1b60d3`", "1,822, of which 0 failed"]);
    for text in [going, promoted] {
        assert!(!text.contains("To be written") && !text.contains("Action items"), "{text}");
    }
}

#[test]
fn the_same_records_give_the_same_text_in_any_order() {
    let mut turned = records();
    turned.releases.reverse();
    turned.events.reverse();
    turned.releases.extend(records().releases);
    for release in &records().releases {
        let name = release.metadata.name.clone().unwrap();
        let now = "2026-11-01T09:00:00Z".parse().unwrap();
        let one = draft(&case(&records(), &name), PostmortemCause::Manual, now, None);
        assert_eq!(one, draft(&case(&turned, &name), PostmortemCause::Manual, now, None));
    }
}

#[test]
fn what_is_not_known_is_not_zero() {
    let scaled = |change: &dyn Fn(&mut sluice::api::Exposure)| {
        let mut records = records();
        let found = |release: &&mut sluice::api::Release| release.spec.number == 8;
        let release = records.releases.iter_mut().find(found).unwrap();
        change(&mut release.status.as_mut().unwrap().exposure);
        let text =
            draft(&case(&records, "shop-8-f79d0e09"), PostmortemCause::Manual, jiff::Timestamp::UNIX_EPOCH, None);
        text.lines().find(|line| line.contains("Had it served everybody")).unwrap().to_owned()
    };
    assert!(scaled(&|exposure| exposure.requests = 0).contains("not known: no requests are counted"));
    assert!(scaled(&|exposure| exposure.max_weight = 0).contains("not known: no requests are counted"));
    assert!(scaled(&|exposure| (exposure.errors, exposure.excess_errors) = (0, 0)).contains("not known: none of the"));
    let usual = scaled(&|exposure| exposure.excess_errors = 0);
    assert!(usual.contains("not known") && usual.contains("no more are recorded to have failed"), "{usual}");
    let huge = scaled(&|exposure| (exposure.requests, exposure.excess_errors) = (u64::MAX, u64::MAX));
    assert!(huge.contains("at least"), "{huge}");
    // Without a budget its cost is not 0 %.
    let text = drafted("shop-9-4e1b60d3", PostmortemCause::Manual);
    assert!(text.contains("Cost: not known") && !text.contains("0.00 % of the month"), "{text}");
}

/// Words that look for somebody instead of something.
const BLAME: [&str; 22] = [
    "fault of",
    "at fault",
    "blame",
    "mistake",
    "careless",
    "culprit",
    "guilt",
    "negligen",
    "should have",
    "could have been avoided",
    "human error",
    "failed to",
    "forgot",
    "sloppy",
    "incompeten",
    "irresponsib",
    "reckless",
    "the person who",
    "whoever did",
    "who caused",
    "offender",
    "stupid",
];

#[test]
fn it_speaks_of_systems_and_names_people_where_they_are_accountable() {
    let records = records();
    for release in &records.releases {
        let name = release.metadata.name.clone().unwrap();
        for cause in [
            PostmortemCause::Escaped,
            PostmortemCause::Recurrence,
            PostmortemCause::BreakGlass,
            PostmortemCause::Manual,
        ] {
            let text = draft(&case(&records, &name), cause, jiff::Timestamp::UNIX_EPOCH, None);
            let lower = text.to_lowercase();
            for word in BLAME {
                assert!(!lower.contains(word), "{name}: {word:?} in\n{text}");
            }
            for line in text.lines().filter(|line| line.contains("@example.com")) {
                let accountable = line.starts_with("- Accountable for the change: ")
                    || line.split(" | ").nth(2).is_some_and(|cell| cell.ends_with("@example.com`"));
                assert!(accountable, "{name}: {line}");
                assert_eq!(line.matches("@example.com").count(), 1, "{line}");
            }
        }
    }
}

#[test]
fn the_page_shows_what_is_printed() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/postmortems.md")).unwrap();
    let text = drafted("shop-9-4e1b60d3", PostmortemCause::Escaped);
    assert!(page.contains(&text), "docs/postmortems.md does not show tests/fixtures/postmortem/escaped.md as it is");
}
