//! Puts the controllers together and runs them.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    Config, HostConnector, HostCredentials, MemberConnector,
    clusters::{Clusters, identity::Identities},
    dns,
    election::Elector,
    endpoint,
    events::Events,
    kinds::KINDS,
    members::Members,
    propagation::{
        brain::{Brain, Parts},
        intake::{Intake, Mailbox},
        records::Records,
        watch_federated, watch_left_alone,
        writer::Writer,
    },
    services,
};

/// Time for the last records to be written after shutdown was asked for.
const GRACE: Duration = Duration::from_secs(5);
/// Pause before the records are read again when that failed.
const RETRY: Duration = Duration::from_secs(1);

/// What every controller is given.
#[derive(Clone)]
pub struct Context {
    /// What the controller manager was told.
    pub config: Arc<Config>,
    /// Client of the federation.
    pub federation: kube::Client,
    /// The members, as they are and as they change.
    pub members: Members,
    /// Events on federated objects.
    pub events: Events,
    /// Ends everything.
    pub shutdown: CancellationToken,
}

/// Runs all controllers until `shutdown`, with members' credentials read from the host cluster.
///
/// # Errors
/// When the address for health and metrics cannot be bound, and when leadership is lost: the process
/// should end and be started again.
pub async fn run(config: Config, federation: kube::Client, host: HostCredentials, shutdown: CancellationToken) -> anyhow::Result<()> {
    run_with(config, federation, Arc::new(HostConnector::new(Some(host))), shutdown).await
}

/// As [`run`], with members' clients made by `connector`.
///
/// # Errors
/// As [`run`]; also when the DNS configuration is wrong.
pub async fn run_with(
    config: Config,
    federation: kube::Client,
    connector: Arc<dyn MemberConnector>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let dns = dns::open(&config).await?;
    run_with_dns(config, federation, connector, dns, shutdown).await
}

/// As [`run_with`], with a DNS provider that is open already, so that the caller knows where it answers.
///
/// # Errors
/// As [`run`].
pub async fn run_with_dns(
    config: Config,
    federation: kube::Client,
    connector: Arc<dyn MemberConnector>,
    dns: Option<dns::Opened>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let (ready, is_ready) = watch::channel(false);
    let metrics = endpoint::recorder();
    let mut background = JoinSet::new();
    if let Some(metrics) = metrics.clone() {
        background.spawn(endpoint::upkeep(metrics));
    }
    if let Some(address) = config.listen {
        let listener = endpoint::bind(address).await?;
        background.spawn(endpoint::serve(listener, metrics, is_ready, shutdown.clone()));
    }
    let Some(election) = config.election.clone() else {
        lead(config, federation, connector, dns, ready, shutdown).await;
        return Ok(());
    };
    let mut elector = Elector::new(federation.clone(), election);
    tokio::select! {
        () = elector.win() => {}
        () = shutdown.cancelled() => return Ok(()),
    }
    // When the lease is lost the work is dropped where it stands: another one leads now.
    tokio::select! {
        () = lead(config, federation, connector, dns, ready, shutdown) => {}
        lost = elector.keep() => return lost,
    }
    elector.resign().await;
    Ok(())
}

async fn lead(
    config: Config,
    federation: kube::Client,
    connector: Arc<dyn MemberConnector>,
    dns: Option<dns::Opened>,
    ready: watch::Sender<bool>,
    shutdown: CancellationToken,
) {
    let name: Arc<str> = config.federation_name.as_str().into();
    let enabled: [bool; KINDS.len()] = std::array::from_fn(|id| config.enabled(KINDS[id].resource));
    let (mailbox, inbox) = Mailbox::new();
    let members = Members::default();
    let (events, event_writer) = Events::new(federation.clone());
    let records = Records::new(federation.clone()).telling(mailbox.clone());
    let (batches, batch_queue) = mpsc::unbounded_channel();

    let mut tasks = JoinSet::new();
    tasks.spawn(event_writer);
    for kind in (0..KINDS.len()).filter(|&k| enabled[k]) {
        tasks.spawn(watch_federated(federation.clone(), kind, mailbox.clone()));
    }
    for kind in (0..KINDS.len()).filter(|&k| !enabled[k]) {
        tasks.spawn(watch_left_alone(federation.clone(), kind, events.clone()));
    }
    tasks.spawn(read_records(records.clone(), mailbox.clone()));
    let clusters = Clusters {
        federation: federation.clone(),
        name: name.clone(),
        connector,
        monitor: config.monitor.clone(),
        comparison: config.comparison,
        members: members.clone(),
        mailbox: mailbox.clone(),
        events: events.clone(),
        identities: Identities::default(),
        enabled,
    };
    tasks.spawn(clusters.run(shutdown.clone()));
    // Both end at once when this future is dropped.
    let record_writer = AbortOnDropHandle::new(tokio::spawn(records.clone().run(batch_queue)));
    let over = CancellationToken::new();
    let _over = over.clone().drop_guard();
    let parts = Parts {
        federation: name,
        brake: config.brake,
        hold: config.monitor.loss_delay,
        review: config.review,
        clock: crate::time::Clock::of(&federation).await,
        left_out: Arc::new(config.left_out.clone()),
        enabled,
        writer: Writer::new(federation.clone(), records, mailbox, over),
        records: batches,
        events: events.clone(),
        ready,
    };
    let context = Context { config: Arc::new(config), federation, members, events, shutdown: shutdown.clone() };
    others(&context, dns, &mut tasks);
    // Boxed: the brain is a large future.
    Box::pin(Brain::new(parts).run(inbox, shutdown)).await;
    if tokio::time::timeout(GRACE, record_writer).await.is_err() {
        tracing::warn!("the last propagation records could not be written in time; they are made again after the next start");
    }
    tasks.shutdown().await;
}

/// Starts the controllers beside propagation.
fn others(context: &Context, dns: Option<dns::Opened>, tasks: &mut JoinSet<()>) {
    let Context { config, federation, members, events, shutdown } = context.clone();
    let dns = dns.filter(|_| config.enabled("service-dns")).map(|dns| dns.controller(Arc::new(events)));
    if config.enabled("services") {
        let handle = dns.as_ref().map(dns::DnsController::handle);
        tasks.spawn(services::run(federation, members, handle, shutdown.clone()));
    }
    if let Some(dns) = dns {
        tasks.spawn(dns.run(shutdown));
    }
}

async fn read_records(records: Records, mailbox: Mailbox) {
    loop {
        match records.load().await {
            Ok(all) => return mailbox.send(Intake::Records(all)),
            Err(error) => {
                tracing::warn!(error, "the propagation records cannot be read; nothing is decided before they are");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}
