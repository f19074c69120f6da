//! `kubefed kubeconfig issue`: a key made here, a certificate that the API server signs because the caller approves it, and
//! a kubeconfig with both.

use std::time::Duration;

use federation_api::names;
use federation_client::{Access, Environment, Kubeconfig, Source, Target};
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Resource as _, ResourceExt as _};
use serde_json::json;

use super::document::{self, Holder};
use super::output::Output;
use crate::cli::IssueArgs;
use crate::commands::Session;
use crate::connection::Connection;
use crate::error::Failure;
use crate::expiry;
use crate::render::names::MANAGER;
use crate::request::Request;
use crate::wait::{Look, Patience, spell, until};

const SIGNER: &str = "kubernetes.io/kube-apiserver-client";
/// Kubernetes' shortest life of a certificate that is asked for.
const SHORTEST: Duration = Duration::from_secs(600);
/// Between two looks at whether it is signed.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest name of a user or group that goes into a certificate (RFC 5280, ub-common-name and ub-organization-name).
const LONGEST_NAME: usize = 64;
/// Kubernetes' own names begin with this.
const SYSTEM: &str = "system:";
/// Who is in this group may do everything, and no certificate of the API server gives it.
const MASTERS: &str = "system:masters";

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
    let output = Output::prepare(args.output.as_deref())?;
    let at = Connection::to(&access).await?.of_federation().await?;
    let Request { key, request } = Request::new(&args.name, &args.groups).map_err(|e| Failure::new(format!("making a key: {e}")))?;
    let certificate = certify(session, &at, args, &request).await?;
    let end = end(&certificate)?;
    let holder = Holder { user: &args.name, groups: &args.groups, certificate: &certificate, key: &key, until: end };
    let config = document::kubeconfig(&access, args.endpoint.as_deref(), args.namespace.as_deref(), &holder);
    let text = document::text(&config, &holder)?;
    if access.proxy.as_ref().is_some_and(|proxy| proxy.bare_url() != proxy.url()) {
        session.printer.warn("the proxy's name and password of your own entry are left out: whoever uses the kubeconfig adds his");
    }
    if access.insecure {
        session.printer.warn("the server's certificate is not checked by this kubeconfig, as by your own entry: give it an authority");
    }
    try_out(session, &text, &args.name).await;
    output.write(&session.printer, &text)?;
    session.printer.note(&format!("Issued for {}.", document::told(&holder)));
    Ok(())
}

/// What was typed, before anything is done.
fn check(args: &IssueArgs) -> Result<(), Failure> {
    let all = || std::iter::once(("the user's name", &args.name)).chain(args.groups.iter().map(|group| ("--group", group)));
    for (what, name) in all() {
        let bad = |why: String, hint: &str| Err(Failure::usage(format!("{what}: {why}")).hint(hint));
        if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) || name.trim() != name {
            return bad(
                format!("{name:?} cannot stand in a certificate"),
                "names have 1 to 64 characters, none of them a control character, and no blanks at their ends",
            );
        }
        if name == MASTERS {
            return bad(
                format!("no certificate is issued for {MASTERS}"),
                "such a certificate could do everything for as long as it lasts: use a group of your own, bound to the ClusterRole cluster-admin",
            );
        }
        if name.starts_with(SYSTEM) && !args.allow_system {
            return bad(
                format!("{name:?} begins with {SYSTEM}, as Kubernetes' own names do"),
                "use another name, or --allow-system if that is meant",
            );
        }
    }
    if args.ttl < SHORTEST {
        return Err(Failure::usage(format!("--ttl: {} is too short", spell(args.ttl))).hint("certificates are good for 10m at least"));
    }
    if let Some(namespace) = &args.namespace {
        names::namespace_name(namespace)?;
    }
    match args.endpoint.as_deref().map(str::parse::<http::Uri>) {
        Some(Ok(uri)) if uri.scheme_str() == Some("https") && uri.host().is_some_and(|host| !host.is_empty()) => Ok(()),
        None => Ok(()),
        Some(_) => Err(Failure::usage("--endpoint: it has to be a URL that begins with https://")
            .hint("for example --endpoint=https://federation.example.com:6443")),
    }
}

