//! `crds/` is exactly what the code says, small enough for a plain `kubectl apply`, and its rules hold.

use kube::CustomResourceExt;
use kube::core::cel::{validate_cel, validate_cel_update};
use serde_json::{Value, json};
use sluice::api::{
    MetricsProvider, MetricsProviderSpec, NotificationSink, NotificationSinkSpec, Postmortem, Reclassification,
    Rollout, RolloutSpec, SinkEvent,
};
use sluice::crds;

/// `kubectl apply` keeps a copy in an annotation, which may have 262,144 bytes; the project allows itself less.
const LARGEST: usize = 150_000;

#[test]
fn the_files_are_what_the_code_says() {
    for (file, definition) in crds::all().unwrap() {
        let path = format!("{}/crds/{file}", env!("CARGO_MANIFEST_DIR"));
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        let generated = crds::yaml(&definition).unwrap();
        assert!(written == generated, "crds/{file} is not what src/api says; run `make crds` and commit the result");
    }
}

#[test]
fn every_definition_is_small() {
    for (file, definition) in crds::all().unwrap() {
        let size = serde_json::to_string(&definition).unwrap().len();
        assert!(size < LARGEST, "crds/{file} has {size} bytes");
    }
}

/// Every field of a schema, with its path.
fn fields(schema: &Value, path: &str, visit: &mut dyn FnMut(&str, &Value)) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        visit(&path, field);
        fields(field, &path, visit);
        fields(&field["items"], &path, visit);
    }
}

#[test]
fn every_field_says_what_it_is_for() {
    for (file, definition) in crds::all().unwrap() {
        let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
        fields(&schema["openAPIV3Schema"], "", &mut |path, field| {
            let described = field["description"].as_str().is_some_and(|text| text.len() > 5);
            let standard = matches!(path, ".apiVersion" | ".kind" | ".metadata" | ".spec" | ".status");
            assert!(described || standard, "crds/{file}: {path} has no description");
        });
    }
}

#[test]
fn observed_generation_is_an_integer() {
    let schema = serde_json::to_value(Rollout::crd()).unwrap();
    let status = &schema["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"];
    assert_eq!(status["observedGeneration"]["type"], "integer");
    assert_eq!(status["observedGeneration"]["format"], "int64");
    assert_eq!(status["conditions"]["x-kubernetes-list-type"], "map");
}

fn spec() -> Value {
    json!({
        "targetRef": {"kind": "Deployment", "name": "shop"},
        "traffic": {"stableService": "shop", "routes": [{"kind": "HTTPRoute", "name": "shop"}], "drain": "10s"},
        "waves": [{"weight": 1, "bake": "10m"}, {"weight": 5, "bake": "10m"}],
        "analysis": {
            "providerRef": {"name": "cluster"},
            "signals": [{"name": "errors", "errorRatio": {"threshold": "5%"}}],
        },
    })
}

/// What the rules of the schema say of a spec; the API server says the same.
fn verdict(spec: &Value) -> String {
    let spec: RolloutSpec = serde_json::from_value(spec.clone()).unwrap();
    validate_cel(&Rollout::new("shop", spec)).map_or_else(|errors| format!("{errors:?}"), |()| String::new())
}

#[test]
fn the_shortest_useful_rollout_has_defaults() {
    let mut short = spec();
    short.as_object_mut().unwrap().remove("waves");
    let spec: RolloutSpec = serde_json::from_value(short).unwrap();
    assert_eq!(spec.waves.iter().map(|wave| wave.weight).collect::<Vec<_>>(), [1, 5, 25, 50]);
    assert_eq!(spec.traffic.canary_service_name(), "shop-canary");
    assert_eq!(spec.analysis.signals[0].consecutive, 2);
    let rollout = Rollout::new("shop", spec);
    assert!(validate_cel(&rollout).is_ok(), "{:?}", validate_cel(&rollout));
}

