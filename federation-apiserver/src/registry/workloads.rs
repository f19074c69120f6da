//! Workloads: a selector that cannot change and a pod template it must match.

use std::collections::HashSet;

use machinery::schema::metadata::{self, NameRule};
use machinery::status::FieldError;
use serde_json::{Value, json};

use super::resource::Strategy;
use super::services::not_supported;
use crate::auth::UserInfo;

/// Rules of deployments, replicasets, daemonsets and statefulsets.
pub(super) struct Workload;

impl Strategy for Workload {
    fn validate(&self, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let spec = &new["spec"];
        let mut errors = Vec::new();
        let selector = &spec["selector"];
        let terms =
            selector["matchLabels"].as_object().map_or(0, |m| m.len()) + selector["matchExpressions"].as_array().map_or(0, Vec::len);
        if selector.is_null() {
            errors.push(FieldError::required("spec.selector", ""));
        } else if terms == 0 {
            errors.push(FieldError::invalid("spec.selector", selector.clone(), "an empty selector would match every pod"));
        }
        let labels = &spec["template"]["metadata"]["labels"];
        let unmatched = selector["matchLabels"].as_object().into_iter().flatten().any(|(k, v)| labels.get(k) != Some(v));
        if unmatched {
            errors.push(FieldError::invalid(
                "spec.template.metadata.labels",
                labels.clone(),
                "`selector` does not match template `labels`",
            ));
        }
        if let Some(replicas) = spec["replicas"].as_i64().filter(|r| *r < 0) {
            errors.push(FieldError::invalid("spec.replicas", replicas, "must be greater than or equal to 0"));
        }
        template(&spec["template"]["spec"], &["Always"], &mut errors);
        if let Some(old) = old
            && old["spec"]["selector"] != *selector
        {
            errors.push(FieldError::invalid("spec.selector", selector.clone(), "field is immutable"));
        }
        errors
    }

    fn name_rule(&self) -> Option<NameRule> {
        None
    }
}

/// Rules of jobs: the template cannot change.
pub(super) struct Jobs;

impl Strategy for Jobs {
    fn prepare_create(&self, object: &mut Value, _user: &UserInfo) {
        if object["spec"]["manualSelector"] == true {
            return;
        }
        // As Kubernetes does: pods of a job are told apart by the job's uid.
        let (uid, name) = (object["metadata"]["uid"].clone(), object["metadata"]["name"].clone());
        let labels = &mut object["spec"]["template"]["metadata"]["labels"];
        for (key, value) in [("controller-uid", &uid), ("job-name", &name)] {
            labels[key] = value.clone();
            labels[format!("batch.kubernetes.io/{key}")] = value.clone();
        }
        if object["metadata"]["labels"].as_object().is_none_or(serde_json::Map::is_empty) {
            object["metadata"]["labels"] = object["spec"]["template"]["metadata"]["labels"].clone();
        }
        object["spec"]["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    }

    fn validate(&self, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let spec = &new["spec"];
        let mut errors = Vec::new();
        for field in ["parallelism", "completions", "backoffLimit", "activeDeadlineSeconds"] {
            if let Some(n) = spec[field].as_i64().filter(|n| *n < 0) {
                errors.push(FieldError::invalid(format!("spec.{field}"), n, "must be greater than or equal to 0"));
            }
        }
        template(&spec["template"]["spec"], &["OnFailure", "Never"], &mut errors);
        if let Some(old) = old {
            for field in ["selector", "completionMode", "template"] {
                if old["spec"][field] != spec[field] && !(field == "template" && spec["suspend"] == true) {
                    errors.push(FieldError::invalid(format!("spec.{field}"), spec[field].clone(), "field is immutable"));
                }
            }
        }
        errors
    }
}

/// Rules of pods: what simulators of nodes need, no more.
pub(super) struct Pods;

impl Strategy for Pods {
    fn prepare_create(&self, object: &mut Value, _user: &UserInfo) {
        object["status"] = json!({"phase": "Pending"});
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn validate(&self, new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        containers(&new["spec"], "spec", &mut errors);
        errors
    }
}

fn template(pod: &Value, restart: &[&str], errors: &mut Vec<FieldError>) {
    containers(pod, "spec.template.spec", errors);
    let policy = pod["restartPolicy"].as_str().unwrap_or("Always");
    if !restart.contains(&policy) {
        errors.push(not_supported("spec.template.spec.restartPolicy", policy, restart));
    }
}

fn containers(pod: &Value, at: &str, errors: &mut Vec<FieldError>) {
    if pod["containers"].as_array().is_none_or(Vec::is_empty) {
        errors.push(FieldError::required(format!("{at}.containers"), ""));
    }
    let mut names = HashSet::new();
    for list in ["initContainers", "containers"] {
        for (i, container) in pod[list].as_array().into_iter().flatten().enumerate() {
            let at = |field: &str| format!("{at}.{list}[{i}].{field}");
            let name = container["name"].as_str().unwrap_or_default();
            if name.is_empty() {
                errors.push(FieldError::required(at("name"), ""));
            } else if let Err(words) = metadata::dns_label(name) {
                errors.push(FieldError::invalid(at("name"), name, words));
            } else if !names.insert(name) {
                let kind = machinery::status::FieldErrorKind::Duplicate;
                errors.push(FieldError { kind, ..FieldError::invalid(at("name"), name, "") });
            }
            if container["image"].as_str().is_none_or(str::is_empty) {
                errors.push(FieldError::required(at("image"), ""));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(selector: &str, label: &str) -> Value {
        json!({"spec": {"selector": {"matchLabels": {"app": selector}}, "template": {"metadata": {"labels": {"app": label}},
            "spec": {"restartPolicy": "Always", "containers": [{"name": "c", "image": "i"}]}}}})
    }

    #[test]
    fn the_selector_matches_the_template_and_stays() {
        assert!(Workload.validate(&deployment("a", "a"), None).is_empty());
        assert_eq!(Workload.validate(&deployment("a", "b"), None)[0].field, "spec.template.metadata.labels");
        let changed = Workload.validate(&deployment("b", "b"), Some(&deployment("a", "a")));
        assert_eq!((changed.len(), changed[0].field.as_str()), (1, "spec.selector"));
    }

    #[test]
    fn containers_need_names_and_images() {
        let mut d = deployment("a", "a");
        d["spec"]["template"]["spec"]["containers"] = json!([{"name": "X"}, {"image": "i"}]);
        let fields: Vec<String> = Workload.validate(&d, None).into_iter().map(|e| e.field).collect();
        let at = "spec.template.spec.containers";
        assert_eq!(fields, [format!("{at}[0].name"), format!("{at}[0].image"), format!("{at}[1].name")]);
    }

    #[test]
    fn a_job_finds_its_pods_by_its_uid() {
        let mut job = json!({"metadata": {"uid": "u1", "name": "j"}, "spec": {"template": {"metadata": {}, "spec": {}}}});
        Jobs.prepare_create(&mut job, &UserInfo::default());
        assert_eq!(job["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"], "u1");
        assert_eq!(job["spec"]["template"]["metadata"]["labels"]["job-name"], "j");
    }
}
