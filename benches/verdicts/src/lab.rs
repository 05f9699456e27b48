//! Runs on all cores with fixed seeds, and what is made of them: shares, medians, lines of Markdown.
//!
//! A run has random numbers of its own that follow from the seed, the name of its cell and its number, so results do not
//! depend on how many cores there are or which cells are asked for.

use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus as Random;

/// How much is simulated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lab {
    /// Where random numbers begin.
    pub(crate) seed: u64,
    /// Runs per cell of a table of shares.
    pub(crate) runs: u64,
}

impl Lab {
    /// Runs per cell where a run takes long or only medians are asked for.
    pub(crate) fn few(&self) -> u64 {
        (self.runs / 4).max(20)
    }

    /// The results of so many runs of a cell, in order.
    pub(crate) fn simulate<T: Send>(&self, cell: &str, runs: u64, run: impl Fn(&mut Random) -> T + Sync) -> Vec<T> {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        let name = cell.bytes().fold(self.seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3) // FNV-1a
        });
        let one = |number: u64| run(&mut Random::seed_from_u64(name.wrapping_add(number)));
        let mut results: Vec<(u64, T)> = std::thread::scope(|scope| {
            let part =
                |core| (core..runs).step_by(cores as usize).map(|number| (number, one(number))).collect::<Vec<_>>();
            let threads: Vec<_> = (0..cores).map(|core| scope.spawn(move || part(core))).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("a run panicked")).collect()
        });
        results.sort_by_key(|(number, _)| *number);
        results.into_iter().map(|(_, result)| result).collect()
    }
}

/// Says on standard error what is being simulated.
pub(crate) fn progress(text: &str) {
    eprintln!("verdict-tables: {text}");
}

/// Prints a paragraph, wrapped as the other pages are.
pub(crate) fn prose(text: &str) {
    let mut width = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        match width {
            0 => width = length,
            _ if width + 1 + length > 120 => {
                println!();
                width = length;
            }
            _ => {
                print!(" ");
                width += 1 + length;
            }
        }
        print!("{word}");
    }
    println!("\n");
}

/// How many of how many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) hits: usize,
    pub(crate) of: usize,
}

impl Share {
    pub(crate) fn of<T>(results: &[T], hit: impl Fn(&T) -> bool) -> Self {
        Self { hits: results.iter().filter(|result| hit(result)).count(), of: results.len() }
    }

    pub(crate) fn ratio(self) -> f64 {
        self.hits as f64 / self.of.max(1) as f64
    }

    pub(crate) fn text(self) -> String {
        format!("{:.2}%", 100.0 * self.ratio())
    }
}

/// Delays of runs, some of which never ended.
#[derive(Debug, Clone)]
pub(crate) struct Delays {
    sorted: Vec<f64>,
    of: usize,
}

impl Delays {
    pub(crate) fn new(delays: impl IntoIterator<Item = Option<f64>>) -> Self {
        let all: Vec<_> = delays.into_iter().collect();
        let mut sorted: Vec<f64> = all.iter().copied().flatten().collect();
        sorted.sort_by(f64::total_cmp);
        Self { sorted, of: all.len() }
    }

    /// The value that this part of the runs does not exceed; `None` if so many never ended.
    pub(crate) fn quantile(&self, part: f64) -> Option<f64> {
        let place = (part * self.of as f64).ceil() as usize;
        self.sorted.get(place.saturating_sub(1)).copied()
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5).unwrap_or(f64::INFINITY)
    }

    /// `median (p90)`.
    pub(crate) fn text(&self) -> String {
        let text = |part| self.quantile(part).map_or_else(|| "never".to_owned(), whole);
        match self.quantile(0.5) {
            None => format!("{} of runs", Share { hits: self.sorted.len(), of: self.of }.text()),
            Some(_) => format!("{} ({})", text(0.5), text(0.9)),
        }
    }
}

/// `12,345`.
pub(crate) fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && digits.len().saturating_sub(place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1%`, `0.1%`, `12.5%`.
pub(crate) fn percent(ratio: f64) -> String {
    format!("{}%", (ratio * 1e6).round() / 1e4)
}

/// A table in Markdown.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<String>);

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        let mut table = Self::default();
        table.row(head);
        table.0.push(format!("|{}", " --- |".repeat(head.len())));
        table
    }

    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: &[T]) {
        let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        self.0.push(format!("| {} |", cells.join(" | ")));
    }

    pub(crate) fn print(&self) {
        println!("{}\n", self.0.join("\n"));
    }
}
