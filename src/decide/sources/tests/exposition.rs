//! A small Prometheus for tests: reads an exposition and finds what a selector matches.
//!
//! Its parsers are its own, so that a mistake in the selectors is not repeated here.

use std::cell::RefCell;
use std::collections::BTreeMap;

use jiff::Timestamp;
use regex::Regex;

use super::super::super::measure::{Ask, Sample, Series};

type Labels = BTreeMap<String, String>;

/// Series of one scrape.
pub(super) struct Exposition {
    series: Vec<(String, Labels, f64)>,
    /// What was asked stays, so that it can be lent.
    selected: RefCell<BTreeMap<String, &'static [Series]>>,
}

impl Exposition {
    /// A file of `tests/fixtures/expositions`.
    pub(super) fn of(file: &str) -> Self {
        Self::read(text(file), |_| true)
    }

    /// The same without the metrics whose names begin so.
    pub(super) fn without(file: &str, prefix: &str) -> Self {
        Self::read(text(file), |name| !name.starts_with(prefix))
    }

    fn read(text: &str, wanted: impl Fn(&str) -> bool) -> Self {
        let mut series = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (name, rest) = line.split_once('{').unwrap();
            let (inside, value) = rest.rsplit_once("} ").unwrap();
            let labels: Labels = matchers(inside).into_iter().map(|(label, _, value)| (label, value)).collect();
            assert!(!series.iter().any(|(n, l, _)| n == name && *l == labels), "twice: {line}");
            if wanted(name) {
                series.push((name.to_owned(), labels, value.parse().unwrap()));
            }
        }
        Self { series, selected: RefCell::default() }
    }

    /// The series that a question brings.
    pub(super) fn select(&self, ask: &Ask) -> &'static [Series] {
        let Ask::Counter(selector) = ask else { panic!("{ask:?} is no counter") };
        self.selected.borrow_mut().entry(selector.clone()).or_insert_with(|| self.find(selector).leak())
    }

    fn find(&self, selector: &str) -> Vec<Series> {
        let (name, inside) = selector.trim_end().strip_suffix('}').unwrap().split_once('{').unwrap();
        let like = |wanted: &str| Regex::new(&format!("^(?s:{wanted})$")).unwrap();
        let conditions: Vec<_> =
            matchers(inside).into_iter().map(|(label, op, wanted)| (label, op, like(&wanted), wanted)).collect();
        let fits = |labels: &Labels| {
            conditions.iter().all(|(label, op, like, wanted)| {
                let value = labels.get(label).map_or("", String::as_str);
                match op.as_str() {
                    "=" => value == wanted,
                    "!=" => value != wanted,
                    "=~" => like.is_match(value),
                    "!~" => !like.is_match(value),
                    _ => panic!("{op}"),
                }
            })
        };
        self.series
            .iter()
            .filter(|(known, labels, _)| known == name && fits(labels))
            .map(|(_, labels, value)| Series {
                id: format!("{labels:?}"),
                labels: labels.clone(),
                samples: vec![Sample { at: Timestamp::UNIX_EPOCH, value: *value }],
            })
            .collect()
    }
}

fn text(file: &str) -> &'static str {
    macro_rules! files {
        ($($name:literal),*) => {
            match file {
                $($name => include_str!(concat!("../../../../tests/fixtures/expositions/", $name, ".txt")),)*
                _ => panic!("no fixture {file}"),
            }
        };
    }
    files!(
        "cilium",
        "contour",
        "istio",
        "istio-ambient",
        "kgateway",
        "linkerd",
        "pods-opentelemetry",
        "pods-prometheus",
        "traefik",
        "traefik-3.7.5"
    )
}

/// `a="b",c=~"d"` with Go's escapes.
fn matchers(inside: &str) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let mut rest = inside;
    while !rest.is_empty() {
        let quote = rest.find('"').unwrap();
        let head = &rest[..quote];
        let label = head.trim_end_matches(['=', '!', '~']);
        let (mut value, mut escaped, mut end) = (String::new(), false, None);
        for (at, c) in rest[quote + 1..].char_indices() {
            match (escaped, c) {
                (true, 'n') => value.push('\n'),
                (true, c) => value.push(c),
                (false, '\\') => {}
                (false, '"') => {
                    end = Some(quote + 1 + at);
                    break;
                }
                (false, c) => value.push(c),
            }
            escaped = !escaped && c == '\\';
        }
        found.push((label.to_owned(), head[label.len()..].to_owned(), value));
        rest = rest[end.unwrap() + 1..].trim_start_matches(',');
    }
    found
}