#[test]
fn rules_name_the_field() {
    let compared = |name: &str| json!({"name": name, "errorRatio": {}});
    let cases: [(&str, Value, &str); 18] = [
        ("/schedule", json!({"freezes": [{"from": "2027-01-04", "until": "2026-12-20"}]}), "until must be after from"),
        ("/traffic/routes", json!([{"name": "a", "rule": "x"}, {"name": "a", "rule": "y"}]), "may be named once"),
        ("/waves", json!([{"weight": 5}, {"weight": 1}]), "weights must increase"),
        ("/waves", json!([{"weight": 5}, {"weight": 5}]), "weights must increase"),
        ("/waves/0", json!({"weight": 1, "bake": "20m", "maxBake": "10m"}), "bake must not be longer"),
        ("/analysis/signals/0", json!({"name": "x"}), "exactly one of"),
        (
            "/analysis/signals/0",
            json!({"name": "x", "errorRatio": {"threshold": "1%"}, "query": {"promql": "1", "max": "1"}}),
            "exactly one of",
        ),
        ("/analysis/signals/0", json!({"name": "x", "query": {"promql": "1"}}), "max, min or both"),
        (
            "/analysis/signals/0",
            json!({"name": "x", "errorRatio": {"threshold": "1%"}, "consecutive": 3, "of": 2}),
            "consecutive must not be larger",
        ),
        (
            "/analysis/signals/0",
            json!({"name": "x", "errorRatio": {"threshold": "1%", "tolerance": "2"}}),
            "for both use two signals",
        ),
        ("/analysis/signals/0", json!({"name": "x", "errorRatio": {"tolerance": "0.5"}}), "between 1 and 100"),
        (
            "/analysis/signals/0",
            json!({"name": "x", "errorRatio": {"source": "Query"}}),
            "counters go with source: Query",
        ),
        ("/analysis/signals", json!([{"name": "x", "errorRatio": {}, "dryRun": true}]), "must act"),
        ("/analysis/signals", json!([{"name": "x", "restarts": {}}]), "must act"),
        (
            "/analysis/signals",
            json!([compared("a"), compared("b"), compared("c"), compared("d")]),
            "at most 3 signals may compare",
        ),
        ("/analysis/signals/0", json!({"name": "x", "burnRate": {"objective": "100%"}}), "leaves no budget"),
        (
            "/analysis/signals/0",
            json!({"name": "x", "burnRate": {"objective": "99%", "windows": [{"long": "5m", "short": "1h", "factor": "2"}]}}),
            "short must be shorter",
        ),
        ("/waves/0", json!({"weight": 1, "evidence": {"ratio": "1", "floor": "1%"}}), "ratio must be more than 1"),
    ];
    assert_eq!(verdict(&spec()), "");
    for (pointer, value, expected) in cases {
        let mut bad = spec();
        match bad.pointer_mut(pointer) {
            Some(field) => *field = value.clone(),
            None => bad[pointer.trim_start_matches('/')] = value.clone(),
        }
        let said = verdict(&bad);
        assert!(said.contains(expected), "{value}: {said:?} does not say {expected:?}");
    }
}

#[test]
fn routes_of_two_kinds_may_share_a_name() {
    let mut both = spec();
    both["traffic"]["routes"] = json!([{"name": "shop"}, {"kind": "GRPCRoute", "name": "shop", "rule": "main"}]);
    assert_eq!(verdict(&both), "");
}

#[test]
fn what_a_run_leans_on_cannot_be_changed() {
    let rollout = |spec: Value| Rollout::new("shop", serde_json::from_value::<RolloutSpec>(spec).unwrap());
    for (pointer, value, expected) in [
        ("/targetRef/name", json!("other"), "targetRef cannot be changed"),
        ("/traffic/stableService", json!("other"), "stableService and canaryService cannot be changed"),
        ("/traffic/canaryService", json!("other"), "stableService and canaryService cannot be changed"),
    ] {
        let mut before = spec();
        before["traffic"]["canaryService"] = json!("shop-next");
        let mut after = before.clone();
        *after.pointer_mut(pointer).unwrap() = value;
        let refused = validate_cel_update(&rollout(after), &rollout(before.clone())).unwrap_err();
        assert!(format!("{refused:?}").contains(expected), "{refused:?}");
        assert!(validate_cel_update(&rollout(before.clone()), &rollout(before)).is_ok());
    }
}

#[test]
fn units_are_refused_by_name() {
    let mut bad = spec();
    bad["waves"][0]["bake"] = json!("ten minutes");
    let error = serde_json::from_value::<RolloutSpec>(bad).unwrap_err().to_string();
    assert!(error.contains("\"ten minutes\" is not a duration"), "{error}");
}

