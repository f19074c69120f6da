//! Defaults that depend on other fields.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::super::Gvk;

type Object = Map<String, Value>;

/// What a whole object of a kind gets before its parts are looked at.
pub(super) fn before(gvk: &Gvk, object: &mut Object) {
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Namespace") => namespace(object),
        ("", "Pod") => pod(object),
        ("", "Secret") => secret(object),
        ("batch", "Job") => job(object),
        // Version 1 has no metrics; what it says of the processor is theirs once it is converted.
        ("autoscaling", "HorizontalPodAutoscaler") if gvk.version == "v2" => autoscaler(object),
        ("networking.k8s.io", "NetworkPolicy") => network_policy(object),
        _ => {}
    }
}

/// What an object of a type gets before the plain defaults.
pub(super) fn shape(name: &str, object: &mut Object) {
    match name {
        "io.k8s.api.core.v1.Container" | "io.k8s.api.core.v1.EphemeralContainer" => pull_policy(object, "image", "imagePullPolicy"),
        "io.k8s.api.core.v1.ImageVolumeSource" => pull_policy(object, "reference", "pullPolicy"),
        "io.k8s.api.core.v1.Volume" if object.keys().all(|k| k == "name") => {
            object.insert("emptyDir".into(), json!({}));
        }
        "io.k8s.api.core.v1.ServicePort" => target_port(object),
        // Claim templates of StatefulSets say what they are.
        "io.k8s.api.core.v1.PersistentVolumeClaim" => {
            set(object, "apiVersion", "v1".into());
            set(object, "kind", "PersistentVolumeClaim".into());
        }
        "io.k8s.api.rbac.v1.Subject" if matches!(text(object, "kind"), "User" | "Group") => {
            set(object, "apiGroup", "rbac.authorization.k8s.io".into());
        }
        // Written even when they say nothing.
        "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerStatus" => drop(object.entry("currentMetrics").or_insert(Value::Null)),
        "io.k8s.api.core.v1.Event" => {
            object.entry("eventTime").or_insert(Value::Null);
            set(object, "reportingComponent", "".into());
            set(object, "reportingInstance", "".into());
        }
        _ => {}
    }
}

/// What an object of a type gets once its plain defaults are there.
pub(super) fn shape_after(name: &str, object: &mut Object) {
    match name {
        "io.k8s.api.core.v1.ServiceSpec" => service(object),
        "io.k8s.api.apps.v1.DeploymentStrategy"
        | "io.k8s.api.apps.v1.DaemonSetUpdateStrategy"
        | "io.k8s.api.apps.v1.StatefulSetUpdateStrategy"
            if text(object, "type") == "RollingUpdate" =>
        {
            set(object, "rollingUpdate", json!({}));
        }
        _ => {}
    }
}

fn text<'a>(object: &'a Object, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Sets a field that is missing, `null` or the empty string.
fn set(object: &mut Object, key: &str, value: Value) {
    if object.get(key).is_none_or(|v| v.is_null() || v.as_str() == Some("")) {
        object.insert(key.into(), value);
    }
}

fn spec(object: &mut Object) -> Option<&mut Object> {
    object.get_mut("spec").and_then(Value::as_object_mut)
}

fn namespace(object: &mut Object) {
    let name = object.get("metadata").and_then(|m| m["name"].as_str()).unwrap_or_default().to_owned();
    if !name.is_empty()
        && let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut)
        && let Some(labels) = meta.entry("labels").or_insert_with(|| json!({})).as_object_mut()
    {
        labels.insert("kubernetes.io/metadata.name".into(), name.into());
    }
    let spec = object.entry("spec").or_insert_with(|| json!({}));
    if let Some(spec) = spec.as_object_mut() {
        set(spec, "finalizers", json!(["kubernetes"]));
    }
}

/// `stringData` is written to, never read: it lies over `data`.
fn secret(object: &mut Object) {
    let Some(Value::Object(plain)) = object.remove("stringData") else { return };
    let data = object.entry("data").or_insert_with(|| json!({}));
    if let Some(data) = data.as_object_mut() {
        data.extend(plain.into_iter().map(|(key, value)| (key, STANDARD.encode(value.as_str().unwrap_or_default()).into())));
    }
}

/// What a Pod gets and a template does not: links to Services, requests from limits, host ports.
fn pod(object: &mut Object) {
    let Some(spec) = spec(object) else { return };
    set(spec, "enableServiceLinks", true.into());
    let host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(resources) = container.get_mut("resources").and_then(Value::as_object_mut) {
                requests_from_limits(resources);
            }
            if host_network {
                host_ports(container);
            }
        }
    }
}

