//! The form in which evidence is kept: one line of text, short enough for a status.
//!
//! Fixed-width little-endian numbers in base64 (RFC 4648, URL alphabet, no padding) after a version byte, so that what
//! is read is bit for bit what was written. Must not fail a whole status: text that cannot be read is no evidence.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bets::{Bets, MOST};
use super::safety::Safety;
use super::{Evidence, RUNGS};

/// The first byte says what follows: with what this wave had shown to be safe, or without where there is nothing of it.
const WHOLE: u8 = 1;
const HARM_ONLY: u8 = 2;
/// The length of the text.
pub const LENGTH: usize = (1 + 2 * (4 + 16 * RUNGS) + 8 * RUNGS + 16usize).saturating_mul(4).div_ceil(3);

/// The length of the text where nothing of a wave is in it.
pub const KEPT_LENGTH: usize = (1 + 2 * (4 + 16 * RUNGS)).saturating_mul(4).div_ceil(3);

impl Evidence {
    /// The evidence as text.
    pub fn to_text(&self) -> String {
        let fresh = self.safety == Safety::default();
        let mut bytes = vec![if fresh { HARM_ONLY } else { WHOLE }];
        for bets in [&self.harm, &self.fuse] {
            bytes.extend(bets.polls.to_le_bytes());
            bytes.extend(bets.relative.iter().chain(&bets.floor).flat_map(|bet| bet.to_le_bytes()));
        }
        if !fresh {
            bytes.extend(self.safety.relative.iter().flat_map(|log| log.to_le_bytes()));
            bytes.extend(self.safety.bad.to_le_bytes());
            bytes.extend(self.safety.good.to_le_bytes());
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The evidence that a text holds.
    pub fn from_text(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let mut reader = Reader(&bytes);
        let [form] = reader.take()?;
        let (harm, fuse) = (reader.bets()?, reader.bets()?);
        let safety = match form {
            WHOLE => Safety {
                relative: reader.floats()?,
                bad: u64::from_le_bytes(reader.take()?),
                good: u64::from_le_bytes(reader.take()?),
            },
            HARM_ONLY => Safety::default(),
            _ => return None,
        };
        let evidence = Self { harm, fuse, safety };
        let Self { harm, fuse, safety } = &evidence;
        let bets = [harm, fuse].into_iter().flat_map(|bets| bets.relative.iter().chain(&bets.floor));
        let sound =
            bets.into_iter().all(|bet| (0.0..=MOST).contains(bet)) && safety.relative.iter().all(|log| log.is_finite());
        (sound && reader.0.is_empty()).then_some(evidence)
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(*head)
    }

    fn floats(&mut self) -> Option<[f64; RUNGS]> {
        let mut floats = [0.0; RUNGS];
        for float in &mut floats {
            *float = f64::from_le_bytes(self.take()?);
        }
        Some(floats)
    }

    fn bets(&mut self) -> Option<Bets> {
        Some(Bets { polls: u32::from_le_bytes(self.take()?), relative: self.floats()?, floor: self.floats()? })
    }
}

impl Serialize for Evidence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_text())
    }
}

impl<'de> Deserialize<'de> for Evidence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Self::from_text(&text).unwrap_or_default())
    }
}
