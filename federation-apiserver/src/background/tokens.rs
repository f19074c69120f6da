//! Takes bootstrap tokens away that have expired. They are refused from that moment on; this is for order only.

use std::sync::Arc;
use std::time::Duration;

use federation_api::bootstrap;
use jiff::Timestamp;
use machinery::status::ApiError;

use crate::auth::authn::expired;
use crate::handlers::{self, Api, DeleteOptions};
use crate::storage::head::Head;
use crate::storage::store::{ListOptions, ReadAt};

/// How often is looked for them.
const EVERY: Duration = Duration::from_secs(5);

/// Runs for ever.
pub(crate) async fn run(api: Arc<Api>) {
    loop {
        if let Err(e) = clean(&api, Timestamp::now()).await {
            tracing::warn!("expired bootstrap tokens are not all deleted yet, trying again later: {e}");
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn clean(api: &Api, now: Timestamp) -> Result<(), ApiError> {
    let Some(entry) = api.registry.find("", "v1", "secrets") else { return Ok(()) };
    let all = ListOptions { at: ReadAt::Any, limit: 0, continue_token: None };
    let named = |head: &Head| head.name().starts_with(bootstrap::SECRET_PREFIX);
    let namespace = Some(bootstrap::NAMESPACE);
    for object in entry.store().list(namespace, &all, Some(&named)).await?.items {
        let old = object.readable("secrets").is_some_and(|secret| secret["type"] == bootstrap::SECRET_TYPE && expired(&secret, now));
        if !old || object.head.deleting() {
            continue;
        }
        let name = object.head.name();
        // What changed since it was read, or another replica deleted, is of no concern.
        match handlers::delete_object(&entry, namespace, name, &DeleteOptions::default().as_read(&object)).await {
            Ok(_) => tracing::info!(name, "expired bootstrap token deleted"),
            Err(e) if matches!(e.code, 404 | 409) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    use super::*;
    use crate::server::Server;
    use crate::{Config, Profile};

    #[tokio::test]
    async fn issue10_tokens_go_when_they_expire_and_nothing_else_does() {
        let server = Server::start(Config::in_memory(Profile::Federation)).await.unwrap();
        server.wait_ready(Duration::from_secs(60)).await.unwrap();
        let entry = server.api().registry.find("", "v1", "secrets").unwrap();
        let ended = STANDARD.encode("2026-11-26T12:00:00Z");
        for (name, kind, expiration) in [
            ("bootstrap-token-abcdef", bootstrap::SECRET_TYPE, Some(ended.clone())),
            ("bootstrap-token-broken", bootstrap::SECRET_TYPE, Some(STANDARD.encode("tomorrow"))),
            ("bootstrap-token-living", bootstrap::SECRET_TYPE, Some(STANDARD.encode("2026-11-26T12:00:01Z"))),
            ("bootstrap-token-always", bootstrap::SECRET_TYPE, None),
            ("bootstrap-token-secret", "Opaque", Some(ended.clone())),
            ("another", bootstrap::SECRET_TYPE, Some(ended)),
        ] {
            let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "kube-system", "uid": name},
                "type": kind, "data": {"expiration": expiration.unwrap_or_default()}});
            entry.store().create(Some("kube-system"), name, &object).await.unwrap();
        }
        clean(server.api(), "2026-11-26T12:00:00Z".parse().unwrap()).await.unwrap();
        let all = ListOptions { at: ReadAt::Latest, limit: 0, continue_token: None };
        let left = entry.store().list(Some("kube-system"), &all, None).await.unwrap();
        let left: Vec<&str> = left.items.iter().map(|object| object.head.name()).collect();
        assert_eq!(left, ["another", "bootstrap-token-always", "bootstrap-token-living", "bootstrap-token-secret"]);
    }
}
