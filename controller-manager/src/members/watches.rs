//! Watches on one member: one per federated kind, restricted to what carries our label, and one on the
//! endpoint slices of our Services.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{
    Resource, ResourceExt,
    api::{DynamicObject, ObjectMeta},
    core::PartialObjectMeta,
    runtime::{
        reflector::{ObjectRef, store::Writer},
        watcher::Event,
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::{
    Member, MemberChange, Members,
    endpoints::{self, service_of},
    lane::Session,
};
use crate::{
    follow::{Change, Head, Source},
    kinds::{KINDS, KindId, ObjectKey, path},
    propagation::{
        intake::{Intake, Mailbox, Observed, Seeing},
        observed::Seen,
    },
};
use federation_api::keys;

/// URL path of all endpoint slices.
const ENDPOINT_SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices";

/// Namespace and name of an object.
type Name = (String, String);

/// What a store is told.
enum Told<'a, K> {
    Event(Event<K>),
    /// In a list: it is there and cannot be read, so it stays as it is known. A name is never emptied for that.
    Unreadable(&'a Head),
}

/// What the watches of one member share.
#[derive(Clone)]
pub(crate) struct Watches {
    pub(crate) cluster: String,
    pub(crate) federation: Arc<str>,
    pub(crate) session: watch::Receiver<Option<Session>>,
    pub(crate) mailbox: Mailbox,
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

    /// Watches one federated kind until the member leaves: metadata alone, unless it has counters.
    pub(crate) async fn kind(self, id: KindId) {
        let me = self.clone();
        let source = move |me: &Self, session: &Session| {
            let (path, federation) = (path(&KINDS[id], "", ""), me.federation.clone());
            if KINDS[id].counters.is_empty() {
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

    /// Watches Services: keeps their store and reports them as the other kinds are, until the member leaves.
    pub(crate) async fn services(self, mut writer: Writer<Service>, id: KindId) {
        let (me, federation) = (self.clone(), self.federation.clone());
        let source = move |me: &Self, session: &Session| me.source(session, path(&KINDS[id], "", ""));
        let name = |s: &Service| Some(MemberChange::Service { cluster: me.cluster.clone(), namespace: s.namespace()?, name: s.name_any() });
        let known = writer.as_reader();
        self.follow(source, |epoch, change: Change<Service>| {
            let write = |told: Told<'_, Service>| match told {
                Told::Event(event) => writer.apply_watcher_event(&event),
                Told::Unreadable(head) => {
                    let known = known.get(&ObjectRef::new(&head.name).within(&head.namespace));
                    known.into_iter().for_each(|service| writer.apply_watcher_event(&Event::InitApply((*service).clone())));
                }
            };
            let state = || known.state().into_iter().map(|s| ((s.namespace().unwrap_or_default(), s.name_any()), s)).collect();
            let told = |(namespace, name)| MemberChange::Service { cluster: me.cluster.clone(), namespace, name };
            me.keep(&change, write, state, told, name, |m| &mut m.services_synced);
            let seen = |s: Service| (key(id, &s.metadata), Seen::from_metadata(&s.metadata, &federation));
            me.report(id, epoch, observed(id, change, seen));
        })
        .await;
    }

    /// Keeps the index of endpoints until the member leaves.
    pub(crate) async fn endpoints(self, mut writer: endpoints::Writer) {
        let (me, known) = (self.clone(), writer.as_reader());
        let source = |me: &Self, session: &Session| me.source(session, ENDPOINT_SLICES.to_owned());
        let name = |s: &EndpointSlice| {
            let (namespace, service) = service_of(s)?;
            Some(MemberChange::Endpoints { cluster: me.cluster.clone(), namespace, service })
        };
        self.follow(source, |_, change| {
            let write = |told: Told<'_, EndpointSlice>| match told {
                Told::Event(event) => writer.apply_watcher_event(&event),
                Told::Unreadable(head) => writer.keep(&head.namespace, &head.name),
            };
            let told = |(namespace, service)| MemberChange::Endpoints { cluster: me.cluster.clone(), namespace, service };
            me.keep(&change, write, || known.answering(), told, name, |m| &mut m.endpoints_synced);
        })
        .await;
    }

    /// Brings a store up to date and tells its readers. Of a list only what it shows to be different is told, as most
    /// lists are comparisons that show nothing; all of the member is looked at when its first list makes it known.
    fn keep<K: Resource<DynamicType = ()> + Clone, V: PartialEq>(
        &self,
        change: &Change<K>,
        mut write: impl FnMut(Told<'_, K>),
        state: impl Fn() -> BTreeMap<Name, V>,
        told: impl Fn(Name) -> MemberChange,
        name: impl Fn(&K) -> Option<MemberChange>,
        synced: fn(&mut Member) -> &mut bool,
    ) {
        match change {
            Change::Listed(listing) => {
                let before = state();
                write(Told::Event(Event::Init));
                listing.objects.iter().for_each(|o| write(Told::Event(Event::InitApply(o.clone()))));
                listing.unreadable.iter().for_each(|head| write(Told::Unreadable(head)));
                write(Told::Event(Event::InitDone));
                differing(&before, &state()).into_iter().for_each(|name| self.members.tell(told(name)));
                self.members.modify_if(&self.cluster, |member| !std::mem::replace(synced(member), true));
            }
            Change::Changed(object) => {
                write(Told::Event(Event::Apply(object.clone())));
                name(object).into_iter().for_each(|c| self.members.tell(c));
            }
            Change::Gone(_, Some(object)) => {
                write(Told::Event(Event::Delete(object.clone())));
                name(object).into_iter().for_each(|c| self.members.tell(c));
            }
            Change::Gone(_, None) | Change::Unreadable(..) | Change::Watching | Change::Failing(_) => {}
        }
    }

    fn report(&self, kind: KindId, epoch: u64, observed: Option<Observed>) {
        if let Some(observed) = observed {
            self.mailbox.send(Intake::Observed { cluster: self.cluster.clone(), epoch, kind, observed });
        }
    }
}

/// Names under which two states hold something else.
fn differing<V: PartialEq>(before: &BTreeMap<Name, V>, now: &BTreeMap<Name, V>) -> BTreeSet<Name> {
    let names = before.keys().chain(now.keys());
    names.filter(|name| before.get(*name) != now.get(*name)).cloned().collect()
}

fn key(kind: KindId, metadata: &ObjectMeta) -> ObjectKey {
    ObjectKey { kind, namespace: metadata.namespace.clone().unwrap_or_default(), name: metadata.name.clone().unwrap_or_default() }
}

/// What the brain is told of a change.
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
            let (uid, version) = (head.uid.clone(), head.resource_version.parse().ok());
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
