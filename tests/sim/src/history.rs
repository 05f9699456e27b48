//! What happened, in lines that a person can read. Kept only when it is asked for: the checks need none of it.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use crate::world::Written;

/// What is kept of a history. Comparing objects to tell of them takes its time: most seeds need neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    Nothing,
    /// A digest, to see that two runs were the same.
    Digest,
    /// Every line, and the digest.
    Lines,
}

/// The lines so far.
#[derive(Debug)]
pub struct History {
    keep: Keep,
    at: u64,
    lines: Vec<String>,
    /// A digest of everything that was told: equal for equal histories. 0 if none is kept.
    digest: u64,
}

impl History {
    /// An empty history.
    pub const fn new(keep: Keep) -> Self {
        Self { keep, at: 0, lines: Vec::new(), digest: 0 }
    }

    /// The time of what is told from now on, in milliseconds.
    pub const fn at(&mut self, elapsed: u64) {
        self.at = elapsed;
    }

    /// Adds a line.
    pub fn tell(&mut self, line: &str) {
        if self.keep == Keep::Nothing {
            return;
        }
        let mut hasher = DefaultHasher::new();
        (self.digest, self.at, line).hash(&mut hasher);
        self.digest = hasher.finish();
        if self.keep == Keep::Lines {
            let seconds = self.at.checked_div(1000).unwrap_or(0);
            let millis = self.at.checked_rem(1000).unwrap_or(0);
            self.lines.push(format!("{seconds:>5}.{millis:03}  {line}"));
        }
    }

    /// A change of an object.
    pub fn written(&mut self, written: &Written) {
        if self.keep == Keep::Nothing {
            return;
        }
        let Written { actor, key, change } = written;
        let name = format!("{} {}", key.kind, key.name);
        let line = match (&change.old, &change.new) {
            (None, _) => format!("{actor} creates {name}"),
            (Some(_), None) => format!("{actor}: {name} is gone"),
            (Some(old), Some(new)) => {
                let mut differences = Vec::new();
                differ("", old, new, &mut differences);
                format!("{actor} changes {name}: {}", differences.join(", "))
            }
        };
        self.tell(&line);
    }

    /// All lines.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The digest.
    pub const fn digest(&self) -> u64 {
        self.digest
    }
}

/// The longest value that is shown.
const LONGEST: usize = 160;

/// The fields in which two objects differ; of lists the whole list.
fn differ(at: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    if old == new || at == "metadata.resourceVersion" || at == "metadata.generation" {
        return;
    }
    if let (Value::Object(old), Value::Object(new)) = (old, new) {
        let fields = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
        for field in fields {
            let (was, is) = (old.get(field).unwrap_or(&Value::Null), new.get(field).unwrap_or(&Value::Null));
            let at = if at.is_empty() { field.clone() } else { format!("{at}.{field}") };
            differ(&at, was, is, found);
        }
        return;
    }
    let short = |value: &Value| {
        let text: String = value.to_string();
        if text.chars().count() > LONGEST {
            format!("{}…", text.chars().take(LONGEST).collect::<String>())
        } else {
            text
        }
    };
    found.push(format!("{at} {} -> {}", short(old), short(new)));
}
