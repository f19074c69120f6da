//! Which form of an answer the client wants.

use http::{HeaderMap, header};
use machinery::status::ApiError;

/// The forms of an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// The objects themselves.
    Objects,
    /// A `meta.k8s.io/v1` Table.
    Table,
    /// `PartialObjectMetadata`.
    Partial,
}

/// Chooses the first form of the `Accept` header that can be served. Protobuf is accepted and
/// answered in JSON, which every client that asks for it also reads.
pub(crate) fn form(headers: &HeaderMap) -> Result<Form, ApiError> {
    let mut said = false;
    for value in headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()) {
        for range in value.split(',').map(str::trim).filter(|r| !r.is_empty()) {
            said = true;
            if let Some(form) = one(range) {
                return Ok(form);
            }
        }
    }
    if said {
        let message = "only the following media types are accepted: application/json";
        return Err(ApiError::new(406, "NotAcceptable", message));
    }
    Ok(Form::Objects)
}

fn one(range: &str) -> Option<Form> {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next()?;
    if !matches!(media, "application/json" | "application/vnd.kubernetes.protobuf" | "application/*" | "*/*") {
        return None;
    }
    let (mut kind, mut version, mut group) = (None, None, None);
    for (key, value) in parts.filter_map(|p| p.split_once('=')) {
        match key.trim() {
            "as" => kind = Some(value.trim()),
            "v" => version = Some(value.trim()),
            "g" => group = Some(value.trim()),
            _ => {}
        }
    }
    match (kind, version, group) {
        (None, _, _) => Some(Form::Objects),
        (Some("Table"), Some("v1"), Some("meta.k8s.io")) => Some(Form::Table),
        (Some("PartialObjectMetadata" | "PartialObjectMetadataList"), Some("v1"), Some("meta.k8s.io")) => Some(Form::Partial),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(value: &str) -> Result<Form, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, value.parse().unwrap());
        form(&headers).map_err(|e| e.code)
    }

    #[test]
    fn the_first_form_that_can_be_served_wins() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(accept(kubectl), Ok(Form::Table));
        assert_eq!(accept("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"), Ok(Form::Objects));
        assert_eq!(accept("application/vnd.kubernetes.protobuf,application/json"), Ok(Form::Objects));
        assert_eq!(accept("application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"), Ok(Form::Partial));
        assert_eq!(accept("*/*"), Ok(Form::Objects));
        assert_eq!(accept("text/html"), Err(406));
        assert_eq!(form(&HeaderMap::new()), Ok(Form::Objects));
    }
}
