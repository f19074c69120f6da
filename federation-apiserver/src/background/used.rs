//! Writes down when credentials were used last.

use std::sync::Arc;
use std::time::Duration;

use daemon::logs::Said;
use federation_api::credential::{self, LastUse};
use federation_api::keys;
use jiff::Timestamp;
use serde_json::json;

use crate::auth::authn::used::Use;
use crate::handlers::{self, Api};
use crate::registry::Entry;
use crate::storage::StorageError;

/// How often it is written.
const EVERY: Duration = Duration::from_secs(10);
/// A use is not written that is so many seconds later at most than the one that is: this bounds what a credential in use costs
/// to a write in that time, on however many servers.
const FINE: i64 = 30;

/// Runs for ever.
pub(crate) async fn run(api: Arc<Api>) {
    let Some(entry) = api.registry.find(keys::GROUP, keys::VERSION, credential::PLURAL) else { return std::future::pending().await };
    let said = Said::default();
    loop {
        tokio::time::sleep(EVERY).await;
        match write(&api, &entry).await {
            Ok(()) => drop(said.recovers()),
            Err(e) => {
                if said.changes(&e.to_string()) {
                    tracing::warn!("when credentials were used last is not written: {e}");
                }
            }
        }
    }
}

async fn write(api: &Api, entry: &Entry) -> Result<(), StorageError> {
    for (name, last) in api.authn.used().take() {
        one(entry, &name, last).await?;
    }
    Ok(())
}

async fn one(entry: &Entry, name: &str, last: Use) -> Result<(), StorageError> {
    // Certificates of others have none.
    let Some(found) = entry.store().cached(None, name)? else { return Ok(()) };
    let Some(mut object) = found.readable(credential::PLURAL) else { return Ok(()) };
    let before = object["status"]["lastUsed"]["time"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    if before.is_some_and(|before| last.at <= before.as_second().saturating_add(FINE)) {
        return Ok(());
    }
    let address = last.from.map(|from| from.to_string()).unwrap_or_default();
    object["status"]["lastUsed"] = json!(LastUse { time: handlers::time(last.at), address });
    match entry.store().update(None, name, &object, found.revision).await {
        // Another server wrote it, or it was revoked meanwhile.
        Ok(_) | Err(StorageError::Conflict { .. }) => Ok(()),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Server;
    use crate::{Config, Profile};

    #[tokio::test]
    async fn issue10_a_use_is_written_down_now_and_then() {
        let server = Server::start(Config::in_memory(Profile::Federation)).await.unwrap();
        server.wait_ready(Duration::from_secs(60)).await.unwrap();
        let entry = server.api().registry.find(keys::GROUP, keys::VERSION, credential::PLURAL).unwrap();
        let object = json!({"apiVersion": "federation/v1beta1", "kind": "Credential", "metadata": {"name": "token-1", "uid": "1"},
            "spec": {"type": "Token"}, "status": {"revoked": {"reason": "lost"}}});
        entry.store().create(None, "token-1", &object).await.unwrap();
        let mut written = Vec::new();
        for at in [1_000_000_000, 1_000_000_030, 1_000_000_031, 1_000_000_000] {
            let from = Some([192, 0, 2, 1].into());
            for name in ["token-1", "certificate-2"] {
                server.api().authn.used().note(name, Use { at, from });
            }
            write(server.api(), &entry).await.unwrap();
            let status = entry.store().cached(None, "token-1").unwrap().unwrap().value().unwrap()["status"].clone();
            assert_eq!((&status["revoked"]["reason"], &status["lastUsed"]["address"]), (&json!("lost"), &json!("192.0.2.1")));
            written.push(status["lastUsed"]["time"].as_str().unwrap().to_owned());
        }
        let (first, second) = ("2001-09-09T01:46:40Z", "2001-09-09T01:47:11Z");
        assert_eq!(written, [first, first, second, second]);
        assert!(entry.store().cached(None, "certificate-2").unwrap().is_none());
    }
}
