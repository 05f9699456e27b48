//! The story: a good version, a bad version, a summary.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use testbed::load::{self, Summary};

use crate::Options;
use crate::cluster::{Cluster, check, condition};
use crate::kubectl::text;
use crate::show::{grouped, heading, indented, line, typed};

const GET: [&str; 4] = ["get", "rollouts.sluice.dev", "-n", "demo"];
/// How long one version may take to its end.
const PATIENCE: Duration = Duration::from_secs(180);

/// What became of the good version.
struct Good {
    seconds: f64,
    requests: u64,
    shares: Vec<(u64, f64)>,
}

/// What became of the bad version.
struct Bad {
    to_verdict: f64,
    to_zero: f64,
    failed: u64,
    at_full: u64,
    served: u64,
}

pub(crate) async fn tell(options: &Options) -> Result<()> {
    let began = Instant::now();
    heading("A cluster with Sluice and a shop");
    let cluster = check(options)?;
    cluster.install()?;
    cluster.answers().await?;
    line(&format!("A client sends {} requests per second from now on.", options.rate));
    let traffic = load::start(
        load::Config::new(&cluster.gateway_url).host("shop.test").rate(options.rate).duration(Duration::from_secs(420)),
    )?;
    let good = good(&cluster, &traffic).await?;
    let bad = bad(&cluster, &traffic).await?;
    let total = traffic.stop().await;
    ensure!(total.skipped == 0, "the client could not keep its pace: {} requests were not sent", total.skipped);
    summary(&good, &bad, &total, began.elapsed());
    figures(&cluster)?;
    look_around(&cluster);
    Ok(())
}