/// What the rules of the schema say of a MetricsProvider with these fields.
fn provider_verdict(address: &str, fields: &Value) -> String {
    let mut spec = fields.clone();
    spec["address"] = json!(address);
    let spec: MetricsProviderSpec = serde_json::from_value(spec).unwrap();
    let verdict = validate_cel(&MetricsProvider::new("cluster", spec));
    verdict.map_or_else(|errors| format!("{errors:?}"), |()| String::new())
}

#[test]
fn access_to_a_provider_is_safe_or_refused() {
    let secret = json!({"secretRef": {"name": "reader"}});
    let bearer = json!({"bearer": secret});
    let header = |name: &str| json!({"headers": [{"name": name, "value": "team-a"}]});
    let (http, https) = ("http://prometheus:9090", "https://prometheus");
    for (address, fields) in [
        (http, json!({})),
        (http, header("X-Scope-OrgID")),
        (http, json!({"auth": {"bearer": secret, "allowPlainHttp": true}})),
        (https, json!({"auth": bearer, "tls": {"ca": secret, "clientCertificate": secret}})),
        (https, json!({"auth": {"basic": secret}, "tls": {"clientCertificate": secret}})),
        ("https://prometheus/a/path@with?sign=@", json!({})),
    ] {
        assert_eq!(provider_verdict(address, &fields), "", "{address} {fields}");
    }
    let twice = json!({"headers": [{"name": "X-Tenant", "value": "a"}, {"name": "x-tenant", "value": "b"}]});
    for (address, fields, expected) in [
        ("ftp://prometheus", json!({}), "must start with http"),
        ("https://user:word@prometheus", json!({}), "must not hold a user or a password"),
        (https, json!({"auth": {}}), "exactly one of bearer and basic"),
        (https, json!({"auth": {"bearer": secret, "basic": secret}}), "exactly one of bearer and basic"),
        (http, json!({"auth": bearer}), "allowPlainHttp"),
        (http, json!({"tls": {"ca": secret}}), "tls: the address must start with https://"),
        (https, json!({"tls": {}}), "tls: give ca, clientCertificate or both"),
        (https, twice, "each name may be used once"),
        (https, header("Authorization"), "cannot be set here"),
        (https, header("HOST"), "cannot be set here"),
        (https, header("cookie"), "cannot be set here"),
        (https, header("Content-Length"), "cannot be set here"),
        (https, header("proxy-authorization"), "cannot be set here"),
        (https, header("Transfer-Encoding"), "cannot be set here"),
    ] {
        let said = provider_verdict(address, &fields);
        assert!(said.contains(expected), "{address} {fields}: {said:?} does not say {expected:?}");
    }
}

