//! The core group, apart from pods and Services.

use serde_json::Value;

use super::{immutable, items, text};
use crate::schema::metadata;
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
