//! The schemas of `crds/` read as two things: what the API server lets in, as a generator, and what it refuses, as a
//! check of what this program itself writes. Written for these tests, after "OpenAPI v3.0 validation" of the Kubernetes
//! documentation; only the words that occur in `crds/` are known, any other is a panic.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;
use serde_json::{Map, Value, json};
use sluice::crds;

use super::nasty;

/// What every kind has: its plural and its schema.
static ALL: LazyLock<Vec<(String, Value)>> = LazyLock::new(|| {
    let all = crds::all().unwrap().into_iter();
    all.map(|(_, crd)| {
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
        (crd.spec.names.plural, schema["openAPIV3Schema"]["properties"].clone())
    })
    .collect()
});

/// The schema of a kind, such as `rollouts`; `part` is `spec` or `status`.
pub fn of(plural: &str, part: &str) -> &'static Value {
    &ALL.iter().find(|(known, _)| known == plural).unwrap().1[part]
}

/// The first thing that the API server would refuse, with its path. CEL rules are not looked at.
pub fn refusal(schema: &Value, value: &Value, at: &str) -> Option<String> {
    if value.is_null() {
        return (schema["nullable"] != json!(true)).then(|| format!("{at} is null"));
    }
    let wrong = |expected: &str| Some(format!("{at} is {value} and must be {expected}"));
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        return wrong(&format!("one of {allowed:?}"));
    }
    let bound = |word: &str| schema[word].as_u64().map(|bound| usize::try_from(bound).unwrap());
    match schema["type"].as_str().unwrap_or_else(|| panic!("{at}: {schema}")) {
        "object" => {
            let Some(fields) = value.as_object() else { return wrong("an object") };
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            if let Some(missing) = required.into_iter().find(|name| !fields.contains_key(*name)) {
                return Some(format!("{at}.{missing} is missing"));
            }
            fields.iter().find_map(|(name, field)| match schema["properties"].get(name) {
                // The API server drops what it does not know.
                None => None,
                Some(schema) => refusal(schema, field, &format!("{at}.{name}")),
            })
        }
        "array" => {
            let Some(items) = value.as_array() else { return wrong("a list") };
            if bound("maxItems").is_some_and(|most| items.len() > most)
                || bound("minItems").is_some_and(|least| items.len() < least)
            {
                return Some(format!("{at} has {} items", items.len()));
            }
            let keys: Vec<&str> = schema["x-kubernetes-list-map-keys"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let key = |item: &Value| keys.iter().map(|key| item[*key].clone()).collect::<Vec<_>>();
            let unique = schema["x-kubernetes-list-type"] == "map";
            if unique
                && items.iter().enumerate().any(|(index, item)| items[..index].iter().any(|one| key(one) == key(item)))
            {
                return Some(format!("{at} has two items with the same {keys:?}"));
            }
            items
                .iter()
                .enumerate()
                .find_map(|(index, item)| refusal(&schema["items"], item, &format!("{at}[{index}]")))
        }
        "string" => {
            let Some(text) = value.as_str() else { return wrong("a string") };
            let length = text.chars().count();
            if bound("maxLength").is_some_and(|most| length > most)
                || bound("minLength").is_some_and(|least| length < least)
            {
                let head: String = text.chars().take(300).collect();
                return Some(format!("{at} has {length} characters: {head:?}"));
            }
            if let Some(pattern) = schema["pattern"].as_str()
                && !matches(pattern, text)
            {
                return wrong(pattern);
            }
            if schema["format"] == "date-time" && text.parse::<jiff::Timestamp>().is_err() {
                return wrong("a time");
            }
            None
        }
        kind @ ("integer" | "number") => {
            let Some(number) = value.as_f64() else { return wrong(kind) };
            // Go reads them as int64.
            let whole = value.is_i64();
            let fits = schema["minimum"].as_f64().is_none_or(|least| number >= least)
                && schema["maximum"].as_f64().is_none_or(|most| number <= most);
            let fits = fits && (kind == "number" || whole);
            if fits { None } else { wrong(&schema.to_string()) }
        }
        "boolean" => {
            if value.is_boolean() {
                None
            } else {
                wrong("a boolean")
            }
        }
        other => panic!("{at}: type {other}"),
    }
}

/// Values that the API server lets in (its CEL rules aside).
pub fn valid(schema: &Value) -> BoxedStrategy<Value> {
    let inner = valid_inner(schema);
    if schema["nullable"] == json!(true) { prop_oneof![9 => inner, 1 => Just(Value::Null)].boxed() } else { inner }
}

