//! The vocabulary of the dashboards: panels that flow from left to right, and the variables that they share.

use serde_json::{Value, json};

/// Columns of Grafana's grid.
const COLUMNS: u32 = 24;

/// A query and what its lines are called.
pub(crate) type Query<'a> = (&'a str, &'a str);

/// One panel, not placed yet.
pub(crate) struct Panel {
    width: u32,
    height: u32,
    body: Value,
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// Names of queries within a panel.
const REFS: [&str; 8] = ["A", "B", "C", "D", "E", "F", "G", "H"];

fn panel(kind: &str, title: &str, about: &str, size: (u32, u32), targets: Vec<Value>, field: Value) -> Panel {
    let body = json!({
        "type": kind,
        "title": title,
        "description": about,
        "datasource": source(),
        "targets": targets,
        "fieldConfig": {"defaults": field, "overrides": []},
    });
    Panel { width: size.0, height: size.1, body }
}

fn targets(queries: &[Query<'_>], instant: bool, format: &str) -> Vec<Value> {
    let target = |(id, (expr, legend)): (&&str, &Query<'_>)| {
        json!({
            "refId": id, "expr": expr, "legendFormat": legend, "instant": instant, "range": !instant,
            "format": format, "datasource": source(),
        })
    };
    REFS.iter().zip(queries).map(target).collect()
}

/// One number.
pub(crate) fn stat(title: &str, about: &str, unit: &str, query: &str) -> Panel {
    let field = json!({"unit": unit, "noValue": "none"});
    let mut panel = panel("stat", title, about, (4, 4), targets(&[(query, "")], true, "time_series"), field);
    panel.merge(
        "options",
        json!({"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "none"}),
    );
    panel
}

/// Lines over time.
pub(crate) fn lines(title: &str, about: &str, unit: &str, queries: &[Query<'_>]) -> Panel {
    let field = json!({"unit": unit, "custom": {"showPoints": "never", "spanNulls": 120_000, "fillOpacity": 0}});
    let mut panel = panel("timeseries", title, about, (12, 8), targets(queries, false, "time_series"), field);
    panel
        .merge("options", json!({"legend": {"showLegend": true, "placement": "bottom"}, "tooltip": {"mode": "multi"}}));
    panel
}

/// Which of several words holds, over time: each line of the query is a word, 1 while it holds.
pub(crate) fn states(title: &str, about: &str, query: Query<'_>) -> Panel {
    let mappings = json!([{"type": "value", "options": {"0": {"text": " ", "color": "transparent"}, "1": {"text": "yes", "color": "blue"}}}]);
    let field = json!({"mappings": mappings, "custom": {"fillOpacity": 80}});
    let mut panel = panel("state-timeline", title, about, (24, 8), targets(&[query], false, "time_series"), field);
    panel.merge("options", json!({"showValue": "never", "mergeValues": true, "legend": {"showLegend": false}}));
    panel
}

/// A table with a row for each set of labels; each query is a column of values.
pub(crate) fn table(title: &str, about: &str, columns: &[(&str, &str)], hidden: &[&str]) -> Panel {
    let queries: Vec<Query<'_>> = columns.iter().map(|(_, expr)| (*expr, "")).collect();
    let mut panel = panel("table", title, about, (24, 12), targets(&queries, true, "table"), json!({}));
    let mut rename = serde_json::Map::new();
    let mut exclude = serde_json::Map::new();
    exclude.insert("Time".to_owned(), json!(true));
    for (id, (name, _)) in REFS.iter().zip(columns) {
        let value = format!("Value #{id}");
        if hidden.contains(name) {
            exclude.insert(value, json!(true));
        } else {
            rename.insert(value, json!(name));
        }
    }
    panel.merge(
        "transformations",
        json!([
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": exclude, "renameByName": rename}},
        ]),
    );
    panel
}

impl Panel {
    fn merge(&mut self, key: &str, value: Value) {
        if let Some(body) = self.body.as_object_mut() {
            body.insert(key.to_owned(), value);
        }
    }

    /// One of it for each value of a variable.
    pub(crate) fn repeated(mut self, variable: &str) -> Self {
        self.merge("repeat", json!(variable));
        self.merge("repeatDirection", json!("h"));
        self.merge("maxPerRow", json!(2));
        self
    }
}

/// Where Prometheus is.
pub(crate) fn datasource() -> Value {
    json!({"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1})
}

/// A variable with the values of a label.
pub(crate) fn variable(name: &str, label: &str, query: &str, several: bool) -> Value {
    let mut variable = json!({
        "name": name, "label": label, "type": "query", "datasource": source(), "definition": query,
        "query": {"query": query, "refId": name}, "refresh": 2, "sort": 1, "multi": several, "includeAll": several,
    });
    if let (true, Some(body)) = (several, variable.as_object_mut()) {
        body.insert("allValue".to_owned(), json!(".*"));
        body.insert("current".to_owned(), json!({"text": "All", "value": "$__all"}));
    }
    variable
}

/// The namespaces with a Rollout; several may be chosen.
pub(crate) fn namespaces() -> Value {
    variable("namespace", "Namespace", "label_values(sluice_rollout_info, namespace)", true)
}

/// A mark at the time that the query says, in seconds since 1970.
pub(crate) fn mark(name: &str, color: &str, query: &str, text: &str) -> Value {
    json!({
        "name": name, "enable": true, "iconColor": color, "datasource": source(), "expr": format!("{query} * 1000"),
        "useValueForTime": true, "titleFormat": name, "textFormat": text,
    })
}

/// A whole dashboard. The same input gives the same text, so that a change shows in a diff.
pub(crate) fn dashboard(
    uid: &str,
    title: &str,
    about: &str,
    variables: Vec<Value>,
    marks: Vec<Value>,
    panels: Vec<Panel>,
) -> Value {
    let (mut x, mut y, mut row) = (0_u32, 0_u32, 0_u32);
    let mut placed = Vec::new();
    for (id, mut panel) in (1_u32..).zip(panels) {
        if x.saturating_add(panel.width) > COLUMNS {
            (x, y, row) = (0, y.saturating_add(row), 0);
        }
        panel.merge("id", json!(id));
        let place = json!({"x": x, "y": y, "w": panel.width, "h": panel.height});
        panel.merge("gridPos", place);
        x = x.saturating_add(panel.width);
        row = row.max(panel.height);
        placed.push(panel.body);
    }
    let link = json!({"type": "dashboards", "tags": ["sluice"], "asDropdown": false, "includeVars": true, "keepTime": true, "title": "Sluice"});
    json!({
        "uid": uid, "title": title, "description": about, "tags": ["sluice"], "schemaVersion": 39, "version": 1,
        "editable": true, "refresh": "30s", "time": {"from": "now-6h", "to": "now"}, "timezone": "browser",
        "links": [link], "annotations": {"list": marks}, "templating": {"list": variables}, "panels": placed,
    })
}
