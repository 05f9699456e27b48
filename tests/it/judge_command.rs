//! `sluice judge`: lines in, lines out, and what is said of lines and flags that make no sense.

use std::cell::RefCell;
use std::io::{self, BufReader, Read, Write};
use std::rc::Rc;

use clap::Parser as _;
use serde_json::Value;
use sluice::api::Duration;
use sluice::cli::Cli;
use sluice::judge::{Judge, Policy};
use sluice::judge_command::{Format, Replay};

fn replay(format: Format) -> Replay {
    Replay { judge: Judge::new(Policy::default()).unwrap(), interval: Duration::from_secs(15), format }
}

/// What is printed, and what is said if it fails.
fn run(format: Format, input: &str) -> (String, Option<String>) {
    let mut output = Vec::new();
    let result = replay(format).run(input.as_bytes(), &mut output);
    (String::from_utf8(output).unwrap(), result.err().map(|error| format!("{error:#}")))
}

fn objects(input: &str) -> Vec<Value> {
    let (output, error) = run(Format::Json, input);
    assert_eq!(error, None);
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The vectors that docs/verdicts.md publishes.
#[test]
fn the_published_vectors() {
    let vectors = [
        ("0,100,1,900\n".repeat(10), 0.586616, 0.595947),
        ("5,100,1,900\n".repeat(4), 206.422003, 208.717655),
        ("1,100,1,900\n".repeat(6), 24.386932, 440.500254),
        ("50,100,0,900\n".to_owned(), 2.820794, 2.820794),
        ("50,100,450,900\n".repeat(3), 0.496107, 50.547210),
        ("0,0,3,900\n4,100,0,900\n".to_owned(), 2.672519, 2.686222),
        ("0,500,0,500\n".repeat(20), 1.000000, 0.472064),
    ];
    for (input, relative, floor) in vectors {
        let lines = objects(&input);
        let last = lines.last().unwrap();
        assert!((last["relative"].as_f64().unwrap() - relative).abs() < 1e-6, "{input}{last}");
        assert!((last["floor"].as_f64().unwrap() - floor).abs() < 1e-6, "{input}{last}");
        assert_eq!(
            last["harm"].as_f64().unwrap(),
            last["relative"].as_f64().unwrap().min(last["floor"].as_f64().unwrap())
        );
        assert_eq!(last["poll"], lines.len());
    }
}

#[test]
fn an_object_has_these_fields_and_no_other() {
    let first = run(Format::Json, "5,100,1,900").0;
    let first: serde_json::Map<String, Value> = serde_json::from_str(&first).unwrap();
    let mut fields: Vec<&str> = first.keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["floor", "fuse", "harm", "poll", "relative", "safe", "verdict"]);
}

#[test]
fn harm_is_final() {
    let lines = objects(&("5,100,1,900\n".repeat(4) + &"0,1000,9,9000\n".repeat(50)));
    let verdicts: Vec<&str> = lines.iter().map(|line| line["verdict"].as_str().unwrap()).collect();
    assert!(verdicts[..3].iter().all(|verdict| *verdict == "Undecided"));
    assert!(verdicts[3..].iter().all(|verdict| *verdict == "Harm"));
    assert!(lines.last().unwrap()["harm"].as_f64().unwrap() < 1.0, "the capital itself goes on");
}

#[test]
fn the_fuse_needs_one_poll() {
    let line = &objects("50,100,0,900")[0];
    assert_eq!(line["verdict"], "Harm");
    assert!(line["fuse"].as_f64().unwrap() > 1_000.0 && line["harm"].as_f64().unwrap() < 3.0);
}

#[test]
fn safe_may_become_undecided_again() {
    let lines = objects(&("0,500,5,4500\n".repeat(4) + &"10,500,5,4500\n".repeat(2)));
    assert_eq!(lines[3]["verdict"], "Safe");
    assert_eq!(lines[5]["verdict"], "Undecided");
}

#[test]
fn a_table_for_people() {
    let (output, error) = run(Format::Table, "x_c, n_c, x_s, n_s\n# a comment\n\n5,100,1,900\r\n 5 , 100 , 1 , 900 \n");
    assert_eq!(error, None);
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.len(), 4, "{output}");
    let ends: Vec<usize> = lines[..3].iter().map(|line| line.rfind("  ").unwrap()).collect();
    assert!(ends.iter().all(|end| *end == ends[0]), "not aligned:\n{output}");
    let words: Vec<&str> = lines[2].split_whitespace().collect();
    assert_eq!(words[..6], ["2", "30s", "200", "10", "1800", "2"]);
    assert!(lines[3].starts_with("Undecided after poll 2 (30s) and 200 canary requests: Safe"), "{output}");
}

#[test]
fn the_last_sentence_says_what_was_decided() {
    for (input, expected) in [
        (
            "5,100,1,900\n".repeat(6),
            "Harm at poll 4 (1m), after 400 canary requests: harm reached 206.422, 111.111 are",
        ),
        ("50,100,0,900\n".repeat(2), "Harm at poll 1 (15s), after 100 canary requests: fuse reached"),
        (
            "0,500,5,4500\n".repeat(5),
            "Safe at poll 2 (30s), after 1000 canary requests: safe reached 33.196, 20.000 are needed.",
        ),
        ("0,0,1,900\n".to_owned(), "Undecided after poll 1 (15s) and 0 canary requests: without requests of both"),
        (String::new(), "Undecided after poll 0 (0s) and 0 canary requests"),
    ] {
        let (output, error) = run(Format::Table, &input);
        assert_eq!(error, None);
        assert!(output.lines().last().unwrap().starts_with(expected), "{output}");
    }
}

