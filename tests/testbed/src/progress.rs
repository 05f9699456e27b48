//! Lines that tell a person what is going on and how long it has taken; nothing here decides anything.

use std::time::{Duration, Instant};

/// How long a person may look at an unchanged screen.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// Prints lines to standard error, each with the time since the start.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    started: Instant,
}

impl Progress {
    /// Starts the clock that every line shows.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Prints one line.
    pub fn say(&self, text: &str) {
        eprintln!("[{:6.1}s] {text}", self.elapsed().as_secs_f64());
    }

    /// The time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
