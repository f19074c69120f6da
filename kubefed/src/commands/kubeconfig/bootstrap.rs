//! `kubefed kubeconfig bootstrap`: what a client begins with that has no certificate yet.

use federation_api::bootstrap::Token;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{Api, PostParams};

use super::document::{self, Names};
use super::output::Output;
use crate::cli::BootstrapArgs;
use crate::commands::stranger::{self, Hidden};
use crate::commands::{Session, given};
use crate::discovery::{self, Document, KUBECONFIG, Pin, Untrusted};
use crate::error::Failure;

/// What the tutorials call the user entry.
const USER: &str = "kubelet-bootstrap";
/// Where there is nothing to find out.
const AGAIN: &str = "kubefed token create --print-join-command makes a token that works, and prints this command with it";

/// Makes one.
///
/// # Errors
/// What was typed cannot be; a file cannot be read or written; the server is not the one that is meant.
pub(super) async fn run(session: &Session, args: &BootstrapArgs) -> Result<(), Failure> {
    given::no_kubeconfig(session)?;
    let server = given::server(session)?;
    let authority = session.global.access.certificate_authority.as_deref();
    if authority.is_some() && !args.pins.is_empty() {
        return Err(Failure::usage("--certificate-authority and --discovery-token-ca-cert-hash exclude each other")
            .hint("leave the hash out: the authority is known"));
    }
    if authority.is_none() && args.pins.is_empty() {
        return Err(Failure::usage("the authority of the server's certificate is not given")
            .hint("--certificate-authority=FILE, the ca.crt or ca.pem of the federation or cluster; or --discovery-token-ca-cert-hash"));
    }
    let known = authority.map(|path| given::authorities("--certificate-authority", path)).transpose()?;
    let token = given::token(session, args.token_file.as_deref())?.ok_or_else(|| {
        Failure::usage("the token is not given")
            .hint("--token-file=FILE, or - for standard input; kubefed token create and kubefed token csv make tokens")
    })?;
    let bootstrap = known.is_none().then(|| token.parse::<Token>()).transpose();
    let bootstrap = bootstrap.map_err(|e| Failure::usage(format!("--discovery-token-ca-cert-hash: {e}")).hint(AGAIN))?;
    let output = Output::prepare(&args.to)?;
    let authorities = match (known, bootstrap) {
        (Some(known), _) => known,
        (None, Some(token)) => discover(session, server, &token, &args.pins).await?,
        (None, None) => return Err(Failure::usage("the token is not given")),
    };
    let (cluster, user) = (document::cluster(server, &authorities), document::by_token(&token));
    let config = document::kubeconfig(&Names::of_component(USER), &cluster, &user, None);
    output.write(&session.printer, &document::text(&config, "a token, to ask for a certificate with")?)
}

/// The authority of a server that is not known yet, as kubeadm finds it. Nothing is sent but the question until it is.
async fn discover(session: &Session, server: &str, token: &Token, pins: &[Pin]) -> Result<String, Failure> {
    let told = ask(session, server, None).await?;
    let authorities = discovery::authorities(&told, token, pins).map_err(|why| distrust(server, &why))?;
    let proved = ask(session, server, Some(&authorities)).await?;
    if proved.get(KUBECONFIG) != told.get(KUBECONFIG) {
        return Err(Failure::new(format!("{server} says something else when it is asked again")).hint(
            "somebody may be in between, or the authority is being changed: repeat the command, and look who answers there if it stays so",
        ));
    }
    let at = stranger::connection(session, server, Some(&authorities), Some(&token.reveal())).await?;
    let review = Api::<SelfSubjectReview>::all(at.client.clone()).create(&PostParams::default(), &SelfSubjectReview::default()).await;
    match review {
        Ok(_) => Ok(authorities),
        Err(kube::Error::Api(status)) if status.code == 401 => {
            Err(Failure::new(format!("{server} does not take token {}: it has expired, or was deleted", token.id())).hint(AGAIN))
        }
        Err(e) => Err(at.failed("showing the token", &e)),
    }
}

async fn ask(session: &Session, server: &str, authorities: Option<&str>) -> Result<Document, Failure> {
    let at = stranger::connection(session, server, authorities, None).await?;
    stranger::document(&at).await.map_err(|hidden| match hidden {
        Hidden::Failed(failure) if authorities.is_some() => {
            failure.hint("if it is the certificate, somebody else answers there, without the authority's key; the token was not shown")
        }
        Hidden::Failed(failure) => failure.hint("check --server, and that it can be reached from here"),
        Hidden::Status(code) => Failure::new(format!("{server} does not tell strangers its authority: it answers {code}"))
            .hint("kubefed token create --print-join-command lets them ask; or name the authority with --certificate-authority"),
    })
}

fn distrust(server: &str, why: &Untrusted) -> Failure {
    let hint = match why {
        Untrusted::Unsigned(_) => AGAIN,
        Untrusted::Forged(_) => "check the token: its first part is right, its second part is not, or somebody else answers there",
        Untrusted::Unreadable => "kubefed token create --print-join-command writes it anew",
        Untrusted::Other(_) => "check the hash, which has to come from somebody you trust; if it is right, somebody else answers there",
    };
    Failure::new(format!("{server} is not trusted: {why}")).hint(hint)
}
