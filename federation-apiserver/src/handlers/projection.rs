//! Objects as tables, as metadata only and in other versions than they are stored in, written from the stored bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use machinery::status::ApiError;
use machinery::table::{self, CLOSE, Cells, Columns, IncludeObject, ListMeta, Shown};
use serde_json::{Value, json};

use super::call::Call;
use super::gzip::Identity;
use crate::http::accept::{self, Form};
use crate::registry::Entry;
use crate::registry::resource::Resource;
use crate::storage::event::{INITIAL_EVENTS_END, WatchEvent};
use crate::storage::object::{Layout, Object};
use crate::storage::store::Listing;

/// Lists are written in buffers of about this size.
const FRAME: usize = 64 * 1024;
/// A byte that is copied costs so many times less than one that is decoded.
const COPIED: usize = 16;

/// What is shown of objects that are not asked for as they are.
#[derive(Clone)]
pub(super) struct Projection {
    form: Form,
    include: IncludeObject,
    /// Only tables have columns.
    layout: Option<Arc<Layout>>,
    entry: Arc<Entry>,
}

/// A whole object in the version that is served; `None` where it is stored in another and cannot be decoded.
pub(super) fn whole(entry: &Entry, object: &Object) -> Option<Bytes> {
    if !entry.converts() {
        return Some(object.bytes.clone());
    }
    let stored = object.readable(&entry.resource.plural)?;
    Some(entry.shown(&stored).to_string().into())
}

impl Projection {
    /// What a request asks for; `None` is the objects themselves.
    pub(super) fn of(call: Call<'_>) -> Result<Option<Self>, ApiError> {
        let form = accept::form(call.headers)?;
        if form == Form::Objects && !call.entry.converts() {
            return Ok(None);
        }
        let include = IncludeObject::parse(call.query.get("includeObject")).map_err(|e| ApiError::bad_request(e.to_string()))?;
        let layout = (form == Form::Table).then(|| Arc::clone(&call.entry.layout));
        Ok(Some(Self { form, include, layout, entry: Arc::clone(call.entry) }))
    }

    fn columns(&self) -> &Columns {
        static NONE: Columns = Columns::new();
        self.layout.as_ref().map_or(&NONE, |layout| &layout.columns)
    }

    /// Whether whole objects are made from those that are stored.
    fn converts(&self) -> bool {
        let whole = self.form == Form::Objects || (self.form == Form::Table && self.include == IncludeObject::Object);
        whole && self.entry.converts()
    }

    /// What showing a stored object costs, as bytes to decode.
    pub(super) fn weight(&self, object: &Object) -> usize {
        let decoded = match self.form {
            _ if self.converts() => object.bytes.len(),
            Form::Table => self.layout.as_ref().map_or(0, |layout| object.undecoded(layout)),
            Form::Objects | Form::Partial => 0,
        };
        object.shown().metadata.len() / COPIED + decoded
    }

    /// Writes a row or the metadata of a stored object. One that cannot be decoded has no row; it must not hide others.
    fn write(&self, object: &Object, now: i64, out: &mut Vec<u8>) -> bool {
        if self.form == Form::Partial {
            object.shown().partial(out);
            return true;
        }
        let converted = if self.converts() { whole(&self.entry, object) } else { Some(object.bytes.clone()) };
        let Some(bytes) = converted else { return false };
        if self.form == Form::Objects {
            out.extend_from_slice(&bytes);
            return true;
        }
        // Cells and metadata are those of the stored version, as kube-apiserver's are of the one it works with.
        let Some(layout) = &self.layout else { return false };
        let show = |cells: &Cells| Shown { object: &bytes, ..object.shown() }.row(cells, self.include, now, out);
        object.with_cells(&self.entry.resource.plural, layout, show).is_some()
    }

    /// One stored object.
    pub(super) fn one(&self, object: &Object, now: i64) -> Bytes {
        let version = object.revision.to_string();
        self.single(&version, |out| {
            self.write(object, now, out);
        })
    }

