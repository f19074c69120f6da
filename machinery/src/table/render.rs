//! Tables and metadata-only objects, written from objects that are encoded already.

use serde_json::{Map, Value, json};

use super::cells::Cells;
use super::column::{Column, Columns};

/// What each row of a table carries besides its cells (`includeObject` of the request).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// The metadata as `PartialObjectMetadata`.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

/// A value of `includeObject` that there is not.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unrecognized includeObject value: \"{value}\"")]
pub struct UnknownInclude {
    /// The value.
    pub value: String,
}

impl IncludeObject {
    /// Reads the query parameter; absent and empty mean `Metadata`.
    ///
    /// # Errors
    /// The value is unknown.
    pub fn parse(text: Option<&str>) -> Result<Self, UnknownInclude> {
        match text {
            None | Some("" | "Metadata") => Ok(Self::Metadata),
            Some("None") => Ok(Self::None),
            Some("Object") => Ok(Self::Object),
            Some(other) => Err(UnknownInclude { value: other.to_owned() }),
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
    /// As it is written in a list.
    #[must_use]
    pub fn to_value(self) -> Value {
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

/// An encoded object, and the part of it that is its metadata.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// All of it.
    pub object: &'a [u8],
    /// The value of its `metadata`.
    pub metadata: &'a [u8],
}

impl Shown<'_> {
    /// Writes a row of a table. `now` is in seconds since the epoch, for ages.
    pub fn row(self, cells: &Cells, include: IncludeObject, now: i64, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"cells\":");
        cells.write(now, out);
        match include {
            IncludeObject::None => {}
            IncludeObject::Metadata => {
                out.extend_from_slice(b",\"object\":");
                self.partial(out);
            }
            IncludeObject::Object => {
                out.extend_from_slice(b",\"object\":");
                out.extend_from_slice(self.object);
            }
        }
        out.push(b'}');
    }

    /// Writes only the metadata, as `meta.k8s.io/v1` PartialObjectMetadata.
    pub fn partial(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":");
        out.extend_from_slice(self.metadata);
        out.push(b'}');
    }
}

/// The beginning of a `meta.k8s.io/v1` Table, up to its rows. Watches send the column definitions only with the first
/// event: without `columns` they are left out.
#[must_use]
pub fn open_table(columns: Option<&Columns>, meta: ListMeta<'_>) -> String {
    let definition = |c: &Column| json!({"name": c.name, "type": c.kind, "format": c.format, "description": "", "priority": c.priority});
    let definitions = columns.map_or(Value::Null, |columns| columns.iter().map(definition).collect());
    let metadata = meta.to_value();
    format!("{{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{metadata},\"columnDefinitions\":{definitions},\"rows\":[")
}

/// The beginning of a `meta.k8s.io/v1` PartialObjectMetadataList, up to its items.
#[must_use]
pub fn open_metadata_list(meta: ListMeta<'_>) -> String {
    let metadata = meta.to_value();
    format!("{{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{metadata},\"items\":[")
}

/// What ends a table or list.
pub const CLOSE: &[u8] = b"]}";
