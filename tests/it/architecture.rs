//! The rules that keep the way of a Rollout readable: who may import what, and who may write.

use std::path::{Path, PathBuf};

pub fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no sources");
    found
}

/// The lines of production code, without comments.
pub fn code(text: &str) -> impl Iterator<Item = &str> {
    // Only a module that is written out: where tests are in a file of their own, code follows after the line.
    let production = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    production.lines().filter(|line| !line.trim_start().starts_with("//"))
}

fn forbid(folder: &str, words: &[&str], why: &str) {
    for (path, text) in sources(folder) {
        for line in code(&text) {
            for word in words {
                assert!(!line.contains(word), "{}: {word:?} in {line:?}: {why}", path.display());
            }
        }
    }
}

#[test]
fn decide_is_pure() {
    forbid(
        "src/decide",
        &[
            "async ",
            ".await",
            "tokio",
            "kube::",
            "k8s_openapi",
            "reqwest",
            "tracing",
            "Timestamp::now",
            "SystemTime",
            "Instant",
            "crate::clock",
            "std::fs",
            "std::env",
            "std::net",
            "rand",
        ],
        "decide has no clock, no network, no client and no logging",
    );
    forbid(
        "src/decide",
        &[
            "crate::act",
            "crate::observe",
            "crate::record",
            "crate::watch",
            "crate::prometheus",
            "crate::controller",
            "crate::app",
        ],
        "decide knows only crate::api",
    );
}

#[test]
fn judge_is_arithmetic() {
    let why = "judge takes integers and state, and knows nothing else";
    let world =
        ["async ", "kube", "tokio", "jiff", "tracing", "Timestamp", "std::fs", "std::env", "std::net", "std::time"];
    forbid("src/judge", &world, why);
    forbid("src/judge", &["crate::"], why);
}

#[test]
fn figures_are_pure() {
    let why = "figures are a function of records, a time and settings";
    let world =
        ["async ", ".await", "tokio", "kube::", "tracing", "Timestamp::now", "SystemTime", "Instant", "std::fs"];
    forbid("src/figures", &world, why);
    for (path, text) in sources("src/figures") {
        for line in code(&text).filter(|line| line.contains("crate::")) {
            assert!(line.contains("crate::api"), "{}: {line}: figures know only api", path.display());
        }
    }
}

#[test]
fn postmortems_are_pure() {
    let why = "a draft is a function of records, a cause and a time";
    let world =
        ["async ", ".await", "tokio", "kube::", "tracing", "Timestamp::now", "SystemTime", "Instant", "std::fs"];
    forbid("src/postmortem", &world, why);
    for (path, text) in sources("src/postmortem") {
        for line in code(&text).filter(|line| line.contains("crate::")) {
            let known = ["crate::api", "crate::figures", "crate::decide::reasons", "crate::decide::words"];
            assert!(known.iter().any(|module| line.contains(module)), "{}: {line}", path.display());
        }
    }
}

#[test]
fn api_is_data() {
    forbid(
        "src/api",
        &["async ", ".await", "tokio", "kube::Client", "kube::Api", "Timestamp::now"],
        "api is data only",
    );
    // Evidence is kept in status in a form of its own.
    for (path, text) in sources("src/api") {
        for line in code(&text).filter(|line| line.contains("crate::")) {
            assert!(line.contains("crate::judge"), "{}: {line}: api knows nothing else of the program", path.display());
        }
    }
}

#[test]
fn observe_and_act_meet_only_in_snapshot_and_plan() {
    forbid("src/act", &["crate::observe", "crate::record"], "act carries out a plan and nothing else");
    // `CALL_TIMEOUT` is the one thing they share: how long a call may take.
    for (path, text) in sources("src/observe") {
        for line in code(&text).filter(|line| line.contains("crate::act")) {
            assert!(line.contains("crate::act::CALL_TIMEOUT"), "{}: {line}", path.display());
        }
    }
}

#[test]
fn only_act_and_record_write_to_the_cluster() {
    // Every writing call of the client takes one of these, or is a request made by hand.
    let signs = ["PatchParams", "PostParams", "DeleteParams", "kube::core::Request", ".request(", ".request_text("];
    for (path, text) in sources("src") {
        let name = path.display().to_string();
        // `leadership` writes the Lease.
        if ["/src/act/", "/src/record/", "/src/leadership/"].iter().any(|folder| name.contains(folder)) {
            continue;
        }
        for line in code(&text) {
            for sign in signs {
                assert!(
                    !line.contains(sign),
                    "{name}: {line:?} looks like a write; only act and record may write (and leadership the Lease)"
                );
            }
        }
    }
}

#[test]
fn every_write_asks_whether_this_process_leads() {
    let why = "take a Writer, whose client is handed out only to the leader";
    forbid("src/record", &["client: &Client", "client: Client"], why);
    for (path, text) in sources("src/act").into_iter().filter(|(path, _)| path.ends_with("mod.rs")) {
        assert!(!text.contains("&Client"), "{}: {why}", path.display());
    }
}

#[test]
fn scenarios_that_run_alone_are_where_they_are_looked_for() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/testing.md")).unwrap();
    for (path, text) in sources("tests/e2e") {
        let place = path.to_str().unwrap().split("tests/e2e/").nth(1).unwrap();
        if let Some(name) = place.strip_prefix("alone/") {
            let told =
                name.ends_with("mod.rs") || page.contains(&format!("| `{}` |", name.trim_start_matches("chaos/")));
            assert!(told, "docs/testing.md says nothing of {place}");
        } else {
            // On one testbed with others it would stop them all.
            let disturbs = !place.starts_with("harness/") && code(&text).any(|line| line.contains("alone(\""));
            assert!(!disturbs, "{place}: a scenario that runs alone belongs into tests/e2e/alone");
        }
    }
}

#[test]
fn every_module_says_what_it_owns() {
    for (path, text) in sources("src") {
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with("//! "), "{} does not begin with what it owns", path.display());
    }
}

/// The call that a text begins with, up to its closing parenthesis.
pub fn call_at(text: &str) -> &str {
    let (mut depth, mut quoted) = (0, false);
    for (position, character) in text.char_indices() {
        match character {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return &text[..position];
                }
            }
            _ => {}
        }
    }
    panic!("a call without an end: {text}");
}

#[test]
fn messages_of_logs_are_constant() {
    let calls = ["trace", "debug", "info", "warn", "error"].map(|level| format!("tracing::{level}!("));
    let mut seen = 0;
    for (path, text) in sources("src") {
        let production = code(&text).collect::<Vec<_>>().join("\n");
        for call in &calls {
            for (start, _) in production.match_indices(call.as_str()) {
                let said = call_at(&production[start..]);
                let messages: Vec<&str> = said.split('"').skip(1).step_by(2).collect();
                let message = messages.last().unwrap_or_else(|| panic!("{}: no message in {said:?}", path.display()));
                let formats = message.contains(['{', '}']);
                assert!(!formats, "{}: what varies belongs into a field: {said:?}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 30, "only {seen} calls were found");
}

#[test]
fn files_can_be_read_in_one_sitting() {
    for folder in ["src", "tests"] {
        for (path, text) in sources(folder) {
            let lines = text.lines().count();
            assert!(lines <= 500, "{} has {lines} lines; is it one story?", path.display());
        }
    }
}
