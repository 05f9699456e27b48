//! How long a watch that failed waits until it is begun again. Knows time, nothing of what is watched.
//!
//! kube's own pause doubles up to half a minute and forgets its failures after two quiet minutes: where something in
//! between ends connections more often, as load balancers do, every watch would be away for half of the time, and what is
//! decided meanwhile is decided on what was.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use kube::runtime::utils::Backoff;

use crate::clock;

/// The first pause.
const LEAST: Duration = Duration::from_millis(400);
/// The longest: a third of what a rollback may take. Twenty kinds and two replicas ask eight times a second then.
const MOST: Duration = Duration::from_secs(5);
/// A watch that lasted so long was well: its failure is the first one.
const WELL: Duration = Duration::from_secs(10);

/// The pauses of one watch.
#[derive(Debug, Default)]
pub(super) struct Again {
    kind: &'static str,
    /// Pauses so far.
    pauses: u32,
    failures: u32,
    /// When the last pause was over.
    resumed: Option<Instant>,
}

impl Again {
    /// Of the watch of this kind.
    pub(super) fn of(kind: &'static str) -> Self {
        Self { kind, ..Self::default() }
    }

    fn after(&mut self, now: Instant, chance: f64) -> Duration {
        if self.resumed.is_some_and(|resumed| now.saturating_duration_since(resumed) >= WELL) {
            self.failures = 0;
        }
        let pause = LEAST.saturating_mul(2_u32.saturating_pow(self.failures.min(8))).min(MOST);
        self.failures = self.failures.saturating_add(1);
        // Not all kinds at once.
        let pause = pause.mul_f64(0.5 + chance / 2.0);
        self.resumed = now.checked_add(pause);
        pause
    }
}

impl Iterator for Again {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        // Different for each kind and each time, and the same when it happens again.
        self.pauses = self.pauses.wrapping_add(1);
        let mut hasher = DefaultHasher::new();
        (self.kind, self.pauses).hash(&mut hasher);
        let chance = f64::from(u16::try_from(hasher.finish() >> 48).unwrap_or_default()) / 65_536.0;
        Some(self.after(clock::instant(), chance))
    }
}

impl Backoff for Again {
    fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_few_seconds() {
        let (mut again, mut now) = (Again::default(), clock::instant());
        let mut pauses = Vec::new();
        for _ in 0..6 {
            let pause = again.after(now, 1.0);
            now = now.checked_add(pause).and_then(|now| now.checked_add(Duration::from_millis(20))).unwrap();
            pauses.push(pause.as_millis());
        }
        assert_eq!(pauses, [400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(again.after(now, 0.0), MOST / 2, "half of it is chance");
    }

    #[test]
    fn a_watch_that_is_ended_every_thirty_seconds_is_begun_again_at_once() {
        let (mut again, mut now) = (Again::default(), clock::instant());
        for _ in 0..20 {
            assert_eq!(again.after(now, 1.0), LEAST);
            now = now.checked_add(Duration::from_secs(30)).unwrap();
        }
    }
}
