//! What kube-apiserver's plugins CertificateApproval, CertificateSigning and CertificateSubjectRestriction ask: whether
//! somebody may approve or sign for a signer, and that nobody becomes a master by a certificate.

use machinery::status::ApiError;
use serde_json::Value;

use crate::auth::authz::Authorization;
use crate::auth::{Attributes, MASTERS, UserInfo, Verb};
use crate::registry::certificates::request::{Subject, der, parse};
use crate::registry::certificates::{CLIENT_SIGNER, GROUP, PLURAL};
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
        return Ok(());
    };
    let (verb, doing) = match part {
        Some(Subresource::Approval) => ("approve", "approve"),
        Some(Subresource::Status) if new["status"] != old["status"] => ("sign", "sign"),
        _ => return Ok(()),
    };
    let signer = old["spec"]["signerName"].as_str().unwrap_or_default();
    if may(authz, user, verb, signer) {
        Ok(())
    } else {
        refuse(format!("user not permitted to {doing} requests with signerName {signer:?}"))
    }
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
    let Ok(der) = der(object) else { return false };
    let Ok(request) = parse(&der) else { return false };
    Subject::of(&request).is_ok_and(|subject| subject.groups.iter().any(|group| group == MASTERS))
}
