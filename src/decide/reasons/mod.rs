//! Every reason that a condition, an event or a record can carry: what it means and what to do about it.
//!
//! A closed list. docs/reasons.md is generated from it, and a test holds it against every word in `decide`.

mod list;

pub use list::REASONS;

/// Where a reason is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Work cannot go on, or does not begin, until something is mended. Nothing has been given traffic for it.
    Refusal,
    /// An attempt waits where it is; the canary keeps its weight and is judged.
    Hold,
    /// Data cannot be read: nothing advances, and nothing is taken back for it.
    Blind,
    /// Work goes on.
    Going,
    /// How and why an attempt ended.
    End,
    /// Told by an event, beside what the conditions say.
    Event,
}

impl Kind {
    const ALL: [Self; 6] = [Self::Refusal, Self::Hold, Self::Blind, Self::Going, Self::End, Self::Event];

    const fn title(self) -> &'static str {
        match self {
            Self::Refusal => "Refusals: something must be mended first",
            Self::Hold => "Holds: an attempt waits",
            Self::Blind => "Data that cannot be read",
            Self::Going => "Work in progress, and rest",
            Self::End => "Ends of an attempt",
            Self::Event => "Further events",
        }
    }

    /// A link to its part of the document, which stands in this folder.
    pub fn link(self, folder: &str) -> String {
        let title = self.title();
        let kept = title.chars().filter(|one| one.is_alphanumeric() || matches!(one, ' ' | '-'));
        let anchor = kept.collect::<String>().to_lowercase().replace(' ', "-");
        format!("[{title}]({folder}reasons.md#{anchor})")
    }

    const fn about(self) -> &'static str {
        match self {
            Self::Refusal => {
                "Of `Ready` and `Stalled` (or `Reconciling` where it can pass by itself). No user meets the new template."
            }
            Self::Hold => {
                "Of `Ready` and `Reconciling`, mostly with the phase `Held`. Stable serves, the canary keeps its weight and is judged:\nharm still takes it back."
            }
            Self::Blind => {
                "Of `AnalysisReady`; of `Ready` as long as it lasts. After `analysis.noDataTimeout` the phase is `Held`, reason\n`AnalysisBlind`."
            }
            Self::Going => {
                "Of `Ready`, `Reconciling`, `Gated`, `AnalysisReady` and `Complete`. Nothing needs to be done."
            }
            Self::End => "Of `Complete`, in `status.run.reason`, in Releases and ReworkEvents, and as events.",
            Self::Event => "`kubectl events --for rollouts.sluice.dev/NAME`.",
        }
    }
}

/// One reason.
#[derive(Debug, Clone, Copy)]
pub struct Reason {
    /// The word in the object.
    pub name: &'static str,
    /// Where it is met.
    pub kind: Kind,
    /// What it means.
    pub meaning: &'static str,
    /// What to do.
    pub next: &'static str,
}

const fn reason(kind: Kind, name: &'static str, meaning: &'static str, next: &'static str) -> Reason {
    Reason { name, kind, meaning, next }
}

/// The document.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Reasons\n\n\
         This page lists every reason of conditions, events and records: what it means and what to do. It is generated:\n\
         change `src/decide/reasons/list.rs` and run `make reasons`. `sluice reasons` prints the same; with a name, that one.\n",
    );
    for kind in Kind::ALL {
        let (title, about) = (kind.title(), kind.about());
        text.push_str(&format!(
            "\n## {title}\n\n{about}\n\n| Reason | What it means | What to do |\n| --- | --- | --- |\n"
        ));
        for Reason { name, meaning, next, .. } in REASONS.iter().filter(|one| one.kind == kind) {
            text.push_str(&format!("| `{name}` | {meaning} | {next} |\n"));
        }
    }
    text
}
