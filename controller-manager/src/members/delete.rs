//! Deleting an object from a member, unless it is a namespace that others use.

use http::{Method, StatusCode};
use machinery::discovery;
use serde_json::{Value, json};

use super::{
    exchange::{Exchange, UNSEEN, endless, failed, parsed, unseen},
    foreign,
    job::Outcome,
};
use crate::{
    compact::Uid,
    kinds::{NAMESPACE, ObjectKey},
    request::{Call, JSON, Pages},
};

impl Exchange {
    /// Deletes the object if it was made from `source`.
    pub(super) async fn delete(&mut self, key: &ObjectKey, source: &Uid) -> Result<Outcome, Outcome> {
        let Some(found) = self.look(key).await?.filter(|found| found.is_from(source)) else { return Ok(Outcome::Gone) };
        if key.kind == NAMESPACE
            && !found.deleting
            && let Some(reason) = self.in_use(&key.name).await?
        {
            return self.let_go(key, &found.uid, reason).await;
        }
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", "preconditions": {"uid": found.uid.to_string()},
        });
        let call = Call { method: Method::DELETE, path: &key.path(), content_type: JSON, body: options.to_string().into() };
        let reply = self.send(call).await?;
        match reply.status {
            StatusCode::OK | StatusCode::ACCEPTED => {
                // A Status answers what is gone, the object itself what waits for finalizers.
                let waits = serde_json::from_slice::<Value>(&reply.body)
                    .is_ok_and(|v| !v["metadata"]["deletionTimestamp"].is_null() && has_finalizers(&v));
                Ok(if waits { Outcome::Deleting } else { Outcome::Gone })
            }
            _ if reply.is_not_found() => Ok(Outcome::Gone),
            _ => Err(failed(&reply)),
        }
    }

    /// Why a namespace cannot be deleted: deleting it would destroy what the federation did not make, or might.
    async fn in_use(&mut self, namespace: &str) -> Result<Option<String>, Outcome> {
        let mut collections = discovery::Collections::default();
        for version in discovery::versions(&self.read("/apis").await?).map_err(unseen)? {
            let resources = self.read(&version.path()).await?;
            for collection in collections.of(&version, &resources).map_err(unseen)? {
                if let Some(path) = foreign::path(&collection, namespace, &self.federation)
                    && let Some(reason) = self.first_foreign(&collection, &path).await?
                {
                    return Ok(Some(reason));
                }
            }
        }
        Ok(None)
    }

    async fn first_foreign(&mut self, collection: &discovery::Collection, path: &str) -> Result<Option<String>, Outcome> {
        let resource = &*collection.resource;
        let mut pages = Pages::of(path);
        while let Some(page) = pages.next() {
            let reply = self.send(Call::get(&page)).await?;
            match reply.status {
                StatusCode::OK => {}
                // It is gone since it was told of, or cannot be listed after all.
                _ if reply.is_not_found() || reply.is_not_allowed() => break,
                StatusCode::NOT_FOUND if self.is_unserved(&collection.version.api_version, resource).await? => break,
                StatusCode::FORBIDDEN => return Ok(Some(format!("it may hold {resource}, which the federation may not list there"))),
                _ => return Err(failed(&reply)),
            }
            let list: Value = parsed(&reply)?;
            if list.get("items").is_none() {
                return Err(Outcome::Failed { reason: format!("{UNSEEN}, {page}: the answer is no list"), retry_after: None });
            }
            if let Some(name) = foreign::first(resource, &list) {
                return Ok(Some(format!("it holds {resource} \"{name}\", which the federation did not make")));
            }
            pages.read(&list).map_err(endless)?;
        }
        Ok(None)
    }
}

/// Namespaces have their finalizers in `spec`.
fn has_finalizers(object: &Value) -> bool {
    let some = |v: &Value| v.as_array().is_some_and(|a| !a.is_empty());
    some(&object["metadata"]["finalizers"]) || some(&object["spec"]["finalizers"])
}

#[cfg(test)]
mod tests {
    use super::super::exchange::tests::{exchange_with, not_found};
    use super::*;

