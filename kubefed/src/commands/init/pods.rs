//! `init`: where pods run, what marks them and what they ask for.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use machinery::schema::metadata::{label_value, qualified_name};

use crate::cli::PodArgs;
use crate::error::Failure;
use crate::render::args::{InvalidPair, parse_pairs};
use crate::render::config::{Pods, Sizes};
use crate::render::pods;

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
/// Resources a container of ours has a use for.
const RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// Where pods run and what marks them.
///
/// # Errors
/// The first flag whose value the host would refuse.
pub(super) fn pods(args: &PodArgs) -> Result<Pods, Failure> {
    let node_selector = parse_pairs(&args.node_selector)
        .map_err(|e| Failure::usage(format!("error marshalling --node-selector: {e}")).hint("write --node-selector=key=value,key=value"))?;
    let priority_class = match args.priority_class.as_str() {
        "" => None,
        class if federation_api::names::is_rfc1123_subdomain(class) => Some(class.to_owned()),
        class => {
            return Err(
                Failure::usage(format!("invalid --priority-class: \"{class}\" is not a name")).hint("kubectl get priorityclass lists them")
            );
        }
    };
    Ok(Pods {
        node_selector,
        tolerations: args.tolerations.iter().map(|text| toleration(text)).collect::<Result<_, _>>()?,
        priority_class,
        annotations: annotations("--pod-annotations", &args.pod_annotations)?,
        labels: labels("--pod-labels", &args.pod_labels)?,
    })
}

/// What a container asks for.
///
/// # Errors
/// The first part that is no resource and its amount; a request above its limit.
pub(super) fn sizes(component: &str, requests: &str, limits: &str) -> Result<Sizes, Failure> {
    let read = |flag: &str, text: &str| -> Result<BTreeMap<String, Quantity>, Failure> {
        let flag = format!("--{component}-{flag}");
        let mut all = BTreeMap::new();
        for (resource, amount) in pairs(&flag, text, "cpu=500m,memory=1Gi")? {
            if !RESOURCES.contains(&resource.as_str()) {
                return Err(Failure::usage(format!("invalid {flag}: \"{resource}\" is no resource of a container"))
                    .hint(format!("there are {}", RESOURCES.join(", "))));
            }
            if pods::amount(&amount).is_none() {
                return Err(Failure::usage(format!("invalid {flag}: \"{amount}\" is no amount of {resource}"))
                    .hint("for example cpu=500m,memory=1Gi"));
            }
            all.insert(resource, Quantity(amount));
        }
        Ok(all)
    };
    let sizes = Sizes { requests: read("requests", requests)?, limits: read("limits", limits)? };
    for (resource, limit) in &sizes.limits {
        if sizes.requests.get(resource).is_some_and(|request| pods::amount(&request.0) > pods::amount(&limit.0)) {
            return Err(Failure::usage(format!("--{component}-requests has more {resource} than --{component}-limits"))
                .hint("nobody gets more than the limit: raise it, or ask for less"));
        }
    }
    Ok(sizes)
}

/// `key=value` pairs that are annotations.
///
/// # Errors
/// The first that is none.
pub(super) fn annotations(flag: &str, text: &str) -> Result<BTreeMap<String, String>, Failure> {
    let all = pairs(flag, text, "key=value,key=value")?;
    for key in all.keys() {
        // As kube-apiserver: keys of annotations are compared in lower case.
        qualified_name(&key.to_lowercase()).map_err(|e| invalid(flag, key, &e))?;
    }
    Ok(all)
}

fn labels(flag: &str, text: &str) -> Result<BTreeMap<String, String>, Failure> {
    let all = pairs(flag, text, "key=value,key=value")?;
    for (key, value) in &all {
        qualified_name(key).map_err(|e| invalid(flag, key, &e))?;
        label_value(value).map_err(|e| invalid(flag, value, &e))?;
    }
    Ok(all)
}

fn invalid(flag: &str, text: &str, why: &impl std::fmt::Display) -> Failure {
    Failure::usage(format!("invalid {flag}: \"{text}\": {why}")).hint(format!("write {flag}=key=value,key=value"))
}

fn pairs(flag: &str, text: &str, example: &str) -> Result<BTreeMap<String, String>, Failure> {
    parse_pairs(text).map_err(|e| match e {
        InvalidPair::NoValue { piece } | InvalidPair::NoName { piece } => {
            Failure::usage(format!("invalid {flag}: \"{piece}\" is no key=value")).hint(format!("write {flag}={example}"))
        }
    })
}

/// `key=value:Effect`; without a value any does, without an effect every.
fn toleration(text: &str) -> Result<Toleration, Failure> {
    let wrong = |why: String| {
        Failure::usage(format!("invalid --tolerations: \"{text}\": {why}"))
            .hint("for example --tolerations=node-role.kubernetes.io/control-plane:NoSchedule,dedicated=federation")
    };
    let (taint, effect) = match text.rsplit_once(':') {
        Some((taint, effect)) if EFFECTS.contains(&effect) => (taint, Some(effect.to_owned())),
        Some((_, effect)) => return Err(wrong(format!("\"{effect}\" is no effect; there are {}", EFFECTS.join(", ")))),
        None => (text, None),
    };
    let (key, value) = taint.split_once('=').map_or((taint, None), |(key, value)| (key, Some(value)));
    qualified_name(key).map_err(|e| wrong(e.to_string()))?;
    value.map_or(Ok(()), label_value).map_err(|e| wrong(e.to_string()))?;
    let operator = if value.is_some() { "Equal" } else { "Exists" };
    Ok(Toleration {
        key: Some(key.to_owned()),
        operator: Some(operator.to_owned()),
        value: value.map(str::to_owned),
        effect,
        toleration_seconds: None,
    })
}
