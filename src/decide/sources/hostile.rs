//! Names of any text in every query of every data plane, and in the queries that users write: each value is read back by
//! a tokenizer of its own, and is exactly what was meant.
#![allow(clippy::arithmetic_side_effects)] // positions in texts

use proptest::prelude::*;
use regex::Regex;

use super::super::queries::{quoted, regex};
use super::super::template::{Filling, fill};
use super::place::Named;
use super::tests::place as harmless;
use super::*;
use crate::api::RouteKind;
use crate::nasty;

/// A piece of PromQL.
#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// A string, unescaped.
    String(String),
    /// A word or a number.
    Word(String),
    /// Anything else.
    Sign(char),
}

/// PromQL as "Querying basics" has it, "String literals": strings in three kinds of quotes, with Go's escapes in two of
/// them; comments. `None` where Prometheus would not read it either.
fn tokens(promql: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut chars = promql.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            '"' | '\'' | '`' => {
                let mut text = String::new();
                loop {
                    match chars.next()? {
                        end if end == c => break,
                        '\n' if c != '`' => return None,
                        '\\' if c != '`' => text.push(match chars.next()? {
                            'n' => '\n',
                            't' => '\t',
                            '\\' => '\\',
                            quote if quote == c => quote,
                            _ => return None,
                        }),
                        other => text.push(other),
                    }
                }
                tokens.push(Token::String(text));
            }
            c if c.is_ascii_alphanumeric() || c == '_' || c == ':' => {
                let mut word = c.to_string();
                while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_' || *c == ':') {
                    word.push(c);
                }
                tokens.push(Token::Word(word));
            }
            c if c.is_whitespace() => {}
            other => tokens.push(Token::Sign(other)),
        }
    }
    Some(tokens)
}

/// The query without its values.
fn skeleton(promql: &str) -> Vec<Token> {
    let tokens = tokens(promql).unwrap_or_else(|| panic!("not PromQL: {promql}"));
    let blank = |token| if matches!(token, Token::String(_)) { Token::String(String::new()) } else { token };
    tokens.into_iter().map(blank).collect()
}

/// Label, operator, value of each matcher.
fn matchers(promql: &str) -> Vec<(String, String, String)> {
    let tokens = tokens(promql).unwrap();
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let Token::Word(label) = &tokens[at] else { continue };
        let sign = |at: usize| match tokens.get(at) {
            Some(Token::Sign(c)) => c.to_string(),
            _ => String::new(),
        };
        let (one, two) = (sign(at + 1), sign(at + 2));
        let op = if two.is_empty() { one } else { one + &two };
        if let (true, Some(Token::String(value))) =
            (["=", "=~", "!=", "!~"].contains(&op.as_str()), tokens.get(at + 1 + op.len()))
        {
            found.push((label.clone(), op, value.clone()));
        }
    }
    found
}

/// As Prometheus matches: from end to end.
fn anchored(pattern: &str) -> Regex {
    Regex::new(&format!("^(?s:{pattern})$")).unwrap_or_else(|error| panic!("{error}"))
}

/// Texts that are nearly this one.
fn near(text: &str) -> Vec<String> {
    let mut near =
        vec![format!("{text}x"), format!("x{text}"), format!("{text}\n"), String::new(), text.replace('.', "x")];
    near.extend(text.char_indices().map(|(at, c)| [&text[..at], &text[at + c.len_utf8()..]].concat()));
    near.extend(
        text.char_indices()
            .map(|(at, c)| [&text[..at], if c == '-' { "+" } else { "-" }, &text[at + c.len_utf8()..]].concat()),
    );
    near.retain(|one| one != text);
    near
}

const PLANES: [Source; 7] =
    [Source::Traefik, Source::Istio, Source::Linkerd, Source::Contour, Source::Kgateway, Source::Cilium, Source::Pods];

/// A place of these names.
#[derive(Debug, Clone)]
struct Names([String; 5]);

impl Names {
    fn place(&self) -> Place<'_> {
        let [namespace, service, workload, set, route] = &self.0;
        let mut place = harmless("");
        place.namespace = namespace;
        place.routes = vec![Named(RouteKind::HTTPRoute, route)];
        place.stable_service = service;
        place.canary_service = format!("{service}-canary");
        place.stable_workload = workload;
        place.canary_workload = format!("{workload}-canary");
        place.stable_replica_set = set;
        place
    }
}

