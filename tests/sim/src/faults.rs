//! What becomes of each request, each event of a watch and each query, by chance, as long as the weather is bad.

use crate::plan::{Plan, Weather};
use crate::random::Random;

/// What becomes of one request.
#[derive(Debug, Clone, Default)]
pub struct Fate {
    /// Milliseconds on the way there.
    pub there: u64,
    /// Milliseconds on the way back.
    pub back: u64,
    /// It is refused with this HTTP status before it has an effect.
    pub refused: Option<u16>,
    /// It never leaves.
    pub unsent: bool,
    /// It takes effect and the connection is cut before the answer.
    pub lost: bool,
    /// It takes effect and is never answered.
    pub hangs: bool,
    /// The connection is cut, and it takes effect after so many milliseconds all the same.
    pub late: Option<u64>,
    /// The process is killed right after it took effect.
    pub kills: bool,
    /// The process is cut off: no effect, no answer.
    pub partition: bool,
}

/// The weather.
#[derive(Debug)]
pub struct Faults {
    random: Random,
    weather: Weather,
    kills: bool,
    calm_at: u64,
    partitions: Vec<(usize, u64, u64)>,
    blind: Vec<(u64, u64)>,
}

/// What becomes of one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query {
    /// It is answered after so many milliseconds.
    Answered(u64),
    /// There is no connection.
    Unreachable,
    /// There is no answer in time.
    Silent,
}

impl Faults {
    /// The weather of a plan.
    pub fn new(plan: &Plan, random: Random) -> Self {
        Self {
            random,
            weather: plan.weather,
            kills: plan.kills,
            calm_at: plan.calm_at,
            partitions: plan.partitions.clone(),
            blind: plan.blind.clone(),
        }
    }

    fn permille(&mut self, now: u64, windy: u64, storm: u64) -> bool {
        let cases = match self.weather {
            Weather::Windy if now < self.calm_at => windy,
            Weather::Storm if now < self.calm_at => storm,
            Weather::Calm | Weather::Windy | Weather::Storm => 0,
        };
        cases > 0 && self.random.permille(cases)
    }

    fn cut_off(&self, now: u64, place: usize) -> Option<u64> {
        self.partitions.iter().find(|(of, from, to)| *of == place && (*from..*to).contains(&now)).map(|(_, _, to)| *to)
    }

    /// What becomes of a request.
    pub fn fate(&mut self, now: u64, place: usize, writes: bool, kind: &str) -> Fate {
        let mut fate = Fate {
            there: self.random.between(1, 6),
            back: self.random.between(1, 6),
            partition: self.cut_off(now, place).is_some(),
            ..Fate::default()
        };
        if self.permille(now, 30, 120) {
            fate.there = self.random.between(200, 7000);
        }
        if self.permille(now, 30, 120) {
            fate.back = self.random.between(200, 7000);
        }
        if self.permille(now, 20, 120) {
            fate.refused = self.random.pick(&[429, 500, 503, 504]).copied();
        } else if self.permille(now, 10, 60) {
            fate.unsent = true;
        } else if self.permille(now, 20, 120) {
            fate.lost = true;
        } else if self.permille(now, 4, 20) {
            fate.hangs = true;
        } else if writes && self.permille(now, 6, 30) {
            fate.late = Some(self.random.between(50, 4000));
        } else if self.kills && writes && kind != "Lease" && self.permille(now, 60, 60) {
            fate.kills = true;
        }
        fate
    }

    /// How late an event of a watch is.
    pub fn lag(&mut self, now: u64, place: usize) -> u64 {
        let usual = self.random.between(1, 10);
        let late = if self.permille(now, 40, 150) { self.random.between(100, 6000) } else { usual };
        self.cut_off(now, place).map_or(late, |until| until.saturating_sub(now).saturating_add(late))
    }

    /// Whether a watch breaks off instead of telling an event.
    pub fn watch_breaks(&mut self, now: u64) -> bool {
        self.permille(now, 10, 40)
    }

    /// Whether a watch falls silent for ever: a connection that died and nobody told.
    pub fn watch_dies(&mut self, now: u64) -> bool {
        self.permille(now, 2, 8)
    }

    /// Whether what it was told last is too old to begin from.
    pub fn watch_is_gone(&mut self) -> bool {
        self.random.permille(400)
    }

    /// What becomes of a query.
    pub fn query(&mut self, now: u64) -> Query {
        if self.blind.iter().any(|(from, to)| (*from..*to).contains(&now)) || self.permille(now, 20, 100) {
            return if self.random.permille(500) { Query::Unreachable } else { Query::Silent };
        }
        Query::Answered(self.random.between(1, 30))
    }
}
