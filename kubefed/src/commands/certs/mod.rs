//! `kubefed certs`.

mod check;
mod held;
mod renew;

#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

use self::held::State;
use super::Session;
use super::init::resolve::federation;
use super::names::one_name;
use crate::cli::{CertsCommand, HostArgs};
use crate::connection::Connection;
use crate::error::{EXIT_OK, Failure};
use crate::render::names::Federation;

/// Carries out a command on certificates; the exit code.
///
/// # Errors
/// That there is no such federation, and anything the host says.
pub(super) async fn run(session: &Session, command: &CertsCommand) -> Result<u8, Failure> {
    match command {
        CertsCommand::Check(args) => {
            let (host, federation) = find(session, "certs check", &args.names, &args.host).await?;
            check::run(session, &host, &federation, args).await
        }
        CertsCommand::Renew(args) => {
            let (host, federation) = find(session, "certs renew", &args.names, &args.host).await?;
            renew::run(session, &host, &federation, args).await.map(|()| EXIT_OK)
        }
    }
}

/// What of a federation has ended, ends within so long from now, or cannot be used: its name, how it stands, and what mends it.
///
/// # Errors
/// Anything the host says.
pub(super) async fn due(
    session: &Session,
    host: &Connection,
    federation: &Federation,
    (now, within): (Timestamp, Duration),
) -> Result<Vec<(String, &'static str, String)>, Failure> {
    let all = check::all(session, host, federation, now).await?;
    let due = all.into_iter().filter(|held| held.state(now, within) != State::Good);
    Ok(due
        .map(|held| (format!("{} in {}", held.name, held.place), held.state(now, within).word(), held.mend(federation, &host.context)))
        .collect())
}

/// The host, and the federation whose authority it has.
async fn find(session: &Session, command: &str, names: &[String], args: &HostArgs) -> Result<(Connection, Federation), Failure> {
    let federation = federation(one_name(command, names)?, &args.federation_system_namespace)?;
    let host = session.host(&session.credentials(args)?, args).await?;
    if host.get_typed::<Secret>(&federation.namespace, &federation.ca()).await?.is_none() {
        let (name, namespace) = (&federation.name, &federation.namespace);
        return Err(Failure::new(format!("there is no federation \"{name}\" in namespace {namespace} of context {}", host.context))
            .hint("name its host with --host-cluster-context, and its namespace with --federation-system-namespace"));
    }
    Ok((host, federation))
}
