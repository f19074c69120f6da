//! Deletions that were carried out, remembered for a while: a member whose store is put back brings copies of such
//! objects back, and only here it can be seen that they are to go again. Pure.
//!
//! That an object is unknown is never enough to delete its copies: the federation may have lost it.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::{entry::Key, record::Record};
use crate::compact::Uid;

/// How long a deletion is remembered: members are seldom put back further.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// So many deletions are remembered; the oldest go first.
const MOST: usize = 10_000;

/// See the module.
#[derive(Default)]
pub(crate) struct Ledger {
    deleted: HashMap<Uid, (Key, Timestamp)>,
    oldest: BTreeSet<(Timestamp, Uid)>,
}

impl Ledger {
    /// Takes note of a deletion. Gives back what is forgotten for it.
    pub(crate) fn insert(&mut self, uid: &Uid, key: Key, at: Timestamp) -> Option<(Uid, Key)> {
        self.remove(uid);
        self.oldest.insert((at, uid.clone()));
        self.deleted.insert(uid.clone(), (key, at));
        if self.deleted.len() > MOST { self.forget_oldest() } else { None }
    }

    /// The object exists after all.
    pub(crate) fn remove(&mut self, uid: &Uid) -> bool {
        let Some((_, at)) = self.deleted.remove(uid) else { return false };
        self.oldest.remove(&(at, uid.clone()))
    }

    /// Whether the object of this uid had this key and was deleted.
    pub(crate) fn knows(&self, uid: &Uid, key: &Key) -> bool {
        self.deleted.get(uid).is_some_and(|(known, _)| known == key)
    }

    /// What is stored of a deletion.
    pub(crate) fn record(&self, uid: &Uid) -> Option<Record> {
        let (key, at) = self.deleted.get(uid)?;
        Some(Record { key: key.clone(), clusters: Box::default(), deleted: Some(*at) })
    }

    /// Forgets one deletion that is old enough.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Option<(Uid, Key)> {
        let (at, _) = self.oldest.first()?;
        if now.duration_since(*at) > KEPT { self.forget_oldest() } else { None }
    }

    fn forget_oldest(&mut self) -> Option<(Uid, Key)> {
        let (_, uid) = self.oldest.pop_first()?;
        let (key, _) = self.deleted.remove(&uid)?;
        Some((uid, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{ObjectKey, id};

    #[test]
    fn issue7_case_34_deletions_are_remembered_for_a_while_and_not_without_bound() {
        let key: Key = ObjectKey { kind: id("ConfigMap"), namespace: "demo".into(), name: "ring".into() }.into();
        let at = |hours: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours);
        let mut ledger = Ledger::default();
        assert_eq!(ledger.insert(&"a".into(), key.clone(), at(0)), None);
        assert_eq!(ledger.insert(&"b".into(), key.clone(), at(2)), None);
        assert!(ledger.knows(&"a".into(), &key) && !ledger.knows(&"c".into(), &key));
        assert_eq!(ledger.record(&"a".into()).unwrap().stored().deleted.as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(ledger.expire(at(168)), None);
        assert!(ledger.expire(at(169)).unwrap().0 == *"a");
        assert_eq!(ledger.expire(at(169)), None);
        assert!(ledger.remove(&"b".into()) && !ledger.remove(&"b".into()));

        for n in 0..MOST {
            assert_eq!(ledger.insert(&(&*n.to_string()).into(), key.clone(), at(0) + SignedDuration::from_secs(n as i64)), None);
        }
        assert!(ledger.insert(&"more".into(), key, at(200)).unwrap().0 == *"0");
        assert_eq!((ledger.deleted.len(), ledger.oldest.len()), (MOST, MOST));
    }
}
