//! The rules of the election, without a server.

use std::time::{Duration, Instant};

use super::candidate::{Candidate, Loss, Next, Sight, after};
use super::{LEASE, Leadership, RENEW, RETRY, TERM, Term, Writer, identity, lease};
use crate::clock;

fn start() -> Instant {
    clock::instant()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn held(version: &str, holder: &str) -> Option<Sight> {
    let holder = Some(holder.to_owned()).filter(|holder| !holder.is_empty());
    Some(Sight { version: version.to_owned(), holder, lasts: LEASE })
}

fn mine(version: &str) -> Sight {
    held(version, "me").unwrap()
}

fn candidate() -> Candidate {
    Candidate::new("me".to_owned())
}

#[test]
fn a_lease_that_nobody_holds_is_taken_at_once() {
    let t = start();
    let mut me = candidate();
    me.saw(None, t);
    assert_eq!(me.next(t), Next::Acquire, "there is none");
    me.saw(held("1", ""), t);
    assert_eq!(me.next(t), Next::Acquire, "it was released");
    me.saw(held("2", "me"), t);
    assert_eq!(me.next(t), Next::Acquire, "a write of ours arrived and its answer did not");
    assert_eq!(me.leads_until(), None, "but that alone is no leadership");
}

#[test]
fn another_holder_is_left_alone_until_no_change_was_seen_for_the_whole_lease() {
    let t = start();
    let mut me = candidate();
    me.saw(held("1", "other"), t);
    assert_eq!(me.next(t), Next::Wait(after(t, LEASE)));
    me.saw(held("1", "other"), after(t, seconds(14)));
    assert_eq!(me.next(after(t, seconds(14))), Next::Wait(after(t, LEASE)), "seeing it again is no change");
    assert_eq!(me.next(after(t, LEASE)), Next::Acquire);
}

#[test]
fn a_renewal_begins_the_wait_anew() {
    let t = start();
    let mut me = candidate();
    for renewal in 0..20_u64 {
        let at = after(t, seconds(renewal * 3));
        me.saw(held(&renewal.to_string(), "other"), at);
        assert_eq!(me.next(after(at, seconds(3))), Next::Wait(after(at, LEASE)));
    }
}

#[test]
fn the_holder_says_how_long_it_wants_to_be_left_alone() {
    let t = start();
    let mut me = candidate();
    let sight = Sight { version: "1".into(), holder: Some("older version".into()), lasts: seconds(40) };
    me.saw(Some(sight), t);
    assert_eq!(me.next(after(t, seconds(39))), Next::Wait(after(t, seconds(40))));
    assert_eq!(me.next(after(t, seconds(40))), Next::Acquire);
}

#[test]
fn a_deleted_lease_is_left_to_its_holder_as_after_any_change() {
    let t = start();
    let mut me = candidate();
    me.saw(held("1", "other"), t);
    me.saw(None, after(t, seconds(10)));
    me.saw(None, after(t, seconds(11)));
    assert_eq!(me.next(after(t, seconds(24))), Next::Wait(after(t, seconds(25))));
    assert_eq!(me.next(after(t, seconds(25))), Next::Acquire);
}

#[test]
fn a_leader_renews_and_counts_its_term_from_before_the_request() {
    let t = start();
    let mut me = candidate();
    me.saw(None, t);
    me.won(mine("1"), t, after(t, seconds(2)));
    assert_eq!(me.leads_until(), Some(after(t, TERM)), "the answer took 2 s, and they count");
    assert_eq!(me.next(after(t, seconds(2))), Next::Wait(after(t, RENEW)));
    assert_eq!(me.next(after(t, RENEW)), Next::Renew);
    me.won(mine("2"), after(t, RENEW), after(t, RENEW));
    assert_eq!(me.leads_until(), Some(after(t, RENEW + TERM)));
}

#[test]
fn a_leader_whose_server_hangs_is_deposed_before_another_may_begin() {
    let t = start();
    let mut me = candidate();
    me.won(mine("1"), t, t);
    let hung = after(t, seconds(6));
    me.failed(hung);
    assert_eq!(me.next(hung), Next::Wait(after(hung, RETRY)));
    assert_eq!(me.next(after(hung, RETRY)), Next::Renew);
    me.failed(after(t, TERM - Duration::from_millis(200)));
    assert_eq!(me.next(after(t, TERM - Duration::from_millis(100))), Next::Wait(after(t, TERM)), "not after the end");
    assert_eq!(me.next(after(t, TERM)), Next::Lost(Loss::Expired));
    // Another process saw the last renewal at the very moment in which it was sent.
    let mut other = Candidate::new("other".to_owned());
    other.saw(Some(mine("1")), t);
    assert_eq!(other.next(after(t, TERM + seconds(4))), Next::Wait(after(t, LEASE)));
}

#[test]
fn a_leader_that_is_not_the_holder_has_lost() {
    let t = start();
    let deposed = |sight| {
        let mut me = candidate();
        me.won(mine("1"), t, t);
        me.saw(sight, t);
        me.next(t)
    };
    assert_eq!(deposed(held("2", "other")), Next::Lost(Loss::Taken("other".to_owned())));
    assert_eq!(deposed(held("2", "")), Next::Lost(Loss::Released));
    assert_eq!(deposed(held("2", "me")), Next::Wait(after(t, RENEW)), "an annotation by somebody");
    assert_eq!(deposed(None), Next::Wait(after(t, RENEW)), "deleted: it is made again with the next renewal");
}

#[test]
fn a_request_that_failed_is_made_again_a_second_later() {
    let t = start();
    let mut me = candidate();
    me.failed(t);
    assert_eq!(me.next(t), Next::Wait(after(t, RETRY)));
    assert_eq!(me.next(after(t, RETRY)), Next::Acquire);
}

#[test]
fn the_clock_of_the_other_side_does_not_matter() {
    let t = start();
    for renewed in ["1970-01-01T00:00:00Z", "2999-01-01T00:00:00Z"] {
        let mut theirs = lease::claimed(None, "sluice", "other", renewed.parse().unwrap());
        theirs.metadata.resource_version = Some("1".to_owned());
        let mut me = candidate();
        me.saw(Some(lease::sight(&theirs)), t);
        assert_eq!(me.next(after(t, seconds(14))), Next::Wait(after(t, LEASE)));
        assert_eq!(me.next(after(t, LEASE)), Next::Acquire);
    }
}

#[test]
fn the_object_says_who_leads_and_since_when() {
    let at = |second: i64| jiff::Timestamp::from_second(second).unwrap();
    let mut first = lease::claimed(None, "sluice", "me", at(10));
    assert_eq!(first.metadata.name.as_deref(), Some("sluice"));
    first.metadata.resource_version = Some("1".to_owned());
    let renewed = lease::claimed(Some(&first), "sluice", "me", at(13));
    assert_eq!(renewed.metadata.resource_version.as_deref(), Some("1"), "tied to what was read");
    let spec = renewed.spec.clone().unwrap();
    assert_eq!((spec.lease_transitions, spec.lease_duration_seconds), (Some(0), Some(15)));
    assert_eq!((spec.acquire_time.unwrap().0, spec.renew_time.unwrap().0), (at(10), at(13)));

    let released = lease::released(&renewed, at(14));
    assert_eq!(released.metadata.resource_version.as_deref(), Some("1"));
    assert_eq!(lease::sight(&released), Sight { version: "1".into(), holder: None, lasts: seconds(1) });

    let spec = lease::claimed(Some(&released), "sluice", "next", at(15)).spec.unwrap();
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("next"), Some(1)));
    assert_eq!((spec.acquire_time.unwrap().0, spec.lease_duration_seconds), (at(15), Some(15)));
}

