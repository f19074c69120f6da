//! From the bytes of a request body to a conformed JSON object.

mod document;
mod protobuf;
#[cfg(test)]
mod tests;
mod wire;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::schema::{self, Gvk, Types};
use crate::status::{ApiError, FieldError, FieldErrorKind};
use document::{Document, MAX_FINDINGS};

/// Form of a request body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MediaType {
    /// `application/json`, also assumed when nothing is said.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

/// Media types of bodies, for 415 answers.
pub const ACCEPTED: &[&str] = &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

impl MediaType {
    /// From a `Content-Type` header; parameters such as `charset` are ignored. `None` when it is none of ours.
    pub fn parse(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "" | "application/json" | "*/*" => Some(Self::Json),
            "application/yaml" | "application/x-yaml" | "text/yaml" => Some(Self::Yaml),
            "application/vnd.kubernetes.protobuf" => Some(Self::Protobuf),
            _ => None,
        }
    }
}

/// What happens to unknown and duplicate fields (`?fieldValidation=`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FieldValidation {
    /// Dropped silently.
    Ignore,
    /// Dropped with a warning header.
    #[default]
    Warn,
    /// Refused.
    Strict,
}

impl FieldValidation {
    /// From the query parameter; empty means `Warn`, as kube-apiserver has it.
    ///
    /// # Errors
    /// Any other value, as an error of the field `fieldValidation` of the request's options.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        match text {
            "Ignore" => Ok(Self::Ignore),
            "" | "Warn" => Ok(Self::Warn),
            "Strict" => Ok(Self::Strict),
            other => {
                let known = "supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"";
                Err(FieldError { kind: FieldErrorKind::NotSupported, ..FieldError::invalid("fieldValidation", other, known) })
            }
        }
    }
}

/// A decoded body.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// Conformed to its type, `apiVersion` and `kind` filled in.
    pub value: Value,
    /// For `Warning` headers.
    pub warnings: Vec<String>,
}

/// Decodes a body that should hold an object of kind `expected`.
///
/// A body without `apiVersion` and `kind` is taken as that kind. `DeleteOptions` and its like are
/// accepted under any group, as clients send them. An object of a kind `types` does not know is
/// taken as it is. `null`, and YAML that says nothing, is an object without fields, as for kube-apiserver.
///
/// # Errors
/// 400: not readable, of another kind, with values of the wrong type or (strict) with unknown or duplicate fields.
pub fn decode(types: &Types, expected: &Gvk, body: &[u8], media: MediaType, validation: FieldValidation) -> Result<Decoded, ApiError> {
    let refuse = |why: String| {
        let (kind, version) = (&expected.kind, &expected.version);
        ApiError::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}"))
    };
    let Document { mut value, duplicates } = document(types, body, media).map_err(refuse)?;
    if value.is_null() {
        value = Value::Object(Map::new());
    }
    identify(&mut value, expected)
        .map_err(|why| ApiError::bad_request(why.unwrap_or_else(|| refuse("expected an object".into()).message)))?;
    let duplicates = duplicates.into_iter().map(|path| format!("duplicate field {path:?}"));
    let findings: Vec<String> = settle(types, expected, &mut value, duplicates.collect()).map_err(refuse)?;
    finish(value, findings, validation).map_err(refuse)
}

/// A body that is not what its form says.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{why}")]
pub struct Unreadable {
    /// The form.
    pub media: MediaType,
    /// What is wrong, one sentence.
    pub why: String,
}

/// What a body says, whatever it should hold; nothing is conformed.
///
/// # Errors
/// It is not readable in that form.
pub fn read(types: &Types, body: &[u8], media: MediaType) -> Result<Value, Unreadable> {
    document(types, body, media).map(|document| document.value).map_err(|why| Unreadable { media, why })
}

fn document(types: &Types, body: &[u8], media: MediaType) -> Result<Document, String> {
    Ok(match media {
        MediaType::Json => Document::from_json(body)?,
        MediaType::Yaml => Document::from_yaml(body)?,
        MediaType::Protobuf => Document { value: protobuf::decode(types, body)?, duplicates: Vec::new() },
    })
}

/// Decodes the configuration of a server-side apply (YAML or JSON) as it was written: it is not
/// conformed, because an explicit zero or empty value says something there. Its fields are checked
/// by [`crate::patch::apply::apply`].
///
/// # Errors
/// 400: not readable, of another kind, or (strict) with duplicate fields.
pub fn decode_configuration(expected: &Gvk, body: &[u8], validation: FieldValidation) -> Result<Decoded, ApiError> {
    let refuse = |why: String| ApiError::bad_request(format!("error decoding YAML: {why}"));
    let Document { mut value, duplicates } = Document::from_yaml(body).map_err(refuse)?;
    identify(&mut value, expected).map_err(|why| why.map_or_else(|| refuse("expected an object".into()), ApiError::bad_request))?;
    let findings = duplicates.into_iter().map(|path| format!("duplicate field {path:?}")).take(MAX_FINDINGS).collect();
    finish(value, findings, validation).map_err(refuse)
}

