//! `kubefed dns`: what the federation wants in DNS, what the provider has, and what is answered.

mod adopt;
mod ask;
mod chain;
mod check;
mod compare;
mod diff;
mod list;
mod members;
mod purge;
mod reach;
mod servers;
mod told;
mod verify;
mod wanted;

#[cfg(test)]
mod tests;

use crate::cli::DnsCommand;
use crate::commands::Session;
use crate::error::{EXIT_FAILED, EXIT_NOT_COMPARED, Failure};

/// Carries out a command on names; the exit code.
///
/// # Errors
/// What cannot be reached, or is not found.
pub(super) async fn run(session: &Session, command: &DnsCommand) -> Result<u8, Failure> {
    match command {
        DnsCommand::List(args) => list::run(session, args).await,
        DnsCommand::Diff(args) => diff::run(session, args).await.map_err(not_compared),
        DnsCommand::Verify(args) => verify::run(session, args).await,
        DnsCommand::Check(args) => check::run(session, args).await,
        DnsCommand::Adopt(args) => adopt::run(session, args).await,
        DnsCommand::Purge(args) => purge::run(session, args).await,
    }
}

/// 1 says that something differs, so a failure has another code.
fn not_compared(failure: Failure) -> Failure {
    let code = if failure.code == EXIT_FAILED { EXIT_NOT_COMPARED } else { failure.code };
    Failure { code, ..failure }
}
