//! When the delivery figures are taken into the status.
//!
//! Owns how often: with each new record, and else at most once an hour, only while nothing is being released. Counts
//! nothing: the figures come with the snapshot. Nothing is decided from them.

use super::draft::Draft;
use super::time::left;
use crate::api::{DeliveryFigures, Duration};

/// Windows move on all the time: what leaves one is told so seldom.
const SELDOM: Duration = Duration::from_secs(3600);

pub(super) fn take_over(d: &mut Draft<'_>) {
    let Some(found) = &d.s.delivery else { return };
    if d.active().is_some() {
        return;
    }
    let due = d.status.delivery.as_ref().is_none_or(|known| {
        let news = found.recorded_until > known.recorded_until;
        // A time to come is that of a clock that was wrong.
        differ(known, found) && (news || known.at > d.s.now || left(d.s.now, known.at, SELDOM).is_none())
    });
    if due {
        d.status.delivery = Some(found.clone());
    }
}

/// That they were counted again is no difference.
fn differ(known: &DeliveryFigures, found: &DeliveryFigures) -> bool {
    *known != DeliveryFigures { at: known.at, recorded_until: known.recorded_until, ..found.clone() }
}
