//! `kubefed kubeconfig bootstrap`: what a client begins with that has no certificate yet.

use super::document::{self, Names};
use super::output::Output;
use crate::cli::BootstrapArgs;
use crate::commands::{Session, given};
use crate::error::Failure;

/// What the tutorials call the user entry.
const USER: &str = "kubelet-bootstrap";

/// Makes one.
///
/// # Errors
/// What was typed cannot be; a file cannot be read or written.
pub(super) fn run(session: &Session, args: &BootstrapArgs) -> Result<(), Failure> {
    given::no_kubeconfig(session)?;
    let server = given::server(session)?;
    let authority = session.global.access.certificate_authority.as_deref().ok_or_else(|| {
        Failure::usage("the authority of the server's certificate is not given")
            .hint("--certificate-authority=FILE, the ca.crt or ca.pem of the federation or cluster")
    })?;
    let authorities = given::authorities("--certificate-authority", authority)?;
    let token = given::token(session, args.token_file.as_deref())?.ok_or_else(|| {
        Failure::usage("the token is not given")
            .hint("--token-file=FILE, or - for standard input; kubefed token create and kubefed token csv make tokens")
    })?;
    let output = Output::prepare(&args.to)?;
    let (cluster, user) = (document::cluster(server, &authorities), document::by_token(&token));
    let config = document::kubeconfig(&Names::of_component(USER), &cluster, &user, None);
    output.write(&session.printer, &document::text(&config, "a token, to ask for a certificate with")?)
}
