//! The core group, apart from pods and Services.

use std::cmp::Ordering;

use serde_json::Value;

use super::checks::{immutable, items, not_supported, one_of, text};
use super::selector;
use crate::schema::{metadata, quantity};
use crate::status::{FieldError, FieldErrorKind};

/// Most bytes of data in a ConfigMap or Secret.
const MAX_DATA: usize = 1024 * 1024;
const KEY: &str = "must be letters, digits, '-', '_' and '.', for example key.name";

/// What a namespace waits for before it goes: `kubernetes`, or a qualified name.
pub fn namespace(object: &Value, errors: &mut Vec<FieldError>) {
    for (index, finalizer) in items(&object["spec"]["finalizers"]) {
        let name = text(finalizer);
        if metadata::qualified_name(name).is_err() || (!name.contains('/') && name != "kubernetes") {
            let detail = "must be 'kubernetes' or a name after a DNS subdomain and '/'";
            errors.push(FieldError::invalid(format!("spec.finalizers[{index}]"), name, detail));
        }
    }
}

/// Keys, size, and no key in both `data` and `binaryData`.
pub fn config_map(object: &Value, errors: &mut Vec<FieldError>) {
    let mut size = 0;
    for field in ["data", "binaryData"] {
        for (key, value) in object[field].as_object().into_iter().flatten() {
            config_key(key, &format!("{field}[{key}]"), errors);
            size += if field == "data" { text(value).len() } else { decoded_len(text(value)) };
            if field == "data" && object["binaryData"].get(key).is_some() {
                let detail = "duplicate of key present in binaryData";
                errors.push(FieldError::invalid(format!("data[{key}]"), key.as_str(), detail));
            }
        }
    }
    limit("[]", size, errors);
}

/// Keys, size, and what the well-known types must contain.
pub fn secret(object: &Value, errors: &mut Vec<FieldError>) {
    let data = &object["data"];
    let mut size = 0;
    for (key, value) in data.as_object().into_iter().flatten() {
        config_key(key, &format!("data[{key}]"), errors);
        size += decoded_len(text(value));
    }
    limit("data", size, errors);
    let mut need = |key: &str| {
        if data.get(key).is_none() {
            errors.push(FieldError::required(format!("data[{key}]"), ""));
        }
    };
    match text(&object["type"]) {
        "kubernetes.io/tls" => {
            need("tls.crt");
            need("tls.key");
        }
        "kubernetes.io/ssh-auth" => need("ssh-privatekey"),
        "kubernetes.io/dockercfg" => need(".dockercfg"),
        "kubernetes.io/dockerconfigjson" => need(".dockerconfigjson"),
        "kubernetes.io/basic-auth" if data.get("username").is_none() && data.get("password").is_none() => {
            need("username");
            need("password");
        }
        "kubernetes.io/service-account-token" => {
            let name = &object["metadata"]["annotations"]["kubernetes.io/service-account.name"];
            if text(name).is_empty() {
                errors.push(FieldError::required("metadata.annotations[kubernetes.io/service-account.name]", ""));
            }
        }
        _ => {}
    }
}

/// Data marked immutable stays, and a Secret keeps its type.
pub fn frozen(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    if old.get("type").is_some() {
        immutable(new, old, &["type"], errors);
    }
    if old["immutable"] != true {
        return;
    }
    if new["immutable"] != true {
        errors.push(FieldError::forbidden("immutable", "field is immutable when `immutable` is set"));
    }
    for field in ["data", "binaryData"] {
        if new[field] != old[field] {
            errors.push(FieldError::forbidden(field, "field is immutable when `immutable` is set"));
        }
    }
}

/// Rules of a PersistentVolumeClaim.
pub fn claim(object: &Value, errors: &mut Vec<FieldError>) {
    claim_spec(&object["spec"], "spec", errors);
}

