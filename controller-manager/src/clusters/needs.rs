//! What following Clusters and monitoring members takes.

use std::{sync::Arc, time::Duration};

use super::identity::Identities;
use crate::{
    config::Monitor,
    events::Events,
    kinds::PerKind,
    members::{MemberConnector, Members, news::Tell},
    time::Clock,
};

/// What the cluster controller needs.
#[derive(Clone)]
pub(crate) struct Clusters {
    pub(crate) federation: kube::Client,
    pub(crate) name: Arc<str>,
    pub(crate) connector: Arc<dyn MemberConnector>,
    pub(crate) monitor: Monitor,
    /// Between two comparisons of what is known of a member with what is there.
    pub(crate) comparison: Duration,
    pub(crate) members: Members,
    /// Where goes what happens to members.
    pub(crate) tell: Tell,
    pub(crate) events: Events,
    /// Who the members are.
    pub(crate) identities: Identities,
    /// Kinds whose controllers are on.
    pub(crate) enabled: PerKind<bool>,
    /// By which tokens end.
    pub(crate) clock: Clock,
}
