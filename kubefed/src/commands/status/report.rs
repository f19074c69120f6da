//! How a federation is doing, from what was seen of it. No IO.

use std::collections::BTreeMap;
use std::time::Duration;

use federation_api::cluster::ClusterStatus;
use federation_api::keys;
use federation_api::record::{ObjectRef, PropagationRecordSpec, State};
use jiff::Timestamp;
use serde::Serialize;

/// Places of objects that are listed; the others are counted.
const LISTED: usize = 20;
/// A lease that was not renewed for so long is nobody's: the longest that `--leader-elect-lease-duration` is usually given.
const LEASE_OLD: Duration = Duration::from_secs(60);

/// How a federation is doing.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// Name or context.
    pub(super) federation: String,
    pub(super) server: Server,
    /// The controller manager that leads.
    pub(super) leader: Option<Leader>,
    /// Deployments of the control plane, where the host was asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) components: Vec<Component>,
    pub(super) clusters: Vec<Cluster>,
    pub(super) objects: Objects,
    /// Of the last hour, the newest first.
    pub(super) warnings: Vec<Warning>,
    /// What is not right; all is well without any.
    pub(super) problems: Vec<Problem>,
}

/// The API server.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Server {
    pub(super) url: String,
    pub(super) version: String,
    /// What it says it is not ready for; empty when it is ready.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) unready: String,
}

/// Who holds the lease of controller managers.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Leader {
    pub(super) identity: String,
    pub(super) renewed: Timestamp,
}

/// A Deployment of the control plane.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Component {
    pub(super) name: String,
    pub(super) ready: i32,
    pub(super) wanted: i32,
    pub(super) image: String,
}

/// A member.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cluster {
    pub(super) name: String,
    pub(super) ready: bool,
    /// Since when it is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<Timestamp>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) message: String,
    pub(super) region: String,
    pub(super) zones: Vec<String>,
    /// Objects that it has or is to have.
    pub(super) objects: usize,
    /// Those of them that are not there as they should be.
    pub(super) out_of_sync: usize,
}

/// What is known of objects by their records.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Objects {
    pub(super) total: usize,
    pub(super) in_sync: usize,
    /// Some of the others, the worst first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) out_of_sync: Vec<Place>,
}

/// An object in a cluster.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(super) struct Place {
    /// The worst has the smallest.
    #[serde(skip)]
    rank: u8,
    /// `deployments.apps shire/web`.
    pub(super) object: String,
    pub(super) cluster: String,
    pub(super) state: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) reason: String,
}

/// A Warning among the federation's events.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Warning {
    pub(super) seen: Timestamp,
    pub(super) reason: String,
    pub(super) object: String,
    pub(super) message: String,
}

/// Something that is not right.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Problem {
    pub(super) what: String,
    /// What to do about it.
    pub(super) mend: String,
}

/// What was seen of a federation, without a verdict.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) federation: String,
    pub(super) server: Server,
    pub(super) leader: Option<Leader>,
    pub(super) components: Vec<Component>,
    /// By name.
    pub(super) clusters: BTreeMap<String, ClusterStatus>,
    pub(super) records: Tally,
    pub(super) warnings: Vec<Warning>,
    /// Problems that were found by looking: what could not be read, and credentials that end.
    pub(super) found: Vec<Problem>,
}

/// Records added up, so that no more than a page of them is ever held.
#[derive(Debug, Default)]
pub(super) struct Tally {
    total: usize,
    in_sync: usize,
    /// Objects in each cluster, and those out of sync.
    by_cluster: BTreeMap<String, (usize, usize)>,
    /// Places out of sync by state.
    by_state: BTreeMap<&'static str, usize>,
    /// The worst.
    places: Vec<Place>,
}

impl Tally {
    /// Adds the record of one object. One that was deleted and is only remembered does not count.
    pub(super) fn add(&mut self, record: &PropagationRecordSpec) {
        if record.deleted.is_some() || record.clusters.is_empty() {
            return;
        }
        self.total += 1;
        let mut all = true;
        for (cluster, part) in &record.clusters {
            let sync = part.state == State::Applied && part.applied == part.desired;
            all &= sync;
            let counts = self.by_cluster.entry(cluster.clone()).or_default();
            counts.0 += 1;
            if !sync {
                counts.1 += 1;
                let (rank, state) = rank(part.state);
                *self.by_state.entry(state).or_default() += 1;
                let (object, reason) = (named(&record.object), part.reason.clone());
                self.places.push(Place { rank, object, cluster: cluster.clone(), state: state.to_owned(), reason });
            }
        }
        self.in_sync += usize::from(all);
        if self.places.len() > 20 * LISTED {
            self.places.sort();
            self.places.truncate(LISTED);
        }
    }
}

