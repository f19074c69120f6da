//! `kubefed status`.

mod look;
mod report;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use machinery::table::human_duration;

use self::report::{Report, Seen};
use super::init::resolve::federation;
use super::{Session, certs};
use crate::cli::StatusArgs;
use crate::connection::Connection;
use crate::error::{EXIT_OK, Failure};

/// Exit code that says that something is not right.
const EXIT_PROBLEMS: u8 = 3;

/// Says how a federation is doing; the exit code.
///
/// # Errors
/// That there is no such federation, or it does not answer.
pub(super) async fn run(session: &Session, args: &StatusArgs) -> Result<u8, Failure> {
    let at = match args.names.as_slice() {
        [] => session.here().await?,
        [name] => session.federation(name).await?,
        names => {
            return Err(Failure::usage(format!("one NAME at most is taken, got {}", names.len()))
                .hint("See 'kubefed status -h' for help and examples."));
        }
    };
    let now = Timestamp::now();
    let mut seen = look::federation(&at, now).await?;
    if args.host.host_cluster_context.is_some() {
        let looked = in_host(session, args, now, &mut seen).await;
        look::note(&mut seen.found, looked);
    }
    let report = Report::of(seen, now);
    match args.output {
        Some(format) => session.printer.value(&serde_json::to_value(&report).map_err(|e| Failure::new(e.to_string()))?, format)?,
        None => print(session, &report, now),
    }
    Ok(if report.problems.is_empty() { EXIT_OK } else { EXIT_PROBLEMS })
}

async fn in_host(session: &Session, args: &StatusArgs, now: Timestamp, seen: &mut Seen) -> Result<(), Failure> {
    let host: Connection = session.host(&session.credentials(&args.host)?, &args.host).await?;
    let namespace = &args.host.federation_system_namespace;
    let federation = match args.names.as_slice() {
        [name, ..] => federation(name, namespace)?,
        [] => session.installed(&host, namespace).await?.federation,
    };
    seen.federation.clone_from(&federation.name);
    seen.components = look::components(&host, &federation).await?;
    // `kubefed up` has no certificates in its host.
    if host.get_typed::<Secret>(&federation.namespace, &federation.ca()).await?.is_none() {
        return Ok(());
    }
    for (name, state, mend) in certs::due(session, &host, &federation, (now, args.within)).await? {
        seen.found.push(report::Problem { what: format!("{name}: {state}"), mend });
    }
    Ok(())
}

fn print(session: &Session, report: &Report, now: Timestamp) {
    let printer = &session.printer;
    let ago = |at: Timestamp| human_duration(now.duration_since(at).as_secs());
    let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    let ready = if report.server.unready.is_empty() { "ready" } else { "not ready" };
    printer.data(&format!("Federation {} at {}, {}, {ready}", report.federation, report.server.url, report.server.version));
    if let Some(leader) = &report.leader {
        printer.data(&format!("Controller manager {} leads, seen {} ago", leader.identity, ago(leader.renewed)));
    }
    let table = |head: &[&str], rows: Vec<Vec<String>>| {
        if !rows.is_empty() {
            printer.data("");
            printer.table(&std::iter::once(row(head)).chain(rows).collect::<Vec<_>>());
        }
    };
    let components = report.components.iter();
    table(
        &["COMPONENT", "READY", "IMAGE"],
        components.map(|c| vec![c.name.clone(), format!("{}/{}", c.ready, c.wanted), c.image.clone()]).collect(),
    );
    let clusters = report.clusters.iter().map(|c| {
        let ready = if c.ready { "True" } else { "False" };
        let since = c.since.map_or_else(|| "-".to_owned(), ago);
        let dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        let zones = dash(c.zones.join(","));
        vec![c.name.clone(), ready.to_owned(), since, dash(c.region.clone()), zones, c.objects.to_string(), c.out_of_sync.to_string()]
    });
    table(&["CLUSTER", "READY", "SINCE", "REGION", "ZONES", "OBJECTS", "OUT OF SYNC"], clusters.collect());
    let objects = &report.objects;
    printer.data("");
    printer.data(&format!("{} of {} objects are in sync", objects.in_sync, objects.total));
    let places = objects.out_of_sync.iter().map(|p| vec![p.object.clone(), p.cluster.clone(), p.state.clone(), p.reason.clone()]);
    table(&["OBJECT", "CLUSTER", "STATE", "REASON"], places.collect());
    let warnings = report.warnings.iter().map(|w| vec![ago(w.seen), w.reason.clone(), w.object.clone(), w.message.clone()]);
    table(&["LAST SEEN", "REASON", "OBJECT", "MESSAGE"], warnings.collect());
    for problem in &report.problems {
        printer.warn(&if problem.mend.is_empty() { problem.what.clone() } else { format!("{}; {}", problem.what, problem.mend) });
    }
}
