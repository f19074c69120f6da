//! The monitor of one member: owns its client and its session, asks for its health, and tells everybody.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use daemon::supervise::Done;
use federation_api::{cluster::ClusterStatus, keys};
use futures::FutureExt;
use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    health::{Answer, Change, Finding, Verdict, probe},
    identity::noted,
    joined::Joined,
    needs::Clusters,
    renewal::Renewal,
};
use crate::{
    events::{About, Event},
    kinds::{Family, KINDS},
    members::{
        Endpoints, Health, Member, Services, connect::server_url, credential::Credential, job::Session, lane::Lane, news::News,
        watches::Watches,
    },
};

/// For reading credentials from the host, and for writing status.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Sessions are numbered over all members, so that one of a member that left and came back is new too.
static EPOCH: AtomicU64 = AtomicU64::new(1);

mod connect;
mod status;
mod token;

struct Monitor {
    clusters: Clusters,
    name: String,
    joined: watch::Receiver<Joined>,
    session: watch::Sender<Option<Session>>,
    client: Option<kube::Client>,
    /// Whether the member said through this client who it is.
    identified: bool,
    fingerprint: Option<String>,
    /// The token the client shows, if it is one of a secret.
    credential: Option<Box<Credential>>,
    /// How its renewal goes.
    renewal: Renewal,
    verdict: Verdict,
    status: ClusterStatus,
    /// When status was last written.
    written: Option<Instant>,
    /// When zones and region were last read.
    surveyed: Option<Instant>,
    credentials_read: Option<Instant>,
    /// The last problem with address or credentials, as reason and message.
    problem: Option<(&'static str, String)>,
    /// Rights the federation's account lacks.
    lacks: Vec<String>,
    /// Whether the nodes lost the labels that the region or zones in the status came from.
    unlabelled: bool,
    /// When the member was lost, until its replicas move.
    lost: Option<Instant>,
}

/// A part of what is done for a member that ended by itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum PartEnded {
    #[error("{0} came back")]
    Back(String),
    #[error("{0}")]
    Panicked(#[source] JoinError),
}

/// Runs the monitor, the lane and the watches of one member until `stop`. They stand and fall together: what one of
/// them knows is of no use without the others.
///
/// # Errors
/// Which of them ended by itself; all are to be started again.
pub(super) async fn run(clusters: Clusters, joined: watch::Receiver<Joined>, stop: CancellationToken) -> Result<Done, PartEnded> {
    let first = joined.borrow().clone();
    let (session, receiver) = watch::channel(None);
    let mut tasks = JoinSet::new();
    // Unbounded: a copy has at most one job at a time, so that there are never more than copies in this member.
    let (jobs, queue) = mpsc::unbounded_channel();
    let lane = Lane {
        cluster: first.name.clone(),
        federation: clusters.name.clone(),
        session: receiver.clone(),
        jobs: queue,
        done: Box::new({
            let tell = clusters.tell.clone();
            move |done| tell(News::Done(done))
        }),
    };
    tasks.spawn(lane.run().map(|()| "lane".to_owned()));

    let (services, endpoints) = (Services::default(), Endpoints::default());
    clusters.members.put(Member {
        name: first.name.clone(),
        uid: first.uid.clone(),
        labels: first.labels.clone(),
        annotations: first.annotations.clone(),
        health: Health::Unknown,
        counts: first.status.is_ready(),
        zones: first.status.zones.clone(),
        region: first.status.region.clone(),
        client: None,
        services: services.clone(),
        endpoints: endpoints.clone(),
        services_synced: false,
        endpoints_synced: false,
    });
    (clusters.tell)(News::Cluster {
        cluster: first.name.clone(),
        uid: first.uid.clone(),
        labels: first.labels.clone(),
        annotations: first.annotations.clone(),
        lane: Some(jobs),
        was_ready: first.status.is_ready(),
    });
    let watches = Watches {
        cluster: first.name.clone(),
        federation: clusters.name.clone(),
        session: receiver,
        tell: {
            let (tell, cluster) = (clusters.tell.clone(), first.name.clone());
            Arc::new(move |kind, epoch, observed| tell(News::Observed { cluster: cluster.clone(), epoch, kind, observed }))
        },
        members: clusters.members.clone(),
        comparison: clusters.comparison,
    };
    for id in clusters.enabled.which() {
        if KINDS[id].family == Family::Service {
            let (services, endpoints) = (services.clone(), endpoints.clone());
            tasks.spawn(watches.clone().services(services, id).map(|()| "watch of services".to_owned()));
            tasks.spawn(watches.clone().endpoints(endpoints).map(|()| "watch of endpoints".to_owned()));
        } else {
            tasks.spawn(watches.clone().kind(id).map(move |()| format!("watch of {}", KINDS[id].resource)));
        }
    }

    let monitor = Monitor::new(clusters, joined, session);
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(Done),
        // The sender of what was joined is gone only when the member left or all ends.
        () = monitor.watch() => Ok(Done),
        Some(ended) = tasks.join_next() => match ended {
            Ok(name) => Err(PartEnded::Back(name)),
            Err(error) => Err(PartEnded::Panicked(error)),
        },
    }
}

impl Monitor {
    /// Nothing is known yet but what the Cluster says.
    fn new(clusters: Clusters, joined: watch::Receiver<Joined>, session: watch::Sender<Option<Session>>) -> Self {
        let verdict = Verdict::new(clusters.monitor.failures);
        let Joined { name, status, .. } = joined.borrow().clone();
        let lost = status.is_ready().then(Instant::now);
        Self {
            clusters,
            name,
            joined,
            session,
            client: None,
            identified: false,
            fingerprint: None,
            credential: None,
            renewal: Renewal::default(),
            verdict,
            status,
            written: None,
            surveyed: None,
            credentials_read: None,
            problem: None,
            lacks: Vec::new(),
            unlabelled: false,
            lost,
        }
    }

