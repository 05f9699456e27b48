//! Test only: an HTTP server on 127.0.0.1 that answers each query as the test says and remembers what it was asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::api::Duration;
use crate::decide::measure::Provider;

/// What the server does with one query.
#[derive(Clone)]
pub(super) enum Reply {
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

type Script = dyn Fn(&str) -> Reply + Send + Sync;

/// Removed with the runtime of the test that made it.
#[derive(Clone)]
pub(super) struct ScriptedServer {
    address: String,
    forms: Arc<Mutex<Vec<HashMap<String, String>>>>,
}

impl ScriptedServer {
    pub(super) async fn start(script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        // Both may be the first in the process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let forms = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Script> = Arc::new(script);
        let seen = forms.clone();
        let app = Router::new().fallback(move |request: Request| answer(request, script.clone(), seen.clone()));
        #[allow(clippy::disallowed_methods)] // ends with the runtime of the test
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, forms }
    }

    pub(super) fn provider(&self) -> Provider {
        Provider {
            name: "main".to_owned(),
            address: self.address.clone(),
            scrape_interval: Duration::from_millis(100),
            timeout: Duration::from_secs(20),
        }
    }

    /// The fields of each query so far, with method and path as `@`.
    pub(super) fn asked(&self) -> Vec<HashMap<String, String>> {
        self.forms.lock().unwrap().clone()
    }
}

async fn answer(request: Request, script: Arc<Script>, seen: Arc<Mutex<Vec<HashMap<String, String>>>>) -> Response {
    let at = format!("{} {}", request.method(), request.uri().path());
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let url = reqwest::Url::parse(&format!("http://x/?{}", str::from_utf8(&body).unwrap())).unwrap();
    let mut form: HashMap<String, String> = url.query_pairs().into_owned().collect();
    form.insert("@".to_owned(), at);
    let query = form.get("query").cloned().unwrap_or_default();
    seen.lock().unwrap().push(form);
    let respond = |status: u16, body: Body| Response::builder().status(status).body(body).unwrap();
    match script(&query) {
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
pub(super) fn scalar(second: i64, value: &str) -> Vec<u8> {
    success("scalar", &json!([second, value]))
}

/// The answer with one series without labels.
pub(super) fn counter(samples: &[(i64, &str)]) -> Vec<u8> {
    success("matrix", &json!([{"metric": {"__name__": "c"}, "values": samples}]))
}

fn success(kind: &str, result: &Value) -> Vec<u8> {
    serde_json::to_vec(&json!({"status": "success", "data": {"resultType": kind, "result": result}})).unwrap()
}
