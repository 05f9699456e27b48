//! Test only: an HTTP server on 127.0.0.1 that answers each query as the test says and remembers what it was asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::response::Response;
use axum::serve::Listener;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::api::Duration;
use crate::decide::measure::{Access, Provider};

/// What the server does with one query.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Sends this at once.
    Send(u16, Vec<u8>),
    /// Sends this header and status, without a body.
    Redirect(String),
    /// Sends blanks without end and without announcing a length.
    Endless,
    /// Never answers.
    Hang,
    /// Sends this once the test adds a permit.
    Held(Arc<Semaphore>, Vec<u8>),
}

/// Sees the query and the `Authorization` of it.
type Script = dyn Fn(&str, &str) -> Reply + Send + Sync;

/// Removed with the runtime of the test that made it.
#[derive(Clone)]
pub(crate) struct ScriptedServer {
    address: String,
    forms: Arc<Mutex<Vec<HashMap<String, String>>>>,
}

impl ScriptedServer {
    pub(crate) async fn start(script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = listen().await;
        let address = format!("http://{}", listener.local_addr().unwrap());
        Self::serve(listener, address, Arc::new(move |query, _| script(query)))
    }

    /// One that answers only where this is the `Authorization`, and else with this HTTP status.
    pub(crate) async fn start_guarded(expected: &'static str, refusal: u16) -> Self {
        let listener = listen().await;
        let address = format!("http://{}", listener.local_addr().unwrap());
        let guarded = move |_: &str, authorization: &str| match authorization == expected {
            true => Reply::Send(200, scalar(1, "2")),
            false => Reply::Send(refusal, br#"{"status":"error","error":"secret"}"#.to_vec()),
        };
        Self::serve(listener, address, Arc::new(guarded))
    }

    /// One that speaks https.
    pub(crate) async fn start_tls(
        config: rustls::ServerConfig,
        script: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let tcp = listen().await;
        let address = format!("https://{}", tcp.local_addr().unwrap());
        let listener = TlsListener { tcp, acceptor: TlsAcceptor::from(Arc::new(config)) };
        Self::serve(listener, address, Arc::new(move |query, _| script(query)))
    }

    fn serve<L: Listener<Addr: std::fmt::Debug>>(listener: L, address: String, script: Arc<Script>) -> Self {
        let forms = Arc::new(Mutex::new(Vec::new()));
        let seen = forms.clone();
        let app = Router::new().fallback(move |request: Request| answer(request, script.clone(), seen.clone()));
        #[allow(clippy::disallowed_methods)] // ends with the runtime of the test
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, forms }
    }

    pub(crate) fn provider(&self) -> Provider {
        Provider {
            name: "main".to_owned(),
            address: self.address.clone(),
            scrape_interval: Duration::from_millis(100),
            timeout: Duration::from_secs(20),
            access: Access::default(),
        }
    }

    /// The fields of each query so far, with method and path as `@` and each header as `@` and its name.
    pub(crate) fn asked(&self) -> Vec<HashMap<String, String>> {
        self.forms.lock().unwrap().clone()
    }
}

async fn listen() -> TcpListener {
    // Each may be the first in the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// Connections whose handshake went well.
struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (connection, address) = self.tcp.accept().await.unwrap();
            if let Ok(connection) = self.acceptor.accept(connection).await {
                return (connection, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

async fn answer(request: Request, script: Arc<Script>, seen: Arc<Mutex<Vec<HashMap<String, String>>>>) -> Response {
    let at = format!("{} {}", request.method(), request.uri().path());
    let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    let headers: Vec<_> = request.headers().iter().map(|(name, value)| (format!("@{name}"), text(value))).collect();
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let url = reqwest::Url::parse(&format!("http://x/?{}", str::from_utf8(&body).unwrap())).unwrap();
    let mut form: HashMap<String, String> = url.query_pairs().into_owned().collect();
    form.insert("@".to_owned(), at);
    form.extend(headers);
    let query = form.get("query").cloned().unwrap_or_default();
    let authorization = form.get("@authorization").cloned().unwrap_or_default();
    seen.lock().unwrap().push(form);
    let respond = |status: u16, body: Body| Response::builder().status(status).body(body).unwrap();
    match script(&query, &authorization) {
        Reply::Send(status, body) => respond(status, body.into()),
        Reply::Redirect(to) => Response::builder().status(302).header("location", to).body(Body::empty()).unwrap(),
        Reply::Endless => {
            let blanks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 1 << 16]));
            respond(200, Body::from_stream(blanks))
        }
        Reply::Hang => std::future::pending().await,
        Reply::Held(gate, body) => {
            gate.acquire().await.unwrap().forget();
            respond(200, body.into())
        }
    }
}

/// The answer with one number.
pub(crate) fn scalar(second: i64, value: &str) -> Vec<u8> {
    success("scalar", &json!([second, value]))
}

/// The answer with one series without labels.
pub(crate) fn counter(samples: &[(i64, &str)]) -> Vec<u8> {
    success("matrix", &json!([{"metric": {"__name__": "c"}, "values": samples}]))
}

fn success(kind: &str, result: &Value) -> Vec<u8> {
    serde_json::to_vec(&json!({"status": "success", "data": {"resultType": kind, "result": result}})).unwrap()
}
