//! The cache of one resource: its objects and the latest changes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;

use super::event::Change;
use super::object::Object;
use super::shared::Tuning;
use super::sorted::Sorted;
use super::{Event, ROOT, StorageError, Versioned};
use crate::metrics;
use crate::names::Names;

/// What the feed writes and readers read. Locks are held for a few microseconds and never across a wait.
#[derive(Debug)]
pub(super) struct Cache {
    /// Key prefix with a slash at the end.
    pub(super) prefix: String,
    pub(super) selectable: Names,
    tuning: Tuning,
    state: RwLock<State>,
    /// Sequence number behind the newest change.
    changed: watch::Sender<u64>,
    /// How many keys cannot be read back, told whenever they become others.
    damaged: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    loaded: bool,
    items: Sorted,
    /// Values that cannot be read back: lists and watches leave them out, everything else is refused.
    broken: BTreeMap<String, Broken>,
    /// All changes after revision `floor`, revisions ascending.
    ring: VecDeque<Arc<Change>>,
    floor: u64,
    /// Where the history begins that belongs to what is known; what the backend tells of before is another one's.
    origin: u64,
    /// Sequence number of the first change in the ring.
    first: u64,
    weight: usize,
    /// Every change of this resource up to here is in `items`.
    revision: u64,
    /// Revision of the last list; events up to it are old news.
    listed: u64,
}

/// A stored value that is no object.
#[derive(Debug)]
struct Broken {
    why: String,
    /// What it was when it could be read: watchers have it still.
    last: Option<Arc<Object>>,
}

/// The objects at a revision.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) items: Sorted,
    pub(super) revision: u64,
    /// Where changes after the snapshot begin.
    pub(super) sequence: u64,
}

impl Cache {
    pub(super) fn new(prefix: String, selectable: Names, tuning: Tuning) -> Self {
        Self { prefix, selectable, tuning, state: RwLock::default(), changed: watch::Sender::new(0), damaged: watch::Sender::new(0) }
    }