/// Rules of a claim's spec, which also stands in StatefulSets.
pub(super) fn claim_spec(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
    let at = |field: &str| format!("{path}.{field}");
    if items(&spec["accessModes"]).next().is_none() {
        errors.push(FieldError::required(at("accessModes"), "at least 1 access mode is required"));
    }
    if spec["selector"].is_object() {
        selector::syntax(&spec["selector"], &at("selector"), errors);
    }
    let modes: Vec<&str> = items(&spec["accessModes"]).map(|(_, mode)| text(mode)).collect();
    errors.extend(modes.iter().filter(|mode| !MODES.contains(mode)).map(|mode| not_supported(&at("accessModes"), mode, &MODES)));
    let alone = |mode: &&str| *mode == "ReadWriteOncePod";
    if modes.iter().any(alone) && modes.iter().any(|m| MODES.contains(m) && !alone(m)) {
        errors.push(FieldError::forbidden(at("accessModes"), "may not use ReadWriteOncePod with other access modes"));
    }
    let storage = &spec["resources"]["requests"]["storage"];
    match storage.as_str() {
        None => errors.push(FieldError::required(at("resources[storage]"), "")),
        Some(size) if quantity::compare(size, "0").is_some_and(Ordering::is_le) => {
            errors.push(FieldError::invalid(at("resources[storage]"), size, "must be greater than zero"));
        }
        Some(_) => {}
    }
    for key in ["storageClassName", "volumeAttributesClassName"] {
        let class = text(&spec[key]);
        if !class.is_empty() {
            errors.extend(metadata::dns_subdomain(class).err().map(|why| FieldError::invalid(at(key), class, why)));
        }
    }
    one_of(&spec["volumeMode"], &at("volumeMode"), &["Block", "Filesystem"], errors);
}

/// A claim keeps its spec, but for its volume and its class, which are given once, and its size, once it is bound.
pub fn claim_update(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let mut kept = new["spec"].clone();
    let was = &old["spec"];
    let mut take_back = |key: &str| kept[key] = was[key].clone();
    for key in ["volumeName", "storageClassName"] {
        if was[key].is_null() || (key == "volumeName" && text(&was[key]).is_empty()) {
            take_back(key);
        }
    }
    if new["status"]["phase"] == "Bound" {
        take_back("volumeAttributesClassName");
        kept["resources"]["requests"]["storage"] = was["resources"]["requests"]["storage"].clone();
    }
    let mut was = was.clone();
    for spec in [&mut kept, &mut was] {
        if let Some(spec) = spec.as_object_mut() {
            spec.retain(|_, value| !value.is_null());
        }
    }
    if kept != was {
        let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        errors.push(FieldError::forbidden("spec", detail));
    }
    let size = |object: &Value, path: &str| text(object.pointer(path).unwrap_or(&Value::Null)).to_owned();
    let (is, had) = (size(new, "/spec/resources/requests/storage"), size(old, "/spec/resources/requests/storage"));
    let capacity = size(old, "/status/capacity/storage");
    let capacity = if capacity.is_empty() { "0" } else { &capacity };
    if quantity::compare(&is, &had).is_some_and(Ordering::is_lt) && quantity::compare(&is, capacity).is_some_and(Ordering::is_le) {
        errors.push(FieldError::forbidden("spec.resources.requests.storage", "field can not be less than status.capacity"));
    }
}

/// An event lies in the namespace of what it is about.
pub fn event(object: &Value, errors: &mut Vec<FieldError>) {
    let field = if object.get("regarding").is_some() { "regarding" } else { "involvedObject" };
    let (about, own) = (text(&object[field]["namespace"]), text(&object["metadata"]["namespace"]));
    let fits = if about.is_empty() { matches!(own, "" | "default" | "kube-system") } else { about == own };
    if !fits {
        errors.push(FieldError::invalid("involvedObject.namespace", about, "does not match event.namespace"));
    }
}

fn config_key(key: &str, path: &str, errors: &mut Vec<FieldError>) {
    let mut refuse = |why: &str| errors.push(FieldError::invalid(path, key, why));
    if key.len() > 253 {
        refuse("must be no more than 253 bytes");
    }
    if key.is_empty() || !key.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.')) {
        refuse(KEY);
    }
    if key == "." || key == ".." {
        refuse(&format!("must not be '{key}'"));
    } else if key.starts_with("..") {
        refuse("must not start with '..'");
    }
}

/// Bytes behind a base64 text.
fn decoded_len(base64: &str) -> usize {
    base64.trim_end_matches('=').len() * 3 / 4
}

fn limit(path: &str, size: usize, errors: &mut Vec<FieldError>) {
    if size > MAX_DATA {
        let detail = format!("may not be more than {MAX_DATA} bytes");
        errors.push(FieldError { field: path.into(), kind: FieldErrorKind::TooLong, value: None, detail });
    }
}
