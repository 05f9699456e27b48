//! What reaches a real server on 127.0.0.1, in plain and over TLS, and what is said when it does not.

use std::time::Duration as Span;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::super::client::Client;
use super::super::scripted_secrets::ScriptedSecrets;
use super::super::scripted_server::{Reply, ScriptedServer, scalar};
use super::super::source::{Answer, Source as _};
use super::*;
use crate::decide::measure::Ask;

fn key(secret: &str, key: &str) -> SecretKey {
    SecretKey { secret: secret.to_owned(), key: key.to_owned() }
}

fn bearer() -> Access {
    let credential = Some(Credential::Bearer(key("reader", "token")));
    Access { credential, allow_plain_http: true, ..Access::default() }
}

fn basic() -> Access {
    let credential = Credential::Basic { username: key("reader", "username"), password: key("reader", "password") };
    Access { credential: Some(credential), ..bearer() }
}

/// A client that reads its Secrets anew whenever a server refuses them.
fn client(secrets: &ScriptedSecrets) -> Client {
    let pace = Pace { least: Span::ZERO, ..Pace::default() };
    Client::with(Keyring::new(Arc::new(secrets.clone()), pace).unwrap())
}

async fn ask(client: &Client, server: &ScriptedServer, access: &Access) -> Result<f64, Refusal> {
    let provider = Provider { access: access.clone(), ..server.provider() };
    match client.ask(&provider, &Ask::Value("up".to_owned()), 1).await.answer? {
        Answer::Value(sample) => Ok(sample.value),
        Answer::Counters(_) => panic!("no counter was asked for"),
    }
}

async fn answering() -> ScriptedServer {
    ScriptedServer::start(|_| Reply::Send(200, scalar(1, "2"))).await
}

