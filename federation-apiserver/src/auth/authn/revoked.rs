//! Credentials that were revoked, as every request is compared with them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;

/// What is known of revoked credentials, by the names of their objects (`federation_api::credential`).
///
/// What was revoked stays revoked until it would have expired, whatever becomes of its object: a store that was put back to
/// an earlier state gives nothing back. Requests look into a map that never changes and wait for nobody; who adds to it
/// makes another one. It holds a few hundred bytes for each credential that was revoked and has not expired.
#[derive(Debug)]
pub(crate) struct Revoked {
    known: ArcSwap<HashMap<Arc<str>, Known>>,
    /// Held by who makes another map.
    changing: Mutex<()>,
    /// Whether all that is stored is known; until then nobody can say what was revoked.
    loaded: AtomicBool,
    /// Each change is told.
    changed: watch::Sender<()>,
}

/// A revoked credential.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Its object, as JSON.
    pub(crate) object: Arc<str>,
    /// When it would have expired, in seconds since the epoch; `None` when that is not known.
    pub(crate) until: Option<i64>,
}

impl Known {
    /// Whether it is kept at least as long as another.
    fn outlives(&self, other: &Self) -> bool {
        match (self.until, other.until) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(other)) => own >= other,
        }
    }
}

impl Revoked {
    /// With nothing in it. `loaded`: nothing is stored either.
    pub(crate) fn new(loaded: bool) -> Self {
        Self { known: ArcSwap::default(), changing: Mutex::default(), loaded: AtomicBool::new(loaded), changed: watch::Sender::default() }
    }

    /// Whether it can be said what was revoked.
    pub(crate) fn loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// Whether the credential of that name was revoked.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.known.load().contains_key(name)
    }

    /// More were revoked. Gives the names that are news.
    pub(crate) fn put(&self, more: Vec<(Arc<str>, Known)>) -> Vec<Arc<str>> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.known.load_full();
        let mut more: Vec<_> = more.into_iter().filter(|(name, new)| current.get(name).is_none_or(|old| !old.outlives(new))).collect();
        if more.is_empty() {
            return Vec::new();
        }
        let mut known = HashMap::clone(&current);
        more.retain(|(name, new)| known.insert(Arc::clone(name), new.clone()).is_none());
        self.known.store(Arc::new(known));
        self.changed.send_replace(());
        more.into_iter().map(|(name, _)| name).collect()
    }

    /// All that is stored is known.
    pub(crate) fn complete(&self) {
        if !self.loaded.swap(true, Ordering::AcqRel) {
            self.changed.send_replace(());
        }
    }

    /// Forgets what has expired at `now` (seconds since the epoch).
    pub(crate) fn forget(&self, now: i64) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.known.load_full();
        let holds = |known: &Known| known.until.is_none_or(|until| now <= until);
        if !current.values().all(holds) {
            let left = current.iter().filter(|(_, known)| holds(known)).map(|(name, known)| (Arc::clone(name), known.clone()));
            self.known.store(Arc::new(left.collect()));
        }
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> Arc<HashMap<Arc<str>, Known>> {
        self.known.load_full()
    }

    /// Told whenever more is revoked.
    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issue10_what_was_revoked_stays_so_until_it_would_have_expired() {
        let revoked = Revoked::new(false);
        let mut told = revoked.subscribe();
        let put = |name: &str, until| revoked.put(vec![(name.into(), Known { object: "{}".into(), until })]).len();
        assert_eq!((put("certificate-1", Some(100)), put("token-2", None)), (1, 1));
        assert!(told.has_changed().unwrap());
        told.mark_unchanged();
        assert_eq!((put("certificate-1", Some(100)), put("token-2", Some(50))), (0, 0));
        assert!(!told.has_changed().unwrap(), "no news");
        revoked.forget(100);
        assert!(revoked.has("certificate-1") && revoked.has("token-2") && !revoked.has("certificate-2"));
        // Who says that it holds longer is believed.
        assert_eq!(put("certificate-1", Some(200)), 0);
        revoked.forget(101);
        assert!(revoked.has("certificate-1"));
        revoked.forget(201);
        assert!(!revoked.has("certificate-1") && revoked.has("token-2"));
        assert!(!revoked.loaded());
        revoked.complete();
        assert!(revoked.loaded());
    }
}
