//! A certificate that the API server signs, because the caller asks for it and approves it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Resource as _, ResourceExt as _};
use serde_json::json;

use crate::commands::Session;
use crate::connection::Connection;
use crate::error::Failure;
use crate::expiry;
use crate::render::names::MANAGER;
use crate::wait::{Look, Patience, spell, until};

/// Kubernetes' shortest life of a certificate that is asked for.
const SHORTEST: Duration = Duration::from_secs(600);
/// Between two looks at whether it is signed.
const PAUSE: Duration = Duration::from_millis(100);

/// What is asked for besides key and subject.
pub(super) struct Order<'a> {
    pub(super) signer: &'a str,
    /// The command that approves it, for who reads the log.
    pub(super) command: &'a str,
    pub(super) ttl: Duration,
    /// How long to wait for the signature.
    pub(super) limit: Duration,
}

/// Whether a certificate may last so long.
///
/// # Errors
/// It may not.
pub(super) fn lifetime(ttl: Duration) -> Result<(), Failure> {
    if ttl < SHORTEST {
        return Err(Failure::usage(format!("--ttl: {} is too short", spell(ttl))).hint("certificates are good for 10m at least"));
    }
    Ok(())
}

/// Has a request signed, and takes it away whatever comes of it.
///
/// # Errors
/// The caller may not ask or approve; nobody signs.
pub(super) async fn certify(session: &Session, at: &Connection, order: &Order<'_>, request: &str) -> Result<Vec<u8>, Failure> {
    let requests: Api<CertificateSigningRequest> = Api::all(at.client.clone());
    let seconds = i32::try_from(order.ttl.as_secs()).unwrap_or(i32::MAX);
    let object = serde_json::from_value(json!({
        "metadata": {"generateName": "kubefed-"},
        "spec": {
            "request": k8s_openapi::ByteString(request.as_bytes().to_vec()),
            "signerName": order.signer,
            "usages": ["client auth", "digital signature"],
            "expirationSeconds": seconds,
        },
    }));
    let object: CertificateSigningRequest = object.map_err(|e| Failure::new(e.to_string()))?;
    let made = requests.create(&PostParams::default(), &object).await.map_err(|e| at.failed("asking for a certificate", &e))?;
    let signed = signed(session, at, &requests, &made, order).await;
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
    order: &Order<'_>,
) -> Result<Vec<u8>, Failure> {
    let name = &made.name_any();
    let condition = json!({"type": "Approved", "status": "True", "reason": "Issued", "message": format!("Approved by {}.", order.command)});
    // Only what was just made: somebody may have put another request in its place.
    let version = json!({"uid": made.uid(), "resourceVersion": made.resource_version()});
    let approval = Patch::Merge(json!({"metadata": version, "status": {"conditions": [condition]}}));
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    match requests.patch_approval(name, &params, &approval).await {
        // The API server approves those of kubelets itself where the caller has the right to them; what became of it is seen below.
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        done => drop(done.map_err(|e| at.failed("approving the request", &e))?),
    }
    let patience = Patience { limit: order.limit, pause: PAUSE.min(order.limit) };
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
///
/// # Errors
/// It is none.
pub(super) fn end(pem: &[u8]) -> Result<Timestamp, Failure> {
    let periods = expiry::certificates(pem).ok();
    let first = periods.and_then(|periods| periods.first().copied());
    first.map(|period| period.end).ok_or_else(|| Failure::new("the API server signed what cannot be read as a certificate"))
}