#[tokio::test]
async fn each_query_carries_its_credential_and_its_headers() {
    let server = answering().await;
    let secrets = ScriptedSecrets::default();
    secrets.put("reader", &[("token", "value-a\n"), ("username", "sluice"), ("password", "pass:word\n")]);
    let client = client(&secrets);
    let tenant = vec![("X-Scope-OrgID".to_owned(), "team-a".to_owned())];
    for access in [bearer(), basic(), Access::default(), Access { headers: tenant, ..bearer() }] {
        ask(&client, &server, &access).await.unwrap();
    }
    let asked = server.asked();
    let header = |at: usize, name: &str| asked[at].get(name).map(String::as_str);
    assert_eq!(header(0, "@authorization"), Some("Bearer value-a"));
    // sluice:pass:word
    assert_eq!(header(1, "@authorization"), Some("Basic c2x1aWNlOnBhc3M6d29yZA=="));
    assert_eq!((header(2, "@authorization"), header(2, "@x-scope-orgid")), (None, None));
    assert_eq!((header(3, "@authorization"), header(3, "@x-scope-orgid")), (Some("Bearer value-a"), Some("team-a")));
    assert_eq!(header(3, "@content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(secrets.reads(), 1);
}

#[tokio::test]
async fn a_redirect_takes_no_credential_along() {
    let target = answering().await;
    let to = format!("{}/api/v1/query", target.provider().address);
    let server = ScriptedServer::start(move |_| Reply::Redirect(to.clone())).await;
    let secrets = ScriptedSecrets::default();
    secrets.put("reader", &[("token", "value-a")]);
    let (class, text) = ask(&client(&secrets), &server, &bearer()).await.unwrap_err();
    assert_eq!((class, text.as_str()), (FailureClass::HttpStatus, "HTTP status 302; redirects are not followed"));
    assert!(target.asked().is_empty());
}

#[tokio::test]
async fn a_credential_that_was_rotated_is_read_and_tried_at_once() {
    let server = ScriptedServer::start_guarded("Bearer value-b", 401).await;
    let secrets = ScriptedSecrets::default();
    secrets.put("reader", &[("token", "value-a")]);
    let client = client(&secrets);
    assert!(ask(&client, &server, &bearer()).await.is_err());
    assert_eq!((server.asked().len(), secrets.reads()), (1, 2), "read again, and not sent again: it is the same");
    secrets.put("reader", &[("token", "value-b")]);
    ask(&client, &server, &bearer()).await.unwrap();
    assert_eq!((server.asked().len(), secrets.reads()), (3, 3));
    ask(&client, &server, &bearer()).await.unwrap();
    assert_eq!((server.asked().len(), secrets.reads()), (4, 3));
}

#[tokio::test]
async fn a_refusal_names_the_secret_and_is_not_asked_again_with_the_same_one() {
    let secrets = ScriptedSecrets::default();
    secrets.put("reader", &[("token", "value-a"), ("username", "value-b"), ("password", "value-c")]);
    let refused = "the credentials in Secret sluice-system/reader were refused";
    let none = "the server wants credentials, and spec.auth gives none";
    for (status, access, why) in
        [(401, bearer(), refused), (403, bearer(), refused), (401, basic(), refused), (401, Access::default(), none)]
    {
        let server = ScriptedServer::start_guarded("nothing", status).await;
        let (class, text) = ask(&client(&secrets), &server, &access).await.unwrap_err();
        assert_eq!((class, text), (FailureClass::HttpStatus, format!("HTTP status {status}: {why}")));
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn nothing_is_asked_without_the_credential() {
    let server = answering().await;
    let secrets = ScriptedSecrets::default();
    secrets.put("reader", &[("username", "value:a"), ("password", "value-b"), ("token", "value\u{1}c")]);
    let no_password = Credential::Basic { username: key("reader", "password"), password: key("reader", "pass") };
    for (access, said) in [
        (Access { credential: Some(Credential::Bearer(key("gone", "token"))), ..bearer() }, "gone does not exist"),
        (Access { credential: Some(no_password), ..bearer() }, "reader has no key pass"),
        (bearer(), "reader: key token cannot be sent in a header"),
        (basic(), "reader: key username holds a colon, which a user name cannot have"),
        (Access { allow_plain_http: false, ..bearer() }, "spec.auth: not sent over http:// without allowPlainHttp"),
        (Access { headers: vec![("a b".to_owned(), "value-d".to_owned())], ..bearer() }, "spec.headers: a b cannot"),
    ] {
        let (class, text) = ask(&client(&secrets), &server, &access).await.unwrap_err();
        assert_eq!(class, FailureClass::Credentials);
        assert!(text.contains(said) && !text.contains("value"), "{text:?} does not say {said:?}");
    }
    assert!(server.asked().is_empty());
}

/// An authority of the test, and what it signs.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// PEM of a certificate and of its key.
struct Signed {
    certificate: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { pem: params.self_signed(&key).unwrap().pem(), issuer: Issuer::new(params, key) }
    }

    fn sign(&self, name: &str) -> Signed {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        Signed { certificate: params.signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem() }
    }

    /// A server with a certificate for 127.0.0.1 that wants clients signed by `clients`.
    async fn server(&self, clients: Option<&Self>) -> ScriptedServer {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let wanted = match clients {
            Some(clients) => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(clients.pem.as_bytes()).unwrap()).unwrap();
                rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap()
            }
            None => rustls::server::WebPkiClientVerifier::no_client_auth(),
        };
        let own = self.sign("127.0.0.1");
        let chain = vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
        let config = rustls::ServerConfig::builder().with_client_cert_verifier(wanted).with_single_cert(chain, key);
        ScriptedServer::start_tls(config.unwrap(), |_| Reply::Send(200, scalar(1, "2"))).await
    }
}

fn private_ca() -> Access {
    Access { ca: Some(key("trust", "ca.crt")), ..Access::default() }
}

fn mutual() -> Access {
    Access { client_certificate: Some("us".to_owned()), ..private_ca() }
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_it_is_named_and_no_other_is() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let server = ours.server(None).await;
    let secrets = ScriptedSecrets::default();
    secrets.put("trust", &[("ca.crt", &format!("{}{}", other.pem, ours.pem))]);
    secrets.put("reader", &[("token", "value-a")]);
    let access = Access { ca: private_ca().ca, allow_plain_http: false, ..bearer() };
    ask(&client(&secrets), &server, &access).await.unwrap();
    assert_eq!(server.asked()[0]["@authorization"], "Bearer value-a");
    let unknown = (FailureClass::Unreachable, "its certificate is signed by an unknown authority".to_owned());
    assert_eq!(ask(&client(&secrets), &server, &Access::default()).await.unwrap_err(), unknown);
    secrets.put("trust", &[("ca.crt", &other.pem)]);
    assert_eq!(ask(&client(&secrets), &server, &access).await.unwrap_err(), unknown);
    assert_eq!(server.asked().len(), 1, "no credential reaches a server that is not trusted");
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_a_server_that_asks() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let server = servers.server(Some(&clients)).await;
    let secrets = ScriptedSecrets::default();
    secrets.put("trust", &[("ca.crt", &servers.pem)]);
    let put = |signed: &Signed| secrets.put("us", &[("tls.crt", &signed.certificate), ("tls.key", &signed.key)]);
    put(&clients.sign("sluice"));
    ask(&client(&secrets), &server, &mutual()).await.unwrap();
    // With TLS 1.3 a server refuses after our side of the handshake: what is seen of it depends on who is faster.
    assert_eq!(ask(&client(&secrets), &server, &private_ca()).await.unwrap_err().0, FailureClass::Unreachable);
    put(&servers.sign("sluice"));
    assert_eq!(ask(&client(&secrets), &server, &mutual()).await.unwrap_err().0, FailureClass::Unreachable);
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn one_client_serves_all_with_the_same_certificates_until_they_change() {
    let ours = Authority::new("ours");
    let server = ours.server(None).await;
    let secrets = ScriptedSecrets::default();
    secrets.put("trust", &[("ca.crt", &ours.pem)]);
    let keyring = Keyring::new(Arc::new(secrets.clone()), Pace::default()).unwrap();
    let provider = |tenant: &str| {
        let headers = vec![("X-Scope-OrgID".to_owned(), tenant.to_owned())];
        Provider { name: tenant.to_owned(), access: Access { headers, ..private_ca() }, ..server.provider() }
    };
    let start = clock::instant();
    let after = |seconds| start.checked_add(Span::from_secs(seconds)).unwrap();
    for (second, tenant) in [(0, "a"), (1, "b"), (59, "a")] {
        keyring.resolve(&provider(tenant), Age::Usual, after(second)).await.unwrap();
    }
    let made =
        |keyring: &Keyring| keyring.pools.lock().unwrap().values().map(|pool| pool.tls.clone()).collect::<Vec<_>>();
    let before = made(&keyring);
    assert_eq!(before.len(), 1);
    secrets.put("trust", &[("ca.crt", &Authority::new("next").pem)]);
    keyring.resolve(&provider("a"), Age::Usual, after(60)).await.unwrap();
    assert_ne!(made(&keyring), before);
    assert_eq!(made(&keyring).len(), 1);
}

#[tokio::test]
async fn bad_certificates_are_named_by_secret_and_key() {
    let authority = Authority::new("ours");
    let server = authority.server(None).await;
    let (one, two) = (authority.sign("sluice"), authority.sign("sluice"));
    let broken = "-----BEGIN CERTIFICATE-----\nvalue\n-----END CERTIFICATE-----\n";
    // PEM around what is no certificate.
    let hollow = "-----BEGIN CERTIFICATE-----\ndmFsdWU=\n-----END CERTIFICATE-----\n";
    let none = "holds no usable PEM certificate";
    let ca = &authority.pem;
    for (trust, certificate, private, said) in [
        ("value", &one.certificate, &one.key, format!("trust: key ca.crt {none}")),
        (broken, &one.certificate, &one.key, format!("trust: key ca.crt {none}")),
        (hollow, &one.certificate, &one.key, format!("trust: key ca.crt {none}")),
        (ca, &"value".to_owned(), &one.key, format!("us: key tls.crt {none}")),
        (ca, &one.certificate, &"value".to_owned(), "us: key tls.key holds no PEM key".to_owned()),
        (ca, &one.certificate, &two.key, "us: key tls.key does not fit the certificate beside it".to_owned()),
    ] {
        let secrets = ScriptedSecrets::default();
        secrets.put("trust", &[("ca.crt", trust)]);
        secrets.put("us", &[("tls.crt", certificate), ("tls.key", private)]);
        let (class, text) = ask(&client(&secrets), &server, &mutual()).await.unwrap_err();
        assert_eq!((class, text), (FailureClass::Credentials, format!("Secret sluice-system/{said}")));
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn an_admission_prints_no_secret() {
    let authority = Authority::new("ours");
    let server = authority.server(None).await;
    let own = authority.sign("sluice");
    let secrets = ScriptedSecrets::default();
    secrets.put("trust", &[("ca.crt", &authority.pem)]);
    secrets.put("us", &[("tls.crt", &own.certificate), ("tls.key", &own.key)]);
    secrets.put("reader", &[("username", "sluice"), ("password", "value-a")]);
    let keyring = Keyring::new(Arc::new(secrets), Pace::default()).unwrap();
    let access = Access { credential: basic().credential, ..mutual() };
    let admission = keyring.admit(&Provider { access, ..server.provider() }).await.unwrap();
    let printed = format!("{admission:?}");
    assert!(printed.contains("Sensitive") && printed.contains("hidden"), "{printed}");
    for secret in ["value-a", "c2x1aWNl", "BEGIN", "PRIVATE"] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}
