//! What of the cluster is asked for: all of it, or one namespace and some kinds of route.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::json;
use sluice::api::RouteKind;
use sluice::watch::{Freshness, Sight, stores};

/// The paths that are listed and watched with this sight, once every kind has been listed.
async fn asked(sight: &Sight) -> (BTreeSet<String>, Freshness) {
    let (service, handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let paths = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = paths.clone();
    tokio::spawn(async move {
        let mut handle = pin!(handle);
        let mut watches = Vec::new();
        while let Some((request, send)) = handle.next_request().await {
            seen.lock().unwrap().insert(request.uri().path().to_owned());
            if request.uri().query().unwrap_or_default().contains("watch=") {
                watches.push(send); // nothing ever happens
                continue;
            }
            let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": []});
            send.send_response(Response::new(Body::from(list.to_string().into_bytes())));
        }
    });
    let freshness = Freshness::default();
    let (wake, _woken) = tokio::sync::mpsc::channel(1);
    let (_stores, tasks) = stores(&Client::new(service, "own"), sight, &freshness, &wake);
    for (_, task) in tasks {
        tokio::spawn(task);
    }
    tokio::time::timeout(Duration::from_secs(60), freshness.complete()).await.unwrap();
    let paths = paths.lock().unwrap().clone();
    (paths, freshness)
}

#[tokio::test(start_paused = true)]
async fn the_whole_cluster_is_in_sight_unless_told_otherwise() {
    let (paths, _) = asked(&Sight::default()).await;
    assert_eq!(paths.len(), 22, "{paths:#?}");
    assert!(paths.iter().all(|path| !path.contains("/namespaces/")), "{paths:#?}");
}

#[tokio::test(start_paused = true)]
async fn one_namespace_is_asked_for_with_rights_in_it_alone() {
    let (paths, _) = asked(&Sight { namespace: Some("shop".into()), ..Sight::default() }).await;
    let (inside, outside): (Vec<&String>, Vec<&String>) =
        paths.iter().partition(|path| path.contains("/namespaces/shop/"));
    assert_eq!(inside.len(), 16, "{inside:#?}");
    let last = |path: &&String| path.rsplit('/').next().unwrap_or_default().to_owned();
    // What is in no namespace: administrators' objects, and the policies.
    let cluster = [
        "metricsproviders",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
        "notificationsinks",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
    ];
    assert_eq!(outside.iter().map(last).collect::<BTreeSet<_>>(), cluster.map(str::to_owned).into());
}

#[tokio::test(start_paused = true)]
async fn a_kind_of_route_that_is_left_out_is_not_asked_for() {
    let (paths, freshness) = asked(&Sight { routes: vec![RouteKind::HTTPRoute], ..Sight::default() }).await;
    assert!(!paths.iter().any(|path| path.ends_with("/grpcroutes")), "{paths:#?}");
    assert!(freshness.serves("HTTPRoute") && !freshness.serves("GRPCRoute"));
    let (paths, freshness) = asked(&Sight { routes: vec![RouteKind::GRPCRoute], ..Sight::default() }).await;
    assert!(!paths.iter().any(|path| path.ends_with("/httproutes")), "{paths:#?}");
    assert!(freshness.serves("GRPCRoute") && !freshness.serves("HTTPRoute"));
}
