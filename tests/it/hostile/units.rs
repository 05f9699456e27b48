//! Durations, percentages, numbers, names: whatever text they are read from.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use proptest::prelude::*;
use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sluice::api::{Duration, InvalidUnit, Number, Percent, names};

use super::{nasty, schema};

/// What holds for every unit: read or refused as its schema says, printed as it is read, refused in few words.
fn unit<T>(text: &str) -> Result<Option<T>, TestCaseError>
where
    T: FromStr<Err = InvalidUnit> + Display + Debug + PartialEq + Clone + DeserializeOwned + JsonSchema,
{
    let own = T::json_schema(&mut SchemaGenerator::default());
    let pattern = own.get("pattern").unwrap().as_str().unwrap();
    let longest = usize::try_from(own.get("maxLength").unwrap().as_u64().unwrap()).unwrap();
    let allowed = schema::matches(pattern, text) && text.chars().count() <= longest;
    let read = text.parse::<T>();
    // What the API server lets in is read. The other way round only as far as it is the same value.
    prop_assert!(!allowed || read.is_ok(), "the schema lets {text:?} in, and it cannot be read");
    let from_json: Result<T, _> = serde_json::from_value(json!(text));
    prop_assert_eq!(from_json.ok(), read.clone().ok());
    match read {
        Ok(value) => {
            prop_assert!(allowed, "{text:?} is read, and the schema refuses it");
            prop_assert_eq!(value.to_string().parse::<T>(), Ok(value.clone()));
            prop_assert!(value.to_string().len() < 60, "{value}");
            Ok(Some(value))
        }
        Err(error) => {
            let said = error.to_string();
            // As much of the text as tells which one it is.
            let head: String = text.chars().take(10).collect();
            let named = said.contains(format!("{head:?}").trim_end_matches('"'));
            prop_assert!(named, "{said}");
            prop_assert!(said.len() < 700, "{} bytes", said.len());
            Ok(None)
        }
    }
}

fn units(text: &str) -> Result<(), TestCaseError> {
    if let Some(duration) = unit::<Duration>(text)? {
        prop_assert!(duration.as_millis() >= 0 && duration.as_secs_f64().is_finite());
    }
    if let Some(percent) = unit::<Percent>(text)? {
        prop_assert!((0.0..=1.0).contains(&percent.ratio()));
    }
    if let Some(number) = unit::<Number>(text)? {
        prop_assert!(number.value().is_finite());
    }
    Ok(())
}

#[test]
fn the_corpus() {
    for text in nasty::texts() {
        units(&text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    }
    for head in ["", "1", "1h", "100%", "-", "1e", "é"] {
        units(&nasty::megabyte(head)).unwrap_or_else(|error| panic!("{head}…: {error}"));
    }
}

#[test]
fn what_is_no_text_is_no_unit() {
    for value in nasty::values().into_iter().filter(|value| !value.is_string()) {
        assert!(serde_json::from_value::<Duration>(value.clone()).is_err(), "{value}");
        assert!(serde_json::from_value::<Percent>(value.clone()).is_err(), "{value}");
        assert!(serde_json::from_value::<Number>(value.clone()).is_err(), "{value}");
    }
    for bytes in [&br#""\ud800""#[..], b"\"\xff\"", b"\"1h", b"", b"\"1h\"\"1h\""] {
        assert!(serde_json::from_slice::<Duration>(bytes).is_err());
    }
}

/// What a label may hold, and what an object may be called.
fn is_label(text: &str) -> bool {
    schema::matches("^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$", text)
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && schema::matches(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", text)
}

proptest! {
    #![proptest_config(nasty::cases(1_000))]

    #[test]
    fn any_text(text in nasty::text()) {
        units(&text)?;
    }

    #[test]
    fn nearly_units(text in "-?[0-9]{0,6}[.eE]?[-+]?[0-9]{0,3}(h|m|s|ms|%|)([0-9]{1,5}(h|m|s|ms)){0,4}") {
        units(&text)?;
    }

    #[test]
    fn order_is_that_of_the_values(one in 0_u64..400_000_000, other in 0_u64..400_000_000) {
        let (a, b) = (Duration::from_millis(one), Duration::from_millis(other));
        prop_assert_eq!(a.cmp(&b), one.cmp(&other));
        prop_assert_eq!(a.as_millis().cmp(&b.as_millis()), one.cmp(&other));
        prop_assert_eq!(a.to_string().parse::<Duration>().unwrap(), a);
        let (a, b) = (Percent::from_millionths(one as u32 % 1_000_001), Percent::from_millionths(other as u32 % 1_000_001));
        prop_assert_eq!(a.cmp(&b), a.ratio().total_cmp(&b.ratio()));
        prop_assert_eq!(a.to_string().parse::<Percent>().unwrap(), a);
    }

    /// Names of objects and values of labels stay such, also the longest.
    #[test]
    fn names_stay_names(
        base in "[a-z0-9]([-a-z0-9]{0,80}[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]{0,80}[a-z0-9])?){0,2}",
        other in "[a-z0-9]([-a-z0-9]{0,80}[a-z0-9])?",
        label in "([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?",
        key in nasty::text(), number in any::<u32>(),
    ) {
        let release = names::release(&base, &key, number, &key);
        for name in [names::canary(&base), release.clone(), names::escaped(&release), names::unique(&base, &key)] {
            prop_assert!(is_subdomain(&name) && name.len() <= 63 && names::is_name(&name), "{name}");
        }
        prop_assert!(is_label(&names::with_suffix(&base, "")), "{}", names::with_suffix(&base, ""));
        prop_assert!(is_label(&names::with_suffix(&label, "-canary")), "{label:?}: {}", names::with_suffix(&label, "-canary"));
        prop_assert_eq!(is_subdomain(&base), names::is_name(&base));
        // Two different ones do not meet.
        prop_assert!(base == other || names::canary(&base) != names::canary(&other));
        prop_assert!(names::release(&base, &key, number, "a") != names::release(&base, &key, number, "b"));
        prop_assert!(names::release(&base, &key, number, "a") != names::release(&base, &key, number.wrapping_add(1), "a"));
        prop_assert!(names::unique(&base, &key) != names::unique(&base, &(key.clone() + "x")));
    }

    /// Of texts that are no names nothing is asked, and nothing made of them is too long.
    #[test]
    fn what_is_no_name(text in nasty::text()) {
        prop_assert!(!names::is_name(&text) || text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b)));
        for name in [names::canary(&text), names::with_suffix(&text, ""), names::unique(&text, "k"), names::release(&text, "u", 1, "r")] {
            prop_assert!(name.len() <= 63, "{name:?}");
        }
    }

    #[test]
    fn digests_are_sixteen_digits(template in nasty::junk(), other in nasty::junk()) {
        let digest = names::template_digest(&template);
        prop_assert!(digest.len() == 16 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
        // Whoever reads the same bytes has the same digest.
        let again = || names::template_digest(&serde_json::from_str::<Value>(&template.to_string()).unwrap());
        prop_assert_eq!(again(), again());
        prop_assert!(template == other || names::template_digest(&other) != digest, "{template} {other}");
        prop_assert!(names::short(&digest).len() == 8);
        let _ = (names::without_template_hash(template), names::short("é"), names::short("aaaaaaaé"));
    }
}