/// How bad a state is, the worst first, and its word.
fn rank(state: State) -> (u8, &'static str) {
    match state {
        State::Conflict => (0, "Conflict"),
        State::Failed => (1, "Failed"),
        State::Deleting => (2, "Deleting"),
        State::Pending => (3, "Pending"),
        State::Applied => (4, "Updating"),
    }
}

fn named(object: &ObjectRef) -> String {
    let group = if object.group.is_empty() { String::new() } else { format!(".{}", object.group) };
    let namespace = if object.namespace.is_empty() { String::new() } else { format!("{}/", object.namespace) };
    format!("{}{group} {namespace}{}", object.resource, object.name)
}

impl Report {
    /// The verdict on what was seen.
    pub(super) fn of(seen: Seen, now: Timestamp) -> Self {
        let Seen { federation, server, leader, components, clusters, records, warnings, found } = seen;
        let Tally { total, in_sync, by_cluster, by_state, mut places } = records;
        places.sort();
        places.truncate(LISTED);
        let counts = |name: &str| by_cluster.get(name).copied().unwrap_or_default();
        let ends = |name: &String, status: &ClusterStatus| {
            let told = status.conditions.iter().find(|c| keys::CREDENTIALS_ENDING.contains(&c.reason.as_str()))?;
            Some((format!("cluster {name}: {}", told.message), format!("kubefed join {name} --rotate, before that")))
        };
        let ending: Vec<_> = clusters.iter().filter_map(|(name, status)| ends(name, status)).collect();
        let clusters: Vec<Cluster> = clusters.into_iter().map(|(name, status)| cluster(counts(&name), name, status)).collect();
        let mut problems = found;
        let mut problem = |what: String, mend: String| problems.push(Problem { what, mend });
        if !server.unready.is_empty() {
            problem(
                format!("the API server is not ready: {}", server.unready),
                "its log says more; while its store is away it mends itself".into(),
            );
        }
        match &leader {
            None => problem(
                "no controller manager leads: nothing is spread, and no name is published".into(),
                "see whether its pods run in the host cluster, and what they log; with --leader-elect=false it cannot be seen from here"
                    .into(),
            ),
            Some(leader) if now.duration_since(leader.renewed).unsigned_abs() > LEASE_OLD => problem(
                format!("no controller manager leads since {}: nothing is spread, and no name is published", leader.renewed),
                "see whether its pods run in the host cluster, and what they log; if they do, compare the clocks".into(),
            ),
            Some(_) => {}
        }
        for component in components.iter().filter(|c| c.ready < c.wanted) {
            let Component { name, ready, wanted, .. } = component;
            problem(format!("{ready} of {wanted} pods of {name} are ready"), "kubectl describe its pods in the host cluster".into());
        }
        for cluster in clusters.iter().filter(|c| !c.ready) {
            let why = if cluster.message.is_empty() { "it was not reached yet" } else { &cluster.message };
            problem(
                format!("cluster {} is not ready: {why}", cluster.name),
                format!("kubectl describe cluster {}; if its credentials or address are wrong, kubefed join it again", cluster.name),
            );
        }
        ending.into_iter().for_each(|(what, mend)| problem(what, mend));
        for (state, count) in by_state {
            let mend = match state {
                "Conflict" => {
                    format!(
                        "objects of these names are there that the federation did not make: delete them there, or take them over with annotation {}=adopt",
                        keys::CONFLICT
                    )
                }
                "Failed" => "the reason of each says what its cluster refused; it is tried again by itself".into(),
                "Deleting" => "they go when their clusters can be reached, and nothing holds them there".into(),
                _ => "these are under way; if they stay so, the reason of each says what they wait for".into(),
            };
            problem(format!("copies in state {state}: {count}"), mend);
        }
        let objects = Objects { total, in_sync, out_of_sync: places };
        Self { federation, server, leader, components, clusters, objects, warnings, problems }
    }
}

fn cluster((objects, out_of_sync): (usize, usize), name: String, status: ClusterStatus) -> Cluster {
    let ready = status.is_ready();
    let told = status.conditions.iter().find(|c| c.type_ == "Ready").or(status.conditions.first());
    let since = told.and_then(|c| c.last_transition_time.as_deref()?.parse().ok());
    let message = told.filter(|_| !ready).map(|c| c.message.clone()).unwrap_or_default();
    Cluster { name, ready, since, message, region: status.region, zones: status.zones, objects, out_of_sync }
}
