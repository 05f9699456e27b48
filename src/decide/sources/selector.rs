//! Whether a text is one plain selector, such as `requests_total{pod=~"a|b"}`.
//!
//! Owns the grammar of selectors as far as users may use it ("Querying basics",
//! prometheus.io/docs/prometheus/latest/querying/basics). Reads names only; what they mean is not its business.

/// Refuses everything but a plain selector, and says what is wrong with it.
pub(super) fn check(text: &str) -> Result<(), String> {
    let text = text.trim();
    let name = word(text);
    let mut rest = text.get(name.len()..).unwrap_or_default().trim_start();
    let next = word(rest);
    if rest.starts_with('(') || matches!(next, "by" | "without") {
        return Err(format!(
            "{name}(…) is not a plain counter: a function or a sum hides counters that start over. Give the selector alone; Sluice takes the differences and adds them up itself"
        ));
    }
    let mut named = !name.is_empty();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = matchers(inside, &mut named)?;
    }
    if rest.starts_with('[') {
        return Err("a range such as [5m] is not part of a plain counter: Sluice chooses how far it reads".to_owned());
    }
    if !rest.is_empty() {
        return Err(format!("{:?} is left over after the selector", rest.chars().take(20).collect::<String>()));
    }
    if named { Ok(()) } else { Err("it names no metric".to_owned()) }
}

/// The name that a text begins with; a number is none.
fn word(text: &str) -> &str {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return "";
    }
    let end = text.find(|c| !fits(c)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// Reads `label="value", …}` and gives what is behind it.
fn matchers<'t>(mut rest: &'t str, named: &mut bool) -> Result<&'t str, String> {
    loop {
        rest = rest.trim_start();
        if let Some(behind) = rest.strip_prefix('}') {
            return Ok(behind.trim_start());
        }
        let quoted = rest.starts_with(['"', '\'', '`']);
        let behind = if quoted { string(rest)? } else { rest.get(word(rest).len()..).unwrap_or_default() };
        if behind.len() == rest.len() {
            return Err("a label is missing between { and }, or } at the end".to_owned());
        }
        let label = word(rest);
        rest = behind.trim_start();
        match ["=~", "!~", "!=", "="].into_iter().find_map(|op| rest.strip_prefix(op)) {
            Some(value) => {
                rest = string(value.trim_start())?.trim_start();
                *named |= label == "__name__";
            }
            // A text alone is the name of a metric (Prometheus 3, UTF-8 names).
            None if quoted => *named = true,
            None => return Err(format!("label {label:?} has none of =, !=, =~ and !~ behind it")),
        }
        if let Some(behind) = rest.strip_prefix(',') {
            rest = behind;
        } else if !rest.starts_with('}') {
            return Err("the matchers between { and } are not separated by commas, or } is missing".to_owned());
        }
    }
}

/// Reads a string and gives what is behind it.
fn string(text: &str) -> Result<&str, String> {
    let mut chars = text.char_indices();
    let quote = match chars.next() {
        Some((_, quote @ ('"' | '\'' | '`'))) => quote,
        _ => return Err("the value of a label is not in quotes".to_owned()),
    };
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Ok(text.get(at.saturating_add(1)..).unwrap_or_default());
        }
        if c == '\\' && quote != '`' {
            chars.next();
        }
    }
    Err("a quote is not closed".to_owned())
}
