//! `kubefed kubeconfig`: access to the federation for others.

mod bootstrap;
mod certificate;
mod component;
mod document;
mod issue;
mod output;
mod revoke;
mod subject;

use super::Session;
use crate::cli::KubeconfigCommand;
use crate::error::Failure;

/// Carries out a command.
///
/// # Errors
/// What was typed cannot be; and anything the server, the network or the file system says.
pub(super) async fn run(session: &Session, command: &KubeconfigCommand) -> Result<(), Failure> {
    match command {
        KubeconfigCommand::Issue(args) => issue::run(session, args).await,
        KubeconfigCommand::Bootstrap(args) => bootstrap::run(session, args).await,
        KubeconfigCommand::Component(args) => component::run(session, args).await,
        KubeconfigCommand::List(args) => revoke::list(session, args).await,
        KubeconfigCommand::Revoke(args) => revoke::revoke(session, args).await,
    }
}