    async fn watch(mut self) {
        loop {
            self.connect().await;
            let answer = self.ask().await;
            let is_ready = answer.health == Health::Ready;
            match self.verdict.take(answer) {
                Change::None => {}
                Change::Reason => self.tell(),
                Change::Health => self.changed(),
            }
            if is_ready {
                if self.session.borrow().is_none() {
                    self.open();
                }
                self.survey().await;
                self.renew().await;
            }
            self.tell_of_token();
            self.write_status().await;
            let pause = if self.verdict.is_doubtful() { self.clusters.monitor.retry } else { self.clusters.monitor.period };
            let wake = Instant::now() + pause;
            let moves = self.lost.map_or(wake + Duration::from_secs(3600), |since| since + self.clusters.monitor.loss_delay);
            tokio::select! {
                () = sleep_until(wake) => {}
                () = sleep_until(moves) => self.give_up(),
                changed = self.joined.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.relabelled();
                }
            }
        }
    }

    /// Asks the member, and whether it is the one it should be.
    async fn ask(&mut self) -> Finding {
        let Some(client) = self.client.clone() else {
            let (reason, why) = self.problem.clone().unwrap_or(("NoClient", "there is no client for it yet".to_owned()));
            return Finding::offline(reason, &why);
        };
        let joined = self.joined.borrow().clone();
        let server = server_url(&joined.spec).unwrap_or_default();
        let Answer { finding, uid } = probe(&client, &server, self.clusters.monitor.timeout).await;
        let Some(uid) = uid else {
            if finding.health == Health::Ready && !self.identified {
                return Finding::not_ready(
                    "ClusterNotReady",
                    "it has too much to do to say which cluster it is; nothing is written before",
                );
            }
            return finding;
        };
        if let Some(wrong) = self.clusters.identities.check(&joined, &uid) {
            return wrong;
        }
        self.identified = true;
        if noted(&joined).is_none() {
            self.note_identity(&joined, &uid).await;
        }
        finding
    }

    /// Closes the session. Says whether one was open.
    fn close(&mut self) -> bool {
        let was_open = self.session.send_replace(None).is_some();
        if was_open {
            self.lost = Some(Instant::now());
            (self.clusters.tell)(News::Session { cluster: self.name.clone(), epoch: None });
        }
        was_open
    }

    /// Tells people about the member's health, or another reason for it.
    fn tell(&mut self) {
        let Finding { health, reason, message, .. } = self.verdict.finding.clone();
        if health == Health::Ready {
            tracing::info!(cluster = self.name, "ready");
        } else {
            tracing::warn!(cluster = self.name, ?health, reason, message, "not ready");
        }
        self.event(health != Health::Ready, reason, message);
    }

    /// An Event on the Cluster.
    fn event(&self, warning: bool, reason: &'static str, message: String) {
        let (name, uid) = (self.name.clone(), self.joined.borrow().uid.clone());
        let about = About { api_version: keys::API_VERSION.into(), kind: "Cluster", namespace: String::new(), name, uid };
        self.clusters.events.tell(Event { about, warning, reason, message });
    }

    /// The verdict on the member's health changed.
    fn changed(&mut self) {
        let health = self.verdict.finding.health;
        self.tell();
        metrics::gauge!("federation_member_ready", "cluster" => self.name.clone()).set(if health == Health::Ready { 1.0 } else { 0.0 });
        self.clusters.members.modify(&self.name, |m| m.health = health);
        if health != Health::Ready && !self.close() {
            // Whoever waits to hear of it does not wait any longer.
            (self.clusters.tell)(News::Session { cluster: self.name.clone(), epoch: None });
        }
    }

    /// Opens a session: watches start anew and the lane takes jobs.
    fn open(&mut self) {
        let Some(client) = self.client.clone() else { return };
        self.lost = None;
        self.clusters.members.modify(&self.name, |m| m.counts = true);
        let epoch = EPOCH.fetch_add(1, Ordering::Relaxed);
        (self.clusters.tell)(News::Session { cluster: self.name.clone(), epoch: Some(epoch) });
        self.session.send_replace(Some(Session { epoch, client }));
    }

    /// The member is away for longer than the loss delay.
    fn give_up(&mut self) {
        if self.lost.take().is_some() {
            tracing::warn!(cluster = self.name, "away for longer than the loss delay; its replicas move");
            self.clusters.members.modify(&self.name, |m| m.counts = false);
            (self.clusters.tell)(News::Lost { cluster: self.name.clone() });
        }
    }

    /// The Cluster changed: labels and annotations are for the others, an address is tried at once.
    fn relabelled(&mut self) {
        let joined = self.joined.borrow_and_update().clone();
        self.clusters.identities.note(&joined);
        self.credentials_read = None;
        let changed = self
            .clusters
            .members
            .current()
            .get(&self.name)
            .is_none_or(|m| m.labels != joined.labels || m.annotations != joined.annotations);
        if !changed {
            return;
        }
        let (labels, annotations) = (joined.labels.clone(), joined.annotations.clone());
        self.clusters.members.modify(&self.name, |m| {
            m.labels = labels;
            m.annotations = annotations;
        });
        (self.clusters.tell)(News::Cluster {
            cluster: self.name.clone(),
            uid: joined.uid,
            labels: joined.labels,
            annotations: joined.annotations,
            lane: None,
            was_ready: false,
        });
    }
}
