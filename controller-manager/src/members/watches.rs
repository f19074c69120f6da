//! Watches on one member: one per federated kind, restricted to what carries our label, and one on the
//! endpoint slices of our Services.

use std::{fmt::Debug, sync::Arc};

use futures::{StreamExt, stream::BoxStream};
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{
    Api, Resource, ResourceExt,
    api::DynamicObject,
    core::{ApiResource, PartialObjectMeta},
    runtime::{
        WatchStreamExt,
        reflector::store::Writer,
        watcher::{self, Event, watcher},
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
    kinds::{KINDS, KindId, ObjectKey},
    propagation::{
        intake::{Intake, Mailbox, Observed},
        observed::Seen,
    },
};
use federation_api::keys;

/// What the watches of one member share.
#[derive(Clone)]
pub(crate) struct Watches {
    pub(crate) cluster: String,
    pub(crate) federation: Arc<str>,
    pub(crate) session: watch::Receiver<Option<Session>>,
    pub(crate) mailbox: Mailbox,
    pub(crate) members: Members,
}

impl Watches {
    fn config(&self) -> watcher::Config {
        watcher::Config::default().labels(&format!("{}={}", keys::MANAGED_BY, self.federation))
    }

    /// Waits for a session newer than `epoch`; nothing when the member left.
    async fn next_session(&mut self, epoch: u64) -> Option<Session> {
        self.session.wait_for(|s| s.as_ref().is_some_and(|s| s.epoch > epoch)).await.ok()?.clone()
    }

    /// Watches one federated kind until the member leaves.
    pub(crate) async fn kind(self, id: KindId) {
        if KINDS[id].counters.is_empty() {
            let stream = |api, config| watcher(api, config).default_backoff().boxed();
            self.follow::<PartialObjectMeta<DynamicObject>>(id, stream, |_, object, federation| {
                Seen::from_metadata(&object.metadata, federation)
            })
            .await;
        } else {
            let stream = |api, config| watcher(api, config).default_backoff().boxed();
            self.follow::<DynamicObject>(id, stream, |id, object, federation| Seen::from_object(&KINDS[id], object, federation)).await;
        }
    }

    async fn follow<K: Resource<DynamicType = ApiResource>>(
        mut self,
        id: KindId,
        stream: fn(Api<K>, watcher::Config) -> Events<K>,
        seen: fn(KindId, &K, &str) -> Seen,
    ) {
        let mut epoch = 0;
        while let Some(session) = self.next_session(epoch).await {
            epoch = session.epoch;
            let api = Api::<K>::all_with(session.client, &KINDS[id].api_resource());
            let mut events = stream(api, self.config());
            let mut listing = Vec::new();
            let mut over = self.session.clone();
            loop {
                let event = tokio::select! {
                    event = events.next() => event,
                    _ = over.wait_for(|s| s.as_ref().is_none_or(|s| s.epoch != epoch)) => break,
                };
                let Some(event) = event else { break };
                if let Some(observed) = self.observe(id, event, &mut listing, seen) {
                    self.report(id, epoch, observed);
                }
            }
        }
    }

    /// Watches Services: keeps their store and reports them as the other kinds are, until the member leaves.
    pub(crate) async fn services(self, mut writer: Writer<Service>, id: KindId) {
        let cluster = self.cluster.clone();
        let change =
            move |s: &Service| Some(MemberChange::Service { cluster: cluster.clone(), namespace: s.namespace()?, name: s.name_any() });
        let listed = self.on_listed(|m| m.services_synced = true);
        self.store(|event| writer.apply_watcher_event(event), Some(id), change, listed).await;
    }

    /// Keeps the index of endpoints until the member leaves.
    pub(crate) async fn endpoints(self, mut writer: endpoints::Writer) {
        let cluster = self.cluster.clone();
        let change = move |s: &EndpointSlice| {
            let (namespace, service) = service_of(s)?;
            Some(MemberChange::Endpoints { cluster: cluster.clone(), namespace, service })
        };
        let listed = self.on_listed(|m| m.endpoints_synced = true);
        self.store(|event| writer.apply_watcher_event(event), None, change, listed).await;
    }

    fn on_listed(&self, mark: fn(&mut Member)) -> impl Fn() + use<> {
        let (members, cluster) = (self.members.clone(), self.cluster.clone());
        move || members.modify(&cluster, mark)
    }

    async fn store<K>(
        mut self,
        mut write: impl FnMut(&Event<K>),
        report: Option<KindId>,
        change: impl Fn(&K) -> Option<MemberChange>,
        listed: impl Fn(),
    ) where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let mut epoch = 0;
        while let Some(session) = self.next_session(epoch).await {
            epoch = session.epoch;
            let mut listing = Vec::new();
            let mut stream = Box::pin(watcher(Api::<K>::all(session.client), self.config()).default_backoff());
            let mut over = self.session.clone();
            loop {
                let event = tokio::select! {
                    event = stream.next() => event,
                    _ = over.wait_for(|s| s.as_ref().is_none_or(|s| s.epoch != epoch)) => break,
                };
                let Some(event) = event else { break };
                if let Ok(event) = &event {
                    write(event);
                    match event {
                        Event::Apply(object) | Event::Delete(object) => change(object).into_iter().for_each(|c| self.members.tell(c)),
                        Event::InitDone => listed(),
                        Event::Init | Event::InitApply(_) => {}
                    }
                }
                let Some(id) = report else { continue };
                let seen = |_: KindId, object: &K, federation: &str| Seen::from_metadata(object.meta(), federation);
                if let Some(observed) = self.observe(id, event, &mut listing, seen) {
                    self.report(id, epoch, observed);
                }
            }
        }
    }

    /// Turns a watch event into what the brain is told; listings are collected until they are complete.
    fn observe<K: Resource>(
        &self,
        id: KindId,
        event: Result<Event<K>, watcher::Error>,
        listing: &mut Vec<(ObjectKey, Seen)>,
        seen: impl Fn(KindId, &K, &str) -> Seen,
    ) -> Option<Observed> {
        Some(match event {
            Ok(Event::Init) => {
                listing.clear();
                return None;
            }
            Ok(Event::InitApply(object)) => {
                listing.push((key(id, object.meta()), seen(id, &object, &self.federation)));
                return None;
            }
            Ok(Event::InitDone) => Observed::Listed(std::mem::take(listing)),
            Ok(Event::Apply(object)) => Observed::Changed(key(id, object.meta()), Box::new(seen(id, &object, &self.federation))),
            Ok(Event::Delete(object)) => Observed::Gone(key(id, object.meta()), object.meta().uid.clone().unwrap_or_default()),
            Err(error) => Observed::Failing(super::request::chain(&error)),
        })
    }

    fn report(&self, kind: KindId, epoch: u64, observed: Observed) {
        self.mailbox.send(Intake::Observed { cluster: self.cluster.clone(), epoch, kind, observed });
    }
}

fn key(kind: KindId, meta: &kube::api::ObjectMeta) -> ObjectKey {
    ObjectKey { kind, namespace: meta.namespace.clone().unwrap_or_default(), name: meta.name.clone().unwrap_or_default() }
}

type Events<K> = BoxStream<'static, Result<Event<K>, watcher::Error>>;
