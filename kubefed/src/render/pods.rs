//! What the pods of both components have in common: security, probes, volumes, resources.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, EmptyDirVolumeSource, HTTPGetAction, KeyToPath, LocalObjectReference, PodAffinityTerm, PodAntiAffinity,
    PodSecurityContext, PodSpec, Probe, ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext, Volume, VolumeMount,
    WeightedPodAffinityTerm,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::render::config::{ControlPlane, Sizes};
use crate::render::names::Federation;
use crate::render::object::Object;

/// How pods are exchanged for newer ones. One that is alone is stopped first: it may own a volume, or be the only one that
/// answers queries. Of several each waits for the next to be ready, so that an update interrupts nobody.
pub(super) fn strategy(replicas: i32) -> DeploymentStrategy {
    if replicas <= 1 {
        return DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None };
    }
    let (surge, unavailable) = (Some(IntOrString::Int(1)), Some(IntOrString::Int(0)));
    let rolling = RollingUpdateDeployment { max_surge: surge, max_unavailable: unavailable };
    DeploymentStrategy { type_: Some("RollingUpdate".to_owned()), rolling_update: Some(rolling) }
}

/// Keeps several pods on different nodes where there are as many; a host with fewer nodes gets them all the same.
pub(super) fn apart(replicas: i32, labels: &BTreeMap<String, String>) -> Option<Affinity> {
    let term = PodAffinityTerm {
        label_selector: Some(LabelSelector { match_labels: Some(labels.clone()), match_expressions: None }),
        topology_key: "kubernetes.io/hostname".to_owned(),
        ..PodAffinityTerm::default()
    };
    let preferred = vec![WeightedPodAffinityTerm { pod_affinity_term: term, weight: 100 }];
    let apart = PodAntiAffinity { preferred_during_scheduling_ignored_during_execution: Some(preferred), ..PodAntiAffinity::default() };
    (replicas > 1).then(|| Affinity { pod_anti_affinity: Some(apart), ..Affinity::default() })
}

/// Lets a drain of nodes take one pod after the other; none where there is but one, which could never be drained.
pub(super) fn budget(federation: &Federation, name: String, module: &str, replicas: i32) -> Option<Object> {
    let spec = PodDisruptionBudgetSpec {
        max_unavailable: Some(IntOrString::Int(1)),
        selector: Some(LabelSelector { match_labels: Some(federation.pod_labels(module)), match_expressions: None }),
        ..PodDisruptionBudgetSpec::default()
    };
    let budget = PodDisruptionBudget { metadata: federation.meta(name), spec: Some(spec), status: None };
    (replicas > 1).then(|| Object::new(&budget))
}

/// User and group of our processes; the image is made for it, any other would do.
pub(super) const NONROOT: i64 = 65532;

/// The strictest settings a container can have; root only where `user` says so.
pub(super) fn security(user: i64) -> SecurityContext {
    SecurityContext {
        run_as_user: Some(user),
        run_as_group: Some(user),
        run_as_non_root: Some(user != 0),
        read_only_root_filesystem: Some(true),
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..SecurityContext::default()
    }
}

/// Resource requests and a memory limit, so that a leak ends in a restart and not in a full node; what was asked for
/// counts more.
pub(super) fn resources(cpu: &str, memory: &str, memory_limit: &str, asked: &Sizes) -> ResourceRequirements {
    let quantity = |s: &str| Quantity(s.to_owned());
    let mut requests = BTreeMap::from([("cpu".to_owned(), quantity(cpu)), ("memory".to_owned(), quantity(memory))]);
    let mut limits = BTreeMap::from([("memory".to_owned(), quantity(memory_limit))]);
    requests.extend(asked.requests.clone());
    limits.extend(asked.limits.clone());
    // A default gives way to what was asked for.
    for (resource, limit) in &mut limits {
        let Some(request) = requests.get_mut(resource) else { continue };
        if amount(&request.0) > amount(&limit.0) {
            if asked.limits.contains_key(resource) { request.clone_from(limit) } else { limit.clone_from(request) }
        }
    }
    ResourceRequirements { requests: Some(requests), limits: Some(limits), claims: None }
}

