//! docs/reference/api.md: every custom resource, from the schemas that `sluice crds` writes.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps,
    JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};

use super::{cell, table};
use crate::crds;

const HEAD: &str = "\
# API

This page lists every custom resource of `sluice.dev/v1alpha1` with every field, as the API server checks it. It is
generated from `src/api`: change the types there and run `make crds reference`. What the fields are for is told in
[rollout.md](../rollout.md), [interventions.md](../interventions.md), [records.md](../records.md),
[decision-log.md](../decision-log.md), [postmortems.md](../postmortems.md) and
[notifications.md](../notifications.md).

A field is written as a path: `[]` is each element of a list, `{}` each value of a map. Bold are fields that must be
given where the object they stand in is given. A default is what the API server writes into an object that leaves the
field away; where there is none the object stays without it, and what then holds is in the meaning or on those pages.
`kubectl explain rollouts.sluice.dev.spec` prints the same on a cluster.
";

/// The page.
pub(super) fn markdown() -> anyhow::Result<String> {
    let mut text = HEAD.to_owned();
    for (file, definition) in crds::all()? {
        for version in &definition.spec.versions {
            kind(&mut text, file, &definition, version);
        }
    }
    Ok(text)
}

fn kind(
    text: &mut String,
    file: &str,
    definition: &CustomResourceDefinition,
    version: &CustomResourceDefinitionVersion,
) {
    let names = &definition.spec.names;
    let kind = &names.kind;
    let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
    let about = schema.and_then(|schema| schema.description.as_deref()).unwrap_or_default();
    text.push_str(&format!("\n## {kind}\n\n{}\n\n", wrapped(about)));
    let mut facts = vec![
        vec!["Resource".to_owned(), format!("`{}.{}`", names.plural, definition.spec.group)],
        vec!["Version".to_owned(), format!("`{}`", version.name)],
        vec!["Scope".to_owned(), definition.spec.scope.clone()],
        vec!["Short names".to_owned(), listed(names.short_names.as_deref())],
        vec!["Categories".to_owned(), listed(names.categories.as_deref())],
        vec!["Definition".to_owned(), format!("[crds/{file}](../../crds/{file})")],
    ];
    let subresources = version.subresources.as_ref();
    let status = subresources.is_some_and(|all| all.status.is_some());
    let scale = subresources.is_some_and(|all| all.scale.is_some());
    let named = [(status, "`status`"), (scale, "`scale`")].into_iter().filter(|(there, _)| *there);
    let named: Vec<&str> = named.map(|(_, name)| name).collect();
    facts.push(vec!["Subresources".to_owned(), if named.is_empty() { "–".to_owned() } else { named.join(", ") }]);
    text.push_str(&table(&["What", "Is"], &facts));

    let columns = version.additional_printer_columns.as_deref().unwrap_or_default();
    if !columns.is_empty() {
        text.push_str(&format!("\n### {kind}: columns\n\nWhat `kubectl get` prints; *wide* only with `-o wide`.\n\n"));
        let row = |column: &CustomResourceColumnDefinition| {
            let wide = if column.priority.unwrap_or_default() > 0 { ", *wide*" } else { "" };
            vec![cell(&column.name), format!("{}{wide}", column.type_), format!("`{}`", cell(&column.json_path))]
        };
        text.push_str(&table(&["Column", "Type", "Path"], &columns.iter().map(row).collect::<Vec<_>>()));
    }

    let Some(schema) = schema else { return };
    let mut rules = Vec::new();
    gather(&mut rules, "", schema);
    let properties = schema.properties.iter().flatten();
    for (part, of) in properties.filter(|(_, of)| of.properties.is_some()) {
        let mut rows = Vec::new();
        fields(&mut rows, &mut rules, part, of);
        let about = of.description.as_deref().unwrap_or_default();
        text.push_str(&format!("\n### {kind}: {part}\n\n{}\n\n", wrapped(about)));
        text.push_str(&table(&["Field", "Type", "Default", "Limits", "Meaning"], &rows));
    }
    if !rules.is_empty() {
        text.push_str(&format!("\n### {kind}: rules\n\nWhat the API server refuses, and with which words.\n\n"));
        text.push_str(&table(&["Of", "Message", "Rule that must hold (CEL)"], &rules));
    }
}

