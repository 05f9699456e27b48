//! Times that were measured several times: what they were, in a line of the log.

/// The least, the middle and the largest of some times, in seconds.
pub struct Spread {
    pub least: f64,
    pub middle: f64,
    pub most: f64,
}

impl Spread {
    /// Prints all of them beside what they are.
    pub fn told(what: &str, mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        let (least, middle, most) = (seconds[0], seconds[seconds.len() / 2], seconds[seconds.len() - 1]);
        let all: Vec<String> = seconds.iter().map(|seconds| format!("{seconds:.2}")).collect();
        eprintln!(
            "{what}, {} times: min {least:.2}s, median {middle:.2}s, max {most:.2}s ({})",
            seconds.len(),
            all.join(" ")
        );
        Self { least, middle, most }
    }
}
