//! Tables and metadata-only objects from lists of objects.

use serde_json::{Map, Value, json};

use super::Columns;

/// What each row of a table carries besides its cells (`includeObject` of the request).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// The metadata as `PartialObjectMetadata`.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

impl IncludeObject {
    /// Reads the query parameter; absent and empty mean `Metadata`.
    ///
    /// # Errors
    /// Names the value when it is unknown.
    pub fn parse(text: Option<&str>) -> Result<Self, String> {
        match text {
            None | Some("" | "Metadata") => Ok(Self::Metadata),
            Some("None") => Ok(Self::None),
            Some("Object") => Ok(Self::Object),
            Some(other) => Err(format!("unrecognized includeObject value: \"{other}\"")),
        }
    }
}

/// Metadata of the list a table stands for.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListMeta<'a> {
    /// Revision of the list; of the object when the table shows one object.
    pub resource_version: &'a str,
    /// Token for the next page; empty on the last.
    pub continue_token: &'a str,
    /// How many objects are left after this page, if known.
    pub remaining: Option<u64>,
}

impl ListMeta<'_> {
    fn to_value(self) -> Value {
        let mut out = Map::new();
        out.insert("resourceVersion".into(), self.resource_version.into());
        if !self.continue_token.is_empty() {
            out.insert("continue".into(), self.continue_token.into());
        }
        if let Some(n) = self.remaining {
            out.insert("remainingItemCount".into(), n.into());
        }
        out.into()
    }
}

/// The `meta.k8s.io/v1` Table of these objects. `now` is in seconds since the epoch. Watches send the
/// column definitions only with the first event: `headers` says whether to write them.
pub fn table(columns: &Columns, objects: &[Value], include: IncludeObject, meta: ListMeta<'_>, headers: bool, now: i64) -> Value {
    let definition =
        |c: &super::Column| json!({"name": c.name, "type": c.kind, "format": c.format, "description": "", "priority": c.priority});
    let row = |object: &Value| {
        let cells: Vec<Value> = columns.iter().map(|c| (c.cell)(object, now)).collect();
        let mut row = json!({"cells": cells});
        match include {
            IncludeObject::None => {}
            IncludeObject::Metadata => row["object"] = partial_metadata(object),
            IncludeObject::Object => row["object"] = object.clone(),
        }
        row
    };
    let definitions = if headers { columns.iter().map(definition).collect() } else { Value::Null };
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta.to_value(),
        "columnDefinitions": definitions,
        "rows": objects.iter().map(row).collect::<Vec<_>>(),
    })
}

/// Only the metadata of an object, as `meta.k8s.io/v1` PartialObjectMetadata.
pub fn partial_metadata(object: &Value) -> Value {
    let metadata = object.get("metadata").cloned().unwrap_or_else(|| json!({}));
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
}

/// Only the metadata of objects, as `meta.k8s.io/v1` PartialObjectMetadataList.
pub fn partial_metadata_list(objects: &[Value], meta: ListMeta<'_>) -> Value {
    json!({
        "kind": "PartialObjectMetadataList",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta.to_value(),
        "items": objects.iter().map(partial_metadata).collect::<Vec<_>>(),
    })
}