/// Decodes a JSON patch, merge patch or strategic merge patch.
///
/// # Errors
/// 400: not readable.
pub fn decode_patch(body: &[u8]) -> Result<Value, ApiError> {
    let document = Document::from_json(body).map_err(|why| ApiError::bad_request(format!("error decoding patch: {why}")))?;
    Ok(document.value)
}

/// Why the result of a patch is not an object of its kind.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Unfit {
    /// It has unknown fields, and none may be.
    #[error("{}", .0.message)]
    Strict(ApiError),
    /// It has values of the wrong type, or is of another kind.
    #[error("{}", .0.message)]
    Wrong(ApiError),
}

impl From<Unfit> for ApiError {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Strict(error) | Unfit::Wrong(error) => error,
        }
    }
}

/// Conforms the result of a patch to its kind, with the same rules as [`decode`].
///
/// # Errors
/// [`Unfit::Wrong`] for values of the wrong type, [`Unfit::Strict`] for unknown fields where none may be; each is a 400.
pub fn conform_patched(types: &Types, gvk: &Gvk, mut value: Value, validation: FieldValidation) -> Result<Decoded, Unfit> {
    let refuse = |why: String| {
        ApiError::bad_request(format!("{} in version {:?} cannot be handled as a {}: {why}", gvk.kind, gvk.version, gvk.kind))
    };
    let other = |why: Option<String>| ApiError::bad_request(why.unwrap_or_else(|| refuse("expected an object".into()).message));
    identify(&mut value, gvk).map_err(|why| Unfit::Wrong(other(why)))?;
    let findings = settle(types, gvk, &mut value, Vec::new()).map_err(|why| Unfit::Wrong(refuse(why)))?;
    finish(value, findings, validation).map_err(|why| Unfit::Strict(refuse(why)))
}

fn settle(types: &Types, gvk: &Gvk, value: &mut Value, mut findings: Vec<String>) -> Result<Vec<String>, String> {
    let Some(id) = types.kind(&gvk.group, &gvk.version, &gvk.kind) else { return Ok(findings) };
    let forgets = value.pointer("/metadata/managedFields").and_then(Value::as_array).is_some_and(Vec::is_empty);
    let found = schema::conform(types, id, value);
    if forgets {
        // To own nothing is something else than to say nothing about it.
        value["metadata"]["managedFields"] = Value::Array(Vec::new());
    }
    if let Some(wrong) = found.wrong.into_iter().next() {
        return Err(wrong);
    }
    findings.extend(found.unknown.into_iter().map(|path| format!("unknown field {path:?}")));
    findings.truncate(MAX_FINDINGS);
    Ok(findings)
}

fn finish(value: Value, findings: Vec<String>, validation: FieldValidation) -> Result<Decoded, String> {
    match validation {
        FieldValidation::Strict if !findings.is_empty() => Err(format!("strict decoding error: {}", findings.join(", "))),
        FieldValidation::Warn => Ok(Decoded { value, warnings: findings }),
        FieldValidation::Strict | FieldValidation::Ignore => Ok(Decoded { value, warnings: Vec::new() }),
    }
}

/// Kinds clients send under the group of the request.
const ANY_GROUP: &[&str] = &["DeleteOptions", "CreateOptions", "UpdateOptions", "PatchOptions"];

/// Fills in `apiVersion` and `kind`; an error when they name another kind, `None` when it is no object.
fn identify(value: &mut Value, expected: &Gvk) -> Result<(), Option<String>> {
    let Some(map) = value.as_object_mut() else { return Err(None) };
    let wanted = expected.api_version();
    for (key, fill) in [("apiVersion", &wanted), ("kind", &expected.kind)] {
        if map.get(key).is_none_or(|v| v.is_null() || v.as_str() == Some("")) {
            map.insert(key.into(), fill.clone().into());
        }
    }
    let text = |key: &str| map[key].as_str().unwrap_or_default().to_owned();
    let (version, kind) = (text("apiVersion"), text("kind"));
    if kind != expected.kind {
        return Err(Some(format!("{kind} in version {version:?} cannot be handled as a {}: the kinds differ", expected.kind)));
    }
    if ANY_GROUP.contains(&kind.as_str()) {
        map.insert("apiVersion".into(), wanted.into());
    } else if version != wanted {
        let message = format!("the API version in the data ({version}) does not match the expected API version ({wanted})");
        return Err(Some(message));
    }
    Ok(())
}

/// Numbers and bytes of a message made of length-delimited fields, for tests of what we write.
#[cfg(test)]
pub(crate) fn wire_fields(bytes: &[u8]) -> Result<Vec<(u32, &[u8])>, String> {
    let (mut out, mut reader) = (Vec::new(), wire::Reader::new(bytes));
    while let Some((number, wire)) = reader.next()? {
        if let wire::Wire::Bytes(bytes) = wire {
            out.push((number, bytes));
        }
    }
    Ok(out)
}
