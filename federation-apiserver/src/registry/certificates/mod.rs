//! Requests for certificates: who asks is written down, what is asked never changes, and who approves and who signs
//! write different parts of the status.

pub(crate) mod request;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use machinery::schema::rules::certificates as rules;
use machinery::status::FieldError;
use serde_json::{Map, Value, json};
use x509_parser::pem::Pem;

use super::resource::{Change, Strategy, Subresource};
use crate::auth::UserInfo;

/// API group.
pub(crate) const GROUP: &str = "certificates.k8s.io";
/// Plural resource.
pub(crate) const PLURAL: &str = "certificatesigningrequests";
/// Signer of certificates that authenticate at the API server.
pub(crate) const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";
/// Signer of kubelets' certificates of that kind.
pub(crate) const KUBELET_CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// Signer of certificates that kubelets serve with.
pub(crate) const KUBELET_SERVING_SIGNER: &str = "kubernetes.io/kubelet-serving";
/// Group of all nodes.
pub(crate) const NODES: &str = "system:nodes";
/// What the names of nodes' users begin with.
pub(crate) const NODE_USER: &str = "system:node:";
/// Certificates in one answer of a signer, at most.
const LONGEST_CHAIN: usize = 100;

/// Rules of CertificateSigningRequests.
pub(super) struct Requests;

impl Strategy for Requests {
    fn prepare_create(&self, object: &mut Value, user: &UserInfo) {
        let spec = &mut object["spec"];
        if !spec.is_object() {
            *spec = Value::Object(Map::new());
        }
        if let Some(spec) = spec.as_object_mut() {
            spec.retain(|field, _| !matches!(field.as_str(), "username" | "uid" | "groups" | "extra"));
            spec.insert("username".into(), user.name.as_str().into());
            if !user.uid.is_empty() {
                spec.insert("uid".into(), user.uid.as_str().into());
            }
            if !user.groups.is_empty() {
                spec.insert("groups".into(), json!(user.groups));
            }
        }
        object["status"] = json!({});
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, change: Change<'_>) {
        new["spec"] = old["spec"].clone();
        match change.part {
            Some(Subresource::Status) => keep_decisions(new, old),
            Some(Subresource::Approval) => {}
            _ => return,
        }
        date(new, old, change.now);
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if let Err(why) = request::check(object) {
            errors.push(FieldError::invalid("spec.request", object["spec"]["request"].clone(), why.to_string()));
        }
        let certificate = object["status"]["certificate"].as_str().unwrap_or_default();
        if !certificate.is_empty() && !is_chain(certificate) {
            let why = "must contain at least one CERTIFICATE PEM block, and nothing else";
            errors.push(FieldError::invalid("status.certificate", "<certificate data>", why));
        }
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Option<Subresource>) -> Vec<FieldError> {
        if part == Some(Subresource::Status) { rules::status_update(new, old) } else { Vec::new() }
    }

    fn keeps_spec(&self) -> bool {
        true
    }

    fn counts_generations(&self) -> bool {
        false
    }

    fn name_rule(&self) -> Option<machinery::schema::metadata::NameRule> {
        Some(machinery::schema::metadata::path_segment)
    }
}

/// Whether a base64 text holds PEM certificates only.
fn is_chain(text: &str) -> bool {
    let Ok(pem) = STANDARD.decode(text) else { return false };
    let mut blocks = Pem::iter_from_buffer(&pem).take(LONGEST_CHAIN + 1).peekable();
    let good = |block: Result<Pem, _>| block.is_ok_and(|b: Pem| b.label == "CERTIFICATE" && b.parse_x509().is_ok());
    blocks.peek().is_some() && blocks.all(good)
}

/// Who signs writes the decisions back as they were.
fn keep_decisions(new: &mut Value, old: &Value) {
    for kind in ["Approved", "Denied"] {
        let was: Vec<Value> = rules::of_type(old, kind).into_iter().cloned().collect();
        if rules::of_type(new, kind).len() != was.len() {
            continue;
        }
        let list = new["status"]["conditions"].as_array_mut().into_iter().flatten();
        for (condition, was) in list.filter(|condition| condition["type"] == kind).zip(was) {
            *condition = was;
        }
    }
}

/// Fills in when conditions were written and when they changed.
fn date(new: &mut Value, old: &Value, now: &str) {
    for condition in new["status"].get_mut("conditions").and_then(Value::as_array_mut).into_iter().flatten() {
        if condition["lastUpdateTime"].is_null() {
            condition["lastUpdateTime"] = now.into();
        }
        if condition["lastTransitionTime"].is_null() {
            let before = old["status"]["conditions"].as_array().into_iter().flatten();
            let same = before.into_iter().find(|was| was["type"] == condition["type"] && was["status"] == condition["status"]);
            let since = same.map(|was| was["lastTransitionTime"].clone()).filter(Value::is_string);
            condition["lastTransitionTime"] = since.unwrap_or_else(|| now.into());
        }
    }
}
