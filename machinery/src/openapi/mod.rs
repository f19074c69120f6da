//! OpenAPI documents from the type tables: v3 per group and version, v2 for everything.
//!
//! Good for kubectl's validation, `explain` and `apply`, and for the type converters of server-side
//! apply in client-go and kube-rs. Callers cache the bytes.

mod gnostic;
mod paths;
mod schemas;
mod served;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use crate::schema::{Gvk, Types};
use schemas::{Dialect, Schemas};
pub use served::{Served, ServedSubresource};

/// Shared types every document describes.
const SHARED: &[&str] = &["DeleteOptions", "Status", "Patch", "WatchEvent", "APIResourceList", "APIGroup"];

/// The v3 document of one group and version (`/openapi/v3/apis/apps/v1`), as JSON bytes.
pub fn v3(types: &Types, group: &str, version: &str, served: &[Served<'_>]) -> Vec<u8> {
    let here: Vec<&Served<'_>> = served.iter().filter(|s| s.group == group && s.version == version).collect();
    let (paths, schemas) = describe(types, Dialect::V3, &here);
    bytes(&json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

/// The v2 document of everything (`/openapi/v2`), as JSON bytes.
pub fn v2(types: &Types, served: &[Served<'_>], server_version: &str) -> Vec<u8> {
    bytes(&v2_document(types, served, server_version))
}

/// Media type of [`v2_protobuf`]; client-go asks for nothing else.
pub const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// The v2 document in the form client-go reads.
pub fn v2_protobuf(types: &Types, served: &[Served<'_>], server_version: &str) -> Vec<u8> {
    gnostic::document(&v2_document(types, served, server_version))
}

fn v2_document(types: &Types, served: &[Served<'_>], server_version: &str) -> Value {
    let (paths, schemas) = describe(types, Dialect::V2, &served.iter().collect::<Vec<_>>());
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": server_version},
        "paths": paths,
        "definitions": schemas,
    })
}

fn bytes(document: &Value) -> Vec<u8> {
    serde_json::to_vec(document).unwrap_or_default()
}

fn describe(types: &Types, dialect: Dialect, served: &[&Served<'_>]) -> (Map<String, Value>, Map<String, Value>) {
    let mut schemas = Schemas::new(types, dialect);
    for name in SHARED {
        schemas.add_named(&format!("io.k8s.apimachinery.pkg.apis.meta.v1.{name}"));
    }
    let mut all = Map::new();
    for resource in served {
        let gvk = Gvk::new(resource.group, resource.version, resource.kind);
        schemas.add_kind(&gvk);
        if resource.verbs.contains(&"list") {
            schemas.add_list(&gvk);
        }
        for sub in &resource.subresources {
            schemas.add_kind(&sub.kind);
        }
        paths::add(&mut all, dialect, resource, &schemas);
    }
    (all, schemas.finish())
}
