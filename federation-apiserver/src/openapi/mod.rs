//! `/openapi/v2` and `/openapi/v3`: made from the schemas when first asked for, then served as bytes.
//!
//! kubectl reads version 3 as JSON, and version 2 only as protobuf; without the latter
//! kubectl before 1.28 refuses to apply anything.

mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, EXPIRES, LOCATION};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use machinery::openapi::V2_PROTOBUF;
use serde_json::{Value, json};

pub use source::Source;

use crate::discovery::{answer, etag, fresh, hash, not_acceptable};

/// As kube-apiserver names it in answers: the `@` is not allowed in a media type.
const V2_PROTOBUF_ANSWER: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
const JSON: &str = "application/json";
/// How long a document asked for by its hash may be kept: its content can never change.
const ONE_YEAR: jiff::SignedDuration = jiff::SignedDuration::from_hours(365 * 24);

/// Where the documents come from. Called once for each document.
pub trait Documents: Send + Sync {
    /// Groups (empty: core) and versions served.
    fn versions(&self) -> Vec<(String, String)>;
    /// OpenAPI 3 document of one group and version, as JSON.
    fn v3(&self, group: &str, version: &str) -> Vec<u8>;
    /// OpenAPI 2 document of everything, as JSON.
    fn v2(&self) -> Vec<u8>;
    /// The same as protobuf.
    fn v2_protobuf(&self) -> Vec<u8>;
}

/// A document, its hash and entity tag.
struct Document {
    bytes: Bytes,
    hash: String,
    etag: HeaderValue,
}

impl Document {
    fn new(bytes: Vec<u8>) -> Self {
        Self { hash: hash(&bytes), etag: etag(&bytes), bytes: bytes.into() }
    }
}

/// A document of one group and version, by its path below `/openapi/v3/`.
struct Part {
    group: String,
    version: String,
    document: OnceLock<Document>,
}

/// All OpenAPI documents.
pub struct OpenApi {
    source: Box<dyn Documents>,
    parts: BTreeMap<String, Part>,
    index: OnceLock<Document>,
    v2: OnceLock<Document>,
    v2_protobuf: OnceLock<Document>,
}

impl std::fmt::Debug for OpenApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.parts.keys()).finish()
    }
}

impl OpenApi {
    /// Makes nothing yet.
    pub fn new(source: Box<dyn Documents>) -> Self {
        let part = |(group, version): (String, String)| {
            let path = if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
            (path, Part { group, version, document: OnceLock::new() })
        };
        let parts = source.versions().into_iter().map(part).collect();
        Self { source, parts, index: OnceLock::new(), v2: OnceLock::new(), v2_protobuf: OnceLock::new() }
    }

    /// The answer to a GET with its query; `None` when the path is not an OpenAPI path. The first
    /// call for a document computes for some milliseconds.
    pub fn respond(&self, path: &str, query: &str, headers: &HeaderMap) -> Option<Response<Bytes>> {
        let rest = path.strip_prefix("/openapi/")?.trim_end_matches('/');
        match rest.split_once('/') {
            None if rest == "v3" => Some(self.index(headers)),
            None if rest == "v2" => Some(self.v2(headers)),
            Some(("v3", name)) => Some(self.part(path, self.parts.get(name)?, query, headers)),
            _ => None,
        }
    }

    fn index(&self, headers: &HeaderMap) -> Response<Bytes> {
        let document = self.index.get_or_init(|| {
            let url = |(name, part): (&String, &Part)| {
                let url = format!("/openapi/v3/{name}?hash={}", self.document(part).hash);
                (name.clone(), json!({"serverRelativeURL": url}))
            };
            let paths: serde_json::Map<String, Value> = self.parts.iter().map(url).collect();
            Document::new(json!({"paths": paths}).to_string().into_bytes())
        });
        if !accepts(headers, JSON) { not_acceptable(&[JSON]) } else { serve(document, JSON, headers) }
    }

    fn document<'a>(&self, part: &'a Part) -> &'a Document {
        part.document.get_or_init(|| Document::new(self.source.v3(&part.group, &part.version)))
    }

    fn part(&self, path: &str, part: &Part, query: &str, headers: &HeaderMap) -> Response<Bytes> {
        if !accepts(headers, JSON) {
            return not_acceptable(&[JSON]);
        }
        let document = self.document(part);
        let asked = query.split('&').find_map(|p| p.strip_prefix("hash="));
        let mut response = serve(document, JSON, headers);
        match asked {
            None => {}
            Some(hash) if hash == document.hash => {
                let expires = jiff::Timestamp::now().checked_add(ONE_YEAR).unwrap_or(jiff::Timestamp::MAX);
                let expires = expires.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
                let headers = response.headers_mut();
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
                headers.extend(HeaderValue::from_str(&expires).ok().map(|v| (EXPIRES, v)));
            }
            // The client has an old index; the answer must not be cached under the old hash.
            Some(_) => {
                *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
                *response.body_mut() = Bytes::new();
                let to = format!("{}?hash={}", path.trim_end_matches('/'), document.hash);
                response.headers_mut().extend(HeaderValue::from_str(&to).ok().map(|v| (LOCATION, v)));
            }
        }
        response
    }

    fn v2(&self, headers: &HeaderMap) -> Response<Bytes> {
        if asks_for(headers, V2_PROTOBUF) {
            let document = self.v2_protobuf.get_or_init(|| Document::new(self.source.v2_protobuf()));
            return serve(document, V2_PROTOBUF_ANSWER, headers);
        }
        if !accepts(headers, JSON) {
            return not_acceptable(&[JSON, V2_PROTOBUF]);
        }
        serve(self.v2.get_or_init(|| Document::new(self.source.v2())), JSON, headers)
    }
}

fn serve(document: &Document, content_type: &'static str, headers: &HeaderMap) -> Response<Bytes> {
    let mut response = answer(document.bytes.clone(), content_type, "no-cache, private");
    response.headers_mut().insert(ETAG, document.etag.clone());
    if fresh(headers, &document.etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Bytes::new();
        response.headers_mut().remove(CONTENT_TYPE);
    }
    response
}

fn media_types(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lists = headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(|entry| entry.split(';').next().unwrap_or_default().trim()).filter(|m| !m.is_empty())
}

/// Whether the client names this media type before any other we have.
fn asks_for(headers: &HeaderMap, media: &str) -> bool {
    media_types(headers).find(|m| [JSON, "application/*", "*/*", media].contains(m)) == Some(media)
}

/// Whether the client takes this media type.
fn accepts(headers: &HeaderMap, media: &str) -> bool {
    let mut any = false;
    media_types(headers).inspect(|_| any = true).any(|m| m == media || m == "*/*" || m == "application/*") || !any
}
