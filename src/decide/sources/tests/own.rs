//! Counters of the user's own: what is refused, and what is made of the rest.

use super::super::{Counts, Part, Role, Source, Unsupported, What, resolve, selector};
use super::{SLOW, place};
use crate::api::OwnCounters;

fn own(requests: &str, errors: &str) -> OwnCounters {
    OwnCounters { requests: requests.into(), errors: Some(errors.into()), fast: None }
}

fn query(own: &OwnCounters, what: What) -> Result<Counts, Unsupported> {
    resolve(Source::Query, Some(own), &place(""), what)
}

#[test]
fn asked_once_for_each_version() {
    let own = own(
        r#"http_requests_total{namespace="{{namespace}}",service="{{service}}"}"#,
        r#"http_requests_total{namespace="{{ namespace }}",service="{{service}}",code=~"5.."}"#,
    );
    let counts = query(&own, What::Errors).unwrap();
    let asks = counts.asks();
    let texts: Vec<&str> = asks.iter().map(|ask| ask.promql()).collect();
    assert_eq!(
        texts,
        [
            r#"http_requests_total{namespace="demo",service="shop-canary"}"#,
            r#"http_requests_total{namespace="demo",service="shop-canary",code=~"5.."}"#,
            r#"http_requests_total{namespace="demo",service="shop"}"#,
            r#"http_requests_total{namespace="demo",service="shop",code=~"5.."}"#,
        ]
    );
    let series = super::Exposition::of("contour");
    let series = &series.select(&resolve(Source::Contour, None, &place(""), What::Errors).unwrap().asks()[0])[0];
    let parts: Vec<_> = asks.iter().map(|ask| counts.part(ask, series).unwrap()).collect();
    let part = |role, n, x| Part { role, n, x };
    assert_eq!(
        parts,
        [part(Role::Canary, 1, 0), part(Role::Canary, 0, 1), part(Role::Stable, 1, 0), part(Role::Stable, 0, 1)]
    );
    let (bad, all) = counts.whole("1h");
    assert!(bad.ends_with(" or vector(0)") && all.starts_with("sum(label_replace(increase(http_requests_total{"));
    assert!(all.contains(r#"[1h]), "sluice_version", "canary", "", "") or label_replace("#), "{all}");
}

#[test]
fn fast_requests_are_taken_away() {
    let own = OwnCounters {
        requests: r#"d_count{pod=~"{{pods}}"}"#.into(),
        errors: None,
        fast: Some(r#"d_bucket{pod=~"{{pods}}",le="0.3"}"#.into()),
    };
    let counts = query(&own, SLOW).unwrap();
    let asks = counts.asks();
    assert!(asks[0].promql().starts_with(r#"d_count{pod=~"shop-canary-[b-df"#), "{}", asks[0].promql());
    assert!(asks[2].promql().starts_with(r#"d_count{pod=~"shop-7d9f8c6b5d-[b-df"#), "{}", asks[2].promql());
    let (bad, all) = counts.whole("5m");
    assert!(bad.starts_with(&format!("({all} - sum(")));
    assert_eq!(query(&own, What::Errors).unwrap_err().sentence, "counters.errors is missing");
}

#[test]
fn what_is_refused_says_why() {
    let good = r#"a{service="{{service}}"}"#;
    for (text, why) in [
        (r#"sum(a{service="{{service}}"})"#, "sum(…) is not a plain counter"),
        (r#"sum by (code) (a{service="{{service}}"})"#, "sum(…) is not a plain counter"),
        (r#"a{service="{{service}}"}[5m]"#, "a range such as [5m]"),
        (r#"a{service="{{service}}"} / 2"#, "left over"),
        (r#"{service="{{service}}"}"#, "names no metric"),
        (r#"a{service="{{service}}""#, "is missing"),
        (r#"a{service="{{servce}}"}"#, "variable \"servce\" is not known; known: pods, service, workload"),
        (r#"a{b="c"}"#, "the same as another counter"),
    ] {
        let refused = query(&own(text, good), What::Errors).unwrap_err();
        assert_eq!(refused.reason, "InvalidSpec");
        assert!(refused.sentence.starts_with("counters.") && refused.sentence.contains(why), "{}", refused.sentence);
    }
}

#[test]
fn plain_selectors() {
    for good in [
        "a",
        " a:b_total { } ",
        r#"a{b="c",d!~'e}',f=~`g"\`,}"#,
        r#"{__name__=~"a|b",c="d"}"#,
        r#"{"http.requests", code="a\"b"}"#,
        r#"{"http.requests","service.name"="b"}"#,
    ] {
        assert_eq!(selector::check(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        "{}",
        "a b",
        "a{b}",
        "a{b=c}",
        "a{b=\"c\" d=\"e\"}",
        "a{b=\"c}",
        "a{",
        "a or b",
        "a offset 5m",
        "1",
        "a{,}",
        "ä{b=\"c\"}",
    ] {
        assert!(selector::check(bad).is_err(), "{bad}");
    }
}

#[test]
fn counters_belong_to_query() {
    let own = own(r#"a{service="{{service}}"}"#, r#"b{service="{{service}}"}"#);
    let refused = resolve(Source::Traefik, Some(&own), &place(""), What::Errors).unwrap_err();
    assert_eq!(refused.sentence, "counters are read with source: Query only");
    assert_eq!(
        resolve(Source::Query, None, &place(""), What::Errors).unwrap_err().sentence,
        "source: Query needs counters"
    );
    let mut nowhere = place("");
    nowhere.stable_replica_set = "";
    assert!(resolve(Source::Query, Some(&own), &nowhere, What::Errors).is_ok());
    let pods = OwnCounters { requests: r#"a{pod=~"{{pods}}"}"#.into(), ..own };
    assert_eq!(resolve(Source::Query, Some(&pods), &nowhere, What::Errors).unwrap_err().reason, "NoStableYet");
}