    #[tokio::test]
    async fn d25_a_namespace_that_holds_only_another_version_of_a_group_is_in_use() {
        let answer = |held: &'static str, broken: &'static str| {
            move |uri: &http::Uri| {
                let resource = |name: &str| json!({"name": name, "kind": "K", "namespaced": true, "verbs": ["list"]});
                let version = |v: &str| json!({"groupVersion": format!("istio.example.com/{v}"), "version": v});
                let body = match uri.path() {
                    path if path == broken => return Ok((503, json!({"message": "no endpoints"}))),
                    "/apis" => {
                        json!({"groups": [{"name": "istio.example.com", "versions": [version("v1"), version("v1alpha3")], "preferredVersion": version("v1")}]})
                    }
                    "/api/v1" => json!({"resources": []}),
                    "/apis/istio.example.com/v1" => json!({"resources": [resource("gateways")]}),
                    "/apis/istio.example.com/v1alpha3" => json!({"resources": [resource("gateways"), resource("envoyfilters")]}),
                    path if path == held => json!({"items": [{"metadata": {"name": "precious"}}]}),
                    path if path.contains("/namespaces/demo/") => json!({"items": []}),
                    path => panic!("asked for {path}"),
                };
                Ok((200, body))
            }
        };
        let older = "/apis/istio.example.com/v1alpha3/namespaces/demo/envoyfilters";
        let reason = exchange_with(answer(older, "")).in_use("demo").await.unwrap().unwrap();
        assert_eq!(reason, "it holds envoyfilters \"precious\", which the federation did not make");
        assert_eq!(exchange_with(answer("", "")).in_use("demo").await.unwrap(), None);

        let Err(Outcome::Failed { reason, .. }) = exchange_with(answer("", "/apis/istio.example.com/v1alpha3")).in_use("demo").await else {
            panic!("nobody knows what it holds")
        };
        assert_eq!(reason, "whether others use the namespace cannot be seen, /apis/istio.example.com/v1alpha3: no endpoints");
    }

    #[tokio::test]
    async fn issue7_what_a_proxy_cannot_find_is_not_gone() {
        // What the object's path, the groups and the resources of the group are answered with.
        let talk = |object: (u16, Value), groups: (u16, Value), resources: (u16, Value)| {
            exchange_with(move |uri| {
                Ok(match uri.path() {
                    "/apis" => groups.clone(),
                    "/apis/apps/v1" => resources.clone(),
                    _ => object.clone(),
                })
            })
        };
        let group = |name: &str| {
            let version = json!({"groupVersion": format!("{name}/v1"), "version": "v1"});
            json!({"name": name, "versions": [version], "preferredVersion": version})
        };
        let groups = |list: &[&str]| (200, json!({"groups": list.iter().map(|name| group(name)).collect::<Vec<_>>()}));
        let resources = |name: &str| (200, json!({"resources": [{"name": name, "kind": "K", "namespaced": true, "verbs": ["list"]}]}));
        let (plain, key) = ((404, json!("404 page not found")), ObjectKey { kind: 4, namespace: "demo".into(), name: "web".into() });
        let apps = groups(&["apps", "batch"]);

        for (mut talk, gone) in [
            (talk((404, not_found()), plain.clone(), plain.clone()), true),
            (talk(plain.clone(), plain.clone(), plain.clone()), false),
            (talk(plain.clone(), apps.clone(), plain.clone()), false),
            (talk(plain.clone(), apps.clone(), resources("deployments")), false),
            (talk(plain.clone(), apps.clone(), (200, json!({"resources": []}))), false),
            (talk(plain.clone(), groups(&[]), plain.clone()), false),
            // The kind is not served there.
            (talk(plain.clone(), groups(&["batch"]), plain.clone()), true),
            (talk(plain, apps, resources("daemonsets")), true),
        ] {
            let outcome = talk.delete(&key, &"u".into()).await.unwrap_or_else(|outcome| outcome);
            assert_eq!(matches!(outcome, Outcome::Gone), gone, "{outcome:?}");
        }
    }
}
