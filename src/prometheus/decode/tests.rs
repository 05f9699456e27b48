//! One case per kind of answer, and a search for input that breaks the decoder.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn bytes(answer: &Value) -> Vec<u8> {
    serde_json::to_vec(answer).unwrap()
}

fn success(result_type: &str, result: Value) -> Value {
    json!({"status": "success", "data": {"resultType": result_type, "result": result}})
}

fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap()
}

#[test]
fn counters_keep_every_sample_of_every_series() {
    let mut answer = success(
        "matrix",
        json!([
            {"metric": {"__name__": "requests_total", "code": "200"},
             "values": [[1700000000.123, "1"], [1700000015.123, "1.5e+06"]]},
            {"metric": {"__name__": "requests_total", "code": "500"}, "values": [[1700000000, "0"]]},
            {"metric": {}, "values": []},
        ]),
    );
    answer["infos"] = json!(["PromQL info: something"]);
    answer["warnings"] = json!([]);
    let mut series = counters(&bytes(&answer)).unwrap();
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    assert_eq!(series.len(), 3);
    assert_eq!(series[1].labels, [("code".to_owned(), "200".to_owned())].into());
    assert_eq!(
        series[1].samples,
        [Sample { at: at(1_700_000_000_123), value: 1.0 }, Sample { at: at(1_700_000_015_123), value: 1_500_000.0 }]
    );
    assert_eq!(counters(&bytes(&success("matrix", json!([])))).unwrap(), []);
}

#[test]
fn a_value_is_one_element_or_a_scalar() {
    let vector = success("vector", json!([{"metric": {"a": "b"}, "value": [1700000000.5, "-0.25"]}]));
    let scalar = success("scalar", json!([1700000000.5, "-0.25"]));
    for answer in [vector, scalar] {
        let sample = value(&bytes(&answer)).unwrap();
        assert_eq!(sample, Sample { at: at(1_700_000_000_500), value: -0.25 });
    }
}

#[test]
fn each_failure_has_its_class() {
    use FailureClass as C;
    let point = |text: &str| success("vector", json!([{"metric": {}, "value": [1, text]}]));
    let raw = |text: &str| success("matrix", json!([{"metric": {}, "values": [[1, "1"], [2, text]]}]));
    let error = |kind: &str| json!({"status": "error", "errorType": kind, "error": "secret"});
    let warned = |mut answer: Value| {
        answer["warnings"] = json!(["secret one", "secret two"]);
        answer
    };
    let values = [
        (success("vector", json!([])), C::Empty, "no series"),
        (
            success("vector", json!([{"metric": {}, "value": [1, "1"]}, {"metric": {}, "value": [1, "1"]}])),
            C::ManySeries,
            "2 series",
        ),
        (point("NaN"), C::NotANumber, "NaN"),
        (point("+Inf"), C::Infinite, "infinite"),
        (point("-Inf"), C::Infinite, "infinite"),
        (point("1e999"), C::Infinite, "infinite"),
        (point("secret"), C::Malformed, "not a number"),
        (success("scalar", json!([1, "NaN"])), C::NotANumber, "NaN"),
        (success("string", json!([1, "secret"])), C::Malformed, "type is string"),
        (success("secret", json!([])), C::Malformed, "type is unknown"),
        (success("matrix", json!([{"metric": {}, "values": [[1, "1"]]}])), C::Malformed, "type is matrix"),
        (
            success("vector", json!([{"metric": {}, "histogram": [1, {"count": "1"}]}])),
            C::Malformed,
            "native histogram",
        ),
        (success("vector", json!([{"metric": {}}])), C::Malformed, "no value"),
        (success("vector", json!([{"metric": {}, "value": [1e300, "1"]}])), C::Malformed, "time"),
        (success("vector", json!([{"metric": {}, "value": [-1e300, "1"]}])), C::Malformed, "time"),
        (success("vector", json!([{"metric": {}, "value": ["1", "1"]}])), C::Malformed, "form"),
        (success("vector", json!([{"metric": {}, "value": [1, 1]}])), C::Malformed, "form"),
        (success("vector", json!([{"metric": {}, "value": [1, "1", 1]}])), C::Malformed, ""),
        (success("vector", json!(null)), C::Malformed, "form"),
        (warned(point("1")), C::Partial, "2 warnings"),
        (error("timeout"), C::Timeout, "timeout"),
        (error("bad_data"), C::BadQuery, "bad_data"),
        (error("execution"), C::BadQuery, "execution"),
        (error("unavailable"), C::HttpStatus, "unavailable"),
        (error("secret"), C::HttpStatus, "unknown"),
        (json!({"status": "error"}), C::HttpStatus, "unknown"),
        (json!({"status": "secret", "data": {"resultType": "vector", "result": []}}), C::Malformed, "status"),
        (json!({"status": "success"}), C::Malformed, "no data"),
        (json!({"status": "success", "data": {}}), C::Malformed, "form"),
        (json!({}), C::Malformed, "form"),
        (json!("secret"), C::Malformed, "form"),
    ];
    for (answer, class, part) in values {
        let (found, text) = value(&bytes(&answer)).unwrap_err();
        assert_eq!(found, class, "{answer}: {text}");
        assert!(text.contains(part) && !text.contains("secret"), "{answer}: {text}");
    }
    let many: Vec<Value> = (0..257).map(|n| json!({"metric": {"n": n.to_string()}, "values": []})).collect();
    let counter_answers = [
        (raw("NaN"), C::NotANumber, "NaN"),
        (raw("+Inf"), C::Infinite, "infinite"),
        (raw("-"), C::Malformed, "not a number"),
        (success("matrix", json!(many)), C::ManySeries, "257 series"),
        (
            success(
                "matrix",
                json!([{"metric": {"__name__": "a"}, "values": []}, {"metric": {"__name__": "b"}, "values": []}]),
            ),
            C::Malformed,
            "same labels",
        ),
        (success("matrix", json!([{"metric": {}, "values": [[2, "1"], [1, "2"]]}])), C::Malformed, "order"),
        (success("matrix", json!([{"metric": {}, "values": [[1, "1"], [1.0001, "2"]]}])), C::Malformed, "order"),
        (
            success("matrix", json!([{"metric": {}, "histograms": [[1, {"count": "1"}]]}])),
            C::Malformed,
            "native histogram",
        ),
        (success("vector", json!([])), C::Malformed, "type is vector"),
        (success("matrix", json!([{"values": []}])), C::Malformed, "form"),
        (warned(raw("1")), C::Partial, "2 warnings"),
        (error("timeout"), C::Timeout, "timeout"),
    ];
    for (answer, class, part) in counter_answers {
        let (found, text) = counters(&bytes(&answer)).unwrap_err();
        assert_eq!(found, class, "{answer}: {text}");
        assert!(text.contains(part) && !text.contains("secret"), "{answer}: {text}");
    }
    for (body, part) in [("", "ends early"), ("<html>", "not JSON"), ("{\"status\":", "ends early")] {
        let (class, text) = value(body.as_bytes()).unwrap_err();
        assert_eq!(class, C::Malformed);
        assert!(text.contains(part), "{body}: {text}");
    }
}

