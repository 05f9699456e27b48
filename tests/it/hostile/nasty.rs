//! What people, programs and networks send that nobody expects: texts, numbers, JSON. Used by the tests of this folder
//! and by the `hostile` modules beside private code.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

/// One case a line, as a JSON string, so that NUL and marks of direction can be read and kept.
const TEXTS: &str = include_str!("corpus/texts.jsonl");
/// One value a line, as it stands in an answer or an object.
const VALUES: &str = include_str!("corpus/values.jsonl");

/// The texts of the corpus.
pub(crate) fn texts() -> Vec<String> {
    static ALL: LazyLock<Vec<String>> = LazyLock::new(|| parsed(TEXTS));
    ALL.clone()
}

/// The values of the corpus. What Rust's JSON does not read, such as a lone surrogate, is in the corpora of bytes.
pub(crate) fn values() -> Vec<Value> {
    static ALL: LazyLock<Vec<Value>> = LazyLock::new(|| parsed(VALUES));
    ALL.clone()
}

fn parsed<T: serde::de::DeserializeOwned>(corpus: &str) -> Vec<T> {
    lines(corpus).map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

/// The lines of a corpus without comments.
pub(crate) fn lines(corpus: &str) -> impl Iterator<Item = &str> {
    corpus.lines().filter(|line| !line.is_empty() && !line.starts_with("//"))
}

/// How many cases: `PROPTEST_CASES` if it is set, else this many, so that the whole folder takes seconds.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    // A failing case is kept in a corpus, by hand, with a line that says what it was.
    ProptestConfig { cases: asked.unwrap_or(usual), failure_persistence: None, ..ProptestConfig::default() }
}

/// Any text: of the corpus, of characters that mean something in PromQL, regular expressions and JSON, or of any.
pub(crate) fn text() -> impl Strategy<Value = String> + Clone {
    prop_oneof![
        3 => proptest::sample::select(texts()),
        4 => "[a-zA-Z0-9{}()\\[\\]\"'`\\\\|.*+?^$#=~!,:;@/%\n\r\t -]{0,40}",
        2 => "\\PC{0,20}",
        1 => proptest::collection::vec(any::<char>(), 0..20).prop_map(|chars| chars.into_iter().collect::<String>()),
    ]
}

/// A text of a megabyte that begins like this one.
pub(crate) fn megabyte(head: &str) -> String {
    let mut text = String::with_capacity(1 << 20);
    text.push_str(head);
    while text.len() < 1 << 20 {
        text.push_str("9\"\\é");
    }
    text
}

/// JSON of any shape.
pub(crate) fn junk() -> impl Strategy<Value = Value> + Clone {
    let leaf = prop_oneof![
        3 => proptest::sample::select(values()),
        2 => text().prop_map(Value::String),
        1 => any::<i64>().prop_map(|number| json!(number)),
        1 => any::<u64>().prop_map(|number| json!(number)),
        1 => any::<f64>().prop_map(|number| json!(number)),
        1 => any::<bool>().prop_map(Value::Bool),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::vec((text(), inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// What happens to a value: at the place that the number picks, something else stands.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Put(usize, Value),
    Remove(usize),
    Twice(usize),
}

/// Some changes.
pub(crate) fn changes(most: usize) -> impl Strategy<Value = Vec<Change>> + Clone {
    let change = prop_oneof![
        5 => (any::<usize>(), junk()).prop_map(|(place, value)| Change::Put(place, value)),
        1 => any::<usize>().prop_map(Change::Remove),
        1 => any::<usize>().prop_map(Change::Twice),
    ];
    proptest::collection::vec(change, 0..=most)
}

/// The value with the changes made, wherever in it they fall.
pub(crate) fn changed(mut value: Value, changes: Vec<Change>) -> Value {
    for change in changes {
        let places = places(&value);
        let at = |place: usize| places[place.checked_rem(places.len()).unwrap_or(0)].clone();
        match change {
            Change::Put(place, put) => {
                if let Some(found) = value.pointer_mut(&at(place)) {
                    *found = put;
                }
            }
            Change::Remove(place) => {
                let at = at(place);
                let Some((parent, key)) = at.rsplit_once('/') else { continue };
                match value.pointer_mut(parent) {
                    Some(Value::Object(fields)) => {
                        fields.remove(&key.replace("~1", "/").replace("~0", "~"));
                    }
                    Some(Value::Array(items)) => {
                        if let Ok(index) = key.parse::<usize>() {
                            items.remove(index);
                        }
                    }
                    _ => {}
                }
            }
            Change::Twice(place) => {
                let at = at(place);
                if let Some(Value::Array(items)) = value.pointer_mut(&at)
                    && let Some(first) = items.first().cloned()
                {
                    items.push(first);
                }
            }
        }
    }
    value
}

/// The pointers (RFC 6901) of everything in a value, itself included.
pub(crate) fn places(value: &Value) -> Vec<String> {
    fn walk(value: &Value, at: &str, into: &mut Vec<String>) {
        into.push(at.to_owned());
        match value {
            Value::Object(fields) => {
                for (key, field) in fields {
                    walk(field, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), into);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    walk(item, &format!("{at}/{index}"), into);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut places = Vec::new();
    walk(value, "", &mut places);
    places
}
