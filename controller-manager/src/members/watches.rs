//! Watches on one member: one per federated kind, restricted to what carries our label, and one on the
//! endpoint slices of our Services.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{
    api::{DynamicObject, ObjectMeta},
    core::PartialObjectMeta,
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::{Endpoints, Member, MemberChange, Members, Services, job::Session};
use crate::{
    compact::Uid,
    follow::{Change, Head, Source},
    kinds::{KINDS, KindId, ObjectKey, path},
    observed::{Observed, Seeing, Seen},
};
use federation_api::keys;

/// URL path of all endpoint slices.
const ENDPOINT_SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices";

/// Where the watches of one member tell what they see of a kind, in which session.
pub(crate) type Tell = Arc<dyn Fn(KindId, u64, Observed) + Send + Sync>;

/// What the watches of one member share.
#[derive(Clone)]
pub(crate) struct Watches {
    pub(crate) cluster: String,
    pub(crate) federation: Arc<str>,
    pub(crate) session: watch::Receiver<Option<Session>>,
    pub(crate) tell: Tell,
    pub(crate) members: Members,
    /// Between two comparisons of what is known with what is there.
    pub(crate) comparison: Duration,
}

impl Watches {
    fn source<K: DeserializeOwned + 'static>(&self, session: &Session, path: String) -> Source<K> {
        self.reading(session, path, |text| serde_json::from_str(text))
    }

    /// As [`Self::source`], with what is kept of each object.
    fn reading<K>(
        &self,
        session: &Session,
        path: String,
        read: impl Fn(&str) -> Result<K, serde_json::Error> + Send + Sync + 'static,
    ) -> Source<K> {
        let selector = format!("{}={}", keys::MANAGED_BY, self.federation);
        Source::reading(session.client.clone(), path, &selector, read).compared_every(self.comparison)
    }

    /// Waits for a session newer than `epoch`; nothing when the member left.
    async fn next_session(&mut self, epoch: u64) -> Option<Session> {
        self.session.wait_for(|s| s.as_ref().is_some_and(|s| s.epoch > epoch)).await.ok()?.clone()
    }

    /// Follows a collection in each session, until the member leaves.
    async fn follow<K>(mut self, source: impl Fn(&Self, &Session) -> Source<K>, mut tell: impl FnMut(u64, Change<K>)) {
        let mut epoch = 0;
        while let Some(session) = self.next_session(epoch).await {
            epoch = session.epoch;
            let following = source(&self, &session).follow(|change| tell(epoch, change));
            let mut over = self.session.clone();
            tokio::select! {
                () = following => {}
                _ = over.wait_for(|s| s.as_ref().is_none_or(|s| s.epoch != epoch)) => {}
            }
        }
    }

    /// Watches one federated kind until the member leaves: metadata alone, unless its status is looked at.
    pub(crate) async fn kind(self, id: KindId) {
        let me = self.clone();
        let source = move |me: &Self, session: &Session| {
            let (path, federation) = (path(&KINDS[id], "", ""), me.federation.clone());
            if !KINDS[id].reports() {
                let seen =
                    move |o: &PartialObjectMeta<DynamicObject>| (key(id, &o.metadata), Seen::from_metadata(&o.metadata, &federation));
                me.reading(session, path, move |text| serde_json::from_str(text).map(|o| seen(&o))).metadata_only()
            } else {
                let seen = move |o: &DynamicObject| (key(id, &o.metadata), Seen::from_object(&KINDS[id], o, &federation));
                me.reading(session, path, move |text| serde_json::from_str(text).map(|o| seen(&o)))
            }
        };
        self.follow(source, |epoch, change| me.report(id, epoch, observed(id, change, |seen| seen))).await;
    }

    /// Watches Services: keeps them and reports them as the other kinds are, until the member leaves.
    pub(crate) async fn services(self, services: Services, id: KindId) {
        let (me, federation) = (self.clone(), self.federation.clone());
        let source = move |me: &Self, session: &Session| me.source(session, path(&KINDS[id], "", ""));
        self.follow(source, |epoch, change: Change<Service>| {
            for (namespace, name) in services.take(&change) {
                me.members.tell(MemberChange::Service { cluster: me.cluster.clone(), namespace, name });
            }
            me.synced(&change, |m| &mut m.services_synced);
            let seen = |s: Service| (key(id, &s.metadata), Seen::from_metadata(&s.metadata, &federation));
            me.report(id, epoch, observed(id, change, seen));
        })
        .await;
    }

    /// Keeps the index of endpoints until the member leaves.
    pub(crate) async fn endpoints(self, endpoints: Endpoints) {
        let me = self.clone();
        let source = |me: &Self, session: &Session| me.source(session, ENDPOINT_SLICES.to_owned());
        self.follow(source, |_, change: Change<EndpointSlice>| {
            for (namespace, service) in endpoints.take(&change) {
                me.members.tell(MemberChange::Endpoints { cluster: me.cluster.clone(), namespace, service });
            }
            me.synced(&change, |m| &mut m.endpoints_synced);
        })
        .await;
    }

    /// All of the member is looked at when its first list makes it known. Of later lists only what they show to be
    /// different is told, as most are comparisons that show nothing.
    fn synced<K>(&self, change: &Change<K>, synced: fn(&mut Member) -> &mut bool) {
        if matches!(change, Change::Listed(_)) {
            self.members.modify_if(&self.cluster, |member| !std::mem::replace(synced(member), true));
        }
    }

    fn report(&self, kind: KindId, epoch: u64, observed: Option<Observed>) {
        if let Some(observed) = observed {
            (self.tell)(kind, epoch, observed);
        }
    }
}

fn key(kind: KindId, metadata: &ObjectMeta) -> ObjectKey {
    ObjectKey { kind, namespace: metadata.namespace.clone().unwrap_or_default(), name: metadata.name.clone().unwrap_or_default() }
}

/// What is told of a change.
fn observed<K>(id: KindId, change: Change<K>, seen: impl Fn(K) -> (ObjectKey, Seen)) -> Option<Observed> {
    let of_head = |head: Head| ObjectKey { kind: id, namespace: head.namespace, name: head.name };
    Some(match change {
        Change::Listed(listing) => Observed::Listed(Seeing {
            objects: listing.objects.into_iter().map(seen).collect(),
            unreadable: listing.unreadable.into_iter().map(of_head).collect(),
            version: listing.version,
            why: listing.why,
            bytes: listing.bytes,
        }),
        Change::Changed(object) => {
            let (key, seen) = seen(object);
            Observed::Changed(key, Box::new(seen))
        }
        Change::Gone(head, _) => {
            let (uid, version) = (Uid::from(&*head.uid), head.resource_version.parse().ok());
            Observed::Gone { key: of_head(head), uid, version }
        }
        Change::Unreadable(head, error) => {
            tracing::warn!(
                kind = KINDS[id].kind,
                name = head.name,
                namespace = head.namespace,
                error,
                "a copy cannot be read and stays as it is known"
            );
            return None;
        }
        Change::Watching => Observed::Watching,
        Change::Failing(reason) => Observed::Failing(reason),
    })
}

#[cfg(test)]
#[path = "watches_tests.rs"]
mod tests;
