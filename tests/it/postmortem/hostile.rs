//! Whatever stands in the records, a draft is the same page: no table breaks, nothing becomes a heading, a link, HTML or a
//! mention.

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice::api::PostmortemCause;
use sluice::postmortem::{Case, LONGEST, Sources, draft};
use sluice::report_command::Records;

use crate::hostile::nasty;

/// Texts that mean something to those who show Markdown.
const MARKDOWN: [&str; 24] = [
    "# Title",
    "\n# Title\n",
    "a | b | c",
    "\\| x \\\\| y \\\\\\| z",
    "`",
    "``` \n| x |\n```",
    "`` ` ``",
    "[click](https://evil.example/?q=1)",
    "![x](https://evil.example/pixel.png)",
    "https://evil.example www.evil.example a@evil.example",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</td></tr></table>",
    "<!-- ",
    "-->",
    "@here @channel @everyone @octocat #1 !1 :boom:",
    "$`x`$ $$x$$",
    "- [ ] done\r\n- [x] more",
    "\u{202e}txt.exe\u{2066}",
    "a\u{2028}| --- |\u{2029}b\u{85}c\u{b}d",
    "&lt;b&gt; &#96; &vert;",
    "ends with a backslash \\",
    "> quote\n\n***\n---\n===",
    "{{constructor}} ${x} %s \u{0}",
];

fn text() -> impl Strategy<Value = String> + Clone {
    prop_oneof![
        4 => proptest::sample::select(MARKDOWN.to_vec()).prop_map(str::to_owned),
        4 => nasty::text(),
        1 => (proptest::sample::select(MARKDOWN.to_vec()), 0_usize..3000).prop_map(|(text, times)| text.repeat(times)),
        2 => "[`|\\\\\n\r<>@#\\[\\]()!*_~$&; -]{0,60}",
    ]
}

