//! Rules of `metadata`, the same for every kind.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::clip;
use crate::status::{FieldError, FieldErrorKind};

/// A rule for names. The rules are Kubernetes', the words are not.
pub type NameRule = fn(&str) -> Result<(), BrokenRule>;

/// Which rule a name, a key or a value breaks. What is told begins with a verb, for a sentence about it.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum BrokenRule {
    /// It has more bytes than this.
    #[error("must be no more than {0} bytes")]
    TooLong(usize),
    /// It is no subdomain of RFC 1123.
    #[error("{SUBDOMAIN}")]
    Subdomain,
    /// It is no label of RFC 1123.
    #[error("{LABEL}")]
    Label,
    /// It is no label of RFC 1035.
    #[error("{LABEL_1035}")]
    Label1035,
    /// It is `.` or `..`, which mean something in a path.
    #[error("may not be '{0}'")]
    Dots(String),
    /// It has a character that means something in a path.
    #[error("may not contain '{0}'")]
    Separator(char),
    /// It has more parts than a prefix and a name.
    #[error("must be a name, or a DNS subdomain, one '/' and a name, for example example.com/Bag_End")]
    Parts,
    /// Nothing stands before the `/`.
    #[error("prefix part must be non-empty")]
    NoPrefix,
    /// Its prefix breaks this rule.
    #[error("prefix part {0}")]
    Prefix(Box<BrokenRule>),
    /// Nothing stands behind the `/`, or it is empty.
    #[error("name part must be non-empty")]
    NoName,
    /// Its name is longer than this, in bytes.
    #[error("name part must be no more than {0} bytes")]
    LongName(usize),
    /// Its name has other characters than it may have.
    #[error("{QUALIFIED}")]
    Name,
    /// It is no value of a label.
    #[error("{LABEL_VALUE}")]
    LabelValue,
}

impl From<BrokenRule> for String {
    fn from(rule: BrokenRule) -> Self {
        rule.to_string()
    }
}

const SUBDOMAIN: &str = "must be parts joined by '.', each of lower case letters, digits and '-' with a letter or digit at both ends (RFC 1123), for example shire.example.com";
const LABEL: &str = "must be lower case letters, digits and '-' with a letter or digit at both ends (RFC 1123), for example bag-end";
const LABEL_1035: &str =
    "must be lower case letters, digits and '-' that begin with a letter and end with a letter or digit (RFC 1035), for example bag-end";
const QUALIFIED: &str = "name part must be letters, digits, '-', '_' and '.' with a letter or digit at both ends, for example Bag_End.1";
const LABEL_VALUE: &str = "must be empty, or letters, digits, '-', '_' and '.' with a letter or digit at both ends, for example Bag_End.1";

/// Most bytes of a label's value and of most names.
const MAX_LABEL: usize = 63;

/// Annotations together may have this many bytes, keys and values counted.
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// RFC 1123 subdomain, the rule of most names.
pub fn dns_subdomain(name: &str) -> Result<(), BrokenRule> {
    too_long(name, 253)?;
    if name.split('.').all(is_label) { Ok(()) } else { Err(BrokenRule::Subdomain) }
}

/// RFC 1123 label, the rule of namespaces.
pub fn dns_label(name: &str) -> Result<(), BrokenRule> {
    too_long(name, 63)?;
    if is_label(name) { Ok(()) } else { Err(BrokenRule::Label) }
}

/// RFC 1035 label, the rule of Services before 1.34 and of our Clusters.
pub fn dns1035_label(name: &str) -> Result<(), BrokenRule> {
    too_long(name, 63)?;
    if is_label(name) && name.as_bytes()[0].is_ascii_lowercase() { Ok(()) } else { Err(BrokenRule::Label1035) }
}

/// Anything that fits into one part of a path, the rule of RBAC names.
pub fn path_segment(name: &str) -> Result<(), BrokenRule> {
    match name {
        "." | ".." => Err(BrokenRule::Dots(name.to_owned())),
        _ => match ['/', '%'].into_iter().find(|c| name.contains(*c)) {
            Some(c) => Err(BrokenRule::Separator(c)),
            None => Ok(()),
        },
    }
}

fn too_long(name: &str, max: usize) -> Result<(), BrokenRule> {
    if name.len() > max { Err(BrokenRule::TooLong(max)) } else { Ok(()) }
}