/// Decimal and binary units of quantities with what they stand for, and `m` for a thousandth.
const UNITS: [(&str, f64); 14] = [
    ("", 1.0),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
];

/// A positive Kubernetes quantity: a decimal number and a unit.
pub fn amount(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (_, factor) = UNITS.iter().find(|(known, _)| *known == unit)?;
    number.parse::<f64>().ok().filter(|n| *n > 0.0).map(|n| n * factor)
}

/// A GET of `path` on the port called `port`.
pub(super) fn http_probe(scheme: &str, path: &str, port: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(port.to_owned()),
            scheme: Some(scheme.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// etcd's own verdict, on the port called `metrics`, as kubeadm asks it. `/health` is there in every etcd an image may hold
/// (`/livez` since 3.5.11 only). A full store is a fault a restart does not mend: the API server tells it.
pub(super) fn etcd_probe(serializable: bool, period: i32, failures: i32) -> Probe {
    let path = format!("/health?exclude=NOSPACE&serializable={serializable}");
    Probe { timeout_seconds: Some(15), ..http_probe("HTTP", &path, "metrics", period, failures) }
}

/// A secret as a volume, readable by the pod's group only.
pub(super) fn secret_volume(volume: &str, secret: String) -> Volume {
    Volume {
        name: volume.to_owned(),
        secret: Some(SecretVolumeSource { secret_name: Some(secret), default_mode: Some(0o440), ..SecretVolumeSource::default() }),
        ..Volume::default()
    }
}

/// As [`secret_volume`] with these keys only, each a file of the same name.
pub(super) fn secret_files<'a>(volume: &str, secret: String, keys: impl IntoIterator<Item = &'a str>) -> Volume {
    let mut made = secret_volume(volume, secret);
    if let Some(source) = &mut made.secret {
        let item = |key: &str| KeyToPath { key: key.to_owned(), path: key.to_owned(), mode: None };
        source.items = Some(keys.into_iter().map(item).collect());
    }
    made
}

/// Scratch space that lives as long as the pod, at most `limit` of it.
pub(super) fn scratch(volume: &str, limit: &str) -> Volume {
    let source = EmptyDirVolumeSource { size_limit: Some(Quantity(limit.to_owned())), ..EmptyDirVolumeSource::default() };
    Volume { name: volume.to_owned(), empty_dir: Some(source), ..Volume::default() }
}

/// A mount, read-only unless the container writes there.
pub(super) fn mount(volume: &str, path: &str, writes: bool) -> VolumeMount {
    VolumeMount { name: volume.to_owned(), mount_path: path.to_owned(), read_only: (!writes).then_some(true), ..VolumeMount::default() }
}

/// The secret for pulling images, where one was named.
fn pull_secrets(plane: &ControlPlane) -> Option<Vec<LocalObjectReference>> {
    plane.image_pull_secret.as_ref().map(|name| vec![LocalObjectReference { name: name.clone() }])
}

/// What both pods have alike: where they may run, and how important they are.
pub(super) fn placed(plane: &ControlPlane) -> PodSpec {
    let pods = &plane.pods;
    PodSpec {
        node_selector: (!pods.node_selector.is_empty()).then(|| pods.node_selector.clone()),
        tolerations: (!pods.tolerations.is_empty()).then(|| pods.tolerations.clone()),
        priority_class_name: pods.priority_class.clone(),
        image_pull_secrets: pull_secrets(plane),
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext { fs_group: Some(NONROOT), ..PodSecurityContext::default() }),
        ..PodSpec::default()
    }
}

/// Metadata of pods: what was asked for, and our own, which counts more.
pub(super) fn marked(plane: &ControlPlane, labels: &BTreeMap<String, String>, annotations: BTreeMap<String, String>) -> ObjectMeta {
    let with = |asked: &BTreeMap<String, String>, own: BTreeMap<String, String>| asked.clone().into_iter().chain(own).collect();
    ObjectMeta {
        labels: Some(with(&plane.pods.labels, labels.clone())),
        annotations: Some(with(&plane.pods.annotations, annotations)),
        ..ObjectMeta::default()
    }
}
