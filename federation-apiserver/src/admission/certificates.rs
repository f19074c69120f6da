//! What kube-apiserver's plugins CertificateApproval, CertificateSigning and CertificateSubjectRestriction ask: whether
//! somebody may approve or sign for a signer, and that nobody becomes a master by a certificate. What NodeRestriction asks of
//! requests: that a node asks for itself only. And what Kubernetes does not ask: that nobody approves a certificate for whom
//! he may not act as, for it would make him that.

use machinery::status::ApiError;
use serde_json::Value;

use crate::auth::authn::may_act_as;
use crate::auth::authz::Authorization;
use crate::auth::{Attributes, MASTERS, UserInfo, Verb};
use crate::registry::certificates::request::{Subject, der, parse};
use crate::registry::certificates::{CLIENT_SIGNER, GROUP, KUBELET_CLIENT_SIGNER, KUBELET_SERVING_SIGNER, NODE_USER, NODES, PLURAL};
use crate::registry::resource::Subresource;

/// Whether `user` may make or change a request for a certificate, which is valid by itself.
///
/// # Errors
/// 403 with the signer that the user has no right on, or the group that is not given.
pub(crate) fn check(
    authz: &Authorization,
    user: &UserInfo,
    new: &Value,
    old: Option<&Value>,
    part: Option<Subresource>,
) -> Result<(), ApiError> {
    let name = new["metadata"]["name"].as_str().unwrap_or_default();
    let refuse = |why: String| Err(ApiError::forbidden(GROUP, PLURAL, name, &why));
    let Some(old) = old else {
        if new["spec"]["signerName"] == CLIENT_SIGNER && asks_for_masters(new) {
            return refuse(format!("use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed"));
        }
        let of_nodes = [KUBELET_CLIENT_SIGNER, KUBELET_SERVING_SIGNER].iter().any(|signer| new["spec"]["signerName"] == **signer);
        if of_nodes && user.name.starts_with(NODE_USER) && user.in_group(NODES) && subject(new).is_none_or(|s| s.name != user.name) {
            return refuse(format!("can only create a node CSR with CN={}", user.name));
        }
        return Ok(());
    };
    let (verb, doing) = match part {
        Some(Subresource::Approval) => ("approve", "approve"),
        Some(Subresource::Status) if new["status"] != old["status"] => ("sign", "sign"),
        _ => return Ok(()),
    };
    let signer = old["spec"]["signerName"].as_str().unwrap_or_default();
    if !may(authz, user, verb, signer) {
        return refuse(format!("user not permitted to {doing} requests with signerName {signer:?}"));
    }
    if signer == CLIENT_SIGNER
        && part == Some(Subresource::Approval)
        && approved(new)
        && !approved(old)
        && let Some(subject) = subject(old)
        && let Err(e) = may_act_as(authz, user, &subject.name, &subject.groups)
    {
        return refuse(format!("user not permitted to approve a certificate for whom he may not act as: {}", e.message));
    }
    Ok(())
}

/// Whether a request has been approved.
fn approved(object: &Value) -> bool {
    object["status"]["conditions"].as_array().into_iter().flatten().any(|condition| condition["type"] == "Approved")
}

/// Whether there is a right on the signer, or on all signers of its domain.
fn may(authz: &Authorization, user: &UserInfo, verb: &'static str, signer: &str) -> bool {
    let domain = signer.split('/').next().unwrap_or_default();
    [signer.to_owned(), format!("{domain}/*")].into_iter().any(|name| {
        let asked = Attributes {
            verb: Verb::Other(verb.into()),
            group: GROUP.to_owned(),
            version: "*".to_owned(),
            resource: "signers".to_owned(),
            name,
            ..Attributes::default()
        };
        authz.allows(user, &asked)
    })
}

/// Whether it asks for the group of those who may do everything. What cannot be read was refused before.
fn asks_for_masters(object: &Value) -> bool {
    subject(object).is_some_and(|subject| subject.groups.iter().any(|group| group == MASTERS))
}

/// Whom the certificate would be about.
fn subject(object: &Value) -> Option<Subject> {
    Subject::of(&parse(&der(object).ok()?).ok()?).ok()
}
