//! The one source of chance in a simulation: a seed gives the same numbers for ever, whatever library is updated.
//!
//! SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).

/// A stream of numbers.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The stream of a seed.
    pub fn of(seed: u64) -> Self {
        let mut random = Self(seed ^ 0x0005_11CE_5EED);
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A stream of its own, so that one part of the world does not shift the numbers of another.
    pub fn split(&mut self) -> Self {
        Self(self.next())
    }

    /// At least `from`, less than `to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        let span = to.saturating_sub(from).max(1);
        from.saturating_add(self.next().checked_rem(span).unwrap_or(0))
    }

    /// Whether one of `thousand` cases happens.
    pub fn permille(&mut self, cases: u64) -> bool {
        self.between(0, 1000) < cases
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let position = self.between(0, of.len() as u64);
        of.get(usize::try_from(position).unwrap_or(0))
    }
}
