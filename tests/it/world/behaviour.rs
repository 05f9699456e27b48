//! What the versions of the toy cluster do.

/// What a version does when it runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Behaviour {
    /// Share of its requests that fail.
    pub errors: f64,
    /// The status of those, if it is not 500.
    pub code: Option<&'static str>,
    /// Share of its requests that take longer than 0.3 s.
    pub slow: f64,
    /// Its histogram has no bucket at 0.3 s but one at 0.25 s.
    pub other_buckets: bool,
    /// Its pods never become available.
    pub never_ready: bool,
    /// Its containers restart once per second.
    pub crashes: bool,
}