    // Nothing panics while it holds the lock; if something ever does, the state is still one between two changes.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn loaded(&self) -> bool {
        self.read().loaded
    }

    /// Parses what the backend holds; `Err` is the reason why it is no object.
    pub(super) fn parse(&self, stored: &Versioned) -> (String, Result<Arc<Object>, String>) {
        let key = stored.key.strip_prefix(&self.prefix).unwrap_or(&stored.key);
        (key.to_owned(), read(stored, key, &self.selectable).map(Arc::new).map_err(|e| reason(&e)))
    }

    /// One object; `None` when it does not exist.
    pub(super) fn get(&self, key: &str) -> Result<Option<Arc<Object>>, StorageError> {
        let state = self.read();
        match state.broken.get(key) {
            Some(broken) => Err(StorageError::Corrupt(broken.why.clone())),
            None => Ok(state.items.get(key).cloned()),
        }
    }

    /// What cannot be read back: keys and why.
    pub(super) fn unreadable(&self) -> Vec<(String, String)> {
        self.read().broken.iter().map(|(key, broken)| (key.clone(), broken.why.clone())).collect()
    }

    /// All objects now. `applied` is a revision the feed has passed, read before.
    pub(super) fn snapshot(&self, applied: u64) -> Snapshot {
        let state = self.read();
        Snapshot { items: state.items.clone(), revision: state.revision.max(applied), sequence: state.end() }
    }

    /// All objects at a revision in the past; `None` when the ring does not reach back so far.
    pub(super) fn as_of(&self, revision: u64) -> Option<Sorted> {
        let state = self.read();
        if revision < state.floor {
            return None;
        }
        let mut items = state.items.clone();
        let later = state.ring.iter().rev().take_while(|c| c.revision > revision).cloned().collect::<Vec<_>>();
        drop(state);
        for change in later {
            match &change.old {
                Some(old) => items.insert(old.clone()),
                None => items.remove(change.key()),
            };
        }
        Some(items)
    }

    /// The sequence number of the first change after a revision.
    pub(super) fn position_after(&self, revision: u64) -> Result<u64, StorageError> {
        let state = self.read();
        if revision < state.floor {
            return Err(StorageError::Compacted { requested: revision, oldest: state.floor });
        }
        Ok(state.first + state.ring.partition_point(|c| c.revision <= revision) as u64)
    }

    /// At most `limit` changes from a sequence number on; `None` when they are no longer remembered.
    pub(super) fn changes(&self, from: u64, limit: usize) -> Option<Vec<Arc<Change>>> {
        let state = self.read();
        let skip = usize::try_from(from.checked_sub(state.first)?).ok()?;
        Some(state.ring.iter().skip(skip).take(limit).cloned().collect())
    }

    /// Whether the backend's own history leads from a revision to what is known.
    pub(super) fn check_origin(&self, revision: u64) -> Result<(), StorageError> {
        match self.read().origin {
            oldest if revision < oldest => Err(StorageError::Compacted { requested: revision, oldest }),
            _ => Ok(()),
        }
    }

    /// Tells when other keys than before cannot be read back, of which there is no change.
    pub(super) fn subscribe_damage(&self) -> watch::Receiver<usize> {
        self.damaged.subscribe()
    }

    /// Tells when there are changes.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Takes everything there is at `revision`. The first time it is the beginning; later the
    /// difference to what is known becomes changes, all behind `applied`: every cache was complete up
    /// to there, so watches may begin there although nothing of this resource happened then.
    pub(super) fn load(&self, listed: Vec<(String, Result<Arc<Object>, String>)>, applied: u64, revision: u64) {
        let (mut objects, mut unreadable) = (Vec::with_capacity(listed.len()), BTreeMap::new());
        for (key, parsed) in listed {
            match parsed {
                Ok(object) => objects.push(object),
                Err(why) => drop(unreadable.insert(key, why)),
            }
        }
        let mut state = self.write();
        state.put_back_all();
        if state.loaded {
            let from = state.revision.max(applied);
            for change in difference(&state.items, &Sorted::from_ordered(&objects), &unreadable, from, revision) {
                state.push(change, &self.tuning);
            }
        } else {
            state.items = Sorted::from_ordered(&objects);
            state.floor = revision;
        }
        for (key, why) in unreadable {
            state.leave_out(&self.prefix, key, why);
        }
        state.revision = state.revision.max(revision);
        state.listed = revision;
        state.loaded = true;
        self.tell_damage(&state);
        self.changed.send_replace(state.end());
    }

    /// Takes everything there is at `revision` of a backend that is not the one it was. Nothing leads there from what was
    /// known: watches end, and only later revisions are known.
    pub(super) fn reset(&self, listed: Vec<(String, Result<Arc<Object>, String>)>, revision: u64) {
        {
            let mut state = self.write();
            // One more than there were, so that a watch that had seen all of them ends too.
            let first = state.end() + 1;
            *state = State { first, origin: revision, ..State::default() };
        }
        self.load(listed, 0, revision);
    }

    /// Applies events in order; those it has seen already are skipped.
    pub(super) fn apply(&self, events: Vec<Event>) {
        let parsed: Vec<_> = events
            .into_iter()
            .filter_map(|event| match event {
                Event::Put { new, .. } => Some((new.revision, self.parse(&new))),
                Event::Delete { key, revision, .. } => Some((revision, (key.strip_prefix(&self.prefix)?.to_owned(), Err(String::new())))),
                Event::Progress(_) => None,
            })
            .collect();
        let mut state = self.write();
        let mut touched = false;
        for (revision, (key, parsed)) in parsed {
            if revision <= state.listed || state.items.get(&key).is_some_and(|o| o.revision >= revision) {
                continue;
            }
            state.revision = state.revision.max(revision);
            touched |= state.put_back(&key);
            let new = match parsed {
                Ok(object) => Some(object),
                Err(why) if why.is_empty() => None,
                Err(why) => {
                    touched = true;
                    state.leave_out(&self.prefix, key, why);
                    continue;
                }
            };
            let old = state.items.get(&key).cloned();
            if new.is_some() || old.is_some() {
                state.push(Change::new(revision, new, old), &self.tuning);
            }
        }
        if touched {
            self.tell_damage(&state);
        }
        self.changed.send_replace(state.end());
    }

    fn tell_damage(&self, state: &State) {
        let resource = self.prefix.strip_prefix(ROOT).unwrap_or(&self.prefix).trim_end_matches('/');
        metrics::damaged_objects(resource, state.broken.len());
        // That there is still none is no news: followers list anew for this, and wait before they go on.
        let now = state.broken.len();
        self.damaged.send_if_modified(|before| std::mem::replace(before, now) != 0 || now != 0);
    }
}

