//! Names that are nearly ours, and names that try to leave their matcher.

use regex::Regex;
use serde_json::json;

use super::super::super::measure::Series;
use super::super::super::snapshot::{BackendFacts, RouteFacts, RuleFacts};
use super::super::place::{self, Named, PodNames};
use super::super::{Counts, Place, Role, Source, What, resolve};
use super::{SLOW, place as shop};
use crate::api::{Duration, RouteKind};

const PLANES: [Source; 7] =
    [Source::Traefik, Source::Istio, Source::Linkerd, Source::Contour, Source::Kgateway, Source::Cilium, Source::Pods];

fn all(place: &Place<'_>) -> Vec<Counts> {
    let both = |source| [What::Errors, SLOW].map(|what| resolve(source, None, place, what).unwrap());
    PLANES.into_iter().flat_map(both).collect()
}

/// The strings of a selector, still escaped; panics if one does not end.
fn strings(promql: &str) -> Vec<String> {
    let (mut found, mut inside, mut escaped) = (Vec::new(), None::<String>, false);
    for c in promql.chars() {
        match (&mut inside, c) {
            (None, '"') => inside = Some(String::new()),
            (None, _) => {}
            (Some(text), '"') if !escaped => {
                found.push(std::mem::take(text));
                inside = None;
            }
            (Some(text), c) => text.push(c),
        }
        escaped = inside.is_some() && !escaped && c == '\\';
    }
    assert!(inside.is_none(), "{promql}");
    found
}

#[test]
fn names_cannot_leave_their_matcher() {
    // The API server would refuse these; nothing here relies on that.
    let mut place = shop("");
    let evil = r#"x"} or up{a="\"#;
    place.namespace = evil;
    place.routes = vec![Named(RouteKind::HTTPRoute, evil), Named(RouteKind::GRPCRoute, evil)];
    place.stable_service = evil;
    place.canary_service = format!("{evil}-canary");
    place.stable_workload = evil;
    place.canary_workload = format!("{evil}-canary");
    place.stable_replica_set = evil;
    for counts in all(&place) {
        let (bad, whole) = counts.whole("5m");
        for promql in counts.asks().iter().chain(&counts.edges()).map(|ask| ask.promql().to_owned()).chain([bad, whole])
        {
            let outside = strings(&promql).iter().fold(promql.clone(), |text, string| text.replacen(string, "", 1));
            assert!(!outside.contains("up{") && !outside.contains("} or up"), "{promql}");
        }
    }
}

#[test]
fn regular_expressions_are_ones() {
    let mut place = shop("");
    place.namespace = "a.b+c(";
    place.routes = vec![Named(RouteKind::HTTPRoute, "shop.v1"), Named(RouteKind::GRPCRoute, "[x")];
    for counts in all(&place) {
        for ask in counts.asks() {
            for string in strings(ask.promql()) {
                let text = string.replace("\\\\", "\\");
                assert!(Regex::new(&text).is_ok() || !ask.promql().contains(&format!("=~\"{string}\"")), "{text}");
            }
        }
    }
}

/// A Rollout of the neighbour counts nothing of ours: the roles are told apart by whole names.
#[test]
fn a_prefix_is_another_service() {
    let mut two = shop("");
    two.stable_service = "shop-canary";
    two.canary_service = "shop-canary-two".into();
    two.stable_workload = "shop-canary";
    two.canary_workload = "shop-canary-two".into();
    two.stable_replica_set = "shop-canary-6bf7c9d54";
    for (source, file) in [
        (Source::Traefik, "traefik"),
        (Source::Traefik, "traefik-3.7.5"),
        (Source::Istio, "istio"),
        (Source::Linkerd, "linkerd"),
        (Source::Contour, "contour"),
        (Source::Kgateway, "kgateway"),
        (Source::Cilium, "cilium"),
        (Source::Pods, "pods-opentelemetry"),
    ] {
        let exposition = super::Exposition::of(file);
        let counts = resolve(source, None, &two, What::Errors).unwrap();
        let sums = super::counted(&counts, &exposition);
        assert_eq!(sums.stable, (100, 7), "{file}");
        assert!(sums.canary.1 == 1000, "{file}: {sums:?}");
        assert_eq!(super::foreign(&counts, &exposition), 0, "{file}");
    }
}

#[test]
fn other_ports_count_when_the_routes_do_not_agree_on_one() {
    let mut place = shop("");
    place.port = None;
    for (source, file) in [(Source::Contour, "contour"), (Source::Traefik, "traefik-3.7.5")] {
        let exposition = super::Exposition::of(file);
        let counts = resolve(source, None, &place, What::Errors).unwrap();
        assert_eq!(super::counted(&counts, &exposition).stable, (2900, 1003), "{file}");
    }
}

#[test]
fn traefik_writes_dots_as_dashes() {
    let mut place = shop("");
    place.routes = vec![Named(RouteKind::HTTPRoute, "shop.v1")];
    let counts = resolve(Source::Traefik, None, &place, What::Errors).unwrap();
    assert!(counts.asks()[0].promql().contains("httproute-demo-(shop-v1)-(gw|ls)-"));
}