fn names() -> impl Strategy<Value = Names> {
    let names = [nasty::text(), nasty::text(), nasty::text(), nasty::text(), nasty::text()];
    names.prop_map(|mut names| {
        // Without a ReplicaSet nothing is asked of pods.
        names[3].push('s');
        Names(names)
    })
}

/// Everything that is asked of a plane, with the label by which it tells the versions apart.
fn queries(place: &Place<'_>, source: Source, what: What) -> Vec<String> {
    let counts = resolve(source, None, place, what).unwrap();
    let (bad, all) = counts.whole("5m");
    counts.asks().iter().chain(&counts.edges()).map(|ask| ask.promql().to_owned()).chain([bad, all]).collect()
}

fn versions(source: Source) -> &'static [&'static str] {
    match source {
        Source::Istio => &["destination_service_name"],
        Source::Linkerd => &["backend_name", "deployment"],
        Source::Contour | Source::Kgateway | Source::Cilium => &["envoy_cluster_name"],
        Source::Pods => &["pod"],
        Source::Auto | Source::Traefik | Source::Query => &["service"],
    }
}

/// The label values of a version, after the documentation of each plane.
fn meant(place: &Place<'_>, source: Source, label: &str, role: Role) -> String {
    let (namespace, service) = (place.namespace, place.service(role));
    let normal = |name: &str| {
        let parts = name.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join("-")
    };
    match (source, label) {
        (Source::Istio, _) | (Source::Linkerd, "backend_name") => service.to_owned(),
        (Source::Linkerd, _) => place.workload(role).to_owned(),
        (Source::Contour, _) => format!("{namespace}_{service}_80"),
        (Source::Kgateway, _) => format!("kube_{namespace}_{service}_80"),
        (Source::Cilium, _) => format!("{namespace}/cilium-gateway-x/{namespace}:{service}:80"),
        (Source::Pods, _) if role == Role::Canary => format!("{}-7d9f8c6b5d-x2x4z", place.workload(role)),
        (Source::Pods, _) => format!("{}-x2x4z", place.stable_replica_set),
        (Source::Auto | Source::Traefik | Source::Query, _) => {
            format!("{}-{}-http-80@kubernetesgateway", normal(namespace), normal(service))
        }
    }
}

