//! kubectl as a user types it.

use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// kubectl on one cluster.
#[derive(Debug, Clone)]
pub(crate) struct Kubectl {
    context: Option<String>,
}

impl Kubectl {
    pub(crate) fn new(context: Option<&str>) -> Self {
        Self { context: context.map(ToOwned::to_owned) }
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new("kubectl");
        if let Some(context) = &self.context {
            command.args(["--context", context]);
        }
        command.args(arguments).output().context("kubectl cannot be run; is it on PATH?")
    }

    /// What a command prints; an error says what was asked and what kubectl said.
    pub(crate) fn text(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments)?;
        if !output.status.success() {
            bail!("kubectl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What a command prints as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Result<Value> {
        let mut arguments = arguments.to_vec();
        arguments.extend(["-o", "json"]);
        let text = self.text(&arguments)?;
        serde_json::from_str(&text).with_context(|| format!("kubectl {} printed no JSON", arguments.join(" ")))
    }

    /// Whether a command succeeds.
    pub(crate) fn succeeds(&self, arguments: &[&str]) -> bool {
        self.run(arguments).is_ok_and(|output| output.status.success())
    }

    /// Applies a text.
    pub(crate) fn apply(&self, manifest: &str) -> Result<String> {
        use std::io::Write;
        let mut command = Command::new("kubectl");
        if let Some(context) = &self.context {
            command.args(["--context", context]);
        }
        let mut child = command
            .args(["apply", "-f", "-"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .context("kubectl cannot be run; is it on PATH?")?;
        child.stdin.take().context("kubectl has no input")?.write_all(manifest.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("kubectl apply: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The text at a place in an object; empty if there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