#[test]
fn traefik_names_grpc_routes_in_its_own_way() {
    let mut place = shop("");
    place.routes = vec![Named(RouteKind::GRPCRoute, "shop")];
    let counts = resolve(Source::Traefik, None, &place, What::Errors).unwrap();
    let asks = counts.asks();
    let ask = &asks[0];
    let role = |service: &str| {
        let labels = [("service", service), ("code", "200")];
        let labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        counts.part(ask, &Series { id: String::new(), labels, samples: Vec::new() }).map(|part| part.role)
    };
    let by_route = "route-demo-shop-gw-gateway-system-gateway-ep-web-0-3f1c0a9b7e55d2c84a10-svc-demo-shop";
    for (name, expected) in [
        (format!("grpc{by_route}-0@kubernetesgateway"), Some(Role::Stable)),
        (format!("grpc{by_route}-canary-1@kubernetesgateway"), Some(Role::Canary)),
        (format!("http{by_route}-0@kubernetesgateway"), None),
        ("demo-shop-80-grpc@kubernetesgateway".to_owned(), Some(Role::Stable)),
        ("demo-shop-canary-80-grpc@kubernetesgateway".to_owned(), Some(Role::Canary)),
        ("demo-shop-81-grpc@kubernetesgateway".to_owned(), None),
        ("demo-shop-http-80@kubernetesgateway".to_owned(), None),
    ] {
        assert_eq!(role(&name), expected, "{name}");
    }
    assert!(ask.promql().contains("grpcroute-demo-(shop)-(gw|ls)-") && !ask.promql().contains("httproute"));
}

fn canary(deployment: &str) -> PodNames {
    let mut place = shop("");
    place.canary_workload = deployment.into();
    place.pods(Role::Canary)
}

fn fits(names: &PodNames, pod: &str) -> bool {
    let by_regex = Regex::new(&format!("^(?:{})$", names.regex())).unwrap().is_match(pod);
    assert_eq!(by_regex, names.holds(pod), "{pod}: selector and classification differ");
    by_regex
}

#[test]
fn pods_of_one_deployment() {
    let names = canary("shop-canary");
    assert!(fits(&names, "shop-canary-6bf7c9d54-x7k2p"));
    for other in [
        "shop-canary-two-6bf7c9d54-x7k2p",
        "shop-canary-two-x7k2p",
        "shop-canary-0",
        "shop-canary-6bf7c9d54-x7k2",
        "shop-canary-6bf7c9d54x7k2p",
        "shop-canary-6bf7c9d54-x7k2pp",
        "my-shop-canary-6bf7c9d54-x7k2p",
        "shop-canary",
        "",
    ] {
        assert!(!fits(&names, other), "{other}");
    }
    let stable = shop("").pods(Role::Stable);
    assert!(fits(&stable, "shop-7d9f8c6b5d-4fq9z"));
    assert!(!fits(&stable, "shop-7d9f8c6b5d-4fq9z-x7k2p") && !fits(&stable, "shop-7d9f8c6b5d-"));
}

#[test]
fn long_names_are_cut_as_kubernetes_cuts_them() {
    for length in 44..=63 {
        let name: String = "s".repeat(length);
        for hash in ["6bf7c9d54", "6bf7c9d542"] {
            let base: String = format!("{name}-{hash}-").chars().take(58).collect();
            assert!(fits(&canary(&name), &format!("{base}x7k2p")), "{length}");
            let set = format!("{name}-{hash}");
            let mut place = shop("");
            place.stable_replica_set = &set;
            assert!(fits(&place.pods(Role::Stable), &format!("{base}x7k2p")), "{length}");
        }
    }
}

#[test]
fn without_a_replica_set_nobody_is_stable() {
    let mut place = shop("");
    place.stable_replica_set = "";
    assert_eq!(resolve(Source::Pods, None, &place, What::Errors).unwrap_err().reason, "NoStableYet");
    assert!(resolve(Source::Traefik, None, &place, What::Errors).is_ok());
}

#[test]
fn the_port_is_the_one_of_stables_backends() {
    let route = |ports: &[(&str, u16)]| {
        let backends = ports.iter().map(|(name, port)| BackendFacts {
            name: (*name).into(),
            local_service: true,
            weight: 1,
            raw: json!({"name": name, "port": port}),
        });
        RouteFacts {
            kind: RouteKind::HTTPRoute,
            name: "shop".into(),
            resource_version: String::new(),
            generation: 1,
            rules: vec![RuleFacts { name: None, backends: backends.collect() }],
            parents: Vec::new(),
        }
    };
    assert_eq!(place::port(&[route(&[("shop", 80), ("other", 81)])], "shop"), Some(80));
    assert_eq!(place::port(&[route(&[("shop", 80)]), route(&[("shop", 8080)])], "shop"), None);
    assert_eq!(place::port(&[], "shop"), None);
}

#[test]
fn thresholds_are_found_in_every_spelling() {
    let selector = |source, millis| {
        let what = What::Slow(Duration::from_millis(millis));
        resolve(source, None, &shop(""), what).unwrap().asks()[0].promql().to_owned()
    };
    assert!(selector(Source::Traefik, 300).contains(r#"le=~"0\\.3|\\+Inf""#));
    assert!(selector(Source::Traefik, 1000).contains(r#"le=~"1|1\\.0|\\+Inf""#));
    assert!(selector(Source::Contour, 1000).contains(r#"le=~"1000|1000\\.0|\\+Inf""#));
}
