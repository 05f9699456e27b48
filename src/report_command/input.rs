//! Records from text: YAML or JSON, single objects, several documents, or a List.
//!
//! Owns how what cannot be read is named: the file, the object and the field. One bad document spoils no other.

use kube::ResourceExt as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::source::objects;
use crate::api::{GROUP, Reclassification, Release, ReworkEvent, VERSION};

/// The records, and what could not be read.
#[derive(Debug, Clone, Default)]
pub struct Records {
    /// Releases.
    pub releases: Vec<Release>,
    /// ReworkEvents.
    pub events: Vec<ReworkEvent>,
    /// Reclassifications.
    pub reclassifications: Vec<Reclassification>,
    /// What could not be read: where, and why.
    pub unreadable: Vec<String>,
    /// What was left out because it is no record.
    pub notes: Vec<String>,
}

impl Records {
    /// Reads what a text holds; `name` is what the text is called in messages.
    pub fn add(&mut self, name: &str, text: &str) {
        let text = text.trim_start_matches('\u{feff}');
        let mut others: u64 = 0;
        for (place, document) in documents(text) {
            match document {
                Ok(Value::Null) => {}
                Ok(value) => {
                    for (place, value) in objects(&format!("{name}, {place}"), value) {
                        self.one(&place, &value, &mut others);
                    }
                }
                Err(why) => self.unreadable.push(format!("{name}, {place} cannot be read: {why}")),
            }
        }
        if others > 0 {
            self.notes.push(format!("{name}: {others} objects are no records of Sluice and were left out"));
        }
    }

    /// Takes one object; `place` is where it stands.
    fn one(&mut self, place: &str, value: &Value, others: &mut u64) {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (kind, version) = (text("/kind"), text("/apiVersion"));
        if kind.is_empty() {
            return self.unreadable.push(format!("{place}: kind is missing, so it is no object of Kubernetes"));
        }
        if version.split('/').next() != Some(GROUP) || !["Release", "ReworkEvent", "Reclassification"].contains(&kind) {
            *others = others.saturating_add(1);
            return;
        }
        let known = format!("{GROUP}/{VERSION}");
        if version != known {
            return self.unreadable.push(format!("{place}: apiVersion is {version}, and only {known} can be read"));
        }
        if text("/metadata/name").is_empty() {
            return self.unreadable.push(format!("{place}: {kind} has no metadata.name"));
        }
        self.take(place, kind, value);
    }

    /// Takes one object of a kind that is known.
    pub(super) fn take(&mut self, place: &str, kind: &str, value: &Value) {
        let read = match kind {
            "Release" => read(value).map(|one| self.releases.push(one)),
            "ReworkEvent" => read(value).map(|one| self.events.push(one)),
            _ => read(value).map(|one| self.reclassifications.push(one)),
        };
        if let Err(why) = read {
            let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let object = format!("{kind} {}/{}", text("/metadata/namespace"), text("/metadata/name"));
            self.unreadable.push(format!("{place}: {object} cannot be read: {why}"));
        }
    }

    /// Keeps what is in this namespace.
    pub fn keep(&mut self, namespace: &str) {
        let here = |found: Option<String>| found.as_deref() == Some(namespace);
        self.releases.retain(|one| here(one.namespace()));
        self.events.retain(|one| here(one.namespace()));
        self.reclassifications.retain(|one| here(one.namespace()));
    }
}

/// Every document of a text, and where it stands. JSON is read as such: it is quicker, and has no limits.
pub(crate) fn documents(text: &str) -> Vec<(String, Result<Value, String>)> {
    if text.trim_start().starts_with(['{', '[']) {
        let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        let all: Vec<Result<Value, String>> = values.map(|one| one.map_err(|error| error.to_string())).collect();
        // YAML may begin with a brace too.
        if all.iter().all(Result::is_ok) || serde_saphyr::from_str::<Value>(text).is_err() {
            return (1_u64..).zip(all).map(|(number, one)| (format!("document {number}"), one)).collect();
        }
    }
    let mut parts: Vec<String> = vec![String::new()];
    for line in text.lines() {
        // Nothing else in YAML stands at the begin of a line like this: what is text inside a block is indented.
        if let Some(rest) = line.strip_prefix("---").filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t'])) {
            // A document may begin on this line.
            parts.push(format!("{}\n", rest.trim_start()));
        } else if let Some(part) = parts.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    let number = 1_u64..;
    let full =
        parts.into_iter().filter(|part| part.lines().any(|line| !line.trim().is_empty() && !line.starts_with('#')));
    number.zip(full).map(|(number, part)| (format!("document {number}"), yaml(&part))).collect()
}

