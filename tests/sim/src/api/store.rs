//! The objects, and the log of their changes that watches read.
//!
//! Knows what the API server checks: resourceVersion, UID, finalizers, generations. Does not know who is asking for
//! what reason, nor what an object means.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::kinds::{KINDS, Kind};
use super::patches::{Change as How, Part};

/// An object by kind, namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The name of the kind.
    pub kind: &'static str,
    /// Empty where the kind has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    /// Of the namespace in which everything happens.
    pub fn demo(kind: &'static str, name: &str) -> Self {
        Self { kind, namespace: "demo".to_owned(), name: name.to_owned() }
    }
}

/// A request that is refused.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The HTTP status.
    pub code: u16,
    /// One word.
    pub reason: &'static str,
    /// One sentence.
    pub message: String,
}

impl Refusal {
    /// With this text.
    pub fn new(code: u16, reason: &'static str, message: &str) -> Self {
        Self { code, reason, message: message.to_owned() }
    }

    fn conflict(message: &str) -> Self {
        Self::new(409, "Conflict", message)
    }

    /// As a `Status`.
    pub fn body(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        })
    }
}

/// One change of one object.
#[derive(Debug, Clone)]
pub struct Change {
    /// The version that it made.
    pub version: u64,
    /// Before; none when it was created.
    pub old: Option<Arc<Value>>,
    /// After; none when it was deleted.
    pub new: Option<Arc<Value>>,
}

/// All objects.
#[derive(Debug, Default)]
pub struct Store {
    objects: BTreeMap<Key, Arc<Value>>,
    log: BTreeMap<&'static str, Vec<Change>>,
    version: u64,
    uids: u64,
}

/// Whether an object has all of these labels, written `key=value,…`.
pub fn labels_match(object: &Value, selector: &str) -> bool {
    let labels = object.at("/metadata/labels");
    selector.split(',').filter(|one| !one.is_empty()).all(|one| {
        let (key, value) = one.split_once('=').unwrap_or((one, ""));
        labels.and_then(|labels| labels.get(key)).and_then(Value::as_str) == Some(value)
    })
}

impl Store {
    /// The version of the last change.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The changes of a kind, oldest first.
    pub fn log(&self, kind: &str) -> &[Change] {
        self.log.get(kind).map_or(&[], Vec::as_slice)
    }