fn every_value_is_meant(names: &Names) -> Result<(), TestCaseError> {
    let (place, plain) = (names.place(), harmless(""));
    // Of names that no object can have, cut ones are compared elsewhere.
    let short = names.0.iter().all(|name| name.chars().count() < 30);
    for source in PLANES {
        for what in [What::Errors, What::Slow(Duration::from_millis(250))] {
            let kinds = queries(&place, source, what).into_iter().zip(queries(&plain, source, what));
            for (query, harmless) in kinds {
                prop_assert_eq!(skeleton(&query), skeleton(&harmless));
                for ((label, op, value), (_, _, was)) in matchers(&query).into_iter().zip(matchers(&harmless)) {
                    if !versions(source).contains(&label.as_str()) {
                        // A fixed word, or the namespace.
                        prop_assert!(value == was && was != "demo" || value == place.namespace, "{label}{op}{value:?}");
                        continue;
                    }
                    prop_assert_eq!(op.as_str(), "=~");
                    let pattern = anchored(&value);
                    if !short {
                        continue;
                    }
                    let ours = [Role::Canary, Role::Stable].map(|role| meant(&place, source, &label, role));
                    for text in &ours {
                        prop_assert!(pattern.is_match(text), "{source:?} {value:?} misses {text:?}");
                        // Traefik's names and Cilium's are not whole: what stands before is theirs.
                        let free = matches!(source, Source::Traefik | Source::Cilium);
                        for other in near(text).into_iter().filter(|other| !free && !ours.contains(other)) {
                            // What is made at the end of a pod's name may be anything of that alphabet.
                            let heads =
                                [format!("{}-", place.canary_workload), format!("{}-", place.stable_replica_set)];
                            let made = source == Source::Pods && heads.iter().any(|head| other.starts_with(head));
                            prop_assert!(made || !pattern.is_match(&other), "{source:?} {value:?} takes {other:?}");
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

#[test]
fn every_text_of_the_corpus_in_every_place() {
    for text in nasty::texts() {
        let set = if text.is_empty() { "s".to_owned() } else { text.clone() };
        let names = Names([text.clone(), text.clone(), text.clone(), set, text.clone()]);
        every_value_is_meant(&names).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    }
}

#[test]
fn a_name_of_a_megabyte_stays_in_its_matcher() {
    let large = nasty::megabyte("x\"} or vector(0) #");
    assert_eq!(tokens(&format!("\"{}\"", quoted(&large))), Some(vec![Token::String(large.clone())]));
    let names = Names([large.clone(), "s".into(), large.clone(), large.clone(), "r".into()]);
    let query = queries(&names.place(), Source::Istio, What::Errors).swap_remove(0);
    assert_eq!(matchers(&query)[1].2, large);
}

/// Every way in which a user's query can hold a variable.
const TEMPLATES: [(&str, bool); 10] = [
    (r#"a{x="{{v}}"}"#, false),
    (r#"a{x='{{v}}'}"#, false),
    (r#"a{x="l{{v}}r",y!="{{ v }}"}"#, false),
    (r#"a{x=~"{{v}}"}"#, true),
    (r#"a{x =~ '{{v}}'}"#, true),
    (r#"a{x!~"{{v}}"}"#, true),
    (r#"a{x="\"\\",y="{{v}}"}"#, false),
    ("a{x=\"'`\",y='{{v}}'} # don't", false),
    ("a # it's \"\n{x=\"{{v}}\"}", false),
    (r#"label_replace(a, "x", "{{v}}", "", "")"#, false),
];

fn template_is_meant(text: &str) -> Result<(), TestCaseError> {
    let filled = |template: &str, value: Filling| fill(template, &["v"], |name| (name == "v").then(|| value.clone()));
    for (template, pattern) in TEMPLATES {
        let query = filled(template, Filling::Text(text.to_owned())).map_err(TestCaseError::fail)?;
        prop_assert_eq!(skeleton(&query), skeleton(&template.replace("{{v}}", "v").replace("{{ v }}", "v")));
        let strings = |query: &str| -> Vec<String> {
            let of = |token| if let Token::String(text) = token { Some(text) } else { None };
            tokens(query).unwrap().into_iter().filter_map(of).collect()
        };
        let written = if pattern { regex(text) } else { text.to_owned() };
        for (is, was) in strings(&query).iter().zip(strings(template)) {
            prop_assert_eq!(is, &was.replace("{{v}}", &written).replace("{{ v }}", &written), "{}", template);
        }
        if pattern {
            let pattern = anchored(&matchers(&query)[0].2);
            prop_assert!(pattern.is_match(text));
            prop_assert!(near(text).iter().all(|other| !pattern.is_match(other)), "{query}");
        }
        // A regular expression is put in as one, wherever it stands.
        let expression = format!("{}-[a-z0-9]+", regex(text));
        let query = filled(template, Filling::Pattern(expression.clone())).map_err(TestCaseError::fail)?;
        prop_assert!(strings(&query).iter().any(|string| string.contains(&expression)));
    }
    // Between backquotes nothing can be escaped.
    match filled("a{x=~`{{v}}`}", Filling::Text(text.to_owned())) {
        Ok(query) => prop_assert_eq!(matchers(&query), [("x".to_owned(), "=~".to_owned(), regex(text))]),
        Err(why) => prop_assert!(text.contains('`') && why.contains("\"v\"") && why.len() < 900, "{why}"),
    }
    // Outside of quotes it must be a word.
    match filled("a{{v}} + b[{{v}}]", Filling::Text(text.to_owned())) {
        Ok(query) => prop_assert_eq!(skeleton(&query).len(), 6, "{}", query),
        Err(why) => prop_assert!(why.contains("outside of quotes") && why.len() < 900, "{why}"),
    }
    let escaped = filled(r#"a{x="\{{v}}"}"#, Filling::Text(text.to_owned()));
    prop_assert!(escaped.is_err());
    Ok(())
}

#[test]
fn every_text_of_the_corpus_in_every_template() {
    for text in nasty::texts() {
        template_is_meant(&text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    }
}

#[test]
fn what_is_put_in_is_not_read_again() {
    let value = |name: &str| (name == "v").then(|| Filling::Text("{{w}}".to_owned()));
    assert_eq!(fill("x{a=\"{{v}}{{v}}\"}", &["v"], value), Ok("x{a=\"{{w}}{{w}}\"}".to_owned()));
    for (template, why) in [
        ("{{w}}", "variable \"w\" is not known; known: v"),
        ("{{}}", "variable \"\" is not known"),
        ("{{v", "not closed"),
        ("}} {{", "not closed"),
        ("{{{{v}}}}", "variable \"{{v\" is not known"),
    ] {
        let error = fill(template, &["v"], value).unwrap_err();
        assert!(error.contains(why), "{template}: {error}");
    }
    let long = format!("{{{{{}}}}}", nasty::megabyte("w"));
    assert!(fill(&long, &["v"], value).unwrap_err().len() < 300);
}

/// What is let through as a plain selector is one for a tokenizer too: a name and matchers, nothing before or behind.
fn a_selector_is_one(text: &str) -> Result<(), TestCaseError> {
    match selector::check(text) {
        Err(why) => prop_assert!(!why.is_empty() && (why.len() < 300 || text.len() > 100), "{why}"),
        Ok(()) => {
            // A string that Prometheus does not read is its to refuse; it does not end early.
            let Some(tokens) = tokens(text) else { return Ok(()) };
            let braces = tokens.iter().position(|token| *token == Token::Sign('{'));
            let name = &tokens[..braces.unwrap_or(tokens.len())];
            prop_assert!(matches!(name, [] | [Token::Word(_)]), "{tokens:?}");
            let inside = &tokens[braces.map_or(tokens.len(), |at| at + 1)..];
            for (at, token) in inside.iter().enumerate() {
                let last = at + 1 == inside.len();
                let fits = match token {
                    Token::Sign('}') => last,
                    Token::Sign(sign) => !last && "=!~,".contains(*sign),
                    Token::Word(_) | Token::String(_) => !last,
                };
                prop_assert!(fits, "{tokens:?}");
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(nasty::cases(100))]

    #[test]
    fn names_of_any_text(names in names()) {
        every_value_is_meant(&names)?;
    }

    #[test]
    fn templates_with_any_text(text in nasty::text()) {
        template_is_meant(&text)?;
    }

    #[test]
    fn any_template(template in nasty::text(), inside in nasty::text()) {
        // The template may end with a brace, and then the variable is another one.
        let value = |name: &str| (name == "v").then(|| Filling::Text(inside.clone()));
        let filled = fill(&format!("{template}{{{{v}}}}"), &["v"], value);
        let whole = filled.is_err() || template.contains("\u{7b}{");
        prop_assert!(whole || filled.unwrap().len() >= template.len());
    }

    #[test]
    fn selectors_of_any_text(parts in proptest::collection::vec(prop_oneof![
        nasty::text(),
        proptest::sample::select(vec!["a", "{", "}", "=", "=~", "!=", "\"", "'", "`", "\\", ",", " ", "b=\"c\"", "#", "\n", "[5m]", "("]).prop_map(str::to_owned),
    ], 0..12)) {
        a_selector_is_one(&parts.concat())?;
    }

    /// Whatever the labels of a series are: it is the canary's, stable's or nobody's, and never both.
    #[test]
    fn series_of_any_labels(names in names(), labels in proptest::collection::btree_map(
        proptest::sample::select(vec!["service", "code", "le", "pod", "namespace", "destination_service_name", "envoy_cluster_name", "backend_name", "http_status", "reporter"]).prop_map(str::to_owned),
        nasty::text(), 0..6,
    )) {
        let place = names.place();
        for source in PLANES {
            for what in [What::Errors, What::Slow(Duration::from_millis(250))] {
                let counts = resolve(source, None, &place, what).unwrap();
                let series = [Series { id: "a".into(), labels: labels.clone(), samples: Vec::new() }];
                let chosen = counts.chosen(|_| &series);
                for ask in counts.asks() {
                    let _ = (chosen.part(&ask, &series[0]), counts.pod(&ask, &series[0]), counts.edge_lost(Role::Canary, &ask, &series));
                }
                let _ = counts.edge_missing(|_| &series);
            }
        }
    }
}
