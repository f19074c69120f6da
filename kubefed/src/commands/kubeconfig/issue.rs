//! `kubefed kubeconfig issue`: a key made here, a certificate that the API server signs because the caller approves it, and
//! a kubeconfig with both.

use federation_api::names;
use federation_client::{Access, Environment, Kubeconfig, Source, Target};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{Api, PostParams};

use super::certificate::{self, Order, certify};
use super::document::{self, Holder, Names};
use super::output::Output;
use super::subject;
use crate::cli::IssueArgs;
use crate::commands::{Session, given};
use crate::connection::Connection;
use crate::error::Failure;
use crate::request::Request;

/// Signs for any user.
pub(super) const SIGNER: &str = "kubernetes.io/kube-apiserver-client";

/// Issues one.
///
/// # Errors
/// What was typed cannot be; the caller may not ask or approve; nobody signs; the file cannot be written.
pub(super) async fn run(session: &Session, args: &IssueArgs) -> Result<(), Failure> {
    check(args)?;
    let access = Access::resolve(
        &session.files().load()?,
        &session.federation_target(session.global.context.as_deref())?,
        &Environment::of_process(),
    )?;
    let output = Output::prepare(&args.to)?;
    let at = Connection::to(&access).await?.of_federation().await?;
    let Request { key, request } = Request::new(&args.name, &args.groups).map_err(|e| Failure::new(format!("making a key: {e}")))?;
    let order = Order { signer: SIGNER, command: "kubefed kubeconfig issue", ttl: args.ttl, limit: args.timeout };
    let certificate = certify(session, &at, &order, &request).await?;
    let until = certificate::end(&certificate)?;
    let holder = Holder { user: &args.name, groups: &args.groups, certificate: &certificate, key: &key, until };
    // They hold the user's name and the server's, so that several kubeconfigs can be merged.
    let name = format!("{}@{}", args.name, access.context);
    let names = Names { cluster: &access.context, user: &name, context: &name };
    let cluster = document::cluster_of(&access, args.endpoint.as_deref());
    let config = document::kubeconfig(&names, &cluster, &document::by_certificate(&holder), args.namespace.as_deref());
    let text = document::text(&config, &document::told(&holder))?;
    remark(session, &access);
    try_out(session, &text, &args.name).await;
    output.write(&session.printer, &text)?;
    session.printer.note(&format!("Issued for {}.", document::told(&holder)));
    Ok(())
}

/// What was typed, before anything is done.
fn check(args: &IssueArgs) -> Result<(), Failure> {
    subject::check("the user's name", &args.name, args.allow_system)?;
    args.groups.iter().try_for_each(|group| subject::check("--group", group, args.allow_system))?;
    certificate::lifetime(args.ttl)?;
    if let Some(namespace) = &args.namespace {
        names::namespace_name(namespace)?;
    }
    args.endpoint.as_deref().map_or(Ok(()), |endpoint| given::https("--endpoint", endpoint))
}

/// Says what the kubeconfig lacks of the maker's own entry, or has of it.
pub(super) fn remark(session: &Session, access: &Access) {
    if access.proxy.as_ref().is_some_and(|proxy| proxy.bare_url() != proxy.url()) {
        session.printer.warn("the proxy's name and password of your own entry are left out: whoever uses the kubeconfig adds his");
    }
    if access.insecure {
        session.printer.warn("the server's certificate is not checked by this kubeconfig, as by your own entry: give it an authority");
    }
}

/// Whether the new kubeconfig works from here, which is worth a warning only: its holder may be elsewhere.
pub(super) async fn try_out(session: &Session, text: &str, user: &str) {
    let tried = async {
        let config = Kubeconfig::read(text.as_bytes(), Source::Secret("issued"))?;
        let target = Target { timeouts: crate::commands::session::timeouts(session.global.request_timeout), ..Target::context(None) };
        let at = Connection::open(&config, &target).await?;
        let review = Api::<SelfSubjectReview>::all(at.client.clone()).create(&PostParams::default(), &SelfSubjectReview::default()).await;
        let review = review.map_err(|e| at.failed("trying the kubeconfig", &e))?;
        let name = review.status.and_then(|status| status.user_info).and_then(|user| user.username).unwrap_or_default();
        if name == user { Ok(()) } else { Err(Failure::new(format!("trying the kubeconfig: the server takes its holder for {name:?}"))) }
    };
    if let Err(failure) = tried.await {
        session.printer.warn(&failure.message);
        if let Some(hint) = failure.hint {
            session.printer.note(&format!("hint: {hint}"));
        }
    }
}
