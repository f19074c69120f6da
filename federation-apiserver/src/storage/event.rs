//! Changes of objects and what watchers are told about them.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::json;

use super::head::Head;
use super::object::Object;

/// `type` of a watch event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EventKind {
    /// The object is new to this watcher.
    Added,
    /// The object changed.
    Modified,
    /// The object is gone, or no longer matches what this watcher selects.
    Deleted,
    /// Nothing happened; everything up to the revision was sent.
    Bookmark,
}

impl EventKind {
    /// As it is written in an event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
            Self::Bookmark => "BOOKMARK",
        }
    }
}

/// One change of one object, shared by all who watch it.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) revision: u64,
    /// The state after; `None` when deleted.
    pub(super) new: Option<Arc<Object>>,
    /// The state before; `None` when created.
    pub(super) old: Option<Arc<Object>>,
    /// The state before with the revision of this change, made when somebody needs it.
    departed: OnceLock<Option<Arc<Object>>>,
    /// The event as sent, for each kind, made when somebody needs it.
    lines: [OnceLock<Bytes>; 3],
}

impl Change {
    pub(super) fn new(revision: u64, new: Option<Arc<Object>>, old: Option<Arc<Object>>) -> Self {
        Self { revision, new, old, departed: OnceLock::new(), lines: Default::default() }
    }

    /// The key of the object below the resource's prefix.
    pub(super) fn key(&self) -> &str {
        self.new.as_ref().or(self.old.as_ref()).map_or("", |o| o.head.key())
    }

    /// Bytes this change keeps alive beside the cache: the state before and an encoded event.
    pub(super) fn weight(&self) -> usize {
        let of = |o: &Option<Arc<Object>>| o.as_ref().map_or(0, |o| o.bytes.len() + o.head.heap());
        size_of::<Self>() + of(&self.old) + of(&self.new)
    }

    /// What a watcher that selects with `filter` is told; `None` when it is none of its business.
    pub(super) fn seen_through(&self, filter: &dyn Fn(&Head) -> bool) -> Option<EventKind> {
        let matches = |o: &Option<Arc<Object>>| o.as_ref().is_some_and(|o| filter(&o.head));
        match (matches(&self.old), matches(&self.new)) {
            (false, true) => Some(EventKind::Added),
            (true, true) => Some(EventKind::Modified),
            (true, false) => Some(EventKind::Deleted),
            (false, false) => None,
        }
    }

    fn object(&self, kind: EventKind) -> Option<&Arc<Object>> {
        match kind {
            EventKind::Added | EventKind::Modified => self.new.as_ref(),
            EventKind::Deleted => self.departed.get_or_init(|| self.old.as_ref().map(|o| Arc::new(o.at_revision(self.revision)))).as_ref(),
            EventKind::Bookmark => None,
        }
    }
}

/// What one watcher is told. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WatchEvent {
    kind: EventKind,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Change(Arc<Change>),
    Initial(Arc<Object>),
    Bookmark { revision: u64, initial_events_end: bool },
}

/// Annotation of the bookmark behind the initial events of a streaming list.
pub const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

impl WatchEvent {
    pub(super) fn change(kind: EventKind, change: Arc<Change>) -> Self {
        Self { kind, source: Source::Change(change) }
    }

    pub(super) fn initial(object: Arc<Object>) -> Self {
        Self { kind: EventKind::Added, source: Source::Initial(object) }
    }

    pub(super) fn bookmark(revision: u64, initial_events_end: bool) -> Self {
        Self { kind: EventKind::Bookmark, source: Source::Bookmark { revision, initial_events_end } }
    }

    /// The event's type.
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// The resourceVersion a client may go on from.
    pub fn revision(&self) -> u64 {
        match &self.source {
            Source::Change(change) => change.revision,
            Source::Initial(object) => object.revision,
            Source::Bookmark { revision, .. } => *revision,
        }
    }

    /// The object; `None` for bookmarks. A deleted one is the last state with the revision of the deletion.
    pub fn object(&self) -> Option<&Arc<Object>> {
        match &self.source {
            Source::Change(change) => change.object(self.kind),
            Source::Initial(object) => Some(object),
            Source::Bookmark { .. } => None,
        }
    }

    /// Whether this is the bookmark behind the initial events.
    pub fn initial_events_end(&self) -> bool {
        matches!(self.source, Source::Bookmark { initial_events_end: true, .. })
    }

    /// The event as a line of a JSON watch, newline included. Events of changes are encoded once and shared.
    /// `api_version` and `kind` are those of the resource; only bookmarks need them.
    pub fn line(&self, api_version: &str, kind: &str) -> Bytes {
        match &self.source {
            Source::Change(change) => change.lines[self.kind as usize % 3].get_or_init(|| self.encode(api_version, kind)).clone(),
            _ => self.encode(api_version, kind),
        }
    }

    fn encode(&self, api_version: &str, kind: &str) -> Bytes {
        match (self.object(), &self.source) {
            (Some(object), _) => line(self.kind, &object.bytes),
            (None, Source::Bookmark { revision, initial_events_end }) => {
                let mut metadata = json!({"resourceVersion": revision.to_string()});
                if *initial_events_end {
                    metadata["annotations"] = json!({INITIAL_EVENTS_END: "true"});
                }
                let object = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
                line(self.kind, object.to_string().as_bytes())
            }
            (None, _) => Bytes::new(),
        }
    }
}

/// `{"type":...,"object":...}` and a newline around an encoded object.
pub fn line(kind: EventKind, object: &[u8]) -> Bytes {
    let parts = [b"{\"type\":\"", kind.as_str().as_bytes(), b"\",\"object\":", object, b"}\n"];
    parts.concat().into()
}