fn is_label(name: &str) -> bool {
    let ends = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let b = name.as_bytes();
    !b.is_empty() && ends(b[0]) && ends(b[b.len() - 1]) && b.iter().all(|&c| ends(c) || c == b'-')
}

/// `[prefix/]name`, the rule of label and annotation keys.
pub fn qualified_name(key: &str) -> Result<(), BrokenRule> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if name.contains('/') {
        return Err(BrokenRule::Parts);
    }
    match prefix {
        Some("") => return Err(BrokenRule::NoPrefix),
        Some(prefix) => dns_subdomain(prefix).map_err(|e| BrokenRule::Prefix(Box::new(e)))?,
        None => {}
    }
    if name.is_empty() {
        return Err(BrokenRule::NoName);
    }
    if name.len() > MAX_LABEL {
        return Err(BrokenRule::LongName(MAX_LABEL));
    }
    if is_word(name) { Ok(()) } else { Err(BrokenRule::Name) }
}

/// The rule of label values.
pub fn label_value(value: &str) -> Result<(), BrokenRule> {
    too_long(value, 63)?;
    if value.is_empty() || is_word(value) { Ok(()) } else { Err(BrokenRule::LabelValue) }
}

fn is_word(text: &str) -> bool {
    let b = text.as_bytes();
    let inner = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    !b.is_empty() && b[0].is_ascii_alphanumeric() && b[b.len() - 1].is_ascii_alphanumeric() && b.iter().all(|&c| inner(c))
}

/// Checks `metadata` of an object about to be created or updated. Namespace presence is checked only
/// for shape; whether it fits the request is the caller's business.
pub fn validate_metadata(object: &Value, namespaced: bool, name_rule: NameRule) -> Vec<FieldError> {
    let none = Map::new();
    let meta = object["metadata"].as_object().unwrap_or(&none);
    let text = |key: &str| meta.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut errors = Vec::new();
    if !text("generateName").is_empty()
        && let Err(why) = name_rule(&as_name(text("generateName")))
    {
        errors.push(FieldError::invalid("metadata.generateName", text("generateName"), why));
    }
    match text("name") {
        "" => errors.push(FieldError::required("metadata.name", "name or generateName is required")),
        name => errors.extend(name_rule(name).err().map(|why| FieldError::invalid("metadata.name", name, why))),
    }
    match (namespaced, text("namespace")) {
        (true, "") => errors.push(FieldError::required("metadata.namespace", "")),
        (true, ns) => errors.extend(dns_label(ns).err().map(|why| FieldError::invalid("metadata.namespace", ns, why))),
        (false, "") => {}
        (false, _) => errors.push(FieldError::forbidden("metadata.namespace", "not allowed on this type")),
    }
    errors.extend(labels(meta.get("labels"), "metadata.labels"));
    errors.extend(annotations(meta.get("annotations")));
    for (index, finalizer) in meta.get("finalizers").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let name = finalizer.as_str().unwrap_or_default();
        let path = format!("metadata.finalizers[{index}]");
        match qualified_name(name) {
            Err(why) => errors.push(FieldError::invalid(path, name, why)),
            Ok(()) if !name.contains('/') && !matches!(name, "orphan" | "foregroundDeletion" | "kubernetes") => {
                errors.push(FieldError::invalid(
                    path,
                    name,
                    "must be a DNS subdomain, '/' and a name; only orphan, foregroundDeletion and kubernetes go without",
                ));
            }
            Ok(()) => {}
        }
    }
    let finalizers = meta.get("finalizers").and_then(Value::as_array);
    let has = |name: &str| finalizers.is_some_and(|list| list.iter().any(|f| f == name));
    if has("orphan") && has("foregroundDeletion") {
        let why = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid("metadata.finalizers", meta["finalizers"].clone(), why));
    }
    if let Some(generation) = meta.get("generation").and_then(Value::as_i64).filter(|generation| *generation < 0) {
        errors.push(FieldError::invalid("metadata.generation", generation, "must be greater than or equal to 0"));
    }
    errors.extend(owners(meta.get("ownerReferences")));
    errors
}

/// What is left of `generateName` in the name: five characters are put behind it, and the whole fits into a label.
pub fn generated_prefix(prefix: &str) -> &str {
    clip::prefix(prefix, MAX_LABEL - 5)
}

