//! What happened to each Rollout: when it was last taken back, bypassed or found harmful, and how often it ended how.
//!
//! From the objects, so it survives restarts: a counter that is born with its first increment shows no increase, and
//! alerts look at times.

use std::fmt;

use super::Seen;
use super::encode::Families;
use crate::api::{Outcome, Trigger};

pub(super) fn encode(all: &[Seen<'_>], families: &mut Families<'_, '_>) -> fmt::Result {
    families.gauges(
        "rollout_last_rollback_timestamp_seconds",
        "When the last attempt of a Rollout was taken back; from the object itself, so it survives restarts",
        |put| {
            all.iter().try_for_each(|seen| {
                let Some(last) = &seen.status.last_rollback else { return Ok(()) };
                let trigger = match last.trigger {
                    Trigger::Automatic => "automatic",
                    Trigger::Manual => "manual",
                };
                let labels = [
                    ("namespace", seen.namespace.as_str()),
                    ("name", &seen.name),
                    ("team", seen.team()),
                    ("trigger", trigger),
                    ("reason", &last.reason),
                ];
                put(&labels, last.at.as_duration().as_secs_f64())
            })
        },
    )?;
    families.gauges(
        "rollout_last_bypass_timestamp_seconds",
        "When the present template of a Rollout was seen to roll unproven; until the next attempt begins",
        |put| {
            all.iter().try_for_each(|seen| {
                let run = seen.status.run.as_ref().filter(|run| run.outcome == Some(Outcome::Bypassed));
                let Some(at) = run.and_then(|run| run.times.verdict_at) else { return Ok(()) };
                put(&seen.owned(), at.as_duration().as_secs_f64())
            })
        },
    )?;
    families.gauges(
        "rollout_last_escape_timestamp_seconds",
        "When harm was found in the promoted version of a Rollout; until the next attempt begins",
        |put| {
            all.iter().try_for_each(|seen| {
                let escaped = seen.status.watching.as_ref().and_then(|watching| watching.escaped.as_ref());
                let Some(escaped) = escaped else { return Ok(()) };
                put(&seen.owned(), escaped.at.as_duration().as_secs_f64())
            })
        },
    )?;
    families.counters("rollout_promotions", "Attempts of a Rollout that were promoted", |put| {
        all.iter().try_for_each(|seen| put(&seen.named(), u64::from(seen.status.promotions)))
    })?;
    families.counters("rollout_rollbacks", "Attempts of a Rollout that were taken back after exposure", |put| {
        all.iter().try_for_each(|seen| put(&seen.named(), u64::from(seen.status.rollbacks)))
    })
}
