//! Federated kinds whose controllers are off: their objects have our finalizers all the same.

use std::time::Duration;

use federation_api::keys;
use http::{Method, StatusCode};
use kube::{api::DynamicObject, core::PartialObjectMeta};
use serde_json::json;
use tokio::task::JoinSet;

use super::records;
use crate::{
    events::{About, Event, Events},
    follow::{Change, Source},
    kinds::{KINDS, KindId, ObjectKey, path},
    request::{Call, MERGE},
};

/// Longest wait for an answer of the federation.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Watches a federated kind whose controller is off. An object that is deleted and never had a copy goes; of one that
/// may have copies it is told why it does not go.
pub(crate) async fn watch_left_alone(client: kube::Client, kind: KindId, events: Events) {
    let source = Source::<PartialObjectMeta<DynamicObject>>::new(client.clone(), path(&KINDS[kind], "", ""), "").metadata_only();
    let mut looks = JoinSet::new();
    let mut look = |object: &PartialObjectMeta<DynamicObject>| {
        // What ended is not kept.
        while looks.try_join_next().is_some() {}
        if let Some(waiting) = Waiting::of(kind, object) {
            looks.spawn(waiting.look(client.clone(), events.clone()));
        }
    };
    source
        .follow(|change| match change {
            Change::Listed(listing) => listing.objects.iter().for_each(&mut look),
            Change::Changed(object) => look(&object),
            Change::Gone(..) | Change::Unreadable(..) | Change::Watching | Change::Failing(_) => {}
        })
        .await;
}

/// An object in deletion that has our finalizers.
struct Waiting {
    key: ObjectKey,
    uid: String,
    version: String,
    /// The finalizers of others.
    rest: Vec<String>,
}

impl Waiting {
    fn of(kind: KindId, object: &PartialObjectMeta<DynamicObject>) -> Option<Self> {
        let metadata = &object.metadata;
        let all = metadata.finalizers.as_deref().unwrap_or_default();
        let ours = |f: &&String| *f == keys::DELETE_FROM_CLUSTERS || *f == keys::ORPHAN;
        if metadata.deletion_timestamp.is_none() || !all.iter().any(|f| ours(&f)) {
            return None;
        }
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Some(Self {
            key: ObjectKey { kind, namespace: text(&metadata.namespace), name: text(&metadata.name) },
            uid: text(&metadata.uid),
            version: text(&metadata.resource_version),
            rest: all.iter().filter(|f| !ours(f)).cloned().collect(),
        })
    }

    /// Lets the object go if nothing of it was ever in a member, or tells why not.
    async fn look(self, client: kube::Client, events: Events) {
        // Nothing is written into a member without a record of it, but what was written right before the end of a
        // process; such a copy stays.
        let record = format!("{}/{}", records::PATH, self.uid);
        let placed = match Call::get(&record).send(&client, TIMEOUT).await {
            Ok(reply) if reply.is_not_found() => false,
            Ok(reply) if reply.status == StatusCode::OK => true,
            // The next list, or the next change, asks again.
            Ok(_) | Err(_) => return,
        };
        if placed {
            self.tell(&events);
            return;
        }
        let metadata = json!({"uid": self.uid, "resourceVersion": self.version, "finalizers": self.rest});
        let (path, body) = (self.key.path(), json!({ "metadata": metadata }).to_string());
        let call = Call { method: Method::PATCH, path: &path, content_type: MERGE, body: body.into() };
        match call.send(&client, TIMEOUT).await {
            // Who changed it meanwhile is told of by the watch.
            Ok(reply) if reply.status.is_success() || reply.is_not_found() || reply.status == StatusCode::CONFLICT => {}
            Ok(reply) => tracing::warn!(name = self.key.full_name(), error = reply.message(), "its finalizers cannot be taken off"),
            Err(error) => tracing::warn!(name = self.key.full_name(), %error, "its finalizers cannot be taken off"),
        }
    }

    fn tell(&self, events: &Events) {
        let resource = self.key.kind().resource;
        let message = format!(
            "it is not deleted: its copies in members are, by the controller \"{resource}\", which is switched off; \
             switch it on with --controllers={resource}=true, or take the finalizers {} and {} off to leave the copies",
            keys::DELETE_FROM_CLUSTERS,
            keys::ORPHAN
        );
        let about = About::object(&self.key, &self.uid);
        events.tell(Event { about, warning: true, reason: "ControllerOff", message });
    }
}
