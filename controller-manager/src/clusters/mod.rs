//! Clusters of the federation: follows joins, changes and departures, and runs one monitor for each member.

use std::{collections::HashMap, time::Duration};

use daemon::supervise::Supervisor;
use federation_api::keys;
use kube::{
    Api,
    api::DynamicObject,
    core::{ApiResource, GroupVersionKind},
};
use tokio::{
    sync::{mpsc, watch},
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

use crate::{
    follow::{Change, Head, Source},
    members::news::News,
};

pub(crate) mod health;
pub(crate) mod identity;
mod joined;
mod monitor;
mod needs;
mod renewal;
pub(crate) mod rights;
#[cfg(test)]
mod tests;
pub(crate) mod topology;

pub(crate) use joined::Joined;
pub(crate) use needs::Clusters;

/// URL path of all Clusters.
const CLUSTERS: &str = "/apis/federation/v1beta1/clusters";
/// Pause between questions for a Cluster that a list lacked.
const RETRY: Duration = Duration::from_secs(1);
/// For one such question.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How kube addresses Clusters.
pub(crate) fn resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(keys::GROUP, keys::VERSION, "Cluster"), "clusters")
}

struct Running {
    joined: watch::Sender<Joined>,
    stop: CancellationToken,
}

impl Clusters {
    /// Runs until shutdown; `monitors` owns one task for each member.
    pub(crate) async fn run(self, monitors: Supervisor, shutdown: CancellationToken) {
        let api = Api::<DynamicObject>::all_with(self.federation.clone(), &resource());
        // Unbounded: the API server's rate bounds it, and it is read but while one Cluster is asked for.
        let (tell, mut told) = mpsc::unbounded_channel();
        let source = Source::<DynamicObject>::new(self.federation.clone(), CLUSTERS.to_owned(), "");
        let mut following = Box::pin(source.follow(move |change| drop(tell.send(change))));
        let mut running: HashMap<String, Running> = HashMap::new();
        // Clusters that a list lacked: asked for by name before they count as gone.
        let mut missing: Vec<String> = Vec::new();
        let mut ask = tokio::time::interval(RETRY);
        ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let change = tokio::select! {
                () = shutdown.cancelled() => break,
                () = &mut following => break,
                change = told.recv() => change,
                _ = ask.tick(), if !missing.is_empty() => {
                    missing = self.confirm(&api, missing, &mut running, &monitors).await;
                    continue;
                }
            };
            match change {
                None => break,
                Some(Change::Listed(listing)) => {
                    let heads = listing.unreadable.into_iter();
                    let mut names: Vec<String> = heads.clone().map(|head| head.name).collect();
                    let mut found: Vec<Joined> = heads.filter_map(|head| Self::unread(head, &running)).collect();
                    names.extend(listing.objects.iter().filter_map(|object| object.metadata.name.clone()));
                    found.extend(listing.objects.into_iter().filter_map(|object| Self::read(object, &running)));
                    missing = running.keys().filter(|n| !names.contains(n)).cloned().collect();
                    found.into_iter().for_each(|joined| self.joined(joined, &mut running, &monitors));
                    (self.tell)(News::ClustersListed(names));
                }
                Some(Change::Changed(object)) => {
                    Self::read(object, &running).into_iter().for_each(|joined| self.joined(joined, &mut running, &monitors));
                }
                Some(Change::Unreadable(head, error)) => {
                    tracing::warn!(cluster = head.name, error, "the Cluster cannot be read; what is known of it stays");
                    Self::unread(head, &running).into_iter().for_each(|joined| self.joined(joined, &mut running, &monitors));
                }
                Some(Change::Gone(head, _)) => {
                    missing.retain(|m| *m != head.name);
                    self.leave(&head.name, &mut running);
                }
                Some(Change::Failing(error)) => tracing::warn!(error, "Clusters cannot be watched; what is known stays"),
                Some(Change::Watching) => tracing::info!("Clusters can be watched again"),
            }
        }
        running.values().for_each(|r| r.stop.cancel());
    }

    /// Asks for Clusters that a list lacked. Only one that is not there by its own name left; those that
    /// could not be asked for are given back.
    async fn confirm(
        &self,
        api: &Api<DynamicObject>,
        missing: Vec<String>,
        running: &mut HashMap<String, Running>,
        monitors: &Supervisor,
    ) -> Vec<String> {
        let mut unknown = Vec::new();
        for name in missing.into_iter().filter(|n| running.contains_key(n)).collect::<Vec<_>>() {
            match tokio::time::timeout(TIMEOUT, api.get(&name)).await.map(federation_client::if_there) {
                Ok(Ok(None)) => self.leave(&name, running),
                Ok(Ok(Some(object))) => {
                    tracing::warn!(cluster = name, "the list of Clusters lacked it, and it is there");
                    Self::read(object, running).into_iter().for_each(|joined| self.joined(joined, running, monitors));
                }
                Ok(Err(_)) | Err(_) => unknown.push(name),
            }
        }
        unknown
    }

    /// A Cluster as it is now. What cannot be read changes nothing for a member that is running, and a new one
    /// is a member that cannot be reached.
    fn read(object: DynamicObject, running: &HashMap<String, Running>) -> Option<Joined> {
        let metadata = object.metadata.clone();
        Joined::from_object(object).map_or_else(
            |error| {
                let name = metadata.name.clone().unwrap_or_default();
                tracing::warn!(cluster = name, %error, "the Cluster cannot be read; what is known of it stays");
                let known = running.get(&name).is_some_and(|r| Some(&r.joined.borrow().uid) == metadata.uid.as_ref());
                (!known).then(|| Joined::unreadable(metadata))
            },
            Some,
        )
    }

    /// A Cluster of which nothing but the head can be read: see [`Self::read`].
    fn unread(head: Head, running: &HashMap<String, Running>) -> Option<Joined> {
        let known = running.get(&head.name).is_some_and(|r| r.joined.borrow().uid == head.uid);
        (!known).then(|| Joined { name: head.name, uid: head.uid, ..Joined::default() })
    }

    fn joined(&self, joined: Joined, running: &mut HashMap<String, Running>, monitors: &Supervisor) {
        // Left and joined again under the same name: another cluster.
        if running.get(&joined.name).is_some_and(|r| r.joined.borrow().uid != joined.uid) {
            self.leave(&joined.name, running);
        }
        if let Some(known) = running.get(&joined.name) {
            known.joined.send_if_modified(|j| std::mem::replace(j, joined.clone()) != joined);
            return;
        }
        tracing::info!(cluster = joined.name, "joined");
        self.identities.note(&joined);
        let stop = CancellationToken::new();
        let name = joined.name.clone();
        let (sender, receiver) = watch::channel(joined);
        let (clusters, ends) = (self.clone(), stop.clone());
        monitors.restart_always("monitor", move || monitor::run(clusters.clone(), receiver.clone(), ends.clone()));
        running.insert(name, Running { joined: sender, stop });
    }

    fn leave(&self, name: &str, running: &mut HashMap<String, Running>) {
        if let Some(gone) = running.remove(name) {
            tracing::info!(cluster = name, "left; nothing is deleted in it");
            gone.stop.cancel();
            self.identities.forget(name);
            self.members.remove(name);
            (self.tell)(News::Left { cluster: name.to_owned() });
        }
    }
}
