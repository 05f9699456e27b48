//! The rules against their cases, by promtool; and the cases against broken rules.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{alerts, cases, path, promtool, rules, yaml};

/// A folder that goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("sluice-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(folder.join("tests")).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Whether promtool is content with these files, and what it says if not.
fn run(promtool: &Path, what: [&str; 2], folder: &Path, files: &[PathBuf]) -> Result<(), String> {
    let output = Command::new(promtool).args(what).args(files).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(said) }
}

#[test]
fn every_rule_does_what_its_cases_say() {
    let Some(promtool) = promtool::find("monitoring::rules::every_rule_does_what_its_cases_say") else { return };
    let folder = path("deploy/monitoring");
    run(&promtool, ["check", "rules"], &folder, &["alerts.yaml".into()]).unwrap();
    run(&promtool, ["test", "rules"], &folder, &cases()).unwrap();
}

/// For each alert one case in which it fires and one in which it does not, and one in which nothing is there at all.
#[test]
fn every_alert_has_its_cases() {
    let mut told: Vec<(String, bool, bool)> = Vec::new();
    for file in cases() {
        let all = yaml(file.to_str().unwrap());
        for case in all["tests"].as_array().unwrap() {
            let nothing = case["input_series"].is_null();
            for check in case["alert_rule_test"].as_array().unwrap() {
                told.push((check["alertname"].as_str().unwrap().to_owned(), !check["exp_alerts"].is_null(), nothing));
            }
        }
    }
    for (alert, _) in alerts() {
        let of = |wanted: bool| told.iter().any(|(name, fires, _)| *name == alert && *fires == wanted);
        assert!(of(true) && of(false), "{alert}: one case in which it fires, one in which it does not");
        assert!(told.iter().any(|(name, _, nothing)| *name == alert && *nothing), "{alert}: a case without any series");
    }
    assert!(told.iter().all(|(name, ..)| alerts().iter().any(|(alert, _)| alert == name)));
}

/// An expression with one comparison turned round, or one matcher; for each place where that can be done.
fn turned(expression: &str) -> Vec<String> {
    let pairs = [
        (" > ", " <= "),
        (" < ", " >= "),
        (" >= ", " < "),
        (" == ", " != "),
        ("=\"", "!=\""),
        ("=~\"", "!~\""),
        ("!~\"", "=~\""),
        ("[2m]", "[1s]"),
        ("[10m]", "[2m]"),
        ("[7d]", "[3d]"),
    ];
    let of = |(old, new): &(&str, &str)| {
        let places = expression.match_indices(old).filter(|(at, _)| {
            // `=` of `!=`, `=~` and `==` is another operator.
            *old != "=\"" || !expression.get(..*at).is_some_and(|before| before.ends_with(['!', '=', '~']))
        });
        places.map(|(at, _)| format!("{}{new}{}", &expression[..at], &expression[at + old.len()..])).collect::<Vec<_>>()
    };
    let mut all: Vec<String> = pairs.iter().flat_map(of).collect();
    if expression.contains("max by") {
        all.push(expression.replace("max by", "min by"));
    }
    all
}

/// Numbers after a comparison, twice as large.
fn moved(expression: &str) -> Vec<String> {
    let limit = regex::Regex::new(r"( (?:>|<|>=|==) )([0-9.]+)").unwrap();
    let of = |found: regex::Captures<'_>| {
        let (whole, number) = (found.get(0).unwrap(), found[2].parse::<f64>().unwrap());
        format!("{}{}{}{}", &expression[..whole.start()], &found[1], number * 2.0, &expression[whole.end()..])
    };
    limit.captures_iter(expression).map(of).collect()
}

