//! Policies as teams write them, against a shop whose canary differs by `app: shop-canary`.

use serde_json::json;

use super::*;

fn policy(name: &str, yaml: &str) -> PolicyFacts {
    of("demo", name, yaml)
}

fn of(namespace: &str, name: &str, yaml: &str) -> PolicyFacts {
    PolicyFacts {
        name: name.into(),
        namespace: namespace.into(),
        uid: format!("uid-{name}"),
        resource_version: "7".into(),
        spec: serde_saphyr::from_str(yaml).unwrap(),
        ..PolicyFacts::default()
    }
}

const DEFAULT_DENY: &str = "
podSelector: {}
policyTypes: [Ingress, Egress]";

const ALLOW_GATEWAY: &str = "
podSelector: {matchLabels: {app: shop}}
policyTypes: [Ingress]
ingress:
- from:
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: gateway-system}}
  ports: [{port: 8080, protocol: TCP, endPort: 8090}]";

const DATABASE: &str = "
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from: [{podSelector: {matchLabels: {app: backup}}}]
- from:
  - podSelector: {matchLabels: {app: shop}}
  - podSelector: {matchLabels: {app: cart}}
  ports: [{port: 5432, protocol: TCP}]";

const AMONG_THEMSELVES: &str = "
podSelector: {matchLabels: {app: shop}}
policyTypes: [Ingress, Egress]
ingress:
- from: [{podSelector: {matchLabels: {app: shop}}}]
egress:
- to: [{podSelector: {matchLabels: {app: shop}}}]
- to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]";

/// The canary's own selector in what is made.
fn canary_pods() -> Value {
    json!({"matchLabels": {"sluice.dev/role": "canary", "sluice.dev/rollout-name": "shop"}})
}

fn labels(app: &str, more: &[(&str, &str)]) -> Labels {
    let pairs = [("app", app), ("tier", "web")].into_iter().chain(more.iter().copied());
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn around(neighbours: &Neighbours) -> Around<'_> {
    let of_canary =
        [("sluice.dev/role", "canary"), ("sluice.dev/revision", "abc"), ("sluice.dev/rollout-name", "shop")];
    Around {
        neighbours,
        namespace: "demo",
        rollout: "shop",
        own_services: ["shop".to_owned(), "shop-canary".to_owned()],
        sides: Sides { stable: labels("shop", &[]), canary: labels("shop-canary", &of_canary) },
    }
}

/// What is made for the canary of these policies, as name and spec.
fn made(policies: &[PolicyFacts]) -> Vec<(String, Value)> {
    let neighbours = Neighbours { policies: policies.to_vec(), ..Neighbours::default() };
    let around = around(&neighbours);
    assert_eq!(around.check(), Ok(()));
    clones::wanted(&around).into_iter().map(|one| (one.name, one.spec)).collect()
}

