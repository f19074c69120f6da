//! `apps/v1`.

use serde_json::{Map, Value, json};

use super::checks::{items, not_negative, not_supported, text};
use super::pod::{Restart, template};
use super::{core, selector};
use crate::status::FieldError;

/// Rules of a Deployment.
pub fn deployment(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    counts(spec, &["replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"], errors);
    workload(spec, "deployment", errors);
    let strategy = &spec["strategy"];
    let kind = text(&strategy["type"]);
    match kind {
        "Recreate" if strategy["rollingUpdate"].is_object() => {
            errors.push(FieldError::forbidden("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'"));
        }
        "Recreate" => {}
        "RollingUpdate" => rolling(&strategy["rollingUpdate"], "spec.strategy.rollingUpdate", errors),
        other => {
            let mut error = not_supported("spec.strategy", other, &["Recreate", "RollingUpdate"]);
            error.value = Some(strategy.clone());
            errors.push(error);
        }
    }
    let (ready, deadline) = (spec["minReadySeconds"].as_i64().unwrap_or_default(), spec["progressDeadlineSeconds"].as_i64());
    if let Some(deadline) = deadline.filter(|d| *d <= ready) {
        errors.push(FieldError::invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"));
    }
}

/// Rules of a ReplicaSet.
pub fn replica_set(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    counts(spec, &["replicas", "minReadySeconds"], errors);
    workload(spec, "deployment", errors);
}

/// Rules of a DaemonSet.
pub fn daemon_set(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    counts(spec, &["minReadySeconds", "revisionHistoryLimit"], errors);
    workload(spec, "daemonset", errors);
    match text(&spec["updateStrategy"]["type"]) {
        "OnDelete" => {}
        "RollingUpdate" => rolling(&spec["updateStrategy"]["rollingUpdate"], "spec.updateStrategy.rollingUpdate", errors),
        other => errors.push(not_supported("spec.updateStrategy.type", other, &["OnDelete", "RollingUpdate"])),
    }
}

/// Rules of a StatefulSet.
pub fn stateful_set(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    let policy = text(&spec["podManagementPolicy"]);
    if !["OrderedReady", "Parallel"].contains(&policy) {
        errors.push(FieldError::invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'"));
    }
    let strategy = &spec["updateStrategy"];
    match text(&strategy["type"]) {
        "RollingUpdate" => not_negative(&strategy["rollingUpdate"]["partition"], "spec.updateStrategy.rollingUpdate.partition", errors),
        "OnDelete" if strategy["rollingUpdate"].is_object() => {
            let (path, shown) = ("spec.updateStrategy.rollingUpdate", strategy["rollingUpdate"].clone());
            errors.push(FieldError::invalid(path, shown, "only allowed for updateStrategy 'RollingUpdate'"));
        }
        "OnDelete" => {}
        _ => errors.push(FieldError::invalid("spec.updateStrategy", strategy.clone(), "must be 'RollingUpdate' or 'OnDelete'")),
    }
    for (index, claim) in items(&spec["volumeClaimTemplates"]) {
        core::claim_spec(&claim["spec"], &format!("spec.volumeClaimTemplates[{index}].spec"), errors);
    }
    counts(spec, &["replicas", "minReadySeconds", "revisionHistoryLimit"], errors);
    selector::of_workload(spec, "statefulset", errors);
    template(&with_claims(spec), "spec.template", Restart::Always, errors);
}

/// The template as pods are made of it: each claim is a volume of its name.
fn with_claims(spec: &Value) -> Value {
    let mut template = spec["template"].clone();
    let claimed: Vec<&str> = items(&spec["volumeClaimTemplates"]).map(|(_, claim)| text(&claim["metadata"]["name"])).collect();
    if claimed.is_empty() {
        return template;
    }
    let own = items(&template["spec"]["volumes"]).map(|(_, volume)| volume).filter(|volume| !claimed.contains(&text(&volume["name"])));
    let claims = claimed.iter().map(|name| json!({"name": name, "persistentVolumeClaim": {"claimName": name}}));
    template["spec"]["volumes"] = claims.chain(own.cloned()).collect();
    template
}

/// Only a few fields of a StatefulSet may change.
pub fn stateful_set_update(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    const MAY_CHANGE: &[&str] = &[
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    let kept = |object: &Value| -> Map<String, Value> {
        let fields = object["spec"].as_object().into_iter().flatten();
        fields.filter(|(k, _)| !MAY_CHANGE.contains(&k.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    if kept(new) != kept(old) {
        let detail = format!("only these may change: {}", MAY_CHANGE.join(", "));
        errors.push(FieldError::forbidden("spec", detail));
    }
}

fn workload(spec: &Value, what: &str, errors: &mut Vec<FieldError>) {
    selector::of_workload(spec, what, errors);
    template(&spec["template"], "spec.template", Restart::Always, errors);
}

fn counts(spec: &Value, keys: &[&str], errors: &mut Vec<FieldError>) {
    for key in keys {
        not_negative(&spec[*key], &format!("spec.{key}"), errors);
    }
}

/// `maxUnavailable` and `maxSurge`: numbers or percentages, not both zero.
fn rolling(rolling: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for key in ["maxUnavailable", "maxSurge"] {
        let path = format!("{path}.{key}");
        match rolling[key].as_str() {
            Some(percent) if percentage(percent).is_none() => {
                let detail = "must be a number, or digits and '%' such as 25%";
                errors.push(FieldError::invalid(path, percent, detail));
            }
            Some(percent) if key == "maxUnavailable" && percentage(percent) > Some(100) => {
                errors.push(FieldError::invalid(path, percent, "must not be greater than 100%"));
            }
            Some(_) => {}
            None => not_negative(&rolling[key], &path, errors),
        }
    }
    let zero = |key: &str| rolling[key].as_i64() == Some(0) || rolling[key].as_str().and_then(percentage) == Some(0);
    if zero("maxUnavailable") && zero("maxSurge") {
        let shown = rolling["maxUnavailable"].clone();
        errors.push(FieldError::invalid(format!("{path}.maxUnavailable"), shown, "may not be 0 when `maxSurge` is 0"));
    }
}

pub(super) fn percentage(text: &str) -> Option<u32> {
    let digits = text.strip_suffix('%')?;
    if digits.bytes().all(|c| c.is_ascii_digit()) { digits.parse().ok() } else { None }
}