/// Has a request signed, and takes it away whatever comes of it.
async fn certify(session: &Session, at: &Connection, args: &IssueArgs, request: &str) -> Result<Vec<u8>, Failure> {
    let requests: Api<CertificateSigningRequest> = Api::all(at.client.clone());
    let seconds = i32::try_from(args.ttl.as_secs()).unwrap_or(i32::MAX);
    let object = serde_json::from_value(json!({
        "metadata": {"generateName": "kubefed-"},
        "spec": {
            "request": k8s_openapi::ByteString(request.as_bytes().to_vec()),
            "signerName": SIGNER,
            "usages": ["client auth", "digital signature"],
            "expirationSeconds": seconds,
        },
    }));
    let object: CertificateSigningRequest = object.map_err(|e| Failure::new(e.to_string()))?;
    let made = requests.create(&PostParams::default(), &object).await.map_err(|e| at.failed("asking for a certificate", &e))?;
    let signed = signed(session, at, &requests, &made, args.timeout).await;
    let same = Preconditions { uid: made.meta().uid.clone(), resource_version: None };
    let gone = requests.delete(&made.name_any(), &DeleteParams { preconditions: Some(same), ..DeleteParams::default() }).await;
    if let Err(e) = federation_client::if_there(gone) {
        session.printer.warn(&format!("{}; it goes by itself within a day", at.failed("deleting the request", &e).message));
    }
    signed
}

async fn signed(
    session: &Session,
    at: &Connection,
    requests: &Api<CertificateSigningRequest>,
    made: &CertificateSigningRequest,
    limit: Duration,
) -> Result<Vec<u8>, Failure> {
    let name = &made.name_any();
    let condition = json!({"type": "Approved", "status": "True", "reason": "Issued", "message": "Approved by kubefed kubeconfig issue."});
    // Only what was just made: somebody may have put another request in its place.
    let version = json!({"uid": made.uid(), "resourceVersion": made.resource_version()});
    let approval = Patch::Merge(json!({"metadata": version, "status": {"conditions": [condition]}}));
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    requests.patch_approval(name, &params, &approval).await.map_err(|e| at.failed("approving the request", &e))?;
    let patience = Patience { limit, pause: PAUSE.min(limit) };
    until(&session.printer, "the certificate", patience, async || {
        let request = requests.get(name).await.map_err(|e| at.failed("reading the request", &e))?;
        if request.uid() != made.uid() {
            return Err(Failure::new(format!("request {name} was replaced by another while it was signed"))
                .hint("no kubeconfig was made; find out who may delete and create certificatesigningrequests, then repeat the command"));
        }
        let status = request.status.unwrap_or_default();
        if let Some(certificate) = status.certificate {
            return Ok(Look::Done(certificate.0));
        }
        match status.conditions.into_iter().flatten().find(|c| c.type_ == "Failed" || c.type_ == "Denied") {
            Some(c) => Err(Failure::new(format!("no certificate is signed: {}", c.message.unwrap_or(c.type_)))
                .hint(format!("the server {} refused it", at.server))),
            None => Ok(Look::missing(
                "nobody signs it",
                "the API server signs when it runs with --cluster-signing-cert-file and --cluster-signing-key-file; kubefed init sets them",
            )),
        }
    })
    .await
}

/// When a certificate ends.
fn end(pem: &[u8]) -> Result<Timestamp, Failure> {
    let periods = expiry::certificates(pem).ok();
    let first = periods.and_then(|periods| periods.first().copied());
    first.map(|period| period.end).ok_or_else(|| Failure::new("the API server signed what cannot be read as a certificate"))
}

/// Whether the new kubeconfig works from here, which is worth a warning only: its holder may be elsewhere.
async fn try_out(session: &Session, text: &str, user: &str) {
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
