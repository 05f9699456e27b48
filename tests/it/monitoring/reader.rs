//! A strict reader of OpenMetrics text, which believes nothing: order of lines, suffixes, labels, no series twice.

use std::collections::{BTreeMap, BTreeSet};

/// One line with a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// Everything that was told.
#[derive(Debug, Default)]
pub struct Exposition {
    /// Family and type.
    pub families: BTreeMap<String, String>,
    pub samples: Vec<Sample>,
}

impl Exposition {
    /// The value of one series.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let wanted: BTreeMap<String, String> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.samples.iter().find(|sample| sample.name == name && sample.labels == wanted).map(|sample| sample.value)
    }

    /// How many series have this label with this value.
    pub fn with(&self, label: &str, value: &str) -> usize {
        self.samples.iter().filter(|sample| sample.labels.get(label).is_some_and(|is| is == value)).count()
    }
}

fn is_name(text: &str) -> bool {
    let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    first && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `{a="b",c="d"}` or nothing, and what comes after.
fn labels(text: &str) -> (BTreeMap<String, String>, &str) {
    let mut found = BTreeMap::new();
    let Some(mut rest) = text.strip_prefix('{') else { return (found, text) };
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return (found, rest);
        }
        let (name, tail) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label in {text:?}"));
        assert!(is_name(name), "label {name:?} in {text:?}");
        let (mut value, mut chars) = (String::new(), tail.chars());
        loop {
            match chars.next().unwrap_or_else(|| panic!("no end of a value in {text:?}")) {
                '"' => break,
                '\\' => match chars.next() {
                    Some('n') => value.push('\n'),
                    Some(c @ ('"' | '\\')) => value.push(c),
                    other => panic!("{other:?} is escaped in {text:?}"),
                },
                c => value.push(c),
            }
        }
        assert!(found.insert(name.to_owned(), value).is_none(), "{name:?} twice in {text:?}");
        rest = chars.as_str();
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

/// The suffixes that samples of a type may have.
fn suffixes(kind: &str) -> &'static [&'static str] {
    match kind {
        "gauge" => &[""],
        "counter" => &["_total"],
        "histogram" => &["_bucket", "_count", "_sum"],
        "info" => &["_info"],
        other => panic!("type {other}"),
    }
}

/// Reads everything, or says what is wrong.
pub fn read(text: &str) -> Exposition {
    let mut all = Exposition::default();
    let mut seen = BTreeSet::new();
    let mut family = String::new();
    let lines = text.strip_suffix("# EOF\n").expect("no end").lines();
    let mut helped = String::new();
    for line in lines {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, about) = help.split_once(' ').unwrap();
            assert!(about.len() > 5, "{line}");
            helped = name.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(is_name(name) && name.starts_with("sluice_"), "{line}");
            assert_eq!(helped, name, "a type without a help before it");
            assert!(all.families.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
            name.clone_into(&mut family);
        } else if let Some(unit) = line.strip_prefix("# UNIT ") {
            let (name, unit) = unit.split_once(' ').unwrap();
            assert!(name == family && name.ends_with(&format!("_{unit}")), "{line}");
        } else {
            let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line}"));
            let (name, rest) = line.split_at(end);
            let (labels, rest) = labels(rest);
            let value: f64 = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}")).parse().unwrap();
            let suffix =
                name.strip_prefix(&family).unwrap_or_else(|| panic!("{line}: of another family than {family}"));
            assert!(suffixes(&all.families[&family]).contains(&suffix), "{line}: {}", all.families[&family]);
            assert!(seen.insert((name.to_owned(), labels.clone())), "twice: {line}");
            assert!(value.is_finite(), "{line}");
            all.samples.push(Sample { name: name.to_owned(), labels, value });
        }
    }
    all
}

#[test]
fn the_reader_is_strict() {
    let good = "# HELP sluice_a About it.\n# TYPE sluice_a gauge\nsluice_a{b=\"c\\\"\"} 1\n# EOF\n";
    let read_back = read(good);
    assert_eq!(read_back.value("sluice_a", &[("b", "c\"")]), Some(1.0));
    for bad in [
        good.replace("# EOF\n", ""),
        good.replace("gauge", "counter"),
        good.replace("# EOF", "sluice_a{b=\"c\\\"\"} 2\n# EOF"),
        good.replace("# EOF", "sluice_b 2\n# EOF"),
        good.replace(" 1\n", " NaN\n"),
        good.replace("b=", "b-c="),
    ] {
        assert!(std::panic::catch_unwind(|| read(&bad)).is_err(), "{bad}");
    }
}
