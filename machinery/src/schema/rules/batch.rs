//! `batch/v1`.

use serde_json::{Value, json};

use super::checks::{immutable, not_negative, one_of, text};
use super::pod::{Restart, template};
use super::selector;
use crate::status::FieldError;

/// Gives a Job the selector and pod labels that name it by its uid; what the caller set by hand stays
/// (`spec.manualSelector`). Upstream does this when a Job is created, once it has a uid.
pub fn generate_selector(object: &mut Value) {
    if object["spec"]["manualSelector"] == true {
        return;
    }
    let (uid, name) = (text(&object["metadata"]["uid"]).to_owned(), text(&object["metadata"]["name"]).to_owned());
    // Labels defaulted from the template follow it.
    let follows = object["metadata"]["labels"] == object["spec"]["template"]["metadata"]["labels"];
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let template = spec.entry("template").or_insert_with(|| json!({}));
    for (old, new, value) in
        [("controller-uid", "batch.kubernetes.io/controller-uid", &uid), ("job-name", "batch.kubernetes.io/job-name", &name)]
    {
        for key in [old, new] {
            if template["metadata"]["labels"][key].is_null() {
                template["metadata"]["labels"][key] = value.clone().into();
            }
        }
    }
    let selector = spec.entry("selector").or_insert_with(|| json!({}));
    let key = "batch.kubernetes.io/controller-uid";
    if selector["matchLabels"][key].is_null() {
        selector["matchLabels"][key] = uid.into();
    }
    if follows {
        object["metadata"]["labels"] = object["spec"]["template"]["metadata"]["labels"].clone();
    }
}

/// Rules of a Job.
pub fn job(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    job_spec(spec, "spec", errors);
    if spec["selector"].is_object() {
        selector::syntax(&spec["selector"], "spec.selector", errors);
        if !selector::matches(&spec["selector"], &spec["template"]["metadata"]["labels"]) {
            let labels = spec["template"]["metadata"]["labels"].clone();
            errors.push(FieldError::invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`"));
        }
    } else if spec["manualSelector"] == true {
        errors.push(FieldError::required("spec.selector", ""));
    }
}

/// Rules of a CronJob.
pub fn cron_job(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    let schedule = text(&spec["schedule"]);
    let fields = schedule.split_whitespace().filter(|f| !f.contains('=')).count();
    if !schedule.is_empty() && fields != 5 && !schedule.starts_with('@') {
        let detail = format!("expected exactly 5 fields, found {fields}: [{}]", schedule.split_whitespace().collect::<Vec<_>>().join(" "));
        errors.push(FieldError::invalid("spec.schedule", schedule, detail));
    }
    one_of(&spec["concurrencyPolicy"], "spec.concurrencyPolicy", &["Allow", "Forbid", "Replace"], errors);
    for key in ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        not_negative(&spec[key], &format!("spec.{key}"), errors);
    }
    job_spec(&spec["jobTemplate"]["spec"], "spec.jobTemplate.spec", errors);
}

fn job_spec(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for key in ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished", "backoffLimitPerIndex"] {
        not_negative(&spec[key], &format!("{path}.{key}"), errors);
    }
    one_of(&spec["completionMode"], &format!("{path}.completionMode"), &["Indexed", "NonIndexed"], errors);
    if text(&spec["completionMode"]) == "Indexed" && spec["completions"].is_null() {
        errors.push(FieldError::required(format!("{path}.completions"), "when completion mode is Indexed"));
    }
    template(&spec["template"], &format!("{path}.template"), Restart::NotAlways, errors);
}

/// Completions, selector, completion mode and (unless suspended) the template may not change.
pub fn job_update(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let (spec, was) = (&new["spec"], &old["spec"]);
    // An indexed Job may grow and shrink when parallelism follows.
    let elastic = text(&spec["completionMode"]) == "Indexed" && spec["completions"] == spec["parallelism"];
    if !elastic {
        immutable(new, old, &["spec", "completions"], errors);
    }
    for key in ["selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        immutable(new, old, &["spec", key], errors);
    }
    let waiting = was["suspend"] == true && spec["suspend"] == true && was["status"]["startTime"].is_null();
    let (is, was) = match waiting {
        true => (without_scheduling(&spec["template"]), without_scheduling(&was["template"])),
        false => (spec["template"].clone(), was["template"].clone()),
    };
    if is != was {
        errors.push(FieldError::invalid("spec.template", spec["template"].clone(), "field is immutable"));
    }
}

/// A template without what may still change while its Job is suspended and has not started: where
/// its pods may run, and their labels and annotations.
fn without_scheduling(template: &Value) -> Value {
    let mut template = template.clone();
    for (part, keys) in
        [("metadata", &["labels", "annotations"][..]), ("spec", &["affinity", "nodeSelector", "schedulingGates", "tolerations"][..])]
    {
        if let Some(map) = template.get_mut(part).and_then(Value::as_object_mut) {
            map.retain(|key, _| !keys.contains(&key.as_str()));
        }
    }
    template
}
