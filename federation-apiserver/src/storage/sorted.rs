//! An ordered set of objects whose snapshot costs one reference: copy-on-write chunks.
//!
//! A writer copies the one chunk it touches and the list of chunks, and only while a snapshot is
//! alive; so a LIST holds no lock while it filters, and writers never wait for it.

use std::ops::Bound;
use std::sync::Arc;

use super::object::Object;

/// Objects of a chunk before it is split.
const CHUNK: usize = 128;

type Chunk = Arc<Vec<Arc<Object>>>;

/// Objects in key order. `clone` is a snapshot.
#[derive(Clone, Debug, Default)]
pub(super) struct Sorted {
    chunks: Arc<Vec<Chunk>>,
}

impl Sorted {
    /// From objects already in key order.
    pub(super) fn from_ordered(objects: &[Arc<Object>]) -> Self {
        Self { chunks: Arc::new(objects.chunks(CHUNK).map(|c| Arc::new(c.to_vec())).collect()) }
    }

    /// The chunk in which `key` is or would be.
    fn chunk_of(&self, key: &str) -> usize {
        self.chunks.partition_point(|c| c[0].head.key() <= key).saturating_sub(1)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Arc<Object>> {
        let chunk = self.chunks.get(self.chunk_of(key))?;
        chunk.binary_search_by(|o| o.head.key().cmp(key)).ok().map(|i| &chunk[i])
    }

    /// Puts an object in; returns the one that had its key.
    pub(super) fn insert(&mut self, object: Arc<Object>) -> Option<Arc<Object>> {
        let at = self.chunk_of(object.head.key());
        let chunks = Arc::make_mut(&mut self.chunks);
        let Some(chunk) = chunks.get_mut(at) else {
            chunks.push(Arc::new(vec![object]));
            return None;
        };
        let chunk = Arc::make_mut(chunk);
        match chunk.binary_search_by(|o| o.head.key().cmp(object.head.key())) {
            Ok(i) => Some(std::mem::replace(&mut chunk[i], object)),
            Err(i) => {
                chunk.insert(i, object);
                if chunk.len() > CHUNK {
                    // Keys often arrive in order: then a full chunk stays full and a new one begins.
                    let right = chunk.split_off(if i == CHUNK { CHUNK } else { CHUNK / 2 });
                    chunk.shrink_to(CHUNK);
                    chunks.insert(at + 1, Arc::new(right));
                }
                None
            }
        }
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Arc<Object>> {
        let at = self.chunk_of(key);
        let i = self.chunks.get(at)?.binary_search_by(|o| o.head.key().cmp(key)).ok()?;
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[at]);
        let gone = chunk.remove(i);
        if chunk.is_empty() {
            chunks.remove(at);
        }
        Some(gone)
    }

    /// Objects from `start` on whose key has `prefix`, in order.
    pub(super) fn range<'a>(&'a self, start: Bound<&str>, prefix: &'a str) -> impl Iterator<Item = &'a Arc<Object>> {
        let start = match start {
            Bound::Included(key) | Bound::Excluded(key) if key < prefix => Bound::Included(prefix),
            Bound::Unbounded => Bound::Included(prefix),
            other => other,
        };
        let (key, past) = match start {
            Bound::Included(key) => (key, false),
            Bound::Excluded(key) => (key, true),
            Bound::Unbounded => ("", false),
        };
        let first = self.chunk_of(key);
        let skip = self.chunks.get(first).map_or(0, |c| c.partition_point(|o| o.head.key() < key || (past && o.head.key() == key)));
        let head = self.chunks.get(first).into_iter().flat_map(move |c| &c[skip..]);
        let tail = self.chunks.get(first + 1..).unwrap_or_default().iter().flat_map(|c| c.iter());
        head.chain(tail).take_while(move |o| o.head.key().starts_with(prefix))
    }

    /// All objects in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.chunks.iter().flat_map(|c| c.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn object(key: &str, revision: u64) -> Arc<Object> {
        Arc::new(Object::parse(key, b"{\"metadata\":{}}", revision, &(&[]).into()).unwrap())
    }

    proptest! {
        /// Behaves as a map does, and a snapshot taken in between never changes.
        #[test]
        fn is_an_ordered_map(ops in prop::collection::vec((0u16..600, any::<bool>()), 0..2000), from in 0u16..600, past in any::<bool>()) {
            let mut model = BTreeMap::new();
            let mut sorted = Sorted::default();
            let half = ops.len() / 2;
            let mut snapshot = (sorted.clone(), model.clone());
            for (n, (k, put)) in ops.iter().enumerate() {
                let key = format!("{}/{k}", k % 3);
                if *put {
                    let old = sorted.insert(object(&key, n as u64));
                    prop_assert_eq!(old.map(|o| o.revision), model.insert(key, n as u64));
                } else {
                    prop_assert_eq!(sorted.remove(&key).map(|o| o.revision), model.remove(&key));
                }
                if n == half {
                    snapshot = (sorted.clone(), model.clone());
                }
            }
            for (sorted, model) in [(sorted, model), snapshot] {
                let all: Vec<_> = sorted.iter().map(|o| (o.head.key().to_owned(), o.revision)).collect();
                prop_assert_eq!(&all, &model.clone().into_iter().collect::<Vec<_>>());
                let start = format!("{}/{from}", from % 3);
                let bound = if past { Bound::Excluded(start.as_str()) } else { Bound::Included(start.as_str()) };
                for prefix in ["", "0/", "1/", "2/", "3/"] {
                    let got: Vec<_> = sorted.range(bound, prefix).map(|o| o.head.key().to_owned()).collect();
                    let want: Vec<_> = model.range::<str, _>((bound, Bound::Unbounded)).map(|(k, _)| k.clone())
                        .filter(|k| k.starts_with(prefix)).collect();
                    prop_assert_eq!(got, want);
                }
                for k in 0..600u16 {
                    let key = format!("{}/{k}", k % 3);
                    prop_assert_eq!(sorted.get(&key).map(|o| o.revision), model.get(&key).copied());
                }
            }
        }
    }
}
