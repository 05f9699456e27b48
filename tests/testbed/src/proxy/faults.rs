//! Which request meets which fault: filters, how often, and the dice. Sends and answers nothing.

use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::watch;

/// What can happen to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// It is passed on later; every other effect may come on top.
    Delay {
        /// At least so much.
        least: Duration,
        /// And up to so much more.
        jitter: Duration,
    },
    /// It is not passed on, and answered with this status.
    Answer {
        /// 429, 500 or 503.
        status: u16,
        /// What `Retry-After` says, in seconds.
        retry_after: Option<u32>,
    },
    /// The connection is closed before anything is passed on.
    Refuse,
    /// It is passed on; the connection is closed in the middle of the answer.
    CutAnswer,
    /// A watch: after so much on average the connection is closed, in the middle of a line where one comes.
    CutStream {
        /// The mean; the time itself is up to twice as long.
        mean: Duration,
    },
    /// It is passed on, its answer is read, and the connection is closed without a word: a write has happened.
    LoseAnswer,
    /// It is passed on, its answer is read and never given.
    KeepAnswer,
    /// It is not passed on, and never answered.
    Hang,
    /// Its sender is cut off, as by [`Proxy::cut_off`](super::Proxy::cut_off): it arrives when they are let in again.
    CutOff,
}

impl Effect {
    /// Its name in accounts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delay { .. } => "delayed",
            Self::Answer { status: 429, .. } => "answered 429",
            Self::Answer { status: 500, .. } => "answered 500",
            Self::Answer { .. } => "answered 503",
            Self::Refuse => "cut before it was passed on",
            Self::CutAnswer => "cut in mid-answer",
            Self::CutStream { .. } => "watch cut",
            Self::LoseAnswer => "answer lost",
            Self::KeepAnswer => "answer kept",
            Self::Hang => "never answered",
            Self::CutOff => "cut off",
        }
    }
}

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Every one.
    Any,
    /// `GET` that is no watch.
    Reads,
    /// All that is neither a read nor a watch.
    Writes,
    /// A stream of changes.
    Watches,
}

/// Which requests a fault concerns. Those about a Lease are spared unless `lease` says otherwise: a leader that cannot
/// renew ends, and that is a scenario of its own.
#[derive(Debug, Clone)]
pub struct Filter {
    /// The kind of request.
    pub which: Which,
    /// A text that its method and path, as in `PATCH /apis/…`, or its body must hold.
    pub about: Option<String>,
    /// Who sends it.
    pub from: Option<IpAddr>,
    /// Leases, too.
    pub lease: bool,
}

impl Filter {
    /// Every request of a kind, of everybody.
    #[must_use]
    pub const fn of(which: Which) -> Self {
        Self { which, about: None, from: None, lease: false }
    }

    /// Only those that hold a text.
    #[must_use]
    pub fn about(mut self, text: impl Into<String>) -> Self {
        self.about = Some(text.into());
        self
    }

    fn matches(&self, request: &Request<'_>) -> bool {
        let kind = match self.which {
            Which::Any => true,
            which @ (Which::Reads | Which::Writes | Which::Watches) => which == request.kind(),
        };
        kind && (self.lease || !request.line.contains("/leases"))
            && self.from.is_none_or(|from| from == request.from)
            && self.about.as_deref().is_none_or(|text| request.line.contains(text) || holds(request.body, text))
    }
}

/// How often a fault strikes those requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// Each time.
    Always,
    /// With this probability.
    Chance(f64),
    /// So many times from now on.
    Next(u32),
    /// Once: the request of this number from now on, counted from 1.
    Nth(u32),
}

/// A fault.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Which requests it concerns.
    pub filter: Filter,
    /// How often it strikes them.
    pub when: When,
    /// What it does.
    pub effect: Effect,
}

/// A request as filters see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    /// Method, path and query.
    pub(super) line: &'a str,
    pub(super) body: &'a [u8],
    pub(super) from: IpAddr,
}