    /// One object of the stored version that is not stored.
    pub(super) fn value(&self, value: &Value, now: i64) -> Bytes {
        let object = self.entry.shown(value).to_string();
        if self.form == Form::Objects {
            return object.into();
        }
        let metadata = value.get("metadata").unwrap_or(&json!({})).to_string();
        let shown = Shown { object: object.as_bytes(), metadata: metadata.as_bytes() };
        let version = value["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        self.single(version, |out| match self.form {
            Form::Partial => shown.partial(out),
            _ => shown.row(&Cells::of(self.columns(), value), self.include, now, out),
        })
    }

    fn single(&self, version: &str, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
        let mut out = Vec::new();
        match self.form {
            Form::Objects | Form::Partial => write(&mut out),
            Form::Table => self.table(Some(self.columns()), version, write, &mut out),
        }
        out.into()
    }

    /// A table with what `write` puts between its brackets.
    fn table(&self, columns: Option<&Columns>, version: &str, write: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
        let meta = ListMeta { resource_version: version, ..ListMeta::default() };
        out.extend_from_slice(table::open_table(columns, meta).as_bytes());
        write(out);
        out.extend_from_slice(CLOSE);
    }

    /// A list, in its beginning and what follows, whose identity is told.
    pub(super) fn list(&self, listing: &Listing, now: i64, mut identity: Option<&mut Identity>) -> VecDeque<Bytes> {
        let version = listing.revision.to_string();
        let token = listing.continue_token.as_deref().unwrap_or_default();
        let meta = ListMeta { resource_version: &version, continue_token: token, remaining: listing.remaining };
        let head = match self.form {
            Form::Objects => open_list(&self.entry.resource, &meta.to_value()),
            Form::Partial => table::open_metadata_list(meta),
            Form::Table => table::open_table(Some(self.columns()), meta),
        };
        let mut parts = VecDeque::from([Bytes::from(head)]);
        let (mut out, mut empty) = (Vec::new(), true);
        for object in &listing.items {
            if out.len() >= FRAME {
                parts.push_back(std::mem::take(&mut out).into());
            }
            out.reserve(if out.is_empty() { FRAME + FRAME / 8 } else { 0 });
            let before = out.len();
            out.extend_from_slice(if empty { b"" } else { b"," });
            if !self.write(object, now, &mut out) {
                out.truncate(before);
                continue;
            }
            empty = false;
            if let Some(identity) = &mut identity {
                // Cells say how old an object is; what is behind them is in its own bytes.
                let copied = match (self.form, self.include) {
                    _ if self.converts() => 0,
                    (Form::Table, IncludeObject::None) => 0,
                    (Form::Table, IncludeObject::Object) => object.bytes.len(),
                    _ => object.shown().metadata.len(),
                };
                identity.add(object, &out[before..out.len().saturating_sub(copied)]);
            }
        }
        out.extend_from_slice(CLOSE);
        out.push(b'\n');
        parts.push_back(out.into());
        parts
    }

    /// An event as a line of a watch; `None` for an object that cannot be decoded. Only the first table has `headers`.
    pub(super) fn line(&self, event: &WatchEvent, headers: bool, now: i64) -> Option<Bytes> {
        let mut out = format!("{{\"type\":\"{}\",\"object\":", event.kind().as_str()).into_bytes();
        let mut whole = true;
        let mut write = |out: &mut Vec<u8>| match event.object() {
            Some(object) => whole = self.write(object, now, out),
            None if self.form == Form::Partial => bookmark(event, out),
            None => {}
        };
        match (self.form, event.object()) {
            (Form::Objects, None) => return Some(event.line(&self.entry.resource.api_version(), &self.entry.resource.kind)),
            (Form::Objects | Form::Partial, _) => write(&mut out),
            (Form::Table, _) => {
                let columns = headers.then_some(self.columns());
                self.table(columns, &event.revision().to_string(), write, &mut out);
            }
        }
        out.extend_from_slice(b"}\n");
        whole.then(|| out.into())
    }
}

/// The beginning of a list of objects, up to its items.
pub(super) fn open_list(resource: &Resource, metadata: &Value) -> String {
    let (kind, version) = (&resource.kind, resource.api_version());
    format!("{{\"kind\":\"{kind}List\",\"apiVersion\":\"{version}\",\"metadata\":{metadata},\"items\":[")
}

/// How far a watch is, as the metadata of nothing.
fn bookmark(event: &WatchEvent, out: &mut Vec<u8>) {
    let mut metadata = json!({"resourceVersion": event.revision().to_string()});
    if event.initial_events_end() {
        metadata["annotations"] = json!({INITIAL_EVENTS_END: "true"});
    }
    Shown { object: &[], metadata: metadata.to_string().as_bytes() }.partial(out);
}
