//! Clusters of the federation: follows joins, changes and departures, and runs one monitor for each member.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use federation_api::{
    cluster::{ClusterSpec, ClusterStatus},
    keys,
};
use futures::StreamExt;
use kube::{
    Api,
    api::DynamicObject,
    core::{ApiResource, GroupVersionKind},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Monitor,
    members::{MemberConnector, Members},
    propagation::intake::{Intake, Mailbox},
};

pub(crate) mod health;
mod monitor;
pub(crate) mod topology;

/// What the cluster controller needs.
#[derive(Clone)]
pub(crate) struct Clusters {
    pub(crate) federation: kube::Client,
    pub(crate) name: Arc<str>,
    pub(crate) connector: Arc<dyn MemberConnector>,
    pub(crate) monitor: Monitor,
    pub(crate) members: Members,
    pub(crate) mailbox: Mailbox,
    /// Kinds whose controllers are on.
    pub(crate) enabled: [bool; crate::kinds::KINDS.len()],
}

/// A Cluster as last seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Joined {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) spec: ClusterSpec,
    pub(crate) status: ClusterStatus,
}

/// How kube addresses Clusters.
pub(crate) fn resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(keys::GROUP, keys::VERSION, "Cluster"), "clusters")
}

impl Joined {
    fn from_object(object: DynamicObject) -> Result<Self, serde_json::Error> {
        let DynamicObject { metadata, mut data, .. } = object;
        let mut part = |name: &str| data.get_mut(name).map(serde_json::Value::take).filter(|v| !v.is_null());
        Ok(Self {
            name: metadata.name.unwrap_or_default(),
            uid: metadata.uid.unwrap_or_default(),
            labels: metadata.labels.unwrap_or_default(),
            annotations: metadata.annotations.unwrap_or_default(),
            spec: part("spec").map_or_else(|| Ok(ClusterSpec::default()), serde_json::from_value)?,
            status: part("status").map_or_else(|| Ok(ClusterStatus::default()), serde_json::from_value)?,
        })
    }
}

struct Running {
    joined: watch::Sender<Joined>,
    stop: CancellationToken,
}

impl Clusters {
    /// Runs until shutdown.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let api = Api::<DynamicObject>::all_with(self.federation.clone(), &resource());
        let mut events = watcher(api, watcher::Config::default()).default_backoff().boxed();
        let mut running: HashMap<String, Running> = HashMap::new();
        let mut monitors = JoinSet::new();
        let mut listing: Vec<Joined> = Vec::new();
        loop {
            let event = tokio::select! {
                () = shutdown.cancelled() => break,
                event = events.next() => event,
            };
            match event {
                None => break,
                Some(Err(error)) => {
                    tracing::warn!(error = %crate::members::request::chain(&error), "Clusters cannot be watched; what is known stays");
                }
                Some(Ok(Event::Init)) => listing.clear(),
                Some(Ok(Event::InitApply(object))) => listing.extend(self.read(object)),
                Some(Ok(Event::InitDone)) => {
                    let names: Vec<String> = listing.iter().map(|j| j.name.clone()).collect();
                    let gone: Vec<String> = running.keys().filter(|n| !names.contains(n)).cloned().collect();
                    gone.iter().for_each(|name| self.leave(name, &mut running));
                    listing.drain(..).for_each(|joined| self.joined(joined, &mut running, &mut monitors));
                    self.mailbox.send(Intake::ClustersListed(names));
                }
                Some(Ok(Event::Apply(object))) => {
                    self.read(object).into_iter().for_each(|joined| self.joined(joined, &mut running, &mut monitors));
                }
                Some(Ok(Event::Delete(object))) => self.leave(&object.metadata.name.unwrap_or_default(), &mut running),
            }
        }
        running.values().for_each(|r| r.stop.cancel());
        monitors.shutdown().await;
    }

    fn read(&self, object: DynamicObject) -> Option<Joined> {
        let name = object.metadata.name.clone().unwrap_or_default();
        Joined::from_object(object).inspect_err(|error| tracing::warn!(cluster = name, %error, "the Cluster cannot be read")).ok()
    }

    fn joined(&self, joined: Joined, running: &mut HashMap<String, Running>, monitors: &mut JoinSet<()>) {
        // Left and joined again under the same name: another cluster.
        if running.get(&joined.name).is_some_and(|r| r.joined.borrow().uid != joined.uid) {
            self.leave(&joined.name, running);
        }
        if let Some(known) = running.get(&joined.name) {
            known.joined.send_if_modified(|j| std::mem::replace(j, joined.clone()) != joined);
            return;
        }
        tracing::info!(cluster = joined.name, "joined");
        let stop = CancellationToken::new();
        let name = joined.name.clone();
        let (sender, receiver) = watch::channel(joined);
        monitors.spawn(monitor::run(self.clone(), receiver, stop.clone()));
        running.insert(name, Running { joined: sender, stop });
    }

    fn leave(&self, name: &str, running: &mut HashMap<String, Running>) {
        if let Some(gone) = running.remove(name) {
            tracing::info!(cluster = name, "left; nothing is deleted in it");
            gone.stop.cancel();
            self.members.remove(name);
            self.mailbox.send(Intake::Left { cluster: name.to_owned() });
        }
    }
}