#[test]
fn keys_of_a_providers_secrets_have_defaults() {
    let schema = serde_json::to_value(MetricsProvider::crd()).unwrap();
    let spec = &schema["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    let default = |pointer: &str| spec.pointer(pointer).and_then(|field| field["default"].as_str()).map(str::to_owned);
    let auth = "/auth/properties";
    for (pointer, expected) in [
        (format!("{auth}/bearer/properties/secretRef/properties/key"), "token"),
        (format!("{auth}/basic/properties/usernameKey"), "username"),
        (format!("{auth}/basic/properties/passwordKey"), "password"),
        ("/tls/properties/ca/properties/secretRef/properties/key".to_owned(), "ca.crt"),
    ] {
        assert_eq!(default(&pointer).as_deref(), Some(expected), "{pointer}");
    }
    assert_eq!(spec["auth"]["properties"]["allowPlainHttp"]["default"], false);
    assert_eq!(spec["headers"]["maxItems"], 8);
}

#[test]
fn a_reclassification_says_something_and_stays_as_it_is() {
    let said = |fields: Value| {
        let mut spec = json!({"release": "shop-1", "reason": "the load test did it"});
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        Reclassification::new("said", serde_json::from_value(spec).unwrap())
    };
    let empty = format!("{:?}", validate_cel(&said(json!({}))).unwrap_err());
    assert!(empty.contains("at least one of kind, failed and remediates must be set"), "{empty}");
    for fields in [json!({"failed": false}), json!({"kind": "Hotfix"}), json!({"remediates": "shop-0"})] {
        assert!(validate_cel(&said(fields.clone())).is_ok(), "{fields}");
    }
    let (before, after) = (said(json!({"failed": true})), said(json!({"failed": false})));
    let refused = format!("{:?}", validate_cel_update(&after, &before).unwrap_err());
    assert!(refused.contains("a Reclassification cannot be changed; create another one"), "{refused}");
}

#[test]
fn of_a_postmortem_people_write_the_text() {
    let draft = |fields: Value| {
        let mut spec = json!({"release": "shop-1", "rollout": "shop", "cause": "Escaped",
            "draftedAt": "2026-01-01T00:00:00Z", "markdown": "# Draft"});
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        Postmortem::new("shop-1", serde_json::from_value(spec).unwrap())
    };
    let before = draft(json!({}));
    assert!(validate_cel_update(&draft(json!({"markdown": "# Done"})), &before).is_ok());
    for fields in [
        json!({"release": "shop-2"}),
        json!({"rollout": "cart"}),
        json!({"cause": "Manual"}),
        json!({"draftedAt": "2026-01-02T00:00:00Z"}),
    ] {
        let refused = format!("{:?}", validate_cel_update(&draft(fields.clone()), &before).unwrap_err());
        assert!(refused.contains("only spec.markdown can be changed"), "{fields}: {refused}");
    }
    let schema = serde_json::to_value(Postmortem::crd()).unwrap();
    let version = &schema["spec"]["versions"][0];
    let spec = &version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    assert_eq!(spec["markdown"]["maxLength"], sluice::postmortem::LONGEST);
    assert_eq!(
        (&schema["spec"]["scope"], &schema["spec"]["names"]["shortNames"]),
        (&json!("Namespaced"), &json!(["spm"]))
    );
    let columns: Vec<&str> = version["additionalPrinterColumns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(columns, ["Release", "Rollout", "Cause", "Age"]);
}

#[test]
fn a_sink_has_one_address_and_it_is_safe() {
    let verdict = |spec: &Value| {
        let spec: NotificationSinkSpec = serde_json::from_value(spec.clone()).unwrap();
        validate_cel(&NotificationSink::new("team", spec))
            .map_or_else(|errors| format!("{errors:?}"), |()| String::new())
    };
    let secret = json!({"name": "sink", "key": "url"});
    let (http, https) = ("http://events", "https://events");
    let ca = json!({"ca": {"secretRef": {"name": "ca"}}});
    for spec in [
        json!({"url": https}),
        json!({"url": http, "allowPlainHttp": true}),
        json!({"urlSecretRef": secret, "hmacSecretRef": secret, "tls": ca}),
        json!({"url": "https://events/a/path@with?sign=@", "tls": ca, "timeout": "1m"}),
    ] {
        assert_eq!(verdict(&spec), "", "{spec}");
    }
    for (spec, expected) in [
        (json!({}), "exactly one of url and urlSecretRef"),
        (json!({"url": https, "urlSecretRef": secret}), "exactly one of url and urlSecretRef"),
        (json!({"url": http}), "allowPlainHttp"),
        (json!({"url": "ftp://events", "allowPlainHttp": true}), "must start with http"),
        (json!({"url": "https://user:word@events"}), "must not hold a user or a password"),
        (json!({"url": http, "allowPlainHttp": true, "tls": ca}), "tls: the url must start with https://"),
        (json!({"url": https, "timeout": "61s"}), "at most 1m"),
        (json!({"url": https, "timeout": "0s"}), "more than 0s"),
    ] {
        let said = verdict(&spec);
        assert!(said.contains(expected), "{spec}: {said:?} does not say {expected:?}");
    }
}

#[test]
fn a_sink_has_bounds_and_tells_what_matters_by_default() {
    let schema = serde_json::to_value(NotificationSink::crd()).unwrap();
    assert_eq!(schema["spec"]["scope"], "Cluster");
    let both = &schema["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    let (spec, status) = (&both["spec"]["properties"], &both["status"]["properties"]);
    assert_eq!((&spec["namespaces"]["maxItems"], &spec["events"]["maxItems"]), (&json!(100), &json!(16)));
    let cursor = &status["cursor"]["properties"];
    assert_eq!((&cursor["recent"]["maxItems"], &cursor["standing"]["maxItems"]), (&json!(1024), &json!(256)));
    let told: Vec<&str> =
        spec["events"]["default"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    let expected = SinkEvent::ALL.map(SinkEvent::name);
    let expected: Vec<&str> = expected.into_iter().filter(|name| !["Superseded", "Approved"].contains(name)).collect();
    assert_eq!(told, expected);
}
