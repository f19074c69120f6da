//! Discovery: which groups, versions and resources there are. Built once from the resource table,
//! served as bytes.

mod documents;
mod negotiate;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use machinery::status::ApiError;
use sha2::{Digest as _, Sha256};

use crate::registry::resource::Resource;
use documents::Group;
pub(crate) use documents::{Sub, subresources};
use negotiate::Format;

/// Everything discovery answers.
#[derive(Debug)]
pub struct Discovery {
    /// `/api`, `/apis` and everything below, without trailing slash.
    plain: BTreeMap<String, Bytes>,
    core: Aggregated,
    groups: Aggregated,
}

/// One aggregated document in both of its versions.
#[derive(Debug)]
struct Aggregated {
    v2: Document,
    v2beta1: Document,
}

#[derive(Debug)]
struct Document {
    bytes: Bytes,
    etag: HeaderValue,
}

impl Document {
    fn new(value: &serde_json::Value) -> Self {
        let bytes = Bytes::from(value.to_string());
        Self { etag: etag(&bytes), bytes }
    }
}

/// A strong entity tag of a document.
pub(crate) fn etag(bytes: &[u8]) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{}\"", hash(bytes))).expect("hex digits and quotes fit a header")
}

/// SHA-256 in upper-case hex, as hashes of documents are written.
pub(crate) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02X}")).collect()
}

/// Whether the client's copy is still good.
pub(crate) fn fresh(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let tags = headers.get_all(IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    tags.map(|t| t.trim().trim_start_matches("W/")).any(|t| t == "*" || t.as_bytes() == etag.as_bytes())
}

impl Discovery {
    /// `server_address` (`host:port`) is where clients reach the server, told in `/api`.
    pub fn new<'a>(resources: impl IntoIterator<Item = &'a Resource>, server_address: &str) -> Self {
        let groups = documents::groups(resources);
        let mut plain = BTreeMap::new();
        let mut put = |path: String, value: serde_json::Value| plain.insert(path, Bytes::from(value.to_string()));
        put("/api".to_owned(), documents::api_versions(&groups, server_address));
        put("/apis".to_owned(), documents::group_list(&groups));
        for group in &groups {
            if !group.is_core() {
                put(format!("/apis/{}", group.name), documents::group(group));
            }
            for version in &group.versions {
                put(group.path(version.name), documents::resource_list(group, version));
            }
        }
        let (core, named): (Vec<Group<'_>>, Vec<Group<'_>>) = groups.into_iter().partition(Group::is_core);
        Self { plain, core: Aggregated::new(&core), groups: Aggregated::new(&named) }
    }

    /// The answer to a GET of a discovery path; `None` when the path is not one.
    pub fn respond(&self, path: &str, headers: &HeaderMap) -> Option<Response<Bytes>> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let plain = self.plain.get(path)?;
        let aggregated = match path {
            "/api" => Some(&self.core),
            "/apis" => Some(&self.groups),
            _ => None,
        };
        let accept: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect();
        let document = match (negotiate::choose(&accept, aggregated.is_some()), aggregated) {
            (Some(Format::Plain), _) => return Some(answer(plain.clone(), "application/json", "no-cache, private")),
            (Some(Format::V2), Some(a)) => (&a.v2, negotiate::V2),
            (Some(Format::V2Beta1), Some(a)) => (&a.v2beta1, negotiate::V2_BETA1),
            _ => return Some(not_acceptable(&["application/json"])),
        };
        let (document, content_type) = document;
        let mut response = answer(document.bytes.clone(), content_type, "public");
        if fresh(headers, &document.etag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = Bytes::new();
            response.headers_mut().remove(CONTENT_TYPE);
        }
        response.headers_mut().insert(ETAG, document.etag.clone());
        Some(response)
    }
}

impl Aggregated {
    fn new(groups: &[Group<'_>]) -> Self {
        Self { v2: Document::new(&documents::aggregated(groups, "v2")), v2beta1: Document::new(&documents::aggregated(groups, "v2beta1")) }
    }
}

/// 200 with a document.
pub(crate) fn answer(body: Bytes, content_type: &'static str, caching: &'static str) -> Response<Bytes> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    response
}

/// 406 as a Status.
pub(crate) fn not_acceptable(accepted: &[&str]) -> Response<Bytes> {
    let message = format!("only the following media types are accepted: {}", accepted.join(", "));
    let error = ApiError::new(406, "NotAcceptable", message);
    let mut response = answer(Bytes::from(error.to_value().to_string()), "application/json", "no-cache, private");
    *response.status_mut() = StatusCode::NOT_ACCEPTABLE;
    response
}
