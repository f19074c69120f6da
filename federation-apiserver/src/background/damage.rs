//! Tells in Events which stored objects cannot be read back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use machinery::status::ApiError;
use serde_json::json;

use crate::auth::{MASTERS, UserInfo};
use crate::handlers::{self, Api, Write};
use crate::names::Name;
use crate::registry::resource::Resource;

/// How often is looked for objects that were not told of.
const EVERY: Duration = Duration::from_secs(5);
/// Events written each time, at most: where very much is damaged the metric says how much.
const AT_ONCE: usize = 20;

/// Runs for ever. Each object is told once, and again when it was sound in between.
pub(crate) async fn run(api: Arc<Api>) {
    let mut told = BTreeSet::new();
    loop {
        tell(&api, &mut told).await;
        tokio::time::sleep(EVERY).await;
    }
}

async fn tell(api: &Api, told: &mut BTreeSet<(Name, Name, String)>) {
    let (mut damaged, mut left) = (BTreeSet::new(), AT_ONCE);
    for entry in api.registry.catalog().stores() {
        let resource = &entry.resource;
        for (key, why) in entry.store().damaged() {
            let id = (resource.group.clone(), resource.plural.clone(), key.clone());
            if !told.contains(&id) && left > 0 {
                left -= 1;
                match event(api, resource, &key, &why).await {
                    Ok(()) => drop(told.insert(id.clone())),
                    Err(e) => tracing::warn!("no Event could be written about the damaged object {key}: {e}"),
                }
            }
            damaged.insert(id);
        }
    }
    told.retain(|id| damaged.contains(id));
}

async fn event(api: &Api, resource: &Resource, key: &str, why: &str) -> Result<(), ApiError> {
    let Some(events) = api.registry.find("", "v1", "events") else { return Ok(()) };
    let (namespace, name) = key.split_once('/').unwrap_or(("", key));
    // As for Events about what has no namespace.
    let within = if namespace.is_empty() { "default" } else { namespace };
    let write = Write::internal();
    let id = format!("damaged.{}", uuid::Uuid::new_v4().simple());
    let mut object = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": id, "namespace": within},
        "involvedObject": {"apiVersion": resource.api_version(), "kind": resource.kind, "namespace": namespace, "name": name},
        "type": "Warning", "reason": "Damaged", "message": why, "count": 1,
        "source": {"component": "federation-apiserver"}, "firstTimestamp": write.now, "lastTimestamp": write.now,
    });
    let user = UserInfo { name: "system:apiserver".into(), uid: String::new(), groups: vec![MASTERS.into()] };
    handlers::prepare_create(&events, &mut object, &user, &write)?;
    events.store().create(Some(within), &id, &object).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Server;
    use crate::storage::Expect;
    use crate::storage::store::{ListOptions, ReadAt};
    use crate::{Config, Profile};

    #[tokio::test]
    async fn each_object_that_cannot_be_read_is_told_once() {
        let server = Server::start(Config::in_memory(Profile::Federation)).await.unwrap();
        server.wait_ready(Duration::from_secs(20)).await.unwrap();
        let api = server.api();
        let maps = api.registry.find("", "v1", "configmaps").unwrap();
        let maps = maps.store();
        api.store.backend().put("/registry/configmaps/default/hit", "no object".into(), Expect::Absent, None).await.unwrap();
        assert!(maps.get(Some("default"), "hit", ReadAt::Latest).await.is_err());
        let mut told = BTreeSet::new();
        for _ in 0..2 {
            tell(api, &mut told).await;
        }
        let events = api.registry.find("", "v1", "events").unwrap();
        let events = events.store();
        let all = ListOptions { at: ReadAt::Latest, limit: 0, continue_token: None };
        let items = events.list(Some("default"), &all, None).await.unwrap().items;
        let about: Vec<_> = items.iter().map(|o| o.value().unwrap()).filter(|e| e["reason"] == "Damaged").collect();
        // The server's own task may have told it as well.
        assert!(matches!(about.len(), 1 | 2), "{about:?}");
        assert_eq!((&about[0]["involvedObject"]["kind"], &about[0]["involvedObject"]["name"]), (&"ConfigMap".into(), &"hit".into()));
        maps.delete_unreadable(Some("default"), "hit").await.unwrap();
        tell(api, &mut told).await;
        assert!(told.is_empty());
    }
}
