//! Answers that no Prometheus gives: bytes, JSON of any shape, and real answers with something changed.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::nasty;

/// One body a line, as a JSON string of its bytes (each character is one byte).
const BODIES: &str = include_str!("../../../tests/it/hostile/corpus/answers.jsonl");

fn bodies() -> Vec<Vec<u8>> {
    let byte = |c: char| u8::try_from(u32::from(c)).unwrap();
    nasty::lines(BODIES).map(|line| serde_json::from_str::<String>(line).unwrap().chars().map(byte).collect()).collect()
}

/// Real answers: what Prometheus 3 says to a range selector and to instant queries.
fn real() -> Vec<Value> {
    let metric = json!({"__name__": "c", "service": "a@k", "code": "200"});
    let values = json!([[1_700_000_000.123, "1"], [1_700_000_001.123, "2"], [1_700_000_002.123, "2.5e3"]]);
    vec![
        json!({"status": "success", "data": {"resultType": "matrix", "result": [
            {"metric": metric, "values": values}, {"metric": {"__name__": "c"}, "values": values}]}}),
        json!({"status": "success", "data": {"resultType": "vector", "result": [{"metric": metric, "value": [1.5, "3"]}]}}),
        json!({"status": "success", "data": {"resultType": "scalar", "result": [1.5, "3"]}, "infos": ["PromQL info: x"]}),
        json!({"status": "success", "data": {"resultType": "string", "result": [1.5, "3"]}, "warnings": ["w"]}),
        json!({"status": "error", "errorType": "bad_data", "error": "parse error"}),
    ]
}

/// What must be true of whatever is made of an answer.
fn sound(body: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(series) = counters(body) {
        prop_assert!(series.len() <= MOST_SERIES);
        for one in &series {
            prop_assert!(one.samples.is_sorted_by(|earlier, later| earlier.at < later.at));
            prop_assert!(one.samples.iter().all(|sample| sample.value.is_finite()));
            prop_assert!(!one.labels.contains_key("__name__"));
            prop_assert_eq!(&one.id, &series_id(&one.labels));
        }
    }
    if let Ok(sample) = value(body) {
        prop_assert!(sample.value.is_finite());
    }
    let texts = [counters(body).err(), value(body).err(), refusal(body)];
    for (_, text) in texts.into_iter().flatten() {
        // Nothing of the answer is in it but numbers and words that this program knows.
        prop_assert!(text.len() < 120 && text.is_ascii() && !text.contains("secret"), "{text}");
    }
    Ok(())
}

#[test]
fn the_corpus() {
    for body in bodies() {
        sound(&body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&body)));
    }
}

