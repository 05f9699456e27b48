//! What a write says: the whole object, a merge patch (RFC 7386) or a JSON patch (RFC 6902).

use serde_json::{Value, json};

use super::store::Refusal;

/// Which part of an object a write may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All but the status.
    Main,
    /// The status alone.
    Status,
}

/// How an object is to change.
#[derive(Debug, Clone)]
pub enum Change {
    /// To this.
    Replace(Value),
    /// By a merge patch.
    Merge(Value),
    /// By a JSON patch.
    Json(Value),
}

impl Change {
    /// The object as it is to be.
    pub fn of(&self, old: &Value) -> Result<Value, Refusal> {
        match self {
            Self::Replace(new) => Ok(new.clone()),
            Self::Merge(patch) => {
                let mut new = old.clone();
                json_patch::merge(&mut new, patch);
                Ok(new)
            }
            Self::Json(patch) => {
                let malformed = |error: String| Refusal::new(400, "BadRequest", &error);
                let patch: json_patch::Patch =
                    serde_json::from_value(patch.clone()).map_err(|error| malformed(error.to_string()))?;
                let mut new = old.clone();
                // As the API server does it: a test that fails is no conflict but an invalid request.
                json_patch::patch(&mut new, &patch)
                    .map_err(|error| Refusal::new(422, "Invalid", &error.to_string()))?;
                Ok(new)
            }
        }
    }

    /// A merge patch of the status.
    pub fn status(status: Value) -> Self {
        Self::Merge(json!({"status": status}))
    }
}