fn valid_inner(schema: &Value) -> BoxedStrategy<Value> {
    if let Some(allowed) = schema["enum"].as_array() {
        return proptest::sample::select(allowed.clone()).boxed();
    }
    let bound = |word: &str| schema[word].as_u64().map(|bound| usize::try_from(bound).unwrap());
    match schema["type"].as_str().unwrap() {
        "object" => {
            let required: Vec<&str> =
                schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let mut fields = Just(Vec::<(String, Value)>::new()).boxed();
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                let (name, must) = (name.clone(), required.contains(&name.as_str()));
                let field = if must {
                    valid(schema).prop_map(Some).boxed()
                } else {
                    proptest::option::of(valid(schema)).boxed()
                };
                fields = (fields, field)
                    .prop_map(move |(mut fields, field)| {
                        fields.extend(field.map(|field| (name.clone(), field)));
                        fields
                    })
                    .boxed();
            }
            fields.prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())).boxed()
        }
        "array" => {
            let (least, most) = (bound("minItems").unwrap_or(0), bound("maxItems").unwrap_or(3));
            let few = most.min(least.max(3));
            let item = valid(&schema["items"]);
            prop_oneof![
                15 => proptest::collection::vec(item.clone(), least..=few),
                1 => proptest::collection::vec(item, most..=most),
            ]
            .prop_map(Value::Array)
            .boxed()
        }
        "string" => {
            let (least, most) = (bound("minLength").unwrap_or(0), bound("maxLength").unwrap_or(1 << 14));
            let fits = move |text: &String| (least..=most).contains(&text.chars().count());
            if let Some(pattern) = schema["pattern"].as_str() {
                let plain = pattern.trim_start_matches('^').trim_end_matches('$').to_owned();
                let text = proptest::string::string_regex(&plain).unwrap();
                return text.prop_filter("the longest is shorter", fits).prop_map(Value::String).boxed();
            }
            if schema["format"] == "date-time" {
                return time().prop_map(Value::String).boxed();
            }
            let cut = move |text: String| {
                let mut text: String = text.chars().take(most).collect();
                while text.chars().count() < least {
                    text.push('x');
                }
                Value::String(text)
            };
            prop_oneof![
                20 => nasty::text().prop_map(cut),
                // As long as it may be.
                1 => proptest::sample::select(vec!['a', '"', '\\', 'é', '\u{1F600}'])
                    .prop_map(move |c| cut(c.to_string().repeat(most))),
            ]
            .boxed()
        }
        kind @ ("integer" | "number") => {
            let least = schema["minimum"].as_f64().unwrap_or(i64::MIN as f64) as i64;
            let most = schema["maximum"].as_f64().map_or(i64::MAX, |most| most as i64);
            let edges = [
                0,
                1,
                2,
                50,
                100,
                101,
                255,
                256,
                65_536,
                i64::from(i32::MAX),
                i64::from(u32::MAX),
                1 << 53,
                i64::MIN,
                i64::MAX,
            ];
            let edges: Vec<i64> = edges.into_iter().filter(|edge| (least..=most).contains(edge)).collect();
            let small = least.max(0)..=most.min(255);
            let edges = if edges.is_empty() { vec![least, most] } else { edges };
            let whole = prop_oneof![6 => small, 3 => proptest::sample::select(edges), 1 => least..=most];
            if kind == "integer" {
                whole.prop_map(|number| json!(number)).boxed()
            } else {
                prop_oneof![whole.prop_map(|number| json!(number)), any::<f64>().prop_map(|number| json!(number))]
                    .prop_filter("JSON has no NaN", |number| !number.is_null())
                    .boxed()
            }
        }
        "boolean" => any::<bool>().prop_map(Value::Bool).boxed(),
        other => panic!("type {other}"),
    }
}

/// Times around the world's present, and the first and last there are.
fn time() -> impl Strategy<Value = String> {
    let at = |second: i64| jiff::Timestamp::from_second(second).unwrap().to_string();
    prop_oneof![
        6 => (999_000_i64..1_001_000).prop_map(at),
        1 => Just(jiff::Timestamp::MIN.to_string()),
        1 => Just(jiff::Timestamp::MAX.to_string()),
        1 => Just("0000-01-01T00:00:00Z".to_owned()),
        1 => Just("9999-12-30T21:00:00.5+01:00".to_owned()),
        1 => any::<i32>().prop_map(move |second| at(i64::from(second))),
    ]
}

/// Whether a pattern of a schema fits; each is compiled once.
pub fn matches(pattern: &str, text: &str) -> bool {
    thread_local! {
        static KNOWN: RefCell<HashMap<String, regex::Regex>> = RefCell::new(HashMap::new());
    }
    KNOWN.with_borrow_mut(|known| {
        let compile = || regex::Regex::new(pattern).unwrap_or_else(|error| panic!("{error}"));
        known.entry(pattern.to_owned()).or_insert_with(compile).is_match(text)
    })
}
