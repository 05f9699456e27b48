//! What the operator may do: the rules that are installed by default, by which the simulated API server goes.

use std::sync::OnceLock;

use serde_json::Value;

use super::kinds::Kind;
use super::patches::Part;
use super::store::Look as _;

/// What grants them.
const INSTALLED: [&str; 3] = [
    include_str!("../../../../deploy/base/rbac.yaml"),
    include_str!("../../../../deploy/components/httproutes/rbac.yaml"),
    include_str!("../../../../deploy/components/grpcroutes/rbac.yaml"),
];

/// A rule: groups, resources and verbs.
type Rule = [Vec<String>; 3];

fn rules() -> &'static [Rule] {
    static RULES: OnceLock<Vec<Rule>> = OnceLock::new();
    RULES.get_or_init(|| {
        let documents = INSTALLED.iter().flat_map(|file| file.split("\n---"));
        let objects = documents.filter_map(|text| serde_saphyr::from_str::<Value>(text).ok());
        let rules =
            objects.flat_map(|object| object.at("/rules").and_then(Value::as_array).cloned().unwrap_or_default());
        let words = |rule: &Value, field: &str| {
            let all = rule.get(field).and_then(Value::as_array);
            all.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        rules.map(|rule| ["apiGroups", "resources", "verbs"].map(|field| words(&rule, field))).collect()
    })
}

/// Whether the operator may do this.
pub fn may(verb: &str, kind: &Kind, part: Part) -> bool {
    let resource = match part {
        Part::Main => kind.plural.to_owned(),
        Part::Status => format!("{}/status", kind.plural),
    };
    let has = |words: &[String], word: &str| words.iter().any(|one| one == word);
    rules()
        .iter()
        .any(|[groups, resources, verbs]| has(groups, kind.group) && has(resources, &resource) && has(verbs, verb))
}
