//! Cross-field rules and immutable fields, one file per API group.
//!
//! Rules read conformed and defaulted objects; missing parts read as `null`.

pub mod apps;
pub mod authorization;
pub mod autoscaling;
pub mod batch;
pub mod certificates;
mod checks;
pub mod coordination;
pub mod core;
pub mod discovery;
pub mod federation;
pub mod networking;
pub mod pod;
pub mod policy;
pub mod rbac;
pub mod selector;
pub mod service;
#[cfg(test)]
mod tests;

use serde_json::Value;

use self::checks::{immutable, not_negative};
use super::Gvk;
use crate::status::FieldError;

/// The rules of a kind.
pub(super) fn validate(gvk: &Gvk, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Namespace") => core::namespace(object, &mut errors),
        ("", "ConfigMap") => core::config_map(object, &mut errors),
        ("", "Secret") => core::secret(object, &mut errors),
        ("", "Pod") => pod::spec(&object["spec"], "spec", pod::Restart::Any, &mut errors),
        ("", "Service") => service::service(object, &mut errors),
        ("", "PersistentVolumeClaim") => core::claim(object, &mut errors),
        ("policy", "PodDisruptionBudget") => policy::disruption_budget(object, &mut errors),
        ("", "Event") | ("events.k8s.io", "Event") => core::event(object, &mut errors),
        ("apps", "Deployment") => apps::deployment(object, &mut errors),
        ("apps", "ReplicaSet") => apps::replica_set(object, &mut errors),
        ("apps", "DaemonSet") => apps::daemon_set(object, &mut errors),
        ("apps", "StatefulSet") => apps::stateful_set(object, &mut errors),
        ("batch", "Job") => batch::job(object, &mut errors),
        ("batch", "CronJob") => batch::cron_job(object, &mut errors),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaling::autoscaler(object, &mut errors),
        ("autoscaling", "Scale") => not_negative(&object["spec"]["replicas"], "spec.replicas", &mut errors),
        ("networking.k8s.io", "Ingress") => networking::ingress(object, &mut errors),
        ("networking.k8s.io", "NetworkPolicy") => networking::network_policy(object, &mut errors),
        ("rbac.authorization.k8s.io", "Role") => rbac::role(object, true, &mut errors),
        ("rbac.authorization.k8s.io", "ClusterRole") => rbac::cluster_role(object, &mut errors),
        ("rbac.authorization.k8s.io", "RoleBinding") => rbac::binding(object, true, &mut errors),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding") => rbac::binding(object, false, &mut errors),
        ("certificates.k8s.io", "CertificateSigningRequest") => certificates::request(object, &mut errors),
        ("coordination.k8s.io", "Lease") => coordination::lease(object, &mut errors),
        ("discovery.k8s.io", "EndpointSlice") => discovery::endpoint_slice(object, &mut errors),
        ("authorization.k8s.io", _) => authorization::review(object, &mut errors),
        ("federation", "Cluster") => federation::cluster(object, &mut errors),
        ("federation", "Credential") => federation::credential(object, &mut errors),
        _ => {}
    }
    errors
}

/// What an update of a kind may not change.
pub(super) fn validate_update(gvk: &Gvk, new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "ConfigMap" | "Secret") => core::frozen(new, old, &mut errors),
        ("", "Service") => service::update(new, old, &mut errors),
        ("", "PersistentVolumeClaim") => core::claim_update(new, old, &mut errors),
        ("apps", "Deployment" | "ReplicaSet" | "DaemonSet") => immutable(new, old, &["spec", "selector"], &mut errors),
        ("apps", "StatefulSet") => apps::stateful_set_update(new, old, &mut errors),
        ("batch", "Job") => batch::job_update(new, old, &mut errors),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => rbac::binding_update(new, old, &mut errors),
        ("certificates.k8s.io", "CertificateSigningRequest") => certificates::update(new, old, &mut errors),
        ("discovery.k8s.io", "EndpointSlice") => immutable(new, old, &["addressType"], &mut errors),
        ("networking.k8s.io", "IngressClass") => immutable(new, old, &["spec", "controller"], &mut errors),
        _ => {}
    }
    errors
}
