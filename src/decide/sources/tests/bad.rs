//! Bad requests series by series: what is asked for them finds all that were counted, and nothing else.

use std::collections::BTreeSet;

use super::super::super::measure::Ask;
use super::super::{Counts, Role, Source, What, resolve};
use super::{Exposition, SLOW, Sums, counted, place};
use crate::api::{CLASSES, Duration, OwnCounters};

/// Bad requests of canary and stable of the first meter that has the canary's, and the labels that their series have.
fn bad(counts: &Counts, exposition: &Exposition) -> ((i64, i64), BTreeSet<String>) {
    let asked = counts.bad();
    let canarys = |one: &super::super::BadAsk| {
        let series = exposition.select(&one.ask);
        series.iter().any(|series| matches!(counts.bad_part(one, series), Some((Role::Canary, _))))
    };
    let meter = asked.iter().filter(|one| canarys(one)).map(|one| one.meter).min().unwrap();
    let (mut sums, mut labels, mut seen) = ((0, 0), BTreeSet::new(), BTreeSet::new());
    for one in asked.iter().filter(|one| one.meter == meter) {
        for series in exposition.select(&one.ask) {
            let (role, sign) = counts.bad_part(one, series).expect("the selector is too wide");
            if seen.insert(&series.id) {
                let sum = if role == Role::Canary { &mut sums.0 } else { &mut sums.1 };
                *sum += i64::from(sign) * series.samples[0].value as i64;
                labels.extend(series.labels.keys().cloned());
            }
        }
    }
    (sums, labels)
}

#[test]
fn every_plane_shows_the_bad_requests_that_it_counted() {
    for (source, file, class) in [
        (Source::Traefik, "traefik", "code"),
        (Source::Traefik, "traefik-3.7.5", "code"),
        (Source::Istio, "istio", "response_code"),
        (Source::Istio, "istio-ambient", "response_code"),
        (Source::Linkerd, "linkerd", "http_status"),
        (Source::Contour, "contour", "envoy_response_code"),
        (Source::Kgateway, "kgateway", "envoy_response_code"),
        (Source::Cilium, "cilium", "envoy_response_code"),
        (Source::Pods, "pods-opentelemetry", "http_response_status_code"),
        (Source::Pods, "pods-prometheus", "code"),
    ] {
        let exposition = Exposition::of(file);
        for what in
            [What::Errors, if source == Source::Traefik { What::Slow(Duration::from_millis(300)) } else { SLOW }]
        {
            let counts = resolve(source, None, &place(""), what).unwrap();
            let Sums { canary, stable } = counted(&counts, &exposition);
            let (found, labels) = bad(&counts, &exposition);
            assert_eq!(found, (canary.1, stable.1), "{file} {what:?}");
            if what == What::Errors {
                assert!(labels.contains(class) && CLASSES.contains(&class), "{file}: {labels:?}");
            }
        }
    }
    // Without meshed clients there are only the workload's own proxies.
    let exposition = Exposition::without("linkerd", "outbound_");
    let counts = resolve(Source::Linkerd, None, &place(""), What::Errors).unwrap();
    let (found, labels) = bad(&counts, &exposition);
    assert!(found == (7, 3) && labels.contains("status_code"), "{found:?} {labels:?}");
}

#[test]
fn what_is_asked_again_is_another_question() {
    let own = OwnCounters {
        requests: r#"a{service="{{service}}"}"#.into(),
        errors: Some(r#"a{service="{{service}}",code=~"5.."}"#.into()),
        fast: Some(r#"b{service="{{service}}",le="0.3"}"#.into()),
    };
    for (counts, questions) in [
        (resolve(Source::Istio, None, &place(""), What::Errors).unwrap(), 4),
        (resolve(Source::Istio, None, &place(""), SLOW).unwrap(), 2),
        (resolve(Source::Query, Some(&own), &place(""), What::Errors).unwrap(), 2),
        (resolve(Source::Query, Some(&own), &place(""), SLOW).unwrap(), 4),
    ] {
        let (asked, counting) = (counts.bad(), counts.asks());
        let texts: BTreeSet<&str> = asked.iter().map(|one| one.ask.promql()).collect();
        assert_eq!(texts.len(), questions);
        assert!(asked.iter().all(|one| !counting.contains(&one.ask)), "{asked:?}");
    }
    let counts = resolve(Source::Contour, None, &place(""), What::Errors).unwrap();
    let text =
        r#"envoy_cluster_upstream_rq{envoy_response_code=~"5..",envoy_cluster_name=~"demo_(shop|shop-canary)_80"}"#;
    assert_eq!(counts.bad()[0].ask, Ask::Counter(text.to_owned()));
}