#[test]
fn remarks_of_older_servers_are_not_warnings() {
    let mut answer = success("scalar", json!([1, "1"]));
    answer["warnings"] = json!(["PromQL info: metric might not be a counter"]);
    assert!(value(&bytes(&answer)).is_ok());
    answer["warnings"] = json!(["PromQL info: metric might not be a counter", "remote read failed"]);
    let (class, text) = value(&bytes(&answer)).unwrap_err();
    assert_eq!(class, FailureClass::Partial);
    assert!(text.contains("1 warning:"), "{text}");
}

#[test]
fn only_a_prometheus_error_explains_an_http_error() {
    let (class, _) = refusal(br#"{"status":"error","errorType":"bad_data","error":"1:3: parse error"}"#).unwrap();
    assert_eq!(class, FailureClass::BadQuery);
    assert_eq!(refusal(b"<html>502</html>"), None);
    assert_eq!(refusal(br#"{"status":"success","data":{"resultType":"vector","result":[]}}"#), None);
}

#[test]
fn the_digest_of_labels_never_changes() {
    let labels = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    assert_eq!(series_id(&labels(&[])), "e3b0c44298");
    // sha256 of `code` ff `200` ff `service` ff `shop` ff
    assert_eq!(series_id(&labels(&[("code", "200"), ("service", "shop")])), "0ec2180b31");
    assert_ne!(series_id(&labels(&[("a", "bc")])), series_id(&labels(&[("ab", "c")])));
}

/// JSON that resembles an answer closely enough to get deep into the decoder.
fn resembling() -> impl Strategy<Value = Value> {
    let number =
        prop_oneof![any::<f64>().prop_map(|n| json!(n)), any::<i64>().prop_map(|n| json!(n)), Just(json!("x"))];
    let text = prop_oneof![
        any::<f64>().prop_map(|n| json!(n.to_string())),
        prop::sample::select(vec!["NaN", "+Inf", "1e+06", "", "0x1"]).prop_map(|t| json!(t)),
        Just(Value::Null),
    ];
    let point = (number, text).prop_map(|(a, b)| json!([a, b]));
    let element = (prop::collection::btree_map("[a-b_]{0,8}", "[a-b]{0,2}", 0..3), prop::collection::vec(point, 0..4))
        .prop_map(|(metric, points)| json!({"metric": metric, "value": points.first(), "values": points}));
    let result = prop_oneof![
        prop::collection::vec(element, 0..4).prop_map(|e| json!(e)),
        Just(json!([1.5, "2"])),
        Just(Value::Null),
    ];
    let kind = prop::sample::select(vec!["matrix", "vector", "scalar", "string", ""]);
    let status = prop::sample::select(vec!["success", "success", "success", "error", ""]);
    (status, kind, result, prop::option::of(prop::collection::vec(".{0,4}", 0..2))).prop_map(
        |(status, kind, result, warnings)| {
            json!({"status": status, "warnings": warnings, "data": {"resultType": kind, "result": result}})
        },
    )
}

proptest! {
    #[test]
    fn any_bytes_have_an_outcome(body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(counters(&body).is_err());
        prop_assert!(value(&body).is_err());
        let _ = refusal(&body);
    }

    #[test]
    fn what_is_read_is_finite_and_in_order(answer in resembling()) {
        let body = bytes(&answer);
        if let Ok(series) = counters(&body) {
            for one in series {
                prop_assert!(one.samples.iter().all(|sample| sample.value.is_finite()));
                prop_assert!(one.samples.is_sorted_by(|a, b| a.at < b.at));
                prop_assert!(!one.labels.contains_key("__name__"));
            }
        }
        if let Ok(sample) = value(&body) {
            prop_assert!(sample.value.is_finite());
        }
    }

    #[test]
    fn a_torn_answer_is_never_read_as_whole(answer in resembling(), cut in 1usize..400) {
        let body = bytes(&answer);
        let torn = &body[..body.len().saturating_sub(cut)];
        prop_assert!(counters(torn).is_err());
        prop_assert!(value(torn).is_err());
    }

    #[test]
    fn every_time_is_read_to_the_millisecond(milliseconds in 0i64..253_402_200_000_000) {
        #[allow(clippy::cast_precision_loss)]
        let seconds = milliseconds as f64 / 1000.0;
        prop_assert_eq!(timestamp(seconds).unwrap(), at(milliseconds));
    }
}
