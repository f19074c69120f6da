//! What is to be told of members: by their monitors, their lanes and their watches, to whom the wiring gives it.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::mpsc;

use super::job::{Done, Job};
use crate::{
    kinds::{KindId, PerKind},
    observed::Observed,
};

/// One thing that happened to a member or in one.
pub(crate) enum News {
    /// All Clusters were read once.
    ClustersListed(Vec<String>),
    /// A Cluster was joined, or its labels or annotations changed.
    Cluster {
        cluster: String,
        uid: String,
        labels: BTreeMap<String, String>,
        annotations: BTreeMap<String, String>,
        lane: Option<mpsc::UnboundedSender<Job>>,
        was_ready: bool,
    },
    /// A Cluster left the federation.
    Left { cluster: String },
    /// A member can be reached, in this session; or cannot.
    Session { cluster: String, epoch: Option<u64> },
    /// A lost member was away for longer than the loss delay.
    Lost { cluster: String },
    /// A member said which verbs the federation may not use there, by kind.
    Rights { cluster: String, lacks: Box<Lacks> },
    /// Something was seen in a member.
    Observed { cluster: String, epoch: u64, kind: KindId, observed: Observed },
    /// A job was carried out.
    Done(Done),
}

/// Verbs that are missing, by kind.
pub(crate) type Lacks = PerKind<Vec<&'static str>>;

/// Where news go. It must not wait.
pub(crate) type Tell = Arc<dyn Fn(News) + Send + Sync>;