/// Puts these texts in turn wherever a record holds text that somebody wrote.
fn put(value: &mut Value, texts: &[String], next: &mut usize) {
    // What is read as something else than text, and by what records belong together.
    const NOT: [&str; 24] = [
        "apiVersion",
        "kind",
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "action",
        "outcome",
        "stage",
        "trigger",
        "confidence",
        "at",
        "requestedAt",
        "exposedAt",
        "sampleAt",
        "verdictAt",
        "weightZeroAt",
        "recoveredAt",
        "routeRestoredAt",
        "promotedAt",
        "endedAt",
        "failedRelease",
        "release",
        "rollout",
    ];
    match value {
        Value::Object(fields) => {
            for (key, field) in fields.iter_mut().filter(|(key, _)| !NOT.contains(&key.as_str())) {
                let _ = key;
                put(field, texts, next);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| put(item, texts, next)),
        Value::String(text) => {
            *text = texts[*next % texts.len()].clone();
            *next += 1;
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn records_with(texts: &[String]) -> Records {
    let calm = super::records();
    let mut records = Records::default();
    let mut next = 0;
    let mut put = |object: Value| {
        let mut object = object;
        put(&mut object, texts, &mut next);
        // Signatures stay what makes two failures alike.
        if let Some(signature) = object.pointer_mut("/status/signature") {
            *signature = json!("one\n# signature");
        }
        object
    };
    for release in calm.releases {
        records.releases.push(serde_json::from_value(put(serde_json::to_value(release).unwrap())).unwrap());
    }
    for event in calm.events {
        records.events.push(serde_json::from_value(put(serde_json::to_value(event).unwrap())).unwrap());
    }
    for one in calm.reclassifications {
        records.reclassifications.push(serde_json::from_value(put(serde_json::to_value(one).unwrap())).unwrap());
    }
    records
}

/// The line with everything in code spans taken out, as CommonMark reads it: spans begin and end with one backtick.
fn outside(line: &str) -> String {
    assert_eq!(line.matches('`').count() % 2, 0, "a code span is left open: {line:?}");
    line.split('`').step_by(2).collect::<Vec<_>>().join("‹›")
}

/// What a page is made of when all of its records are calm.
fn shape(page: &str) -> Vec<String> {
    page.lines().filter(|line| line.starts_with('#')).map(outside).collect()
}

fn sound(page: &str) {
    assert!(page.len() <= LONGEST, "{} bytes", page.len());
    assert!(!page.contains("\r") && page.ends_with('\n'));
    let mut columns = None;
    for line in page.lines() {
        let bare = outside(line);
        // What `split` finds is what every reader of tables finds: no pipe is in a code span, none behind a backslash.
        if line.starts_with('|') {
            let cells = line.split('|').count();
            assert_eq!(*columns.get_or_insert(cells), cells, "a row of another length: {line:?}");
            assert_eq!(bare.split('|').count(), cells, "a pipe in a code span: {line:?}");
        } else {
            columns = None;
        }
        for sign in ["<", "@", "](", "![", "http", "www.", "&#", "\\", "$", "~~", "{{"] {
            assert!(!bare.contains(sign), "{sign:?} outside of a code span: {line:?}");
        }
        for c in line.chars() {
            assert!(!c.is_control(), "{c:?} in {line:?}");
            assert!(!('\u{202a}'..='\u{202e}').contains(&c) && !('\u{2066}'..='\u{2069}').contains(&c), "{line:?}");
        }
        let known = line.is_empty()
            || ["# ", "## ", "### ", "- ", "| ", "> **To be written.** "].iter().any(|begin| line.starts_with(begin))
            || line.starts_with("| ---")
            || line.starts_with("|")
            || line.starts_with(|c: char| c.is_ascii_uppercase());
        assert!(known, "a line that begins as none of ours does: {line:?}");
    }
}

fn check(texts: &[String]) {
    let (records, calm) = (records_with(texts), super::records());
    for release in &records.releases {
        let key = ("demo".to_owned(), release.metadata.name.clone().unwrap());
        let of = |records: &Records| {
            let sources = Sources {
                releases: &records.releases,
                events: &records.events,
                reclassifications: &records.reclassifications,
            };
            draft(
                &Case::of(&key, sources).unwrap(),
                PostmortemCause::Manual,
                jiff::Timestamp::UNIX_EPOCH,
                Some(LONGEST),
            )
        };
        let page = of(&records);
        sound(&page);
        assert_eq!(shape(&page), shape(&of(&calm)), "headings are ours alone");
    }
}

#[test]
fn each_text_that_means_something_in_markdown() {
    for text in MARKDOWN {
        check(&[text.to_owned()]);
    }
    for text in nasty::texts() {
        check(&[text]);
    }
}

#[test]
fn what_is_long_everywhere_is_a_page_of_bounded_length() {
    // Of several hundred fields: some ten megabytes in all.
    check(&["`|<@9\"\\é".repeat(4_000)]);
    // More of everything than a record may hold.
    let mut records = super::records();
    let release = records.releases.iter_mut().find(|release| release.spec.number == 8).unwrap();
    release.spec.images = vec!["é|`".repeat(500); 5000];
    let status = release.status.as_mut().unwrap();
    status.digests = vec!["x".repeat(500); 5000];
    status.timeline = vec![status.timeline[0].clone(); 5000];
    for entry in &mut status.timeline {
        entry.message = "ü".repeat(5000);
        entry.reason = "R".repeat(5000);
    }
    status.interventions = vec![status.interventions[0].clone(); 5000];
    for one in &mut status.interventions {
        (one.by, one.reason, one.message) = ("b".repeat(500), "r".repeat(5000), "m".repeat(5000));
    }
    let commit = release.spec.change.commits[0].clone();
    release.spec.change.commits = vec![sluice::api::Commit { sha: "s".repeat(5000), ..commit }; 5000];
    let case = super::case(&records, "shop-8-f79d0e09");
    let page = |most: Option<usize>| draft(&case, PostmortemCause::Manual, jiff::Timestamp::UNIX_EPOCH, most);
    sound(&page(Some(LONGEST)));
    for most in [LONGEST, 20_000, 8_000] {
        let page = page(Some(most));
        assert!(page.len() <= most, "{} bytes", page.len());
        let asked = page.contains("## Action items") && page.contains("| Approval | _open_ |");
        assert!(asked && page.ends_with("this Release stays as it is.\n"), "the questions are still there: {page}");
    }
    assert!(page(Some(20_000)).contains("cut here"));
    let whole = page(None);
    assert!(!whole.contains("cut here") && whole.len() > 20_000, "{} bytes", whole.len());
    // A record of 64 decisions and one that was found later.
    let harm = super::records().releases.iter().find_map(|one| one.status.clone()?.escaped).unwrap();
    let release = records.releases.iter_mut().find(|release| release.spec.number == 8).unwrap();
    release.status.as_mut().unwrap().escaped = Some(harm);
    let case = super::case(&records, "shop-8-f79d0e09");
    let page = draft(&case, PostmortemCause::Manual, jiff::Timestamp::UNIX_EPOCH, None);
    let (_, timeline) = page.split_once("| At | Decision | Message |\n").unwrap();
    let rows: Vec<&str> = timeline.lines().skip(1).take_while(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), 64);
    assert!(rows.last().unwrap().contains("| `Escaped` |"), "{rows:?}");
}

proptest! {
    #![proptest_config(nasty::cases(40))]

    #[test]
    fn any_texts(texts in proptest::collection::vec(text(), 1..30)) {
        check(&texts);
    }
}