/// The corpus says of each body which class it is of; what is not said is only read.
#[test]
fn each_class_of_refusal_has_its_cases() {
    let vector = |result: &str| format!(r#"{{"status":"success","data":{{"resultType":"vector","result":{result}}}}}"#);
    let matrix = |result: &str| format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":{result}}}}}"#);
    let many = format!("[{}]", vec![r#"{"metric":{},"value":[1,"1"]}"#; 1_000].join(","));
    let series =
        |n: usize| (0..n).map(|n| format!(r#"{{"metric":{{"a":"{n}"}},"values":[[1,"1"]]}}"#)).collect::<Vec<_>>();
    use FailureClass as Class;
    for (body, expected) in [
        (vector("[]"), Some(Class::Empty)),
        (vector(&many), Some(Class::ManySeries)),
        (vector(r#"[{"metric":{},"value":[1,"NaN"]}]"#), Some(Class::NotANumber)),
        (vector(r#"[{"metric":{},"value":[1,"+Inf"]}]"#), Some(Class::Infinite)),
        (vector(r#"[{"metric":{},"value":[1,"1e309"]}]"#), Some(Class::Infinite)),
        (vector(r#"[{"metric":{},"value":[1e300,"1"]}]"#), Some(Class::Malformed)),
        (vector(r#"[{"metric":{},"value":[1,1]}]"#), Some(Class::Malformed)),
        (vector(r#"[{"metric":{},"value":[1,""]}]"#), Some(Class::Malformed)),
        (vector(r#"[{"metric":{},"value":[1]}]"#), Some(Class::Malformed)),
        (vector(r#"[{"metric":{},"value":null}]"#), Some(Class::Malformed)),
        (vector("null"), Some(Class::Malformed)),
        (vector(r#"[{"metric":{},"value":[1,"-0"]}]"#), None),
        (vector(r#"[{"metric":{},"value":[-62135596800,"-1e308"]}]"#), None),
    ] {
        assert_eq!(value(body.as_bytes()).err().map(|refusal| refusal.0), expected, "{body:.200}");
    }
    for (body, expected) in [
        (matrix("[]"), None),
        (matrix(r#"[{"metric":{},"values":[]}]"#), None),
        (matrix(r#"[{"metric":{}}]"#), None),
        (matrix(&format!("[{}]", series(MOST_SERIES).join(","))), None),
        (matrix(&format!("[{}]", series(MOST_SERIES.saturating_add(1)).join(","))), Some(Class::ManySeries)),
        (
            matrix(r#"[{"metric":{"__name__":"a"},"values":[]},{"metric":{"__name__":"b"},"values":[]}]"#),
            Some(Class::Malformed),
        ),
        (matrix(r#"[{"metric":{},"values":[[2,"1"],[1,"2"]]}]"#), Some(Class::Malformed)),
        (matrix(r#"[{"metric":{},"values":[[1,"1"],[1,"2"]]}]"#), Some(Class::Malformed)),
        (matrix(r#"[{"metric":{},"values":[[1,"StaleNaN"]]}]"#), Some(Class::Malformed)),
        (matrix(r#"[{"metric":{},"values":[[1,"NaN"]]}]"#), Some(Class::NotANumber)),
        (matrix(r#"[{"metric":{"":"","é":"\u0000","a-b":"\"}"},"values":[[1,"-5"]]}]"#), None),
        (matrix(r#"[{"metric":{"a":1},"values":[]}]"#), Some(Class::Malformed)),
        (matrix(r#"[{"metric":{"a":"\ud800"},"values":[]}]"#), Some(Class::Malformed)),
        (matrix(r#"[{"metric":{},"histograms":[]}]"#), Some(Class::Malformed)),
    ] {
        assert_eq!(counters(body.as_bytes()).err().map(|refusal| refusal.0), expected, "{body:.200}");
    }
}

/// As much as the client reads, of the shapes that take the most memory for each byte: the work stays bounded.
#[test]
fn the_largest_answers_are_refused_or_read() {
    const LARGEST: usize = 1 << 23;
    let fill = |head: &str, item: &str, tail: &str| {
        let mut body = String::with_capacity(LARGEST);
        body.push_str(head);
        while body.len().saturating_add(item.len()).saturating_add(tail.len()) < LARGEST {
            body.push_str(item);
        }
        body.push_str(tail);
        body.into_bytes()
    };
    let head = r#"{"status":"success","data":{"resultType":"matrix","result":["#;
    let series = fill(head, r#"{"metric":{}},"#, r#"{"metric":{}}]}}"#);
    assert_eq!(counters(&series).unwrap_err().0, FailureClass::ManySeries);
    let nested = fill(&format!("{head}{{\"x\":"), "[", "");
    assert_eq!(counters(&nested).unwrap_err().0, FailureClass::Malformed);
    let nested = fill(r#"{"status":"success","data":{"resultType":"vector","result":[{"value":"#, r#"{"a":"#, "");
    assert_eq!(value(&nested).unwrap_err().0, FailureClass::Malformed);
    let text = fill(r#"{"status":""#, "\\u00e9", "\"}");
    assert_eq!(value(&text).unwrap_err().0, FailureClass::Malformed);
    let warnings = fill(r#"{"status":"success","warnings":["#, "\"\",", "\"\"]}");
    assert_eq!(value(&warnings).unwrap_err().0, FailureClass::Partial);
}

proptest! {
    #![proptest_config(nasty::cases(1_000))]

    #[test]
    fn any_bytes(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        sound(&body)?;
    }

    #[test]
    fn any_json(body in nasty::junk()) {
        sound(body.to_string().as_bytes())?;
    }

    /// Real answers with something else in one to four places.
    #[test]
    fn real_answers_changed(which in 0_usize..5, changes in nasty::changes(4)) {
        sound(nasty::changed(real().swap_remove(which), changes).to_string().as_bytes())?;
    }

    /// Real answers with bytes cut out, doubled or changed.
    #[test]
    fn real_answers_broken(which in 0_usize..5, edits in proptest::collection::vec((any::<usize>(), any::<u8>(), 0_u8..3), 1..5)) {
        let mut body = real().swap_remove(which).to_string().into_bytes();
        for (at, byte, how) in edits {
            let at = at.checked_rem(body.len().max(1)).unwrap_or(0);
            match how {
                0 => body.truncate(at),
                1 => body.insert(at, byte),
                _ => if let Some(found) = body.get_mut(at) { *found = byte },
            }
        }
        sound(&body)?;
    }
}
