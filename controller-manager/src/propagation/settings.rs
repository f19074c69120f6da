//! What the controller of federated objects was told to do.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crate::{
    config::Brake,
    kinds::{NAMESPACE, ObjectKey, PerKind},
    time::Clock,
};

/// What it was told to do.
pub(crate) struct Settings {
    pub(crate) federation: Arc<str>,
    pub(crate) brake: Brake,
    /// Longest wait for a member that was not heard of before replicas are divided without it.
    pub(crate) loss_delay: Duration,
    /// How long a workload may be unready before its pods are looked at.
    pub(crate) review: Duration,
    /// How long nothing is concluded from an autoscaler that scaled.
    pub(crate) scale_window: Duration,
    /// The time of day.
    pub(crate) clock: Clock,
    /// Namespaces that nothing is propagated in, beside those that every cluster owns.
    pub(crate) left_out: Arc<BTreeSet<String>>,
    /// Kinds whose controllers are on.
    pub(crate) enabled: PerKind<bool>,
}

impl Settings {
    /// Whether nothing is propagated in the namespace of an object.
    pub(super) fn is_left_out(&self, key: &ObjectKey) -> bool {
        self.left_out.contains(if key.kind == NAMESPACE { &key.name } else { &key.namespace })
    }
}
