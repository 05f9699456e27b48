//! The files under `examples/`: where they are, and the documents in them. Shared with the end-to-end tests.
//!
//! Knows nothing of what a document says.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Files that are no objects of a cluster, and what reads them.
pub const NO_OBJECTS: [(&str, &str); 7] = [
    ("alertmanager-by-team/alertmanager.yml", "Alertmanager"),
    ("data-planes/linkerd/app.yaml", "kubectl patch"),
    ("error-budget/repair.yaml", "kubectl patch"),
    ("gitops-flux/shop.yaml", "kubectl patch"),
    ("helm-values/namespaced.yaml", "helm"),
    ("helm-values/production.yaml", "helm"),
    ("helm-values/resting-gate.yaml", "helm"),
];

/// What kustomize reads.
const KUSTOMIZATION: &str = "kustomization.yaml";

/// One object, and the file that it is in.
#[derive(Debug, Clone)]
pub struct Document {
    /// Path below `examples/`.
    pub file: String,
    pub object: Value,
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// Every file below a folder, in the order of their names.
pub fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            found.extend(below(&entry));
        } else {
            found.push(entry);
        }
    }
    found
}

/// The path of a file as it is written in lists.
pub fn name(file: &Path) -> String {
    file.strip_prefix(root()).expect("below examples/").to_string_lossy().into_owned()
}

pub fn is_yaml(file: &Path) -> bool {
    file.extension().is_some_and(|end| end == "yaml" || end == "yml")
}

/// The documents of a text.
pub fn parts(text: &str) -> Vec<Value> {
    let text = text.strip_prefix("---\n").unwrap_or(text);
    let read = |document: &str| {
        serde_saphyr::from_str::<Value>(document).unwrap_or_else(|error| panic!("{error} in\n{document}"))
    };
    text.split("\n---\n").map(read).filter(|document| !document.is_null()).collect()
}

/// Every object of every example.
pub fn objects() -> Vec<Document> {
    let mut found = Vec::new();
    for file in below(&root()).into_iter().filter(|file| is_yaml(file)) {
        let name = name(&file);
        if file.ends_with(KUSTOMIZATION) || NO_OBJECTS.iter().any(|(listed, _)| *listed == name) {
            continue;
        }
        for object in parts(&std::fs::read_to_string(&file).expect("a text")) {
            found.push(Document { file: name.clone(), object });
        }
    }
    found
}
