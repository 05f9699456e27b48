//! `sluice judge` on any bytes, and the judge on any counts and any kept evidence.

use std::io::Read;

use proptest::prelude::*;
use sluice::api::Duration;
use sluice::judge::{Evidence, Judge, Policy, Poll};
use sluice::judge_command::{Format, Replay};

use super::nasty;

fn replay(input: impl Read) -> Result<String, String> {
    let replay = Replay {
        judge: Judge::new(Policy::default()).unwrap(),
        interval: Duration::from_secs(15),
        format: Format::Json,
    };
    let mut output = Vec::new();
    let result = replay.run(std::io::BufReader::new(input), &mut output);
    result.map_err(|error| format!("{error:#}"))?;
    Ok(String::from_utf8(output).unwrap())
}

fn said(input: &[u8]) -> Result<(), TestCaseError> {
    match replay(input) {
        Ok(lines) => prop_assert!(!lines.contains("NaN") && !lines.contains("null"), "{lines}"),
        Err(error) => prop_assert!(error.starts_with("line ") && error.len() < 500, "{error}"),
    }
    Ok(())
}

#[test]
fn the_corpus() {
    for text in nasty::texts() {
        for input in [
            text.clone(),
            format!("1,2,3,{text}"),
            format!("{text},{text},{text},{text}"),
            format!("5,100,1,900\n{text}\n5,100,1,900"),
        ] {
            said(input.as_bytes()).unwrap_or_else(|error| panic!("{input:?}: {error}"));
        }
    }
    let large = nasty::megabyte("1,");
    let error = replay(large.as_bytes()).unwrap_err();
    assert!(error.starts_with("line 1") && error.len() < 500, "{} bytes", error.len());
    assert!(replay(&b"1,2,3,4\n\xff\xfe"[..]).unwrap_err().starts_with("line 2"));
}

/// `sluice judge < /dev/zero`: a line without an end is no line.
#[test]
fn a_line_without_an_end_is_not_read_for_ever() {
    let error = replay(std::io::repeat(b'1')).unwrap_err();
    assert!(error.starts_with("line 1: it is longer than"), "{error}");
}

proptest! {
    #![proptest_config(nasty::cases(500))]

    #[test]
    fn any_bytes(input in proptest::collection::vec(any::<u8>(), 0..200)) {
        said(&input)?;
    }

    #[test]
    fn nearly_polls(input in "([-0-9, x_cns#]{0,30}\n|[0-9]{1,20},[0-9]{1,20},[0-9]{1,3},[0-9]{1,20}\r?\n){0,6}") {
        said(input.as_bytes())?;
    }

    /// Whatever is counted, and whatever evidence it is added to: capitals stay numbers.
    #[test]
    fn capitals_stay_numbers(
        polls in proptest::collection::vec(any::<[u64; 4]>(), 0..20),
        bytes in proptest::collection::vec(any::<u8>(), 0..500),
        start in any::<bool>(),
    ) {
        let judge = Judge::new(Policy::default()).unwrap();
        let mut evidence = Evidence::default();
        if start {
            // A status that was edited: the first byte says the form.
            let mut text = evidence.to_text().into_bytes();
            for (at, byte) in bytes.iter().enumerate().take(40) {
                let at = (usize::from(*byte) * 7 + at) % text.len();
                text[at] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[usize::from(*byte) % 64];
            }
            evidence = Evidence::from_text(std::str::from_utf8(&text).unwrap()).unwrap_or_default();
        }
        for [bad, requests, stable_bad, stable_requests] in polls {
            judge.look(&mut evidence, &Poll::new(bad, requests, stable_bad, stable_requests));
            judge.look_while_settling(&mut evidence, &Poll::new(stable_bad, bad, requests, stable_requests));
            let capital = judge.capital(&evidence);
            for one in [capital.relative, capital.floor, capital.harm, capital.safe, capital.fuse] {
                prop_assert!(!one.is_nan() && one >= 0.0, "{one}");
            }
            let _ = judge.judge(&capital);
        }
        let _ = Evidence::from_text(&String::from_utf8_lossy(&bytes));
    }
}