impl Request<'_> {
    pub(super) fn kind(&self) -> Which {
        let query = self.line.split_once('?').map_or("", |(_, query)| query);
        match (self.line.starts_with("GET "), query.split('&').any(|pair| pair == "watch=true" || pair == "watch=1")) {
            (true, true) => Which::Watches,
            (true, false) => Which::Reads,
            (false, _) => Which::Writes,
        }
    }
}

fn holds(body: &[u8], text: &str) -> bool {
    body.windows(text.len().max(1)).any(|window| window == text.as_bytes())
}

/// A request that a fault struck.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Who sent it.
    pub from: IpAddr,
    /// Method, path and query.
    pub line: String,
    /// What the API server said, where it was asked.
    pub status: Option<u16>,
}

/// A fault in force.
#[derive(Debug)]
struct Armed {
    fault: Fault,
    left: u32,
    hits: watch::Sender<Vec<Hit>>,
}

/// What is to become of one request: how long it waits, and the effect with whom to tell.
#[derive(Debug, Default)]
pub(super) struct Fate {
    pub(super) delay: Duration,
    pub(super) effect: Option<(Effect, watch::Sender<Vec<Hit>>)>,
}

/// All faults in force, and the dice.
#[derive(Debug)]
pub(super) struct Faults {
    armed: Vec<Armed>,
    dice: Dice,
}

impl Faults {
    pub(super) const fn new(seed: u64) -> Self {
        Self { armed: Vec::new(), dice: Dice(seed) }
    }

    pub(super) fn add(&mut self, fault: Fault) -> watch::Receiver<Vec<Hit>> {
        let left = match fault.when {
            When::Always | When::Chance(_) => 0,
            When::Next(times) | When::Nth(times) => times,
        };
        let (hits, told) = watch::channel(Vec::new());
        self.armed.push(Armed { fault, left, hits });
        told
    }

    pub(super) fn clear(&mut self) {
        self.armed.clear();
    }

    /// The fate of a request: delays add up, and of the other effects the first that strikes.
    pub(super) fn fate(&mut self, request: &Request<'_>) -> Fate {
        let mut fate = Fate::default();
        for armed in &mut self.armed {
            let is_delay = matches!(armed.fault.effect, Effect::Delay { .. });
            if !armed.fault.filter.matches(request) || (fate.effect.is_some() && !is_delay) {
                continue;
            }
            let strikes = match armed.fault.when {
                When::Always => true,
                When::Chance(chance) => self.dice.share() < chance,
                When::Next(_) | When::Nth(_) => {
                    let left = armed.left;
                    armed.left = left.saturating_sub(1);
                    left == 1 || (left > 1 && matches!(armed.fault.when, When::Next(_)))
                }
            };
            if !strikes {
                continue;
            }
            match armed.fault.effect {
                Effect::Delay { least, jitter } => {
                    let more = jitter.mul_f64(self.dice.share());
                    fate.delay = fate.delay.saturating_add(least).saturating_add(more);
                }
                Effect::CutStream { mean } => {
                    let after = mean.mul_f64(self.dice.share() * 2.0);
                    fate.effect = Some((Effect::CutStream { mean: after }, armed.hits.clone()));
                }
                effect @ (Effect::Answer { .. }
                | Effect::Refuse
                | Effect::CutAnswer
                | Effect::LoseAnswer
                | Effect::KeepAnswer
                | Effect::Hang
                | Effect::CutOff) => fate.effect = Some((effect, armed.hits.clone())),
            }
        }
        fate
    }
}

