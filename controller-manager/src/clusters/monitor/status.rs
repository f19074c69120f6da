//! What the monitor writes on the Cluster: who the member is, how it is doing, where its nodes are and what the
//! federation may not do there.

use federation_api::{
    cluster::{ClusterCondition, ClusterStatus},
    keys,
};
use http::Method;
use serde_json::json;
use tokio::time::Instant;

use super::{Monitor, TIMEOUT};
use crate::{
    clusters::{Joined, health::conditions, rights, topology},
    members::{Health, news::News},
    request::{Call, MERGE},
};

impl Monitor {
    /// Notes who the member is, where nobody did at the join.
    pub(super) async fn note_identity(&self, joined: &Joined, uid: &str) {
        let patch = json!({"metadata": {"uid": joined.uid, "annotations": {keys::CLUSTER_UID: uid}}});
        let path = format!("/apis/federation/v1beta1/clusters/{}", self.name);
        let call = Call { method: Method::PATCH, path: &path, content_type: MERGE, body: patch.to_string().into() };
        match call.send(&self.clusters.federation, TIMEOUT).await {
            Ok(reply) if reply.status.is_success() => {}
            // The next probe tries again.
            Ok(reply) => tracing::debug!(cluster = self.name, error = reply.message(), "the cluster's uid cannot be noted"),
            Err(error) => tracing::debug!(cluster = self.name, %error, "the cluster's uid cannot be noted"),
        }
    }

    /// Reads zones, region and rights, when it is time.
    pub(super) async fn survey(&mut self) {
        if self.surveyed.is_some_and(|at| at.elapsed() < self.clusters.monitor.topology_period) {
            return;
        }
        self.surveyed = Some(Instant::now());
        let Some(client) = self.client.clone() else { return };
        if let Some(rights) = rights::missing(&client, &self.clusters.enabled).await {
            let lacks = rights::named(&rights);
            // Each time, as the reader may not know of the last.
            (self.clusters.tell)(News::Rights { cluster: self.name.clone(), lacks: Box::new(rights) });
            if !lacks.is_empty() && lacks != self.lacks {
                self.event(true, RIGHTS_MISSING, lacking(&lacks));
            }
            self.lacks = lacks;
        }
        let Some(read) = topology::read(&client).await else { return };
        let (topology, unlabelled) = topology::kept(read, &self.status.zones, &self.status.region);
        if unlabelled && !self.unlabelled {
            let message = "no node has a region or zone label any more; what was known stays, and with it the DNS names".to_owned();
            tracing::warn!(cluster = self.name, "{message}");
            self.event(true, "TopologyLabelsLost", message);
        }
        self.unlabelled = unlabelled;
        if (&self.status.zones, &self.status.region) == (&topology.zones, &topology.region) {
            return;
        }
        self.status.zones.clone_from(&topology.zones);
        self.status.region.clone_from(&topology.region);
        self.written = None;
        self.clusters.members.modify(&self.name, |m| {
            m.zones = topology.zones;
            m.region = topology.region;
        });
    }

    /// Writes the status when it changed, and the time of the last probe once in a while.
    pub(super) async fn write_status(&mut self) {
        let now = crate::time::seconds(crate::time::now());
        let finding = &self.verdict.finding;
        let mut conditions = conditions(finding, &self.status.conditions, &now);
        if let (Health::Ready, false) = (finding.health, self.lacks.is_empty()) {
            conditions.push(ClusterCondition {
                type_: "Authorized".into(),
                status: "False".into(),
                reason: RIGHTS_MISSING.into(),
                message: lacking(&self.lacks),
                last_probe_time: Some(now.clone()),
                last_transition_time: Some(now.clone()),
            });
        }
        conditions.extend(self.token_condition(&now));
        let state = |c: &ClusterCondition| (c.type_.clone(), c.status.clone(), c.reason.clone());
        let same = conditions.iter().map(state).eq(self.status.conditions.iter().map(state));
        let fresh = self.written.is_some_and(|at| at.elapsed() < self.clusters.monitor.topology_period);
        if finding.health == Health::Unknown || (same && fresh) {
            return;
        }
        let status = ClusterStatus { conditions, ..self.status.clone() };
        let patch = json!({"status": {"conditions": status.conditions, "zones": status.zones, "region": status.region}});
        let path = format!("/apis/federation/v1beta1/clusters/{}/status", self.name);
        let call = Call { method: Method::PATCH, path: &path, content_type: MERGE, body: patch.to_string().into() };
        match call.send(&self.clusters.federation, TIMEOUT).await {
            Ok(reply) if reply.status.is_success() => {
                self.status = status;
                self.written = Some(Instant::now());
            }
            Ok(reply) => tracing::warn!(cluster = self.name, error = reply.message(), "the Cluster's status is refused"),
            Err(error) => tracing::warn!(cluster = self.name, %error, "the Cluster's status cannot be written"),
        }
    }
}

/// Reason of the condition and the Event about rights.
const RIGHTS_MISSING: &str = "RightsMissing";

/// Rights that are missing, in a sentence of bounded length.
fn lacking(rights: &[String]) -> String {
    let more = rights.len().saturating_sub(8);
    let (list, more) = (rights[..rights.len() - more].join(", "), if more > 0 { format!(" and {more} more") } else { String::new() });
    format!("the federation's account may not {list}{more}; join the cluster again with kubefed join")
}
