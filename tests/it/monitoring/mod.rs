//! What is told to Prometheus, and what is made of it: exposition, rules, dashboards, and the pages about them.

mod delivery;
mod exposition;
mod generated;
mod pages;
mod promtool;
mod reader;
mod rules;
mod told;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// A path of this repository.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every rule of `alerts.yaml`, in order.
fn rules() -> Vec<Value> {
    let groups = yaml("deploy/monitoring/alerts.yaml");
    let of = |group: &Value| group["rules"].as_array().unwrap().clone();
    groups["groups"].as_array().unwrap().iter().flat_map(of).collect()
}

/// Every alert, by name.
fn alerts() -> Vec<(String, Value)> {
    rules().into_iter().filter_map(|rule| Some((rule["alert"].as_str()?.to_owned(), rule))).collect()
}

/// The files of cases for promtool.
fn cases() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(path("deploy/monitoring/tests")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}
