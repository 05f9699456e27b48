//! The only place that reads the clocks. Everything else is told the time.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use jiff::{Timestamp, Unit};

/// A wall clock; cheap to clone. Handed in where the program is put together, so that a simulation can turn it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The clock of this machine.
    #[allow(clippy::disallowed_methods)] // this is the place that clippy.toml points to
    pub fn system() -> Self {
        Self::of(Timestamp::now)
    }

    /// Another clock.
    pub fn of(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time, to the millisecond, as it is written to the cluster.
    pub fn now(&self) -> Timestamp {
        let now = (self.0)();
        now.round(Unit::Millisecond).unwrap_or(now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// The monotonic clock, for how long something took: the one by which tokio's timers go.
pub fn instant() -> Instant {
    tokio::time::Instant::now().into_std()
}