#[test]
fn odd_figures_in_the_lease_are_no_reason_to_take_it_early() {
    let mut odd = lease::claimed(None, "sluice", "other", jiff::Timestamp::UNIX_EPOCH);
    for figure in [None, Some(0), Some(-5)] {
        odd.spec.as_mut().unwrap().lease_duration_seconds = figure;
        assert_eq!(lease::sight(&odd).lasts, LEASE);
    }
    odd.spec = None;
    assert_eq!(lease::sight(&odd).holder, None);
}

#[test]
fn each_start_has_a_name_of_its_own() {
    let (one, two) = (identity("sluice-0"), identity("sluice-0"));
    assert!(one.starts_with("sluice-0_") && one != two, "{one} {two}");
}

#[test]
fn a_term_ends_by_the_clock_and_not_by_being_told() {
    let (terms, told) = tokio::sync::watch::channel(Term::Standby);
    let leadership = Leadership::told(told);
    assert!(!leadership.may_write());
    terms.send_replace(Term::Until(after(clock::instant(), seconds(60))));
    assert!(leadership.may_write());
    terms.send_replace(Term::Until(clock::instant()));
    assert!(!leadership.may_write(), "nobody said that it is over");
    assert!(Leadership::always().may_write());
}

#[tokio::test]
async fn the_client_is_for_the_leader_only() {
    let (service, _handle) = tower_test::mock::pair::<http::Request<_>, http::Response<kube::client::Body>>();
    let client = kube::Client::new(service, "demo");
    let (terms, told) = tokio::sync::watch::channel(Term::Standby);
    let writer = Writer::new(client, Leadership::told(told));
    assert!(writer.client().is_err());
    terms.send_replace(Term::Until(after(clock::instant(), seconds(60))));
    assert!(writer.client().is_ok());
}