fn refused(neighbours: &Neighbours) -> (&'static str, String) {
    let refusal = around(neighbours).check().unwrap_err();
    assert!(refusal.needs_person);
    (refusal.reason, refusal.message)
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

#[test]
fn what_selects_both_alike_needs_nothing() {
    assert_eq!(made(&[policy("default-deny", DEFAULT_DENY)]), []);
    let by_tier = ALLOW_GATEWAY.replace("app: shop", "tier: web");
    assert_eq!(made(&[policy("by-tier", &by_tier)]), []);
    let everybody = "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{}]}";
    assert_eq!(made(&[policy("open", everybody)]), []);
    // An egress section without the type has no effect.
    let without_type = "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], egress: [{to: [{podSelector: {matchLabels: {app: shop}}}]}]}";
    assert_eq!(made(&[policy("idle", without_type)]), []);
}

#[test]
fn a_policy_for_stable_is_copied_with_every_field() {
    let mut expected = yaml(ALLOW_GATEWAY);
    expected["podSelector"] = canary_pods();
    assert_eq!(made(&[policy("allow-gateway", ALLOW_GATEWAY)]), [("allow-gateway-shop-canary".to_owned(), expected)]);
}

#[test]
fn a_policy_without_types_governs_what_the_api_server_would_say() {
    let made = made(&[policy("old", "{podSelector: {matchLabels: {app: shop}}, egress: [{ports: [{port: 53}]}]}")]);
    assert_eq!(made[0].1["policyTypes"], json!(["Ingress", "Egress"]));
}

#[test]
fn where_stable_is_let_in_the_canary_is_too_and_nobody_else() {
    let expected = json!({
        "podSelector": {"matchLabels": {"app": "db"}},
        "policyTypes": ["Ingress"],
        "ingress": [{
            "from": [{"podSelector": canary_pods()}],
            "ports": [{"port": 5432, "protocol": "TCP"}],
        }],
    });
    assert_eq!(made(&[policy("db", DATABASE)]), [("db-shop-canary-peer".to_owned(), expected)]);
}

#[test]
fn pods_that_talk_among_themselves_talk_with_the_canary() {
    let both = json!([{"podSelector": {"matchLabels": {"app": "shop"}}}, {"podSelector": canary_pods()}]);
    let mut copy = yaml(AMONG_THEMSELVES);
    copy["podSelector"] = canary_pods();
    copy["ingress"][0]["from"] = both.clone();
    copy["egress"][0]["to"] = both;
    let grant = json!({
        "podSelector": {"matchLabels": {"app": "shop"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"podSelector": canary_pods()}]}],
        "egress": [{"to": [{"podSelector": canary_pods()}]}],
    });
    let made = made(&[policy("peers", AMONG_THEMSELVES)]);
    assert_eq!(made, [("peers-shop-canary".to_owned(), copy), ("peers-shop-canary-peer".to_owned(), grant)]);
}

#[test]
fn the_namespace_of_a_peer_is_kept_where_it_is_not_known() {
    let with = |selector: &str| {
        let text = format!(
            "{{podSelector: {{}}, policyTypes: [Ingress], ingress: [{{from: [{{podSelector: {{matchLabels: {{app: shop}}}}, namespaceSelector: {selector}}}]}}]}}"
        );
        made(&[policy("p", &text)]).into_iter().map(|(_, spec)| spec["ingress"][0]["from"].clone()).next()
    };
    let ours = Some(json!([{"podSelector": canary_pods()}]));
    assert_eq!(with("{}"), ours);
    assert_eq!(with("{matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [demo, x]}]}"), ours);
    let team = json!([{"podSelector": canary_pods(), "namespaceSelector": {"matchLabels": {"team": "a"}}}]);
    assert_eq!(with("{matchLabels: {team: a}}"), Some(team));
    assert_eq!(with("{matchLabels: {kubernetes.io/metadata.name: other}}"), None);
}

#[test]
fn our_own_policies_are_no_originals_and_those_of_another_canary_are_no_strays() {
    let mut own = policy("allow-gateway-shop-canary", ALLOW_GATEWAY);
    (own.ours, own.for_canary) = (true, true);
    let mut other = policy("cart-canary", "{podSelector: {matchLabels: {sluice.dev/role: canary}}}");
    other.for_canary = true;
    assert_eq!(made(&[own, other]), []);
}

#[test]
fn a_policy_that_hits_the_canary_alone_is_refused() {
    let stray = "{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [shop]}]}}";
    let (reason, message) = refused(&Neighbours { policies: vec![policy("others", stray)], ..Neighbours::default() });
    assert_eq!(reason, "NetworkPolicyDiffers");
    assert!(
        message.starts_with("NetworkPolicy others selects the canary's pods and not stable's, by label app;"),
        "{message}"
    );
}

