//! Reads single Secrets of the operator's own namespace, for whoever asks a MetricsProvider.
//!
//! Owns one request: `get` by name. Must not list or watch, and must not keep or log anything of a Secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use kube::api::DynamicObject;
use kube::core::gvk::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Api, Client};
use serde_json::Value;

use crate::prometheus::{Hidden, SecretData, SecretFault, SecretSource};

/// The Secrets beside the operator.
pub struct OwnSecrets {
    api: Api<DynamicObject>,
    namespace: String,
}

impl OwnSecrets {
    /// Those of this namespace.
    pub fn new(client: &Client, namespace: String) -> Self {
        // Of no particular kind: where an answer does not fit a kind, kube logs the whole answer.
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Secret"));
        Self { api: Api::namespaced_with(client.clone(), &namespace, &resource), namespace }
    }
}

impl SecretSource for OwnSecrets {
    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn read<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<SecretData, SecretFault>> {
        Box::pin(async move {
            match self.api.get(name).await {
                Ok(secret) => Ok(values(&secret.data)),
                Err(kube::Error::Api(status)) if status.code == 404 => Err(SecretFault::Missing),
                Err(kube::Error::Api(status)) if status.code == 403 => Err(SecretFault::Forbidden),
                Err(_) => Err(SecretFault::Unread),
            }
        })
    }
}

/// The decoded values. The API server has checked that they are base64.
fn values(secret: &Value) -> SecretData {
    let data = secret.get("data").and_then(Value::as_object).into_iter().flatten();
    data.filter_map(|(key, value)| Some((key.clone(), Hidden::new(STANDARD.decode(value.as_str()?).ok()?)))).collect()
}
