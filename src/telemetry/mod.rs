//! Logs: constant messages with fields, as text or JSON. No secrets, no bodies of external answers. Spans of each pass go
//! to a collector, if the program was built for that.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::run_command::LogFormat;

#[cfg(feature = "otlp")]
pub mod otlp;

type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts logging to standard error, and to whatever else is given.
pub fn start(level: &str, format: LogFormat, others: Vec<Boxed>) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(level).map_err(|error| anyhow::anyhow!("--log-level {level:?}: {error}"))?;
    let written = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let mut layers = others;
    layers.push(match format {
        LogFormat::Text => written.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => written.json().boxed(),
    });
    tracing_subscriber::registry().with(layers).with(filter).try_init()?;
    Ok(())
}
