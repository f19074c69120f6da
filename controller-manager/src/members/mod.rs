//! Members of the federation as the other controllers see them: one entry per joined cluster with its
//! client, health and topology, and one stream of changes.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::{broadcast, watch};

mod access;
mod apply;
pub mod connect;
pub(crate) mod credential;
mod delete;
pub mod endpoints;
mod exchange;
mod foreign;
pub(crate) mod job;
pub use connect::{HostCredentials, MemberConnector};
pub use endpoints::Endpoints;
pub use services::Services;
pub(crate) mod lane;
mod let_go;
pub(crate) mod limiter;
mod look;
pub(crate) mod news;
pub(crate) mod renewal;
pub mod services;
mod survey;
pub(crate) mod trouble;
pub(crate) mod watches;

/// How a member is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Health {
    /// Not asked yet since this process started.
    Unknown,
    /// It says it is healthy.
    Ready,
    /// It answers and says it is not healthy.
    NotReady,
    /// It does not answer.
    Offline,
}

/// One member, as of the last change.
#[derive(Clone)]
pub struct Member {
    /// Name of the Cluster.
    pub name: String,
    /// uid of the Cluster.
    pub uid: String,
    /// Labels of the Cluster, which selectors match.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Cluster.
    pub annotations: BTreeMap<String, String>,
    /// Health as last seen.
    pub health: Health,
    /// Whether replicas and addresses there count: ready, or away for less than the loss delay.
    pub counts: bool,
    /// Zones of its nodes: sorted, unique; kept while the member is away.
    pub zones: Vec<String>,
    /// Region of its nodes; kept while the member is away.
    pub region: String,
    /// Client for the member; absent while its credentials cannot be read.
    pub client: Option<kube::Client>,
    /// Services the federation wrote there. Keeps what was last seen while the member is away.
    pub services: Services,
    /// Endpoints of those Services. Keeps what was last seen while the member is away.
    pub endpoints: Endpoints,
    /// Whether `services` was filled by a complete list since this process started.
    pub services_synced: bool,
    /// Whether `endpoints` was filled by a complete list since this process started.
    pub endpoints_synced: bool,
}

impl Member {
    /// Whether both show the whole member as last seen. Until then nothing follows from what they lack.
    pub fn synced(&self) -> bool {
        self.services_synced && self.endpoints_synced
    }
}

/// What changed in or about a member.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MemberChange {
    /// Health, topology, labels, client or sync state of a member changed, or it joined or left.
    Cluster(String),
    /// A Service changed.
    Service {
        /// Name of the Cluster.
        cluster: String,
        /// Namespace of the Service.
        namespace: String,
        /// Name of the Service.
        name: String,
    },
    /// Endpoints of a Service changed.
    Endpoints {
        /// Name of the Cluster.
        cluster: String,
        /// Namespace of the Service.
        namespace: String,
        /// Name of the Service.
        service: String,
    },
}

/// All members by name.
pub type MemberMap = BTreeMap<String, Member>;

/// The shared view of all members. Cheap to clone.
#[derive(Clone)]
pub struct Members {
    current: watch::Sender<Arc<MemberMap>>,
    changes: broadcast::Sender<MemberChange>,
}

/// Changes a slow reader may fall behind before it has to look at everything again.
const CHANGE_BUFFER: usize = 4096;

impl Default for Members {
    fn default() -> Self {
        Self { current: watch::Sender::new(Arc::default()), changes: broadcast::Sender::new(CHANGE_BUFFER) }
    }
}

impl Members {
    /// All members now.
    pub fn current(&self) -> Arc<MemberMap> {
        self.current.borrow().clone()
    }

    /// Changes from now on. A reader told that it lagged looks at [`Members::current`] again.
    pub fn changes(&self) -> broadcast::Receiver<MemberChange> {
        self.changes.subscribe()
    }

    /// Replaces or adds one member and tells the readers.
    pub fn put(&self, member: Member) {
        let name = member.name.clone();
        self.current.send_modify(|map| {
            Arc::make_mut(map).insert(member.name.clone(), member);
        });
        self.tell(MemberChange::Cluster(name));
    }

    /// Changes one member in place and tells the readers; nothing happens when it left.
    pub fn modify(&self, name: &str, change: impl FnOnce(&mut Member)) {
        self.modify_if(name, |member| {
            change(member);
            true
        });
    }

    /// As [`Members::modify`], for a change that says whether there is anything to tell.
    pub(crate) fn modify_if(&self, name: &str, change: impl FnOnce(&mut Member) -> bool) {
        if self.current.send_if_modified(|map| Arc::make_mut(map).get_mut(name).is_some_and(change)) {
            self.tell(MemberChange::Cluster(name.to_owned()));
        }
    }

    /// Forgets a member that left and tells the readers.
    pub fn remove(&self, name: &str) {
        self.current.send_modify(|map| {
            Arc::make_mut(map).remove(name);
        });
        self.tell(MemberChange::Cluster(name.to_owned()));
    }

    /// Tells the readers. Nobody listening is fine.
    pub fn tell(&self, change: MemberChange) {
        let _ = self.changes.send(change);
    }
}