/// Numbers that look random and are the same for the same seed (SplitMix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice with a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// At least 0, less than 1.
    pub fn share(&mut self) -> f64 {
        f64::from(u32::try_from(self.bits() >> 32).unwrap_or_default()) / (f64::from(u32::MAX) + 1.0)
    }

    /// From `least` to `most`.
    pub fn between(&mut self, least: u32, most: u32) -> u32 {
        let span = u64::from(most.saturating_sub(least)).saturating_add(1);
        let more = self.bits().checked_rem(span).unwrap_or_default();
        least.saturating_add(u32::try_from(more).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(line: &'a str, body: &'a str) -> Request<'a> {
        Request { line, body: body.as_bytes(), from: IpAddr::from([10, 0, 0, 1]) }
    }

    fn strikes(faults: &mut Faults, line: &str, body: &str) -> bool {
        faults.fate(&request(line, body)).effect.is_some()
    }

    #[test]
    fn a_filter_looks_at_the_kind_the_text_and_the_sender_and_spares_leases() {
        let mut faults = Faults::new(1);
        let filter = Filter { from: Some(IpAddr::from([10, 0, 0, 1])), ..Filter::of(Which::Writes).about("shop") };
        faults.add(Fault { filter, when: When::Always, effect: Effect::Hang });
        assert!(strikes(&mut faults, "PATCH /apis/x/shop", ""));
        assert!(strikes(&mut faults, "POST /api/v1/events", "{\"name\": \"shop\"}"));
        assert!(!strikes(&mut faults, "PATCH /apis/x/other", ""));
        assert!(!strikes(&mut faults, "GET /apis/x/shop", ""));
        assert!(!strikes(&mut faults, "PUT /apis/coordination.k8s.io/v1/namespaces/shop/leases/shop", ""));
        faults.clear();
        let filter = Filter { lease: true, from: Some(IpAddr::from([10, 0, 0, 2])), ..Filter::of(Which::Any) };
        faults.add(Fault { filter, when: When::Always, effect: Effect::Hang });
        assert!(!strikes(&mut faults, "PATCH /apis/x/shop", ""), "of somebody else");
    }

    #[test]
    fn a_watch_is_told_by_its_query() {
        for (line, kind) in [
            ("GET /api/v1/pods?watch=true&resourceVersion=1", Which::Watches),
            ("GET /api/v1/pods?limit=500&watch=1", Which::Watches),
            ("GET /api/v1/pods?limit=500", Which::Reads),
            ("GET /api/v1/watch=true", Which::Reads),
            ("DELETE /api/v1/pods/a", Which::Writes),
        ] {
            assert_eq!(request(line, "").kind(), kind, "{line}");
        }
    }

    #[test]
    fn the_next_two_and_the_third() {
        let mut faults = Faults::new(1);
        faults.add(Fault { filter: Filter::of(Which::Any), when: When::Next(2), effect: Effect::Refuse });
        let struck: Vec<bool> = (0..4).map(|_| strikes(&mut faults, "GET /", "")).collect();
        assert_eq!(struck, [true, true, false, false]);
        faults.clear();
        let told = faults.add(Fault { filter: Filter::of(Which::Any), when: When::Nth(3), effect: Effect::Refuse });
        let mut struck = Vec::new();
        for _ in 0..5 {
            let fate = faults.fate(&request("GET /", ""));
            struck.push(fate.effect.is_some());
            if let Some((_, hits)) = fate.effect {
                let hit = Hit { from: IpAddr::from([10, 0, 0, 1]), line: "GET /".to_owned(), status: None };
                hits.send_modify(|all| all.push(hit));
            }
        }
        assert_eq!(struck, [false, false, true, false, false]);
        assert_eq!(told.borrow().len(), 1);
    }

    #[test]
    fn the_same_seed_throws_the_same_dice() {
        let throws = |seed: u64| -> Vec<bool> {
            let mut faults = Faults::new(seed);
            faults.add(Fault { filter: Filter::of(Which::Any), when: When::Chance(0.3), effect: Effect::Refuse });
            (0..1000).map(|_| strikes(&mut faults, "GET /", "")).collect()
        };
        assert_eq!(throws(7), throws(7));
        assert_ne!(throws(7), throws(8));
        let struck = throws(7).iter().filter(|struck| **struck).count();
        assert!((250..350).contains(&struck), "{struck} of 1000 at 30%");
        let mut dice = Dice::new(3);
        assert!((0..1000).map(|_| dice.between(2, 4)).all(|number| (2..=4).contains(&number)));
    }
}
