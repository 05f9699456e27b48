//! Deliveries to a real HTTP server on 127.0.0.1.

use serde_json::{Value, json};

use super::*;
use crate::api::Duration;
use crate::prometheus::SecretFault;
use crate::prometheus::scripted_secrets::ScriptedSecrets;
use crate::prometheus::scripted_server::{Reply, ScriptedServer};

const BODY: &[u8] = br#"{"text":"hello"}"#;

fn spec(more: Value) -> NotificationSinkSpec {
    let mut spec = json!({"allowPlainHttp": true});
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    serde_json::from_value(spec).unwrap()
}

fn address(server: &ScriptedServer) -> String {
    format!("{}/hook", server.provider().address)
}

async fn deliver(secrets: &ScriptedSecrets, spec: &NotificationSinkSpec) -> Result<(), Undelivered> {
    let post = HttpPost::new(Arc::new(secrets.clone())).unwrap();
    let at = Timestamp::from_second(1_700_000_000).unwrap();
    let parcel = Parcel { sink: "team", spec, id: "id-1", at, body: BODY.to_vec(), content_type: "application/json" };
    post.post(parcel).await
}

fn failed(class: DeliveryFailure, http_status: Option<u16>) -> Result<(), Undelivered> {
    Err(Undelivered { class, http_status })
}

#[tokio::test]
async fn a_delivery_is_one_signed_post() {
    let server = ScriptedServer::start(|_| Reply::Send(204, Vec::new())).await;
    let secrets = ScriptedSecrets::default();
    secrets.put("sink", &[("hmac", "topsecret\n"), ("url", &format!("{}\n", address(&server)))]);
    let spec = spec(json!({
        "urlSecretRef": {"name": "sink", "key": "url"}, "hmacSecretRef": {"name": "sink", "key": "hmac"},
    }));
    assert_eq!(deliver(&secrets, &spec).await, Ok(()));
    let [asked] = server.asked().try_into().unwrap();
    assert_eq!(asked["@"], "POST /hook");
    assert_eq!((asked["@content-type"].as_str(), asked["@idempotency-key"].as_str()), ("application/json", "id-1"));
    let at = Timestamp::from_second(1_700_000_000).unwrap();
    assert_eq!(asked["@sluice-signature"], sign::signature(b"topsecret", at, BODY));
    assert!(asked.contains_key(str::from_utf8(BODY).unwrap()), "{asked:?}");
    assert!(!asked.contains_key("@authorization"));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = ScriptedServer::start(|_| Reply::Send(200, Vec::new())).await;
    let elsewhere = address(&target);
    let server = ScriptedServer::start(move |_| Reply::Redirect(elsewhere.clone())).await;
    let spec = spec(json!({"url": address(&server)}));
    let secrets = ScriptedSecrets::default();
    assert_eq!(deliver(&secrets, &spec).await, failed(DeliveryFailure::HttpStatus, Some(302)));
    assert!(target.asked().is_empty());
}

#[tokio::test]
async fn an_answer_is_its_status_and_nothing_else() {
    let secrets = ScriptedSecrets::default();
    // Not even an answer without an end is waited for.
    let server = ScriptedServer::start(|_| Reply::Endless).await;
    assert_eq!(deliver(&secrets, &spec(json!({"url": address(&server)}))).await, Ok(()));
    let server = ScriptedServer::start(|_| Reply::Send(500, b"password".to_vec())).await;
    let refused = deliver(&secrets, &spec(json!({"url": address(&server)}))).await;
    assert_eq!(refused, failed(DeliveryFailure::HttpStatus, Some(500)));
}

#[tokio::test]
async fn a_server_that_hangs_is_left_after_the_timeout() {
    let server = ScriptedServer::start(|_| Reply::Hang).await;
    let mut spec = spec(json!({"url": address(&server)}));
    spec.timeout = Duration::from_millis(50);
    assert_eq!(deliver(&ScriptedSecrets::default(), &spec).await, failed(DeliveryFailure::Timeout, None));
}

#[tokio::test]
async fn an_address_that_cannot_be_used_is_not_tried() {
    let server = ScriptedServer::start(|_| Reply::Send(200, Vec::new())).await;
    let secrets = ScriptedSecrets::default();
    for url in ["no url", "ftp://127.0.0.1/", "file:///etc/passwd"] {
        secrets.put("sink", &[("url", url)]);
        let spec = spec(json!({"urlSecretRef": {"name": "sink", "key": "url"}}));
        assert_eq!(deliver(&secrets, &spec).await, failed(DeliveryFailure::Address, None), "{url}");
    }
    // The schema cannot see what is in a Secret.
    secrets.put("sink", &[("url", &address(&server))]);
    let mut plain = spec(json!({"urlSecretRef": {"name": "sink", "key": "url"}}));
    plain.allow_plain_http = false;
    assert_eq!(deliver(&secrets, &plain).await, failed(DeliveryFailure::Address, None));
    assert_eq!(deliver(&secrets, &spec(json!({}))).await, failed(DeliveryFailure::Address, None));
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn nothing_is_sent_without_its_secrets() {
    let server = ScriptedServer::start(|_| Reply::Send(200, Vec::new())).await;
    let secrets = ScriptedSecrets::default();
    let signed = spec(json!({"url": address(&server), "hmacSecretRef": {"name": "gone", "key": "hmac"}}));
    assert_eq!(deliver(&secrets, &signed).await, failed(DeliveryFailure::Credentials, None));
    secrets.put("gone", &[("hmac", "\n")]);
    assert_eq!(
        deliver(&secrets, &signed).await,
        failed(DeliveryFailure::Credentials, None),
        "an empty key signs nothing"
    );
    secrets.fail(Some(SecretFault::Forbidden));
    assert_eq!(deliver(&secrets, &signed).await, failed(DeliveryFailure::Credentials, None));
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn https_is_trusted_by_the_authority_that_is_named() {
    let issued = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .unwrap();
    let server = ScriptedServer::start_tls(config, |_| Reply::Send(200, Vec::new())).await;
    let secrets = ScriptedSecrets::default();
    secrets.put("ca", &[("ca.crt", &issued.cert.pem())]);
    let url = address(&server);
    let trusting = spec(json!({"url": url, "allowPlainHttp": false, "tls": {"ca": {"secretRef": {"name": "ca"}}}}));
    assert_eq!(deliver(&secrets, &trusting).await, Ok(()));
    let strange = spec(json!({"url": url}));
    assert_eq!(deliver(&secrets, &strange).await, failed(DeliveryFailure::Unreachable, None));
    assert_eq!(server.asked().len(), 1);
}
