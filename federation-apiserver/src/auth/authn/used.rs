//! Which credentials were used since it was last written down, when, and from where.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Credentials that are known of at once. Who uses more at a time is not told of all.
const MOST: usize = 10_000;

/// The last use of a credential.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Use {
    /// In seconds since the epoch.
    pub(crate) at: i64,
    /// Of who showed it.
    pub(crate) from: Option<IpAddr>,
}

/// The uses that are not written down yet, by the names of the credentials' objects.
#[derive(Debug, Default)]
pub(crate) struct Used(Mutex<HashMap<String, Use>>);

impl Used {
    /// A credential was used.
    pub(crate) fn note(&self, name: &str, new: Use) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = all.get_mut(name) {
            *last = new;
        } else if all.len() < MOST {
            all.insert(name.to_owned(), new);
        }
    }

    /// All uses since this was last asked for.
    pub(crate) fn take(&self) -> HashMap<String, Use> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issue10_the_last_use_counts_and_what_is_kept_is_bounded() {
        let (used, from) = (Used::default(), Some([192, 0, 2, 1].into()));
        used.note("token-1", Use { at: 1, from: None });
        used.note("token-1", Use { at: 2, from });
        assert_eq!(used.take(), HashMap::from([("token-1".to_owned(), Use { at: 2, from })]));
        assert!(used.take().is_empty());
        (0..2 * MOST).for_each(|n| used.note(&n.to_string(), Use { at: 3, from }));
        used.note("0", Use { at: 4, from });
        let all = used.take();
        assert_eq!((all.len(), all["0"].at), (MOST, 4));
    }
}
