//! Puts the controllers together and runs them.

use std::{sync::Arc, time::Duration};

use daemon::{
    backoff::Backoff,
    supervise::{Done, Supervisor, beating},
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, HostConnector, HostCredentials, MemberConnector, backoff,
    clusters::{Clusters, identity::Identities},
    dns,
    election::Elector,
    endpoint::{self, Told},
    error::RunError,
    events::Events,
    kinds::{KINDS, PerKind},
    members::Members,
    propagation::{
        controller::{Controller, Parts},
        intake::{Intake, Mailbox},
        records::Records,
        settings::Settings,
        watch_federated, watch_left_alone,
        writer::Writer,
    },
    services,
};

/// Time for the last records to be written after shutdown was asked for.
const GRACE: Duration = Duration::from_secs(5);
/// Propagation shows that it lives every second; when it did not for so long, it hangs.
const HANGS: Duration = Duration::from_secs(60);

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
/// When the address for health and metrics cannot be bound, when leadership is lost, and when a task died that never
/// should (as a [`Failure`](program::failure::Failure) with exit code [`EXIT_DEFECT`](program::failure::EXIT_DEFECT)): the
/// process should end and be started again.
pub async fn run(config: Config, federation: kube::Client, host: HostCredentials, shutdown: CancellationToken) -> Result<(), RunError> {
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
) -> Result<(), RunError> {
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
) -> Result<(), RunError> {
    supervised(config, federation, connector, dns, &Arc::new(Supervisor::new(shutdown))).await
}

/// Works until the stop, or until one of the tasks died.
async fn supervised(
    config: Config,
    federation: kube::Client,
    connector: Arc<dyn MemberConnector>,
    dns: Option<dns::Opened>,
    tasks: &Arc<Supervisor>,
) -> Result<(), RunError> {
    tokio::select! {
        ended = serve(config, federation, connector, dns, tasks.stopping(), tasks) => ended,
        death = tasks.death() => Err(death.into()),
    }
}

async fn serve(
    config: Config,
    federation: kube::Client,
    connector: Arc<dyn MemberConnector>,
    dns: Option<dns::Opened>,
    shutdown: CancellationToken,
    tasks: &Arc<Supervisor>,
) -> Result<(), RunError> {
    let (ready, is_ready) = watch::channel(false);
    let metrics = endpoint::recorder();
    if let Some(metrics) = metrics.clone() {
        tasks.spawn("metrics", endpoint::upkeep(metrics));
    }
    if let Some(address) = config.listen {
        let listener = endpoint::bind(address).await.map_err(|source| RunError::Listen { address, source })?;
        // Weak, because it is one of the tasks itself.
        tasks.spawn("endpoint", endpoint::serve(listener, Told { metrics, ready: is_ready, tasks: Arc::downgrade(tasks) }));
    }
    if let Some(dns) = &dns {
        tasks.spawn("dns-server", dns.ended());
    }
    let Some(election) = config.election.clone() else {
        lead(config, federation, connector, dns, ready, shutdown, tasks).await;
        return Ok(());
    };
    let mut elector = Elector::new(federation.clone(), election.clone());
    // Who stands by is as ready as it can be, and an update may go on to the next pod. But queries for names must not be
    // sent to it where it would answer them itself: it holds none.
    let (standing_by, answers) = (ready.clone(), dns.as_ref().is_some_and(|dns| !dns.addresses().is_empty()));
    let keeping = tasks.child();
    let ((won, is_won), (tell, lost)) = (oneshot::channel(), oneshot::channel());
    keeping.spawn("election", async move {
        elector
            .win(|stands| {
                standing_by.send_replace(stands && !answers);
            })
            .await;
        standing_by.send_replace(false);
        let _ = won.send(());
        let _ = tell.send(elector.keep().await);
        Done
    });
    tokio::select! {
        Ok(()) = is_won => {}
        () = shutdown.cancelled() => return Ok(()),
    }
    // When the lease is lost the work is dropped where it stands: another one leads now.
    tokio::select! {
        () = lead(config, federation.clone(), connector, dns, ready, shutdown, tasks) => {}
        Ok(lost) = lost => return Err(lost.into()),
    }
    drop(keeping);
    Elector::new(federation, election).resign().await;
    Ok(())
}