/// The fields under a path, and the rules of each object.
fn fields(rows: &mut Vec<Vec<String>>, rules: &mut Vec<Vec<String>>, path: &str, of: &JSONSchemaProps) {
    gather(rules, path, of);
    let needed = of.required.as_deref().unwrap_or_default();
    for (name, field) in of.properties.iter().flatten() {
        let whole = format!("{path}.{name}");
        let shown = if needed.contains(name) { format!("**`{whole}`**") } else { format!("`{whole}`") };
        let default = field.default.as_ref().map(|default| format!("`{}`", cell(&default.0.to_string())));
        let about = cell(field.description.as_deref().unwrap_or_default());
        rows.push(vec![shown, type_of(field), default.unwrap_or_else(|| "–".to_owned()), limits(field), about]);
        below(rows, rules, &whole, field);
    }
}

/// What stands below a field: the fields of an object, of each element, or of each value.
fn below(rows: &mut Vec<Vec<String>>, rules: &mut Vec<Vec<String>>, path: &str, field: &JSONSchemaProps) {
    if let Some(JSONSchemaPropsOrArray::Schema(one)) = &field.items {
        gather(rules, path, field);
        below(rows, rules, &format!("{path}[]"), one);
    } else if let Some(JSONSchemaPropsOrBool::Schema(one)) = &field.additional_properties {
        gather(rules, path, field);
        below(rows, rules, &format!("{path}{{}}"), one);
    } else {
        fields(rows, rules, path, field);
    }
}

fn gather(rules: &mut Vec<Vec<String>>, path: &str, of: &JSONSchemaProps) {
    for ValidationRule { rule, message, message_expression, .. } in of.x_kubernetes_validations.iter().flatten() {
        let at = if path.is_empty() { "the object".to_owned() } else { format!("`{path}`") };
        let message = message.as_deref().or(message_expression.as_deref()).unwrap_or("–");
        rules.push(vec![at, cell(message), format!("`{}`", cell(rule))]);
    }
}

fn type_of(field: &JSONSchemaProps) -> String {
    if let Some(JSONSchemaPropsOrArray::Schema(one)) = &field.items {
        return format!("list of {}", type_of(one));
    }
    if let Some(JSONSchemaPropsOrBool::Schema(one)) = &field.additional_properties {
        return format!("map of {}", type_of(one));
    }
    let name = field.type_.as_deref().unwrap_or("any");
    field.format.as_ref().map_or_else(|| name.to_owned(), |format| format!("{name}, {format}"))
}

/// What a value must keep to; of a list also what each element must.
fn limits(field: &JSONSchemaProps) -> String {
    let mut all = Vec::new();
    bounds(&mut all, field);
    if let Some(JSONSchemaPropsOrArray::Schema(one)) = &field.items {
        let mut each = Vec::new();
        bounds(&mut each, one);
        if !each.is_empty() {
            all.push(format!("each: {}", each.join("; ")));
        }
    }
    if let Some(keys) = field.x_kubernetes_list_map_keys.as_ref().filter(|keys| !keys.is_empty()) {
        all.push(format!("no two with the same `{}`", keys.join("`, `")));
    }
    if all.is_empty() { "–".to_owned() } else { all.join("; ") }
}

fn bounds(all: &mut Vec<String>, field: &JSONSchemaProps) {
    if let Some(words) = &field.enum_ {
        // `null` is what an optional field may be.
        let words = words.iter().filter_map(|word| word.0.as_str()).map(|word| format!("`{}`", cell(word)));
        all.push(words.collect::<Vec<_>>().join(", "));
    }
    let number = |number: f64| number.to_string();
    let whole = |number: i64| number.to_string();
    let ranges = [
        ("", field.minimum.map(number), field.maximum.map(number)),
        (" characters", field.min_length.map(whole), field.max_length.map(whole)),
        (" elements", field.min_items.map(whole), field.max_items.map(whole)),
        (" entries", field.min_properties.map(whole), field.max_properties.map(whole)),
    ];
    for (of, least, most) in ranges {
        match (least, most) {
            (Some(least), Some(most)) if least == most => all.push(format!("{least}{of}")),
            (Some(least), Some(most)) => all.push(format!("{least} to {most}{of}")),
            (Some(least), None) => all.push(format!("{least}{of} or more")),
            (None, Some(most)) => all.push(format!("{most}{of} at most")),
            (None, None) => {}
        }
    }
    if let Some(pattern) = &field.pattern {
        all.push(format!("`{}`", cell(pattern)));
    }
}

fn listed(names: Option<&[String]>) -> String {
    let names: Vec<String> = names.unwrap_or_default().iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "–".to_owned() } else { names.join(", ") }
}

/// Prose in lines that can be read.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let fits = lines.last().is_some_and(|line| line.len().saturating_add(word.len()) < 118);
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if fits => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}
