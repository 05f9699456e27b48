//! Every data plane against an exposition in its documented form: what is asked finds it, and exactly the right
//! requests are counted.
#![allow(clippy::arithmetic_side_effects)] // the numbers are those of the fixtures

mod bad;
mod exposition;
mod names;
mod own;

use super::super::measure::{Ask, Series};
use super::place::Named;
use super::*;
use crate::api::RouteKind;
use exposition::Exposition;

/// The route of the fixtures.
const SHOP: Named<'static> = Named(RouteKind::HTTPRoute, "shop");

/// Namespace `demo`, Services `shop` and `shop-canary`; the fixtures hold `mydemo`, `myshop` and `shop-canary-two` too.
pub(in crate::decide) fn place(controller: &'static str) -> Place<'static> {
    Place {
        namespace: "demo",
        routes: vec![SHOP],
        controllers: vec![(SHOP, controller)],
        stable_service: "shop",
        canary_service: "shop-canary".into(),
        port: Some(80),
        stable_workload: "shop",
        canary_workload: "shop-canary".into(),
        stable_replica_set: "shop-7d9f8c6b5d",
        interval: Duration::from_secs(15),
    }
}

const SLOW: What = What::Slow(Duration::from_millis(250));

/// Requests and bad ones.
#[derive(Debug, PartialEq, Eq, Default)]
struct Sums {
    canary: (i64, i64),
    stable: (i64, i64),
}

/// What a plane counts of an exposition. Panics if the selectors bring a series that is nobody's: then they are wider
/// than they need to be, and the limit of series is reached sooner.
fn counted(counts: &Counts, exposition: &Exposition) -> Sums {
    let mut sums = Sums::default();
    let counts = counts.chosen(|ask| exposition.select(ask));
    for ask in counts.asks() {
        for series in exposition.select(&ask) {
            let Some(Part { role, n, x }) = counts.part(&ask, series) else { continue };
            let sum = if role == Role::Canary { &mut sums.canary } else { &mut sums.stable };
            let value = series.samples[0].value as i64;
            sum.0 += i64::from(n) * value;
            sum.1 += i64::from(x) * value;
        }
    }
    sums
}

/// How many series come back that nobody counts.
fn foreign(counts: &Counts, exposition: &Exposition) -> usize {
    let nobody = |ask: &Ask| exposition.select(ask).iter().filter(|one| counts.part(ask, one).is_none()).count();
    counts.asks().iter().map(nobody).sum()
}

/// 100 canary requests, 7 failed; 900 of stable, 3 failed; 20 of each took longer than 250 ms.
fn holds(source: Source, file: &str) {
    let exposition = Exposition::of(file);
    let place = place("");
    let errors = resolve(source, None, &place, What::Errors).unwrap();
    assert_eq!(counted(&errors, &exposition), Sums { canary: (100, 7), stable: (900, 3) }, "{file}");
    assert_eq!(foreign(&errors, &exposition), 0, "{file}: the selector is too wide");
    let slow = resolve(source, None, &place, SLOW).unwrap();
    assert_eq!(counted(&slow, &exposition), Sums { canary: (100, 20), stable: (900, 20) }, "{file}");
    assert_eq!(foreign(&slow, &exposition), 0, "{file}: the selector is too wide");
    assert_eq!(slow.edge_missing(|ask| exposition.select(ask)), None);
    for ask in slow.asks() {
        assert!(!slow.edge_lost(Role::Canary, &ask, exposition.select(&ask)));
    }
    let odd = resolve(source, None, &place, What::Slow(Duration::from_millis(300))).unwrap();
    let sentence = odd.edge_missing(|ask| exposition.select(ask)).unwrap();
    assert!(sentence.contains("ends at 300ms") && sentence.contains("250ms, 500ms"), "{sentence}");
    assert_eq!(errors.source(), source);
}

#[test]
fn traefik_by_route_and_by_port() {
    for file in ["traefik", "traefik-3.7.5"] {
        let exposition = Exposition::of(file);
        let errors = resolve(Source::Traefik, None, &place(""), What::Errors).unwrap();
        assert_eq!(counted(&errors, &exposition), Sums { canary: (100, 7), stable: (900, 3) }, "{file}");
        assert_eq!(foreign(&errors, &exposition), 0, "{file}");
        let slow = resolve(Source::Traefik, None, &place(""), What::Slow(Duration::from_millis(300))).unwrap();
        assert_eq!(counted(&slow, &exposition), Sums { canary: (100, 20), stable: (900, 20) }, "{file}");
        let odd = resolve(Source::Traefik, None, &place(""), SLOW).unwrap();
        assert_eq!(
            odd.edge_missing(|ask| exposition.select(ask)).unwrap(),
            "no bucket of traefik_service_request_duration_seconds_bucket ends at 250ms; known edges: 100ms, 300ms, 1.2s, 5s"
        );
    }
}

#[test]
fn istio_as_the_proxy_that_chose_the_backend_reports() {
    holds(Source::Istio, "istio");
    holds(Source::Istio, "istio-ambient");
}

#[test]
fn linkerd_counts_a_request_once() {
    holds(Source::Linkerd, "linkerd");
    // Without meshed clients there are only the workload's own proxies.
    let exposition = Exposition::without("linkerd", "outbound_");
    let errors = resolve(Source::Linkerd, None, &place(""), What::Errors).unwrap();
    assert_eq!(counted(&errors, &exposition), Sums { canary: (100, 7), stable: (900, 3) });
    let slow = resolve(Source::Linkerd, None, &place(""), SLOW).unwrap();
    assert_eq!(counted(&slow, &exposition), Sums { canary: (100, 20), stable: (900, 20) });
}

#[test]
fn the_envoys() {
    holds(Source::Contour, "contour");
    holds(Source::Kgateway, "kgateway");
    holds(Source::Cilium, "cilium");
}

#[test]
fn pods_of_either_library() {
    holds(Source::Pods, "pods-opentelemetry");
    let exposition = Exposition::of("pods-prometheus");
    let errors = resolve(Source::Pods, None, &place(""), What::Errors).unwrap();
    assert_eq!(counted(&errors, &exposition), Sums { canary: (100, 7), stable: (900, 3) });
    // A counter without a status is brought and not counted.
    assert_eq!(foreign(&errors, &exposition), 2);
    let slow = resolve(Source::Pods, None, &place(""), SLOW).unwrap();
    assert_eq!(counted(&slow, &exposition), Sums { canary: (100, 20), stable: (900, 20) });
}

#[test]
fn pods_are_named_where_the_series_name_the_backend() {
    let names = |source, file| {
        let (exposition, counts) = (Exposition::of(file), resolve(source, None, &place(""), What::Errors).unwrap());
        let mut pods: Vec<String> = Vec::new();
        for ask in counts.asks() {
            pods.extend(exposition.select(&ask).iter().filter_map(|one| counts.pod(&ask, one)).map(str::to_owned));
        }
        pods.sort();
        pods.dedup();
        pods
    };
    let pods = ["shop-7d9f8c6b5d-4fq9z", "shop-canary-6bf7c9d54-9wvdz", "shop-canary-6bf7c9d54-x7k2p"];
    assert_eq!(names(Source::Pods, "pods-prometheus"), pods);
    assert_eq!(names(Source::Traefik, "traefik").len(), 0);
}

#[test]
fn a_version_with_other_buckets_does_not_look_slow() {
    let exposition = Exposition::of("pods-opentelemetry");
    let counts = resolve(Source::Pods, None, &place(""), SLOW).unwrap();
    let ask = &counts.asks()[0];
    let mut series: Vec<Series> = exposition.select(ask).to_vec();
    series.retain(|one| one.labels["pod"] != "shop-canary-6bf7c9d54-9wvdz" || one.labels["le"] == "+Inf");
    assert!(counts.edge_lost(Role::Canary, ask, &series));
    assert!(!counts.edge_lost(Role::Stable, ask, &series));
}

#[test]
fn nothing_read_is_no_missing_edge() {
    let counts = resolve(Source::Istio, None, &place(""), SLOW).unwrap();
    assert_eq!(counts.edges().len(), 2);
    assert_eq!(counts.edge_missing(|_| &[]), None);
    let errors = resolve(Source::Istio, None, &place(""), What::Errors).unwrap();
    assert!(errors.edges().is_empty());
}

#[test]
fn equal_counts_are_equal() {
    let of = |what| resolve(Source::Auto, None, &place("traefik.io/gateway-controller"), what).unwrap();
    assert_eq!(of(What::Errors), resolve(Source::Traefik, None, &place(""), What::Errors).unwrap());
    assert_ne!(of(What::Errors), of(SLOW));
}

#[test]
fn burn_rates_of_one_question() {
    let counts = resolve(Source::Contour, None, &place(""), What::Errors).unwrap();
    let (bad, all) = counts.whole("5m");
    let names = r#"envoy_cluster_name=~"demo_(shop|shop-canary)_80""#;
    assert_eq!(
        bad,
        format!(r#"sum(increase(envoy_cluster_upstream_rq{{envoy_response_code=~"5..",{names}}}[5m])) or vector(0)"#)
    );
    assert_eq!(all, format!("sum(increase(envoy_cluster_upstream_rq{{{names}}}[5m]))"));
    let (bad, all) = resolve(Source::Contour, None, &place(""), SLOW).unwrap().whole("1h");
    assert_eq!(all, format!(r#"sum(increase(envoy_cluster_upstream_rq_time_bucket{{le=~"\\+Inf",{names}}}[1h]))"#));
    assert_eq!(
        bad,
        format!(r#"({all} - sum(increase(envoy_cluster_upstream_rq_time_bucket{{le=~"250|250\\.0",{names}}}[1h])))"#)
    );
}

#[test]
fn burn_rates_do_not_add_what_is_counted_twice() {
    let (bad, all) = resolve(Source::Pods, None, &place(""), What::Errors).unwrap().whole("5m");
    let (first, second) = all.split_once(") or sum(").unwrap();
    assert!(first.contains("http_server_request_duration_seconds_count{"));
    assert!(second.contains(r#"http_requests_total{namespace="demo",code=~"[1-5].."#), "{second}");
    // The second counter's failures count only where the first counter has nothing at all.
    assert!(bad.contains(&format!(" unless ({first}))")), "{bad}");
    assert!(bad.ends_with(" or vector(0)"));
}

#[test]
fn the_controller_names_the_data_plane() {
    let auto = |controller| resolve(Source::Auto, None, &place(controller), What::Errors).map(|counts| counts.source());
    for (controller, source) in [
        ("traefik.io/gateway-controller", Source::Traefik),
        ("istio.io/gateway-controller", Source::Istio),
        ("linkerd.io/policy-controller", Source::Linkerd),
        ("projectcontour.io/gateway-controller", Source::Contour),
        ("kgateway.dev/kgateway", Source::Kgateway),
        ("io.cilium/gateway-controller", Source::Cilium),
    ] {
        assert_eq!(auto(controller), Ok(source));
    }
    for (controller, word) in [
        ("gateway.envoyproxy.io/gatewayclass-controller", "Envoy Gateway"),
        ("gateway.nginx.org/nginx-gateway-controller", "NGINX"),
        ("konghq.com/kic-gateway-controller", "Kong"),
        ("networking.gke.io/gateway", "GKE"),
        ("gateway.k8s.aws/alb", "AWS"),
        ("example.com/gateway", "known: traefik.io/gateway-controller, "),
    ] {
        let refused = auto(controller).unwrap_err();
        assert_eq!(refused.reason, "DataPlaneUnsupported");
        assert!(refused.sentence.contains(word) && refused.sentence.contains("source: Pods"), "{}", refused.sentence);
    }
}

#[test]
fn two_controllers_are_not_guessed_at() {
    let mut place = place("traefik.io/gateway-controller");
    place.controllers.push((SHOP, "traefik.io/gateway-controller"));
    assert!(resolve(Source::Auto, None, &place, What::Errors).is_ok());
    place.controllers.push((Named(RouteKind::HTTPRoute, "internal"), "istio.io/gateway-controller"));
    let refused = resolve(Source::Auto, None, &place, What::Errors).unwrap_err();
    assert!(refused.sentence.contains("HTTPRoute internal by istio.io"), "{}", refused.sentence);
    assert!(resolve(Source::Istio, None, &place, What::Errors).is_ok());
    place.controllers.clear();
    assert_eq!(resolve(Source::Auto, None, &place, What::Errors).unwrap_err().reason, "RouteNotAccepted");
}