/// Works until shutdown. What is started here ends when this is dropped.
async fn lead(
    config: Config,
    federation: kube::Client,
    connector: Arc<dyn MemberConnector>,
    dns: Option<dns::Opened>,
    ready: watch::Sender<bool>,
    shutdown: CancellationToken,
    tasks: &Supervisor,
) {
    let name: Arc<str> = config.federation_name.as_str().into();
    let enabled = PerKind::new(|id| config.enabled(KINDS[id].resource));
    let (mailbox, inbox) = Mailbox::new();
    let members = Members::default();
    let (events, event_writer) = Events::new(federation.clone());
    let records = Records::new(federation.clone()).telling(mailbox.clone());
    // Unbounded: propagation sends what it learned from its mailbox, once a turn, and the writer merges all that is
    // there into one batch with one place for each object.
    let (batches, batch_queue) = mpsc::unbounded_channel();

    let (tasks, writing) = (tasks.child(), tasks.child());
    tasks.spawn("events", event_writer);
    for kind in enabled.which() {
        let (federation, mailbox) = (federation.clone(), mailbox.clone());
        tasks.restart("federation-watch", move || watch_federated(federation.clone(), kind, mailbox.clone()));
    }
    for kind in PerKind::new(|kind| !enabled[kind]).which() {
        let (federation, events) = (federation.clone(), events.clone());
        tasks.restart_always("federation-watch", move || watch_left_alone(federation.clone(), kind, events.clone()));
    }
    tasks.spawn("records-reader", read_records(records.clone(), mailbox.clone()));
    let clock = crate::time::Clock::of(&federation).await;
    let clusters = Clusters {
        federation: federation.clone(),
        name: name.clone(),
        connector,
        monitor: config.monitor.clone(),
        comparison: config.comparison,
        members: members.clone(),
        tell: Arc::new({
            let mailbox = mailbox.clone();
            move |news| mailbox.send(news)
        }),
        events: events.clone(),
        identities: Identities::default(),
        enabled: enabled.clone(),
        clock,
    };
    tasks.spawn("clusters", clusters.run(tasks.child(), shutdown.clone()));
    writing.spawn("records-writer", records.clone().run(batch_queue));
    let over = CancellationToken::new();
    let _over = over.clone().drop_guard();
    let settings = Settings {
        federation: name,
        brake: config.brake,
        loss_delay: config.monitor.loss_delay,
        review: config.review,
        scale_window: config.scale_window,
        clock,
        left_out: Arc::new(config.left_out.clone()),
        enabled,
    };
    let parts = Parts {
        settings,
        writer: Writer::new(federation.clone(), records, mailbox, over),
        records: batches,
        events: events.clone(),
        ready,
    };
    let context = Context { config: Arc::new(config), federation, members, events, shutdown: shutdown.clone() };
    others(&context, dns, &tasks);
    let (done, over) = oneshot::channel::<()>();
    let ends = shutdown.clone();
    tasks.spawn_beating("propagation", HANGS, |heart| async move {
        let _done = done;
        // Boxed: its future is large.
        beating(Box::pin(Controller::new(parts).run(inbox, ends)), &heart).await;
    });
    let _ = over.await;
    if !shutdown.is_cancelled() {
        // It died, which the supervisor tells.
        std::future::pending::<()>().await;
    }
    let asked = tokio::time::Instant::now();
    writing.stop(GRACE).await;
    if asked.elapsed() >= GRACE {
        tracing::warn!("the last propagation records could not be written in time; they are made again after the next start");
    }
}

/// Starts the controllers beside propagation.
fn others(context: &Context, dns: Option<dns::Opened>, tasks: &Supervisor) {
    let Context { config, federation, members, events, shutdown } = context.clone();
    let dns = dns.filter(|_| config.enabled("service-dns")).map(|dns| dns.controller(Arc::new(events)));
    if config.enabled("services") {
        let handle = dns.as_ref().map(dns::DnsController::handle);
        tasks.spawn("services", services::run(federation, members, handle, shutdown.clone()));
    }
    if let Some(dns) = dns {
        tasks.spawn("dns", dns.run(shutdown));
    }
}

async fn read_records(records: Records, mailbox: Mailbox) -> Done {
    let mut failed = Backoff::new(backoff::READ);
    loop {
        match records.load().await {
            Ok(all) => {
                mailbox.send(Intake::Records(all));
                return Done;
            }
            Err(error) => {
                tracing::warn!(%error, "the propagation records cannot be read; nothing is decided before they are");
                failed.pause().await;
            }
        }
    }
}

#[cfg(test)]
#[path = "manager_tests.rs"]
mod tests;
