//! Test only: Secrets that the test changes, and how often they were read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;

use super::secrets::{Hidden, SecretData, SecretFault, SecretSource};

/// Clones share what they hold.
#[derive(Clone, Default)]
pub(crate) struct ScriptedSecrets(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    secrets: BTreeMap<String, SecretData>,
    fault: Option<SecretFault>,
    hangs: bool,
    read: Vec<String>,
}

impl ScriptedSecrets {
    /// Replaces one Secret.
    pub(crate) fn put(&self, name: &str, values: &[(&str, &str)]) {
        let hidden = |(key, value): &(&str, &str)| ((*key).to_owned(), Hidden::new(value.as_bytes().to_vec()));
        self.0.lock().unwrap().secrets.insert(name.to_owned(), values.iter().map(hidden).collect());
    }

    pub(crate) fn remove(&self, name: &str) {
        self.0.lock().unwrap().secrets.remove(name);
    }

    /// Every read ends like this until further notice.
    pub(crate) fn fail(&self, fault: Option<SecretFault>) {
        self.0.lock().unwrap().fault = fault;
    }

    /// No read ends from now on.
    pub(crate) fn hang(&self) {
        self.0.lock().unwrap().hangs = true;
    }

    /// How many reads began.
    pub(crate) fn reads(&self) -> usize {
        self.0.lock().unwrap().read.len()
    }
}

impl SecretSource for ScriptedSecrets {
    fn namespace(&self) -> &str {
        "sluice-system"
    }

    fn read<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<SecretData, SecretFault>> {
        let mut script = self.0.lock().unwrap();
        script.read.push(name.to_owned());
        let answer = match script.fault {
            Some(fault) => Err(fault),
            None => script.secrets.get(name).cloned().ok_or(SecretFault::Missing),
        };
        let hangs = script.hangs;
        Box::pin(async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            // As over a network: others come to run.
            tokio::task::yield_now().await;
            answer
        })
    }
}