/// One document. A namespace of records is larger than what the parser takes for a configuration.
fn yaml(text: &str) -> Result<Value, String> {
    let most = text.len().saturating_add(1000);
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: most,
            max_nodes: most,
            max_total_scalar_bytes: most,
        },
        with_snippet: false,
        strict_booleans: true,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    serde_json::from_value(value.clone()).map_err(|error| {
        let error = error.to_string();
        let at = match error.split('`').nth(1).filter(|_| error.starts_with("missing field")) {
            Some(field) => incomplete::<T>(value, field, &error),
            None => culprit::<T>(value, &error),
        };
        // A pointer of JSON, as people write it.
        let at = at.trim_start_matches('/').replace('/', ".").replace("~1", "/").replace("~0", "~");
        if at.is_empty() { error } else { format!("{at}: {error}") }
    })
}

/// What is said of an object that is changed in one place; nothing if the place is not there.
fn changed<T: DeserializeOwned>(whole: &Value, at: &str, change: impl FnOnce(&mut Value)) -> Option<String> {
    let mut other = whole.clone();
    change(other.pointer_mut(at)?);
    Some(serde_json::from_value::<T>(other).err().map(|error| error.to_string()).unwrap_or_default())
}

/// What is inside a value, by pointer.
fn inside(whole: &Value, at: &str) -> Vec<String> {
    let keys: Vec<String> = match whole.pointer(at) {
        Some(Value::Object(fields)) => fields.keys().map(|key| key.replace('~', "~0").replace('/', "~1")).collect(),
        Some(Value::Array(items)) => (0..items.len()).map(|index| index.to_string()).collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => Vec::new(),
    };
    keys.into_iter().map(|key| format!("{at}/{key}")).collect()
}

/// Finds the object that lacks a field: the one of which something else is said when it has it.
fn incomplete<T: DeserializeOwned>(whole: &Value, field: &str, error: &str) -> String {
    let mut places = vec![String::new()];
    while let Some(at) = places.pop() {
        let said = changed::<T>(whole, &at, |object| {
            if let Some(fields) = object.as_object_mut() {
                fields.entry(field).or_insert(Value::Null);
            }
        });
        if said.is_some_and(|said| said != error) {
            return at;
        }
        places.extend(inside(whole, &at));
    }
    String::new()
}

/// Finds the value that an error is about, going inwards: the field without which something else is said, the first item
/// up to which the same is said. (A field that is missing is only noticed when all that are there were read.)
fn culprit<T: DeserializeOwned>(whole: &Value, error: &str) -> String {
    let mut at = String::new();
    loop {
        let is_list = whole.pointer(&at).is_some_and(Value::is_array);
        let about = |(index, place): &(usize, String)| {
            let key = place.rsplit('/').next().unwrap_or_default().replace("~1", "/").replace("~0", "~");
            let said = changed::<T>(whole, &at, |value| match value {
                Value::Object(fields) => drop(fields.remove(&key)),
                Value::Array(items) => items.truncate(index.saturating_add(1)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            });
            said.is_some_and(|said| (said == error) == is_list)
        };
        let Some((_, next)) = inside(whole, &at).into_iter().enumerate().find(about) else { return at };
        at = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_may_begin_on_the_line_that_divides() {
        let all = documents("--- # a comment\na: 1\n--- {b: 2}\n---\nc: 3\n---\n# nothing\n");
        let all: Vec<Value> = all.into_iter().map(|(_, one)| one.unwrap()).collect();
        assert_eq!(all, [serde_json::json!({"a": 1}), serde_json::json!({"b": 2}), serde_json::json!({"c": 3})]);
    }

    #[test]
    fn a_foreign_kind_that_ends_in_list_is_no_record() {
        let mut records = Records::default();
        records.add("a", "{apiVersion: example.com/v1, kind: AllowList, metadata: {name: a}}");
        assert_eq!(records.unreadable, Vec::<String>::new());
        assert_eq!(records.notes.len(), 1);
    }
}
