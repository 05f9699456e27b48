//! Where the commands that read records get them from, and where their answers go: files, the cluster, standard output.
//!
//! Owns what `report`, `postmortem` and `explain` have in common, so that the same flag means the same in each. Must not
//! know what a record says.

use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use kube::{Client, Config};
use serde_json::Value;

/// Every file with what it is called in messages; `-` is standard input.
pub(crate) fn texts(paths: &[PathBuf]) -> impl Iterator<Item = anyhow::Result<(String, String)>> {
    paths.iter().map(|path| {
        let (name, text) = if path.as_os_str() == "-" {
            ("standard input".to_owned(), io::read_to_string(io::stdin().lock()))
        } else {
            (path.display().to_string(), std::fs::read_to_string(path))
        };
        let text = text.with_context(|| format!("{name} cannot be read"))?;
        Ok((name, text))
    })
}

/// The cluster of the kubeconfig, or the one around this process, and the namespace that is meant if none is named.
pub(crate) async fn cluster() -> anyhow::Result<(Client, String)> {
    let config = Config::infer().await.context(
        "no cluster: neither a kubeconfig nor in-cluster configuration was found; --from reads from files instead",
    )?;
    let namespace = config.default_namespace.clone();
    let client = Client::try_from(config).context("the cluster's address or credentials cannot be used")?;
    Ok((client, namespace))
}

/// Waits for what is asked of the cluster.
pub(crate) fn wait<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Writes to standard output. Whoever reads it and stops has seen enough.
pub(crate) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut output = io::stdout().lock();
    match write(&mut output).and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Names problems on standard error.
pub(crate) fn warn<'a>(problems: impl IntoIterator<Item = &'a String>) -> io::Result<()> {
    let mut errors = io::stderr().lock();
    problems.into_iter().try_for_each(|problem| writeln!(errors, "sluice: {problem}"))
}

/// The namespace, if one is named, and the name of a Release that is given as NAME or NAMESPACE/NAME.
pub(crate) fn meant(release: &str, namespace: Option<&str>) -> anyhow::Result<(Option<String>, String)> {
    let Some((said, name)) = release.split_once('/') else {
        return Ok((namespace.map(str::to_owned), release.to_owned()));
    };
    if let Some(flag) = namespace.filter(|flag| *flag != said) {
        bail!("Release {release} names the namespace {said}, and -n names {flag}: give one of the two");
    }
    Ok((Some(said.to_owned()), name.to_owned()))
}

/// What a document holds, each object with where it stands: itself, or the items of a `List` or of a `KindList`. Items of
/// the latter do not repeat what they are; here they do. A kind that ends in "List" and has no items is a kind like others.
pub(crate) fn objects(place: &str, mut value: Value) -> Vec<(String, Value)> {
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, version) = (text("kind"), text("apiVersion"));
    let items = value.get_mut("items").and_then(Value::as_array_mut);
    let (Some(kind), Some(items)) = (kind.strip_suffix("List"), items) else {
        return vec![(place.to_owned(), value)];
    };
    let items = std::mem::take(items).into_iter().enumerate();
    items
        .map(|(index, mut item)| {
            if let (Some(fields), false) = (item.as_object_mut(), kind.is_empty()) {
                fields.entry("kind").or_insert_with(|| kind.into());
                fields.entry("apiVersion").or_insert_with(|| version.clone().into());
            }
            (format!("{place}, items[{index}]"), item)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_is_what_has_items() {
        let typed = json!({"apiVersion": "v1", "kind": "ThingList", "items": [{"a": 1}, {"kind": "Other"}]});
        let all = objects("f", typed);
        assert_eq!(all.len(), 2);
        assert_eq!(all[0], ("f, items[0]".to_owned(), json!({"a": 1, "kind": "Thing", "apiVersion": "v1"})));
        assert_eq!(all[1].1["kind"], "Other");
        let untyped = objects("f", json!({"kind": "List", "items": [{"a": 1}]}));
        assert_eq!(untyped, [("f, items[0]".to_owned(), json!({"a": 1}))]);
        let other = json!({"apiVersion": "example.com/v1", "kind": "AllowList", "spec": {}});
        assert_eq!(objects("f", other.clone()), [("f".to_owned(), other)]);
    }

    #[test]
    fn a_release_is_named_in_two_ways() {
        assert_eq!(meant("shop-1", None).unwrap(), (None, "shop-1".to_owned()));
        assert_eq!(meant("demo/shop-1", Some("demo")).unwrap(), (Some("demo".to_owned()), "shop-1".to_owned()));
        assert!(meant("demo/shop-1", Some("stage")).unwrap_err().to_string().contains("give one of the two"));
    }
}