/// `generateName` follows the rule of names as it is, but for a dash at its end: a letter or digit will follow.
fn as_name(prefix: &str) -> String {
    prefix.strip_suffix('-').filter(|rest| !rest.is_empty()).map_or_else(|| prefix.to_owned(), |rest| format!("{rest}a"))
}

/// Keys and values of labels (also of `matchLabels`).
pub fn labels(labels: Option<&Value>, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in labels.and_then(Value::as_object).into_iter().flatten() {
        errors.extend(qualified_name(key).err().map(|why| FieldError::invalid(path, key.as_str(), why)));
        let value = value.as_str().unwrap_or_default();
        errors.extend(label_value(value).err().map(|why| FieldError::invalid(path, value, why)));
    }
    errors
}

fn annotations(annotations: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut size = 0;
    for (key, value) in annotations.and_then(Value::as_object).into_iter().flatten() {
        let checked = qualified_name(&key.to_lowercase());
        errors.extend(checked.err().map(|why| FieldError::invalid("metadata.annotations", key.as_str(), why)));
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > MAX_ANNOTATIONS {
        let detail = format!("may not be more than {MAX_ANNOTATIONS} bytes");
        errors.push(FieldError { field: "metadata.annotations".into(), kind: FieldErrorKind::TooLong, value: None, detail });
    }
    errors
}

fn owners(owners: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut controllers = 0;
    for (index, owner) in owners.and_then(Value::as_array).into_iter().flatten().enumerate() {
        let path = format!("metadata.ownerReferences[{index}]");
        for key in ["apiVersion", "kind", "name", "uid"] {
            if owner[key].as_str().unwrap_or_default().is_empty() {
                errors.push(FieldError::invalid(format!("{path}.{key}"), "", "must not be empty"));
            }
        }
        controllers += usize::from(owner["controller"] == true);
    }
    if controllers > 1 {
        let detail = "only one owner may be the controller";
        errors.push(FieldError::invalid("metadata.ownerReferences", owners.cloned().unwrap_or_default(), detail));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(meta: &Value) -> Vec<String> {
        let errors = validate_metadata(&json!({"metadata": meta}), true, dns_subdomain);
        errors.iter().map(|e| format!("{}: {}", e.field, e.message().chars().take(60).collect::<String>())).collect()
    }

    #[test]
    fn a_plain_object_passes() {
        let good = json!({"name": "a.b-1", "namespace": "n", "labels": {"app.kubernetes.io/name": "X_y", "e": ""},
            "annotations": {"Any.Case/Key": "anything at all"}, "finalizers": ["kubernetes", "x.io/y"]});
        assert_eq!(check(&good), Vec::<String>::new());
    }

    #[test]
    fn each_rule_has_its_field() {
        let bad = json!({"name": "A", "labels": {"-x": "y z"}, "annotations": {"a/b/c": ""}, "finalizers": ["loose"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p"}]});
        let fields: Vec<String> = check(&bad).iter().map(|e| e.split(": ").next().unwrap().to_owned()).collect();
        assert_eq!(
            fields,
            [
                "metadata.name",
                "metadata.namespace",
                "metadata.labels",
                "metadata.labels",
                "metadata.annotations",
                "metadata.finalizers[0]",
                "metadata.ownerReferences[0].uid"
            ]
        );
    }

    #[test]
    fn names_follow_their_rule() {
        assert!(dns_label("11kingdom").is_ok() && dns1035_label("11kingdom").is_err());
        assert!(path_segment("system:node").is_ok() && path_segment("a/b").is_err() && path_segment("..").is_err());
        assert!(dns_label(&"a".repeat(64)).is_err() && dns_subdomain(&"a".repeat(64)).is_ok() && dns_subdomain(&"a".repeat(254)).is_err());
        assert!(qualified_name("a/b").is_ok() && qualified_name("/b").is_err() && qualified_name("a/").is_err());
    }

    #[test]
    fn d29_generated_prefixes_are_cut_between_characters() {
        for letters in 0..70 {
            let name = format!("{}é", "a".repeat(letters));
            let said = check(&json!({"name": "x", "namespace": "n", "generateName": name}));
            assert_eq!(said.len(), 1, "{letters}: {said:?}");
            assert!(generated_prefix(&name).len() <= 58);
        }
    }
}
