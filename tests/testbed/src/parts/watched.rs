//! Runs a long command while telling a person how far it is. It must not interpret what the command makes.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::progress::{PATIENCE, Progress};

/// Runs `command`, printing `describe(lines so far)` whenever a person would start to wonder.
///
/// `counts` tells which lines of standard error are progress; the others are kept for the error message.
pub(super) fn run(
    command: &mut Command,
    progress: Progress,
    counts: impl Fn(&str) -> bool,
    describe: impl Fn(usize) -> String,
) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let stderr = child.stderr.take().context("standard error of the command is not piped")?;
    let (send, receive) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });

    let mut done: usize = 0;
    let mut other: Vec<String> = Vec::new();
    let mut said = Instant::now();
    loop {
        let left = PATIENCE.saturating_sub(said.elapsed());
        match receive.recv_timeout(left) {
            Ok(line) if counts(&line) => done = done.saturating_add(1),
            Ok(line) => other.push(line),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
        if said.elapsed() >= PATIENCE {
            progress.say(&describe(done));
            said = Instant::now();
        }
    }
    let _ = reader.join();
    let status = child.wait()?;
    let tail = other.len().saturating_sub(15);
    anyhow::ensure!(
        status.success(),
        "{program} ended with {status}:\n{}",
        other.get(tail..).unwrap_or_default().join("\n")
    );
    Ok(())
}

/// Runs a short command and returns what it printed, or an error with what it complained about.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {program}"))?;
    anyhow::ensure!(
        output.status.success(),
        "{program} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_carries_the_lines_that_are_not_progress() {
        let error = run(
            Command::new("sh").args(["-c", "echo pkg/a >&2; echo undefined: x >&2; exit 3"]),
            Progress::start(),
            |line| line.starts_with("pkg/"),
            |done| done.to_string(),
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains("undefined: x"), "{error}");
        assert!(!error.contains("pkg/a"), "{error}");
    }
}
