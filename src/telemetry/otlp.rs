//! Spans to a collector of OpenTelemetry, by OTLP over HTTP. Owns the exporter and its last words; what a span is called
//! and holds is the business of whoever opens it. A collector that is away costs spans and nothing else.

use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::{Layer, Registry};

/// How long one batch may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The exporter; what is not sent yet is sent when it is dropped.
#[derive(Debug)]
pub struct Spans(SdkTracerProvider);

impl Spans {
    /// Sends to the collector at this address, such as `http://collector:4318`.
    pub fn to(endpoint: &str, process: &str) -> anyhow::Result<Self> {
        // It is printed with the other settings.
        anyhow::ensure!(
            !endpoint.contains('@'),
            "--otlp-endpoint: no credentials in the address; headers come from OTEL_EXPORTER_OTLP_HEADERS"
        );
        let traces = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(traces)
            .with_timeout(PATIENCE)
            .build()
            .with_context(|| format!("--otlp-endpoint {endpoint:?}"))?;
        let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let instance = opentelemetry::KeyValue::new("service.instance.id", process.to_owned());
        let resource = Resource::builder().with_service_name("sluice").with_attributes([version, instance]).build();
        Ok(Self(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
    }

    /// What hands spans to it.
    pub fn layer(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
        tracing_opentelemetry::layer().with_tracer(self.0.tracer("sluice")).boxed()
    }
}

impl Drop for Spans {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a test may start a task
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// A collector that takes one request: its address, and what was posted to which path.
    fn collector() -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let taken = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let (mut all, mut part) = (Vec::new(), [0; 4096]);
            while !String::from_utf8_lossy(&all).contains("observe") {
                let read = stream.read(&mut part).unwrap();
                assert!(read > 0, "the collector was told nothing of it");
                all.extend_from_slice(&part[..read]);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
            String::from_utf8_lossy(&all).into_owned()
        });
        (address, taken)
    }

    #[test]
    fn spans_reach_the_collector_with_their_names_and_fields() {
        // As `main` does.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (address, taken) = collector();
        let spans = Spans::to(&address, "sluice-0").unwrap();
        let layers = vec![spans.layer()];
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layers), || {
            let pass = tracing::info_span!("reconcile", rollout = "demo/shop");
            pass.in_scope(|| tracing::info_span!("observe").in_scope(|| {}));
        });
        drop(spans);
        let posted = taken.join().unwrap();
        for word in ["POST /v1/traces ", "reconcile", "observe", "demo/shop", "service.name", "sluice-0"] {
            assert!(posted.contains(word), "{word}: {posted}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_by_the_flags_name() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let error = Spans::to("collector 4318", "sluice-0").unwrap_err();
        assert!(format!("{error:#}").contains("--otlp-endpoint"), "{error:#}");
        let error = Spans::to("http://me:secret@collector:4318", "sluice-0").unwrap_err();
        assert!(error.to_string().contains("--otlp-endpoint: no credentials"), "{error:#}");
    }
}