/// Follows the Rollout until it reaches one of `ends`, and shows each change as kubectl shows it.
async fn follow(cluster: &Cluster, traffic: &load::Handle, ends: &[&str]) -> Result<(Value, Vec<(u64, f64)>)> {
    let deadline = Instant::now() + PATIENCE;
    let mut before = (String::new(), String::new());
    let mut baking: Option<(u64, Duration)> = None;
    let mut shares = Vec::new();
    let (mut said, mut planned) = (String::new(), false);
    loop {
        let rollout = cluster.rollout()?;
        let (phase, wave) = (text(&rollout, "/status/phase"), text(&rollout, "/status/wave"));
        let weight = rollout.pointer("/status/run/weight").and_then(Value::as_u64).unwrap_or(0);
        if (phase, wave) != (before.0.as_str(), before.1.as_str()) {
            if let Some((weight, since)) = baking.take() {
                let seen = traffic.between(since, traffic.elapsed());
                shares.push((weight, share(&seen)));
            }
            // The weight has reached every client once the bake clock runs.
            if phase == "Baking" {
                baking = Some((weight, traffic.elapsed()));
            }
            show(cluster, traffic, &shares, before.0 == "Baking")?;
            before = (phase.to_owned(), wave.to_owned());
            said = text(&rollout, "/status/message").to_owned();
        } else if phase == "Baking" && said != text(&rollout, "/status/message") {
            // The statistics at work: odds for and against, and what is still needed.
            said = text(&rollout, "/status/message").to_owned();
            line(&format!("  {:<9}  {said}", text(&rollout, "/status/verdict")));
        }
        if let (false, Some(plan)) = (planned, entry(&rollout, "Planned")) {
            line(&format!("  the plan: {plan}"));
            planned = true;
        }
        if ends.contains(&phase) && condition(&rollout, "Complete") {
            return Ok((rollout, shares));
        }
        if Instant::now() > deadline {
            bail!("the Rollout is still {phase} after {PATIENCE:?}: {}", text(&rollout, "/status/message"));
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// What the timeline says of one decision.
fn entry(rollout: &Value, reason: &str) -> Option<String> {
    let timeline = rollout.pointer("/status/run/timeline")?.as_array()?;
    let found = timeline.iter().find(|entry| text(entry, "/reason") == reason)?;
    Some(text(found, "/message").to_owned())
}

/// The share of the newest version among those that answered.
fn share(seen: &Summary) -> f64 {
    seen.by_version.iter().next_back().map_or(0.0, |(_, counts)| counts.share * 100.0)
}

fn show(cluster: &Cluster, traffic: &load::Handle, shares: &[(u64, f64)], baked: bool) -> Result<()> {
    if let (true, Some((weight, share))) = (baked, shares.last()) {
        let failed = traffic.snapshot().failed;
        line(&format!(
            "  the client saw the new version in {share:.1}% of its answers at weight {weight}%; {failed} failed requests so far"
        ));
    }
    indented(cluster.kubectl.text(&GET)?.trim_end());
    Ok(())
}

async fn good(cluster: &Cluster, traffic: &load::Handle) -> Result<Good> {
    heading("Version 2 is good");
    typed("kubectl apply -f examples/shop/v2.yaml");
    let began = Instant::now();
    indented(cluster.kubectl.text(&["apply", "-f", "examples/shop/v2.yaml"])?.trim_end());
    typed("kubectl get rollouts.sluice.dev -n demo        # at each change");
    let (rollout, shares) = follow(cluster, traffic, &["Promoted", "RolledBack"]).await?;
    let seconds = began.elapsed().as_secs_f64();
    ensure!(
        text(&rollout, "/status/phase") == "Promoted",
        "version 2 was not promoted: {}",
        text(&rollout, "/status/message")
    );
    ensure!(shares.len() == 3, "{} waves were seen instead of 3", shares.len());
    for (weight, share) in &shares {
        let off = (share - f64::from(u32::try_from(*weight).unwrap_or(u32::MAX))).abs();
        ensure!(off <= 2.0, "at weight {weight}% the client saw a share of {share:.1}%");
    }
    let seen = traffic.snapshot();
    ensure!(seen.failed == 0, "{} requests failed during a good rollout: {:?}", seen.failed, seen.failures.first());
    let after = traffic.between(traffic.elapsed().saturating_sub(Duration::from_secs(1)), traffic.elapsed());
    ensure!(share(&after) > 99.0, "after the promotion the client still sees the old version");
    line(&format!("Promoted in {seconds:.0} s. {} requests, 0 failed.", grouped(seen.requests)));
    Ok(Good { seconds, requests: seen.requests, shares })
}

async fn bad(cluster: &Cluster, traffic: &load::Handle) -> Result<Bad> {
    heading("Version 3 fails five of a hundred requests");
    let pods = cluster.stable_pods()?;
    let before = traffic.snapshot();
    typed("kubectl apply -f examples/shop/v3.yaml");
    indented(cluster.kubectl.text(&["apply", "-f", "examples/shop/v3.yaml"])?.trim_end());
    let (rollout, _) = follow(cluster, traffic, &["Promoted", "RolledBack"]).await?;
    ensure!(text(&rollout, "/status/phase") == "RolledBack", "version 3 was not taken back");
    let times = |name: &str| -> Result<f64> { seconds(text(&rollout, &format!("/status/run/times/{name}"))) };
    let (exposed, verdict, zero) = (times("exposedAt")?, times("verdictAt")?, times("weightZeroAt")?);
    let after = traffic.snapshot();
    let failed = after.failed.saturating_sub(before.failed);
    let bad = after.by_version.get("v3").map_or((0, 0), |counts| (counts.requests, counts.failed));
    ensure!(bad.1 > 0 && failed == bad.1, "{failed} requests failed, {} of them by version 3", bad.1);
    let rate = if bad.0 == 0 { 0.0 } else { ratio(bad.1, bad.0) };
    let pace = ratio(after.requests, 1) / traffic.elapsed().as_secs_f64();
    let Bad { to_verdict, to_zero, at_full, .. } = Bad {
        to_verdict: verdict - exposed,
        to_zero: zero - verdict,
        failed,
        // The same seconds with everybody on version 3.
        at_full: whole(rate * pace * (zero - exposed)),
        served: bad.0,
    };
    line(&format!(
        "Taken back: verdict {to_verdict:.1} s after version 3 met its first request, weight 0 another {to_zero:.1} s later."
    ));
    line(&format!("Why: {}", text(&rollout, "/status/run/summary")));
    line(&format!(
        "{} of {} requests to version 3 failed; with everybody on it the same seconds would have cost about {}.",
        bad.1,
        bad.0,
        grouped(at_full)
    ));
    let pods_after = cluster.stable_pods()?;
    ensure!(pods == pods_after, "the stable pods are not the same: {pods:?}, then {pods_after:?}");
    let restarts: u64 = pods_after.iter().map(|(_, restarts)| restarts).sum();
    ensure!(restarts == 0, "stable pods were restarted {restarts} times");
    line(&format!("The {} stable pods are the same as before, 0 restarts.", pods_after.len()));

    typed("kubectl get releases.sluice.dev,reworkevents.sluice.dev -n demo");
    indented(cluster.kubectl.text(&["get", "releases.sluice.dev,reworkevents.sluice.dev", "-n", "demo"])?.trim_end());
    let reworks = cluster.kubectl.json(&["get", "reworkevents.sluice.dev", "-n", "demo"])?;
    let count = reworks.pointer("/items").and_then(Value::as_array).map_or(0, Vec::len);
    ensure!(count == 1, "there are {count} ReworkEvents instead of 1");
    typed("kubectl events -n demo --for rollouts.sluice.dev/shop");
    let events = cluster.kubectl.text(&["events", "-n", "demo", "--for", "rollouts.sluice.dev/shop"])?;
    indented(&events.lines().rev().take(8).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n"));
    ensure!(events.contains("RolledBack"), "no event tells of the rollback");
    match cluster.alert(Duration::from_secs(45)).await? {
        Some(alert) => line(&format!(
            "Alertmanager: {} fires: {}",
            text(&alert, "/labels/alertname"),
            text(&alert, "/annotations/summary")
        )),
        None => line("No Alertmanager was named (SLUICE_ALERTMANAGER_URL), so the alert was not looked at."),
    }
    Ok(Bad { to_verdict, to_zero, failed, at_full, served: bad.0 })
}

fn summary(good: &Good, bad: &Bad, total: &Summary, took: Duration) {
    heading("What happened");
    let shares: Vec<String> = good.shares.iter().map(|(weight, share)| format!("{weight}% ({share:.1}%)")).collect();
    line(&format!(
        "Version 2: promoted in {:.0} s through waves of {} (in brackets: as the client saw it), 0 of {} requests failed.",
        good.seconds,
        shares.join(", "),
        grouped(good.requests)
    ));
    line(&format!(
        "Version 3: taken back by itself {:.1} s after its first request; {} of {} requests failed, about {} would have with everybody on it.",
        bad.to_verdict + bad.to_zero,
        bad.failed,
        bad.served,
        grouped(bad.at_full)
    ));
    line(&format!(
        "In all {} requests, {} failed; {:.0} s.",
        grouped(total.requests),
        total.failed,
        took.as_secs_f64()
    ));
}

/// The figures of the report, from the records of this demo. The operator counts the same in the background.
fn figures(cluster: &Cluster) -> Result<()> {
    let objects = "releases.sluice.dev,reworkevents.sluice.dev,reclassifications.sluice.dev";
    let records = cluster.kubectl.text(&["get", objects, "-n", "demo", "-o", "yaml"])?;
    heading("The delivery figures of these two attempts");
    typed(&format!("kubectl get {objects} -n demo -o yaml | sluice report --from - --since 7d"));
    indented(report(&records)?.trim_end());
    line("A rollback is a failed change; rework counts what is deployed to repair one. See docs/figures.md.");
    Ok(())
}

/// What `sluice report` prints of these records; the program lies beside this one.
fn report(records: &str) -> Result<String> {
    let demo = std::env::current_exe().context("where this program lies is not known")?;
    let sluice = demo.with_file_name("sluice");
    let mut child = Command::new(&sluice)
        .args(["report", "--from", "-", "--since", "7d"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} cannot be run; `make build` builds it", sluice.display()))?;
    child.stdin.take().context("sluice has no input")?.write_all(records.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "sluice report: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn look_around(cluster: &Cluster) {
    heading("Look around");
    let testbed = std::env::var("SLUICE_TESTBED").ok().filter(|_| cluster.alertmanager_url.is_some());
    let prefix = testbed.as_ref().map(|_| "make shell    # then:\n  ").unwrap_or_default();
    line(&format!("  {prefix}kubectl get rollouts.sluice.dev -n demo"));
    line("  kubectl describe rollouts.sluice.dev -n demo shop");
    line("  kubectl get releases.sluice.dev -n demo -o yaml");
    line("  kubectl apply -f examples/shop/v2.yaml      # the stable template again: the gate opens, nothing rolls");
    if testbed.is_some() {
        line("Take it down with: make down");
    } else {
        line(
            "Take it down with: kubectl delete rollouts.sluice.dev -n demo --all && kubectl delete namespace demo && kubectl delete -k deploy",
        );
    }
}

/// Seconds since 1970 of a time such as `2026-01-01T00:00:00.123Z`.
fn seconds(time: &str) -> Result<f64> {
    let time: jiff::Timestamp = time.parse().with_context(|| format!("{time:?} is no time"))?;
    Ok(time.as_duration().as_secs_f64())
}

#[allow(clippy::cast_precision_loss)] // counts of a demo are far below 2^53
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a count of requests, never negative
fn whole(number: f64) -> u64 {
    number.max(0.0).round() as u64
}