    /// One object.
    pub fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// The objects of a kind, of one namespace or all.
    pub fn list<'a>(&'a self, kind: &'static str, namespace: &'a str) -> impl Iterator<Item = &'a Arc<Value>> {
        let from = Key { kind, namespace: namespace.to_owned(), name: String::new() };
        self.objects
            .range(from..)
            .take_while(move |(key, _)| key.kind == kind && (namespace.is_empty() || key.namespace == namespace))
            .map(|(_, object)| object)
    }

    /// Whether any object has this UID.
    pub fn has_uid(&self, uid: &str) -> bool {
        self.objects.values().any(|object| text(object, "/metadata/uid") == uid)
    }

    /// Creates an object.
    pub fn create(&mut self, key: &Key, mut body: Value, now: &str) -> Result<Change, Refusal> {
        if self.objects.contains_key(key) {
            let message = format!("{} \"{}\" already exists", key.kind, key.name);
            return Err(Refusal::new(409, "AlreadyExists", &message));
        }
        let kind = known(key)?;
        self.uids = self.uids.saturating_add(1);
        let uid = format!("uid-{}", self.uids);
        let meta = metadata(&mut body)?;
        meta.insert("name".to_owned(), json!(key.name));
        if !key.namespace.is_empty() {
            meta.insert("namespace".to_owned(), json!(key.namespace));
        }
        meta.insert("uid".to_owned(), json!(uid));
        meta.insert("creationTimestamp".to_owned(), json!(now));
        meta.insert("generation".to_owned(), json!(1));
        if kind.status
            && let Some(body) = body.as_object_mut()
        {
            body.remove("status");
        }
        describe(kind, &mut body);
        Ok(self.put(key, Some(body)))
    }

    /// What an object would be after a write: everything that the API server checks but admission.
    pub fn changed(&self, key: &Key, part: Part, how: &How) -> Result<(Arc<Value>, Value), Refusal> {
        let kind = known(key)?;
        let Some(old) = self.objects.get(key) else {
            return Err(Refusal::new(404, "NotFound", &format!("{} \"{}\" not found", key.kind, key.name)));
        };
        let mut new = how.of(old)?;
        for field in ["/metadata/resourceVersion", "/metadata/uid"] {
            let (was, is) = (text(old, field), text(&new, field));
            if !is.is_empty() && was != is {
                return Err(Refusal::conflict(&format!("{field} is {was}, not {is}; the object has been modified")));
            }
        }
        let (old_status, new_status) = (old.get("status").cloned(), new.get("status").cloned());
        let status = if part == Part::Status {
            new = old.as_ref().clone();
            new_status
        } else if kind.status {
            old_status
        } else {
            new_status
        };
        if let Some(body) = new.as_object_mut() {
            match status {
                Some(status) => body.insert("status".to_owned(), status),
                None => body.remove("status"),
            };
        }
        // What nobody but the API server sets.
        let kept: Vec<(&str, Option<Value>)> =
            ["uid", "name", "namespace", "creationTimestamp", "generation", "resourceVersion", "deletionTimestamp"]
                .into_iter()
                .map(|field| (field, old.at(&format!("/metadata/{field}")).cloned()))
                .collect();
        let generation = number(old, "/metadata/generation");
        let respec = without_meta(old) != without_meta(&new);
        let meta = metadata(&mut new)?;
        for (field, value) in kept {
            match value {
                Some(value) => meta.insert(field.to_owned(), value),
                None => meta.remove(field),
            };
        }
        if respec {
            meta.insert("generation".to_owned(), json!(generation.saturating_add(1)));
        }
        describe(kind, &mut new);
        Ok((Arc::clone(old), new))
    }

    /// Puts what `changed` and admission made of an object. None if nothing is different.
    pub fn update(&mut self, key: &Key, new: Value) -> Option<Change> {
        if self.objects.get(key).is_some_and(|old| **old == new) {
            return None;
        }
        let deleting = new.at("/metadata/deletionTimestamp").is_some();
        let free = new.at("/metadata/finalizers").and_then(Value::as_array).is_none_or(Vec::is_empty);
        Some(self.put(key, if deleting && free { None } else { Some(new) }))
    }

    /// Deletes an object, or marks it where it has finalizers. None if it was marked before.
    pub fn delete(
        &mut self,
        key: &Key,
        uid: Option<&str>,
        version: Option<&str>,
        now: &str,
    ) -> Result<Option<Change>, Refusal> {
        let Some(old) = self.objects.get(key) else {
            return Err(Refusal::new(404, "NotFound", &format!("{} \"{}\" not found", key.kind, key.name)));
        };
        let differs = |wanted: Option<&str>, field: &str| wanted.is_some_and(|wanted| wanted != text(old, field));
        if differs(uid, "/metadata/uid") || differs(version, "/metadata/resourceVersion") {
            return Err(Refusal::conflict("a precondition of the delete does not hold"));
        }
        let finalizers = old.at("/metadata/finalizers").and_then(Value::as_array);
        if finalizers.is_none_or(Vec::is_empty) {
            return Ok(Some(self.put(key, None)));
        }
        if old.at("/metadata/deletionTimestamp").is_some() {
            return Ok(None);
        }
        let mut new = old.as_ref().clone();
        metadata(&mut new)?.insert("deletionTimestamp".to_owned(), json!(now));
        Ok(Some(self.put(key, Some(new))))
    }

    fn put(&mut self, key: &Key, new: Option<Value>) -> Change {
        self.version = self.version.saturating_add(1);
        let version = self.version;
        let old = self.objects.get(key).cloned();
        let new = new.map(|mut new| {
            if let Ok(meta) = metadata(&mut new) {
                meta.insert("resourceVersion".to_owned(), json!(version.to_string()));
            }
            Arc::new(new)
        });
        match &new {
            Some(new) => self.objects.insert(key.clone(), Arc::clone(new)),
            None => self.objects.remove(key),
        };
        let change = Change { version, old, new };
        self.log.entry(key.kind).or_default().push(change.clone());
        change
    }
}

fn known(key: &Key) -> Result<&'static Kind, Refusal> {
    KINDS
        .iter()
        .find(|kind| kind.kind == key.kind)
        .ok_or_else(|| Refusal::new(404, "NotFound", "the server could not find the requested resource"))
}

fn describe(kind: &Kind, body: &mut Value) {
    let group = if kind.group.is_empty() { String::new() } else { format!("{}/", kind.group) };
    if let Some(body) = body.as_object_mut() {
        body.insert("apiVersion".to_owned(), json!(format!("{group}{}", kind.version)));
        body.insert("kind".to_owned(), json!(kind.kind));
    }
}

fn metadata(object: &mut Value) -> Result<&mut Map<String, Value>, Refusal> {
    let invalid = || Refusal::new(422, "Invalid", "an object has metadata");
    object.get_mut("metadata").and_then(Value::as_object_mut).ok_or_else(invalid)
}

fn without_meta(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("metadata");
        fields.remove("status");
    }
    object
}

/// What `serde_json`'s `pointer` does, without a copy of each part: it is called more often than anything else here.
pub trait Look {
    /// The value at a JSON pointer (RFC 6901).
    fn at(&self, pointer: &str) -> Option<&Value>;
}

impl Look for Value {
    fn at(&self, pointer: &str) -> Option<&Value> {
        pointer.split('/').skip(1).try_fold(self, |value, part| match value {
            Value::Object(fields) if part.contains('~') => fields.get(&part.replace("~1", "/").replace("~0", "~")),
            Value::Object(fields) => fields.get(part),
            Value::Array(items) => items.get(part.parse::<usize>().ok()?),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        })
    }
}

/// A text in an object; empty if there is none.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.at(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a Deployment is paused.
pub fn paused(deployment: &Value) -> bool {
    deployment.at("/spec/paused").and_then(Value::as_bool).unwrap_or(false)
}

/// A number in an object; 0 if there is none.
pub fn number(object: &Value, pointer: &str) -> i64 {
    object.at(pointer).and_then(Value::as_i64).unwrap_or_default()
}
