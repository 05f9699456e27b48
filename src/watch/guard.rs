//! One object that cannot be read must not hide the others.
//!
//! The API server sends what it has stored: an object of an older schema, or of one that somebody changed, may not fit
//! the types of this program. A list with such an object in it would fail as a whole, and with it the watch of its kind.
//! Owns what is made of such an object: its metadata, and a sentence that names the field. Reads only.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{DeserializeSeed, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};
use serde_json::Value;

/// The longest sentence about an object.
const LONGEST: usize = 300;

/// An object, or why it cannot be read.
#[derive(Debug, Clone)]
pub struct Guarded<K>(pub Result<K, Unreadable>);

/// An object that cannot be read.
#[derive(Debug, Clone)]
pub struct Unreadable {
    /// Its metadata, as far as they can be read.
    pub metadata: ObjectMeta,
    /// Where it does not fit, and why: `spec.waves[0].bake: "10x" is not a duration …`.
    pub error: String,
}

impl<K> From<Guarded<K>> for DeserializeGuard<K> {
    fn from(Guarded(read): Guarded<K>) -> Self {
        Self(read.map_err(|Unreadable { metadata, error }| InvalidObject { error, metadata }))
    }
}

impl<'de, K: serde::de::DeserializeOwned> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // What is no object is a value like any other: reading it says so.
        let object = Lean(&["metadata", "managedFields"]).deserialize(deserializer)?;
        Ok(Self(read(&object).map_err(|error| Unreadable { metadata: metadata(&object), error })))
    }
}

impl<K: Resource> Resource for Guarded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(of: &K::DynamicType) -> Cow<'_, str> {
        K::kind(of)
    }

    fn group(of: &K::DynamicType) -> Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &K::DynamicType) -> Cow<'_, str> {
        K::version(of)
    }

    fn plural(of: &K::DynamicType) -> Cow<'_, str> {
        K::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|unreadable| &unreadable.metadata, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.as_mut().map_or_else(|unreadable| &mut unreadable.metadata, K::meta_mut)
    }
}

/// Reads a value without what stands at a path. Nobody reads managedFields, they are the larger part of most objects, and
/// whoever writes an object may put times into them that this program cannot read. They are passed over, not made and
/// thrown away: thousands of objects are read at a time, between those that are kept.
#[derive(Clone, Copy)]
struct Lean(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Lean {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Lean {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = serde_json::Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            match self.0.split_first() {
                Some((first, [])) if *first == key => {
                    entries.next_value::<IgnoredAny>()?;
                }
                Some((first, rest)) if *first == key => {
                    let value = entries.next_value_seed(Lean(rest))?;
                    map.insert(key, value);
                }
                _ => {
                    let value = entries.next_value()?;
                    map.insert(key, value);
                }
            }
        }
        Ok(Value::Object(map))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Value, A::Error> {
        Value::deserialize(SeqAccessDeserializer::new(items))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }
}

/// Metadata as they are, or else as much of them as it takes to name the object.
fn metadata(object: &Value) -> ObjectMeta {
    let text = |key: &str| object.get("metadata")?.get(key)?.as_str().map(str::to_owned);
    object.get("metadata").and_then(|metadata| ObjectMeta::deserialize(metadata).ok()).unwrap_or_else(|| ObjectMeta {
        name: text("name"),
        namespace: text("namespace"),
        uid: text("uid"),
        resource_version: text("resourceVersion"),
        ..ObjectMeta::default()
    })
}

/// Reads a value, or says where it does not fit.
fn read<'de, T: Deserialize<'de>>(value: &'de Value) -> Result<T, String> {
    let wrong = RefCell::new(None);
    T::deserialize(At { value, path: &Path::Top, wrong: &wrong }).map_err(|error| {
        let error = match wrong.into_inner() {
            Some(path) => format!("{path}: {error}"),
            None => error.to_string(),
        };
        // An error may quote a value, and that may be large.
        error.chars().take(LONGEST).collect()
    })
}

/// The way to a value.
enum Path<'p> {
    Top,
    Field(&'p Path<'p>, &'p str),
    Item(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => Ok(()),
            Self::Field(Self::Top, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// A value at its place.
struct At<'de, 'p> {
    value: &'de Value,
    path: &'p Path<'p>,
    wrong: &'p RefCell<Option<String>>,
}

impl At<'_, '_> {
    /// Reads what stands inside at `path`; what goes wrong is noted with it, the innermost first.
    fn inside<'de, S: DeserializeSeed<'de>>(
        &self,
        path: &Path<'_>,
        value: &'de Value,
        seed: S,
    ) -> Result<S::Value, serde_json::Error> {
        let result = seed.deserialize(At { value, path, wrong: self.wrong });
        if result.is_err() {
            let mut wrong = self.wrong.borrow_mut();
            wrong.get_or_insert_with(|| path.to_string().chars().take(LONGEST).collect());
        }
        result
    }
}

impl<'de> Deserializer<'de> for At<'de, '_> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.value {
            Value::Object(fields) => visitor.visit_map(Fields { fields: fields.iter(), next: None, at: &self }),
            Value::Array(items) => visitor.visit_seq(Items { items: items.iter().enumerate(), at: &self }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => self.value.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.value.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// The fields of an object, one after the other.
struct Fields<'de, 'p> {
    fields: serde_json::map::Iter<'de>,
    next: Option<(&'de str, &'de Value)>,
    at: &'p At<'de, 'p>,
}

impl<'de> MapAccess<'de> for Fields<'de, '_> {
    type Error = serde_json::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Self::Error> {
        self.next = self.fields.next().map(|(name, value)| (name.as_str(), value));
        match self.next {
            Some((name, _)) => seed.deserialize(name.into_deserializer()).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Self::Error> {
        let (name, value) = self.next.take().unwrap_or(("", &Value::Null));
        self.at.inside(&Path::Field(self.at.path, name), value, seed)
    }
}

/// The items of a list, one after the other.
struct Items<'de, 'p> {
    items: std::iter::Enumerate<std::slice::Iter<'de, Value>>,
    at: &'p At<'de, 'p>,
}

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = serde_json::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Self::Error> {
        let Some((index, value)) = self.items.next() else { return Ok(None) };
        self.at.inside(&Path::Item(self.at.path, index), value, seed).map(Some)
    }
}