#[test]
fn a_policy_of_another_namespace_is_refused_until_it_names_the_canary() {
    let text = |peers: &str| {
        format!(
            "{{podSelector: {{matchLabels: {{app: db}}}}, policyTypes: [Ingress], ingress: [{{from: [{peers}], ports: [{{port: 5432}}]}}]}}"
        )
    };
    let here = "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: demo}}";
    let stable = format!("{{podSelector: {{matchLabels: {{app: shop}}}}, {here}}}");
    let canary = format!("{{podSelector: {{matchLabels: {{sluice.dev/role: canary}}}}, {here}}}");
    let foreign = |policies: &[(&str, &str)]| Neighbours {
        foreign: policies.iter().map(|(name, peers)| of("data", name, &text(peers))).collect(),
        ..Neighbours::default()
    };
    let (reason, message) = refused(&foreign(&[("db", &stable)]));
    assert_eq!(reason, "NetworkPolicyDiffers");
    assert!(
        message.starts_with(
            "NetworkPolicy data/db names stable's pods in spec.ingress and not the canary's, by label app; add a peer"
        ),
        "{message}"
    );
    assert!(message.contains("sluice.dev/role: canary"), "{message}");
    // The next step in the message heals it, in the same rule or in another policy for the same pods.
    assert_eq!(around(&foreign(&[("db", &format!("{stable}, {canary}"))])).check(), Ok(()));
    assert_eq!(around(&foreign(&[("db", &stable), ("db-canary", &canary)])).check(), Ok(()));
    // What does not mean this namespace is nobody's business here.
    let elsewhere = stable.replace("name: demo", "name: other");
    assert_eq!(around(&foreign(&[("db", &elsewhere)])).check(), Ok(()));
    assert!(!may_reach(&yaml(&text(&elsewhere)), "demo") && may_reach(&yaml(&text(&stable)), "demo"));
    // By labels that are not known it is not refused, but may be warned of.
    let unknown = foreign(&[("db", &stable.replace("kubernetes.io/metadata.name: demo", "team: a"))]);
    assert_eq!(around(&unknown).check(), Ok(()));
    assert!(around(&unknown).reader().may_leave_out(&unknown.foreign[0]));
}

#[test]
fn a_service_that_selects_the_canary_is_refused() {
    let service = |name: &str, key: &str, value: &str| SelectingService {
        name: name.into(),
        selector: [(key.to_owned(), value.to_owned())].into(),
    };
    let with = |services: Vec<SelectingService>| Neighbours { services, ..Neighbours::default() };
    let fine = [
        service("shop", "tier", "web"), // said elsewhere, with its own next step
        service("shop-canary", "app", "shop-canary"),
        service("shop-headless", "app", "shop"),
        SelectingService { name: "by-hand".into(), ..SelectingService::default() },
    ];
    assert_eq!(around(&with(fine.to_vec())).check(), Ok(()));
    let (reason, message) = refused(&with(vec![service("web", "tier", "web")]));
    assert_eq!(reason, "LabelsLeak");
    assert!(message.starts_with("Service web would select the canary's pods"), "{message}");
    assert!(message.ends_with("such as app: shop"), "{message}");
}

#[test]
fn a_budget_for_both_is_refused() {
    let with = |selector: Option<Value>| Neighbours {
        budgets: vec![BudgetFacts { name: "web".into(), selector: selector.as_ref().map(Selector::read) }],
        ..Neighbours::default()
    };
    for fine in
        [None, Some(json!({"matchLabels": {"app": "shop"}})), Some(json!({"matchLabels": {"app": "shop-canary"}}))]
    {
        assert_eq!(around(&with(fine)).check(), Ok(()));
    }
    for both in [json!({}), json!({"matchLabels": {"tier": "web"}})] {
        let (reason, message) = refused(&with(Some(both)));
        assert_eq!(reason, "LabelsLeak");
        assert!(message.starts_with("PodDisruptionBudget web would count"), "{message}");
    }
}

#[test]
fn a_name_that_is_taken_is_refused() {
    let policies = vec![policy("db", DATABASE), policy("db-shop-canary-peer", DEFAULT_DENY)];
    let (reason, message) = refused(&Neighbours { policies, ..Neighbours::default() });
    assert_eq!(reason, "NameTaken");
    assert!(
        message.contains("NetworkPolicy db-shop-canary-peer") && message.contains("NetworkPolicy db:"),
        "{message}"
    );
}

#[test]
fn long_names_stay_names() {
    let name = "p".repeat(200);
    let names: Vec<String> = made(&[policy(&name, AMONG_THEMSELVES)]).into_iter().map(|(name, _)| name).collect();
    assert!(names.iter().all(|name| name.len() <= 63) && names[0] != names[1], "{names:?}");
}