impl State {
    fn end(&self) -> u64 {
        self.first + self.ring.len() as u64
    }

    /// What cannot be read back is left out of lists, without a change: it was not deleted.
    fn leave_out(&mut self, prefix: &str, key: String, why: String) {
        tracing::error!("{prefix}{key} is stored and cannot be read; lists and watches leave it out: {why}");
        let last = self.items.remove(&key);
        self.broken.insert(key, Broken { why, last });
    }

    /// Something new is known about a key: whoever compares starts from what watchers have. Says whether it could not
    /// be read.
    fn put_back(&mut self, key: &str) -> bool {
        let Some(broken) = self.broken.remove(key) else { return false };
        broken.last.map(|last| self.items.insert(last));
        true
    }

    fn put_back_all(&mut self) {
        for (_, broken) in std::mem::take(&mut self.broken) {
            broken.last.map(|last| self.items.insert(last));
        }
    }

    fn push(&mut self, change: Change, tuning: &Tuning) {
        match &change.new {
            Some(new) => drop(self.items.insert(new.clone())),
            None => drop(self.items.remove(change.key())),
        }
        self.weight += change.weight();
        self.ring.push_back(Arc::new(change));
        while self.ring.len() > tuning.ring || self.weight > tuning.ring_bytes {
            let Some(gone) = self.ring.pop_front() else { break };
            self.weight -= gone.weight();
            self.floor = gone.revision;
            self.first += 1;
        }
    }
}

/// Why it cannot be read, without what [`StorageError::Corrupt`] says of itself.
fn reason(error: &StorageError) -> String {
    match error {
        StorageError::Corrupt(why) => why.clone(),
        other => other.to_string(),
    }
}

/// Reads what is stored under `key` (below the resource's prefix).
pub(super) fn read(stored: &Versioned, key: &str, selectable: &Names) -> Result<Object, StorageError> {
    if stored.damaged {
        return Err(StorageError::Corrupt(format!(
            "the object at {} is damaged, its bytes are not those that were written; delete it and create it again, or restore a copy of the storage",
            stored.key
        )));
    }
    Object::parse(key, &stored.value, stored.revision, selectable)
}

/// What happened between `old`, complete up to revision `from`, and `new`, complete up to `to`,
/// revisions ascending. When an object was deleted is not known: each deletion gets a revision in
/// between that nothing else has, so that a watcher can go on behind any of them.
fn difference(old: &Sorted, new: &Sorted, unreadable: &BTreeMap<String, String>, from: u64, to: u64) -> Vec<Change> {
    let mut puts: Vec<Change> = new
        .iter()
        .filter(|n| n.revision > from)
        .map(|n| Change::new(n.revision, Some(n.clone()), old.get(n.head.key()).cloned()))
        .collect();
    puts.sort_by_key(|c| c.revision);
    let mut taken = puts.iter().map(|c| c.revision).peekable();
    let mut free = (from + 1..=to).filter(|r| {
        while taken.next_if(|t| t < r).is_some() {}
        taken.peek() != Some(r)
    });
    let gone = old.iter().filter(|o| new.get(o.head.key()).is_none() && !unreadable.contains_key(o.head.key()));
    let mut all: Vec<Change> = gone.map(|o| Change::new(free.next().unwrap_or(to), None, Some(o.clone()))).collect();
    drop(free);
    all.append(&mut puts);
    all.sort_by_key(|c| c.revision);
    all
}