#[test]
fn bad_lines_are_named_after_the_lines_before_were_judged() {
    let most = "9".repeat(25);
    for (bad, expected) in [
        ("1,2,3", "line 4: it has 3 fields and must have 4: x_c,n_c,x_s,n_s"),
        ("1,2,3,4,5", "line 4: it has 5 fields"),
        ("many,100,1,900", "line 4: x_c is \"many\", not a whole number"),
        ("1,100.5,1,900", "line 4: n_c is \"100.5\", not a whole number"),
        ("1,100,,900", "line 4: x_s is \"\", not a whole number"),
        ("1,100,+1,900", "line 4: x_s is \"+1\", not a whole number"),
        ("1,100,1,NaN", "line 4: n_s is \"NaN\", not a whole number"),
        ("-1,100,1,900", "line 4: x_c is -1, it must not be negative"),
        ("101,100,1,900", "line 4: x_c is 101 and n_c 100: there cannot be more errors than requests"),
        ("1,100,901,900", "line 4: x_s is 901 and n_s 900: there cannot be more errors than requests"),
        ("1,1000000000000001,1,900", "line 4: n_c is 1000000000000001, it must be at most 1000000000000000"),
        (&format!("1,{most},1,900"), "it must be at most 1000000000000000"),
        // A header is one only at the beginning.
        ("x_c,n_c,x_s,n_s", "line 4: x_c is \"x_c\", not a whole number"),
    ] {
        let (output, error) = run(Format::Json, &format!("# {bad}\n0,100,1,900\n0,100,1,900\n{bad}\n0,100,1,900\n"));
        let error = error.unwrap();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
        assert_eq!(output.lines().count(), 2, "{output}");
    }
    let mut output = Vec::new();
    let error = replay(Format::Json).run(&b"0,100,1,900\n\xff\xff\n"[..], &mut output).unwrap_err();
    assert!(format!("{error:#}").starts_with("line 2 cannot be read: "), "{error:#}");
    assert!(!output.is_empty());
}

#[test]
fn the_largest_counts_give_numbers() {
    let most = 1_000_000_000_000_000_u64;
    for line in [format!("{most},{most},0,{most}"), format!("0,{most},{most},{most}"), format!("{most},{most},0,0")] {
        for object in objects(&format!("{line}\n").repeat(20)) {
            for field in ["relative", "floor", "harm", "safe", "fuse"] {
                assert!(object[field].as_f64().is_some_and(|capital| capital >= 0.0), "{line}: {object}");
            }
        }
    }
}

fn refused(arguments: &[&str]) -> String {
    let arguments = ["sluice", "judge"].iter().chain(arguments);
    Cli::try_parse_from(arguments).unwrap_err().to_string()
}

#[test]
fn bad_flags_are_named_with_what_they_may_be() {
    for (arguments, expected) in [
        (["--tolerance", "0.9"], "'0.9' for '--tolerance <TIMES>': it must be between 1 and 1000"),
        (["--tolerance", "1e307"], "it must be between 1 and 1000"),
        (["--floor", "0"], "'0' for '--floor <SHARE>': it must be above 0 and at most 0.5"),
        (["--floor", "51%"], "it must be above 0 and at most 0.5"),
        (["--floor", "%"], "not a number"),
        (["--alpha", "two"], "'two' for '--alpha <SHARE>': not a number"),
        (["--alpha", "NaN"], "it must be above 0 and at most 0.5"),
        (["--r2", "1"], "'1' for '--r2 <TIMES>': it must be more than 1 and at most 1000"),
        (["--floor2=-1%", "-"], "'-1%' for '--floor2 <SHARE>': it must be above 0"),
        (["--beta", "0.6"], "'0.6' for '--beta <SHARE>': it must be above 0 and at most 0.5"),
        (["--phi", "0.5"], "'0.5' for '--phi <TIMES>': it must be 1 or more"),
        (["--interval", "15"], "\"15\" is not a duration such as"),
    ] {
        let said = refused(&arguments);
        assert!(said.contains(expected), "{said:?} does not say {expected:?}");
    }
}

#[test]
fn fractions_and_percentages_are_the_same() {
    for share in ["0.001", "0.1%", "1e-3", "0.10%"] {
        for flag in ["--floor", "--alpha", "--floor2", "--beta"] {
            assert!(Cli::try_parse_from(["sluice", "judge", flag, share]).is_ok(), "{flag} {share}");
        }
    }
}

/// A pipe into which the next line comes only when the answer to the one before was seen.
struct Typing {
    left: usize,
    answers: Rc<RefCell<Vec<u8>>>,
}

impl Read for Typing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let answered = self.answers.borrow().iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(answered, 3 - self.left, "a line was not answered before the next one was read");
        if self.left == 0 {
            return Ok(0);
        }
        self.left -= 1;
        let line = b"0,100,1,900\n";
        buffer[..line.len()].copy_from_slice(line);
        Ok(line.len())
    }
}

struct Seen(Rc<RefCell<Vec<u8>>>);

impl Write for Seen {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn each_line_is_answered_before_the_next_is_read() {
    let answers = Rc::new(RefCell::new(Vec::new()));
    let input = BufReader::new(Typing { left: 3, answers: Rc::clone(&answers) });
    replay(Format::Json).run(input, Seen(answers)).unwrap();
}

/// A reader that went away, as `head` does.
struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    assert!(replay(Format::Table).run(&b"0,100,1,900\n"[..], Gone).is_ok());
}