fn requests_from_limits(resources: &mut Object) {
    let Some(limits) = resources.get("limits").and_then(Value::as_object).filter(|l| !l.is_empty()).cloned() else { return };
    let requests = resources.entry("requests").or_insert_with(|| json!({}));
    if let Some(requests) = requests.as_object_mut() {
        for (name, quantity) in limits {
            requests.entry(name).or_insert(quantity);
        }
    }
}

fn host_ports(container: &mut Value) {
    for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if let (Some(number), Some(port)) = (port.get("containerPort").cloned(), port.as_object_mut()) {
            set(port, "hostPort", number);
        }
    }
}

/// `Always` for images whose tag is `latest` or left out, `IfNotPresent` for all others.
fn pull_policy(object: &mut Object, image: &str, policy: &str) {
    let image = text(object, image);
    let name = image.rsplit('/').next().unwrap_or_default();
    let latest = !image.is_empty() && !name.contains('@') && name.split_once(':').is_none_or(|(_, tag)| tag == "latest");
    set(object, policy, if latest { "Always" } else { "IfNotPresent" }.into());
}

fn target_port(port: &mut Object) {
    let unset = port.get("targetPort").is_none_or(|t| t.is_null() || t.as_str() == Some("") || t.as_i64() == Some(0));
    if let (true, Some(number)) = (unset, port.get("port").cloned()) {
        port.insert("targetPort".into(), number);
    }
}

fn service(spec: &mut Object) {
    let kind = text(spec, "type").to_owned();
    let external = matches!(kind.as_str(), "NodePort" | "LoadBalancer");
    if text(spec, "sessionAffinity") == "ClientIP" {
        set(spec, "sessionAffinityConfig", json!({}));
        if let Some(config) = spec.get_mut("sessionAffinityConfig").and_then(Value::as_object_mut) {
            set(config, "clientIP", json!({}));
        }
    }
    let external_ips = spec.get("externalIPs").and_then(Value::as_array).is_some_and(|ips| !ips.is_empty());
    if external || (kind == "ClusterIP" && external_ips) {
        set(spec, "externalTrafficPolicy", "Cluster".into());
    }
    if external || kind == "ClusterIP" {
        set(spec, "internalTrafficPolicy", "Cluster".into());
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", true.into());
    }
}

fn job(object: &mut Object) {
    let template_labels = object.get("spec").map(|s| s["template"]["metadata"]["labels"].clone()).unwrap_or_default();
    if template_labels.as_object().is_some_and(|l| !l.is_empty())
        && let Some(meta) = object.entry("metadata").or_insert_with(|| json!({})).as_object_mut()
        && meta.get("labels").and_then(Value::as_object).is_none_or(Map::is_empty)
    {
        meta.insert("labels".into(), template_labels);
    }
    let Some(spec) = object.entry("spec").or_insert_with(|| json!({})).as_object_mut() else { return };
    if spec.get("completions").is_none_or(Value::is_null) && spec.get("parallelism").is_none_or(Value::is_null) {
        spec.insert("completions".into(), 1.into());
    }
    set(spec, "parallelism", 1.into());
    let per_index = spec.get("backoffLimitPerIndex").is_some_and(|v| !v.is_null());
    set(spec, "backoffLimit", if per_index { i32::MAX } else { 6 }.into());
    set(spec, "completionMode", "NonIndexed".into());
    set(spec, "suspend", false.into());
    set(spec, "manualSelector", false.into());
    let replacement = if spec.get("podFailurePolicy").is_some_and(|v| !v.is_null()) { "Failed" } else { "TerminatingOrFailed" };
    set(spec, "podReplacementPolicy", replacement.into());
}

fn autoscaler(object: &mut Object) {
    let Some(spec) = object.entry("spec").or_insert_with(|| json!({})).as_object_mut() else { return };
    if spec.get("metrics").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        spec.insert("metrics".into(), json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]));
    }
    if let Some(behavior) = spec.get_mut("behavior").and_then(Value::as_object_mut) {
        let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
        let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
        scaling_rules(behavior, "scaleUp", &json!([pods, percent]), Some(0));
        scaling_rules(behavior, "scaleDown", &json!([percent]), None);
    }
}

fn scaling_rules(behavior: &mut Object, direction: &str, policies: &Value, window: Option<i32>) {
    let Some(rules) = behavior.entry(direction).or_insert_with(|| json!({})).as_object_mut() else { return };
    set(rules, "selectPolicy", "Max".into());
    if rules.get("policies").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        rules.insert("policies".into(), policies.clone());
    }
    if let Some(window) = window {
        set(rules, "stabilizationWindowSeconds", window.into());
    }
}

fn network_policy(object: &mut Object) {
    let Some(spec) = spec(object) else { return };
    if spec.get("policyTypes").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        let egress = spec.get("egress").and_then(Value::as_array).is_some_and(|e| !e.is_empty());
        spec.insert("policyTypes".into(), if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
    }
}
