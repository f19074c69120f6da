//! What comes next for a request. Pure.

use std::collections::BTreeSet;

use serde_json::Value;
use x509_parser::extensions::GeneralName;

use super::signers::{Asked, Refusal, Signer, Uses};
use crate::auth::UserInfo;
use crate::registry::certificates::request::Subject;

/// Subresources of requests that nobody ever asks for. Who may create one has the request for his node approved.
pub(super) const SELF_NODE_CLIENT: &str = "selfnodeclient";
/// The same for the first certificate of any node.
pub(super) const NODE_CLIENT: &str = "nodeclient";

/// What comes next.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Nothing, until the request changes.
    Nothing,
    /// It is one that is approved as soon as its creator has the right to that.
    Wait,
    /// It is approved, by the right to create this subresource.
    Approve(&'static str),
    /// It is signed for these uses.
    Sign(Uses),
    /// No certificate is ever made of it.
    Fail(Refusal),
}

/// Of a request that can be read. `may` says whether a user may create a subresource of requests, `signs` whether the
/// server has an authority.
pub(super) fn step(
    object: &Value,
    subject: &Subject,
    names: &[&GeneralName<'_>],
    signs: bool,
    may: impl Fn(&UserInfo, &str) -> bool,
) -> Step {
    let (spec, status) = (&object["spec"], &object["status"]);
    let has = |kind: &str| list(&status["conditions"]).any(|condition| condition["type"] == kind);
    let Some(signer) = Signer::named(text(&spec["signerName"])) else { return Step::Nothing };
    if !text(&status["certificate"]).is_empty() || has("Denied") || has("Failed") {
        return Step::Nothing;
    }
    let usages: BTreeSet<&str> = list(&spec["usages"]).map(text).collect();
    let checked = signer.check(Asked { subject, names, usages: &usages });
    if has("Approved") {
        return match checked {
            _ if !signs => Step::Nothing,
            Ok(uses) => Step::Sign(uses),
            Err(why) => Step::Fail(why),
        };
    }
    // What is not as kubelets ask for it is left to others.
    if signer != Signer::KubeletClient || checked.is_err() {
        return Step::Nothing;
    }
    let creator = UserInfo {
        name: text(&spec["username"]).to_owned(),
        uid: text(&spec["uid"]).to_owned(),
        groups: list(&spec["groups"]).map(|group| text(group).to_owned()).collect(),
    };
    if creator.name == subject.name && may(&creator, SELF_NODE_CLIENT) {
        Step::Approve(SELF_NODE_CLIENT)
    } else if may(&creator, NODE_CLIENT) {
        Step::Approve(NODE_CLIENT)
    } else {
        Step::Wait
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::signers::Side;
    use super::*;

    const NODE: &str = "system:node:bagend";

    fn request(signer: &str, by: &str, conditions: &[&str]) -> Value {
        let conditions: Vec<Value> = conditions.iter().map(|kind| json!({"type": kind, "status": "True"})).collect();
        let usages = ["digital signature", "client auth"];
        json!({"spec": {"signerName": format!("kubernetes.io/{signer}"), "username": by, "groups": ["g"], "usages": usages},
            "status": {"conditions": conditions}})
    }

    fn of(object: &Value, rights: &[&str]) -> Step {
        let subject = Subject { name: NODE.into(), groups: vec!["system:nodes".into()] };
        step(object, &subject, &[], true, |user, part| user.groups == ["g"] && rights.contains(&part))
    }

    #[test]
    fn issue10_only_what_kubelets_ask_is_approved_and_only_by_the_rights_of_who_asks() {
        let kubelet = |by: &str| request("kube-apiserver-client-kubelet", by, &[]);
        assert_eq!(of(&kubelet("system:bootstrap:abcdef"), &[NODE_CLIENT]), Step::Approve(NODE_CLIENT));
        assert_eq!(of(&kubelet("system:bootstrap:abcdef"), &[SELF_NODE_CLIENT]), Step::Wait);
        assert_eq!(of(&kubelet(NODE), &[SELF_NODE_CLIENT]), Step::Approve(SELF_NODE_CLIENT));
        assert_eq!(of(&kubelet(NODE), &[NODE_CLIENT]), Step::Approve(NODE_CLIENT));
        assert_eq!(of(&kubelet(NODE), &[]), Step::Wait);
        for signer in ["kube-apiserver-client", "kubelet-serving", "legacy-unknown"] {
            assert_eq!(of(&request(signer, NODE, &[]), &[NODE_CLIENT, SELF_NODE_CLIENT]), Step::Nothing, "{signer}");
        }
        let mut odd = kubelet(NODE);
        odd["spec"]["usages"] = json!(["client auth"]);
        assert_eq!(of(&odd, &[NODE_CLIENT]), Step::Nothing);
    }

    #[test]
    fn issue10_what_is_approved_is_signed_once_or_never() {
        let uses = Uses { side: Side::Client, digital_signature: true, key_encipherment: false };
        let approved = request("kube-apiserver-client", "frodo", &["Approved"]);
        assert_eq!(of(&approved, &[]), Step::Sign(uses));
        let subject = Subject::default();
        assert_eq!(step(&approved, &subject, &[], false, |_, _| true), Step::Nothing, "another program may sign");
        for conditions in [&["Denied"][..], &["Approved", "Failed"]] {
            assert_eq!(of(&request("kube-apiserver-client", "frodo", conditions), &[NODE_CLIENT]), Step::Nothing);
        }
        let mut issued = approved;
        issued["status"]["certificate"] = "LS0t".into();
        assert_eq!(of(&issued, &[]), Step::Nothing);
        let serving = request("kubelet-serving", NODE, &["Approved"]);
        assert_eq!(of(&serving, &[]), Step::Fail(Refusal::NoNames));
        let mut foreign = serving;
        foreign["spec"]["signerName"] = "example.com/mine".into();
        assert_eq!(of(&foreign, &[]), Step::Nothing);
    }
}
