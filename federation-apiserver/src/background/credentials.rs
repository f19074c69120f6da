//! Credentials that are issued are written down before anybody has them, and go when they have expired.

use std::sync::Arc;
use std::time::Duration;

use federation_api::credential;
use federation_api::keys;
use jiff::Timestamp;
use machinery::status::ApiError;

use crate::handlers::{self, Api, DeleteOptions};
use crate::storage::store::{ListOptions, ReadAt};

/// How often is looked for those that have expired.
const EVERY: Duration = Duration::from_secs(10 * 60);
/// How long they are kept after that, in seconds: clocks may be apart.
pub(super) const KEPT: i64 = 300;

/// Deletes expired ones for ever.
pub(crate) async fn run(api: Arc<Api>) {
    loop {
        if let Err(e) = clean(&api, Timestamp::now()).await {
            tracing::warn!("expired credentials are not all deleted yet, trying again later: {e}");
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn clean(api: &Api, now: Timestamp) -> Result<(), ApiError> {
    api.authn.revoked().forget(now.as_second());
    let Some(entry) = api.registry.find(keys::GROUP, keys::VERSION, credential::PLURAL) else { return Ok(()) };
    let all = ListOptions { at: ReadAt::Any, limit: 0, continue_token: None };
    for object in entry.store().list(None, &all, None).await?.items {
        let until = object.readable(credential::PLURAL).and_then(|value| kept_until(&value));
        if until.is_none_or(|until| now.as_second() <= until) {
            continue;
        }
        match handlers::delete_object(&entry, None, object.head.name(), &DeleteOptions::default().as_read(&object)).await {
            Ok(_) => tracing::debug!(name = object.head.name(), "expired credential deleted"),
            Err(e) if matches!(e.code, 404 | 409) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Until when an object is of use, in seconds since the epoch; `None` for ever.
pub(super) fn kept_until(object: &serde_json::Value) -> Option<i64> {
    let until: Timestamp = object["spec"]["notAfter"].as_str()?.parse().ok()?;
    Some(until.as_second().saturating_add(KEPT))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::server::Server;
    use crate::{Config, Profile};

    #[tokio::test]
    async fn issue10_credentials_go_when_they_have_expired() {
        let server = Server::start(Config::in_memory(Profile::Federation)).await.unwrap();
        server.wait_ready(Duration::from_secs(60)).await.unwrap();
        let entry = server.api().registry.find(keys::GROUP, keys::VERSION, credential::PLURAL).unwrap();
        for (name, until) in [
            ("certificate-1", json!("2026-11-26T12:00:00Z")),
            ("certificate-2", json!("2026-11-26T12:05:00Z")),
            ("certificate-3", json!(null)),
        ] {
            let object = json!({"apiVersion": "federation/v1beta1", "kind": "Credential", "metadata": {"name": name, "uid": name},
                "spec": {"type": "Certificate", "notAfter": until}});
            entry.store().create(None, name, &object).await.unwrap();
        }
        clean(server.api(), "2026-11-26T12:05:01Z".parse().unwrap()).await.unwrap();
        let all = ListOptions { at: ReadAt::Latest, limit: 0, continue_token: None };
        let left = entry.store().list(None, &all, None).await.unwrap();
        assert_eq!(left.items.iter().map(|object| object.head.name()).collect::<Vec<_>>(), ["certificate-2", "certificate-3"]);
    }
}
