//! Whether the observed share of requests follows the weight.
//!
//! The bake clock waits for it. A share that stays off by more than chance allows (sticky sessions, clients that keep
//! connections, a second way to the pods) is told; the statistics never use the configured weight, so it biases
//! nothing.

use super::super::snapshot::Snapshot;
use super::super::time::elapsed;
use super::super::words::{as_f64, grouped};
use crate::api::{Duration, Run, Tally};
use crate::judge::split;

/// Capital from which on the share is called skewed: by chance at most once in a thousand waves.
const SKEWED_AT: f64 = 1_000.0;

/// The share follows the weight within what chance allows; if not, what is seen instead.
pub(super) fn follows(
    snapshot: &Snapshot,
    run: &Run,
    readable: bool,
    supported: bool,
    patience: Duration,
) -> Result<String, String> {
    let tally = &run.traffic.settled;
    let counted = snapshot
        .rollout
        .spec
        .analysis
        .signals
        .iter()
        .any(|signal| !signal.dry_run && (signal.error_ratio.is_some() || signal.latency.is_some()));
    if !readable && !counted {
        // No signal that acts needs the counters. They are given the time of a first sample; after it, and where the
        // data plane has none that we know, the weight itself must do.
        let accepted = run.wave.as_ref().and_then(|wave| wave.accepted_at).unwrap_or(run.step_at);
        let waiting = supported && elapsed(snapshot.now, accepted) <= patience;
        let text = format!("weight {}%", run.weight);
        return if waiting { Err(format!("{text}, waiting for the first requests to be counted")) } else { Ok(text) };
    }
    let total = tally.canary_requests.saturating_add(tally.stable_requests);
    if total == 0 {
        return Err("no requests seen since the weight was accepted".to_owned());
    }
    let wanted = f64::from(run.weight) / 100.0;
    let observed = as_f64(tally.canary_requests) / as_f64(total);
    let chance = 3.0 * (wanted * (1.0 - wanted) / as_f64(total)).sqrt();
    let text = text(tally, run.weight);
    let enough = as_f64(total) * wanted >= 5.0;
    if enough && (observed - wanted).abs() <= chance.max(0.02) { Ok(text) } else { Err(text) }
}

/// The share is off, and not by chance.
pub(super) fn skewed(run: &Run) -> Option<String> {
    let tally = &run.traffic.settled;
    let capital = split::capital(tally.canary_requests, tally.stable_requests, f64::from(run.weight) / 100.0);
    (capital >= SKEWED_AT).then(|| {
        format!(
            "{}: not by chance (odds {:.0} to 1); sticky sessions or another way to the pods? Verdicts use what is observed",
            text(tally, run.weight),
            capital.min(1e9),
        )
    })
}

fn text(tally: &Tally, weight: u8) -> String {
    let total = tally.canary_requests.saturating_add(tally.stable_requests);
    let observed = as_f64(tally.canary_requests) / as_f64(total.max(1));
    format!("observed share {:.1}% of {} requests, weight {weight}%", observed * 100.0, grouped(total))
}