/// Each rule with something broken, as (what, rule).
fn broken(rule: &Value) -> Vec<(String, Value)> {
    let expression = rule["expr"].as_str().unwrap();
    let mut all: Vec<(String, Value)> = Vec::new();
    for changed in turned(expression).into_iter().chain(moved(expression)) {
        let mut rule = rule.clone();
        rule["expr"] = json!(changed);
        all.push((changed, rule));
    }
    if let Some(wait) = rule["for"].as_str() {
        let number: u32 = wait.trim_end_matches(char::is_alphabetic).parse().unwrap();
        let unit = wait.trim_start_matches(|c: char| c.is_ascii_digit());
        for changed in [format!("{}{unit}", number * 2), "0s".to_owned()] {
            let mut rule = rule.clone();
            rule["for"] = json!(changed);
            all.push((format!("for: {changed}"), rule));
        }
    }
    all
}

/// The alert whose cases must notice it when this rule is broken.
fn concerned(rule: &Value) -> &str {
    match (rule["alert"].as_str(), rule["record"].as_str()) {
        (Some(alert), _) => alert,
        (None, Some("sluice:rollout_team:info")) => "RolloutGateOpen",
        (None, record) => panic!("{record:?}: which alert looks at it?"),
    }
}

/// The cases of one alert, with the checks of that alert alone: promtool takes as long as it has rules and cases.
fn cases_of(alert: &str) -> Vec<Value> {
    let of = |file: PathBuf| {
        let mut all = yaml(file.to_str().unwrap());
        let cases = all["tests"].as_array_mut().unwrap();
        for case in cases.iter_mut() {
            case["alert_rule_test"].as_array_mut().unwrap().retain(|check| check["alertname"] == alert);
        }
        cases.retain(|case| !case["alert_rule_test"].as_array().unwrap().is_empty());
        (!all["tests"].as_array().unwrap().is_empty()).then_some(all)
    };
    cases().into_iter().filter_map(of).collect()
}

/// Whether the cases of its alert notice that this rule is another than it was.
fn noticed(promtool: &Path, folder: &Folder, index: usize, rule: &Value) -> bool {
    let alert = concerned(rule);
    let mut all = rules();
    all[index] = rule.clone();
    all.retain(|one| one["alert"] == alert || (one["record"].is_string() && needed(one, alert)));
    let groups = json!({"groups": [{"name": "sluice", "rules": all}]});
    std::fs::write(folder.0.join("alerts.yaml"), groups.to_string()).unwrap();
    cases_of(alert).into_iter().any(|cases| {
        std::fs::write(folder.0.join("tests/cases.yaml"), cases.to_string()).unwrap();
        run(promtool, ["test", "rules"], &folder.0, &["tests/cases.yaml".into()]).is_err()
    })
}

/// Whether an alert looks at what this rule records.
fn needed(record: &Value, alert: &str) -> bool {
    let name = record["record"].as_str().unwrap();
    alerts().iter().any(|(other, rule)| other == alert && rule["expr"].as_str().unwrap().contains(name))
}

#[test]
fn a_broken_rule_is_noticed() {
    let Some(promtool) = promtool::find("monitoring::rules::a_broken_rule_is_noticed") else { return };
    let rules = rules();
    let work: Vec<(usize, String, Value)> = rules
        .iter()
        .enumerate()
        .flat_map(|(index, rule)| broken(rule).into_iter().map(move |(what, rule)| (index, what, rule)))
        .collect();
    assert!(work.len() > 80, "{}", work.len());
    let next = std::sync::atomic::AtomicUsize::new(0);
    let survivors = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (next, survivors, promtool, work, rules) = (&next, &survivors, &promtool, &work, &rules);
            scope.spawn(move || {
                let folder = Folder::new(&format!("rules-{worker}"));
                // What is not broken passes, so what is noticed is the fault.
                for (index, rule) in rules.iter().enumerate().skip(worker).step_by(4) {
                    assert!(!noticed(promtool, &folder, index, rule), "{}", concerned(rule));
                }
                while let Some((index, what, rule)) = work.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    if !noticed(promtool, &folder, *index, rule) {
                        survivors.lock().unwrap().push(format!("{}: {what}", concerned(rule)));
                    }
                }
            });
        }
    });
    let survivors = survivors.into_inner().unwrap();
    assert!(survivors.is_empty(), "no case notices:\n{}", survivors.join("\n"));
}
