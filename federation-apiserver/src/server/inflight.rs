//! How much may go on at a time: requests, bytes of their bodies, watches. More is told to come again.
//! What connections may take is in `room`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use machinery::status::ApiError;
use serde_json::json;

use crate::auth::{Attributes, MASTERS, UserInfo, Verb};
use crate::config::Limits;

/// Bytes of the bodies of requests at a time, from their first byte to the answer.
const BODIES: usize = 256 << 20;
/// What a body counts for at least: its request takes memory too.
const SMALLEST: usize = 64 << 10;
/// Watches that are open at a time.
const WATCHES: usize = 16_384;

/// Places that many share. One may have half of them at most, so that nobody can take them all, and an
/// eighth is for the system itself, so that many together cannot either.
#[derive(Debug)]
pub(super) struct Pool {
    places: usize,
    share: usize,
    reserve: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    by: HashMap<String, usize>,
}

/// Places in a pool, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    pool: Arc<Pool>,
    who: String,
    places: usize,
}

impl Pool {
    fn new(places: usize) -> Arc<Self> {
        Arc::new(Self { places, share: places.div_ceil(2), reserve: places / 8, held: Mutex::default() })
    }

    /// So many places for `who`, when there are.
    fn enter(self: &Arc<Self>, who: &str, system: bool, places: usize) -> Option<Place> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = held.by.get(who).copied().unwrap_or_default();
        let all = held.all + places;
        let full = if system { all > self.places } else { all + self.reserve > self.places || ours + places > self.share };
        if full {
            return None;
        }
        held.all = all;
        *held.by.entry(who.to_owned()).or_default() += places;
        Some(Place { pool: Arc::clone(self), who: who.to_owned(), places })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.pool.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.all -= self.places;
        if let Some(ours) = held.by.get_mut(&self.who) {
            *ours -= self.places;
            if *ours == 0 {
                held.by.remove(&self.who);
            }
        }
    }
}

/// What requests may take.
pub(crate) struct Inflight {
    readonly: Option<Arc<Pool>>,
    mutating: Option<Arc<Pool>>,
    bodies: Arc<Pool>,
    watches: Arc<Pool>,
}

impl Inflight {
    pub(super) fn new(limits: Limits) -> Self {
        let pool = |n: usize| (n > 0).then(|| Pool::new(n));
        Self { readonly: pool(limits.readonly), mutating: pool(limits.mutating), bodies: Pool::new(BODIES), watches: Pool::new(WATCHES) }
    }

    /// Takes a slot for a request, held until the answer is written.
    /// `system:masters` always get in, so that an overloaded server can be mended.
    pub(super) fn enter(&self, info: &Attributes, user: &UserInfo) -> Result<Option<Place>, ApiError> {
        let pool = match &info.verb {
            Verb::Watch => Some(&self.watches),
            Verb::Other(method) if method == "options" => self.readonly.as_ref(),
            verb if verb.reads() => self.readonly.as_ref(),
            _ => self.mutating.as_ref(),
        };
        pool.map_or(Ok(None), |pool| place(pool, user, 1))
    }

    /// Takes the bytes of a body that has at most so many, held until its request is answered.
    pub(super) fn body(&self, user: &UserInfo, most: usize) -> Result<Option<Place>, ApiError> {
        place(&self.bodies, user, most.max(SMALLEST))
    }
}

fn place(pool: &Arc<Pool>, user: &UserInfo, places: usize) -> Result<Option<Place>, ApiError> {
    if user.in_group(MASTERS) {
        return Ok(pool.enter(&user.name, true, places));
    }
    pool.enter(&user.name, user.of_the_system(), places).map(Some).ok_or_else(|| ApiError {
        details: json!({"retryAfterSeconds": 1}),
        ..ApiError::new(429, "TooManyRequests", "too many requests, please try again later")
    })
}

#[cfg(test)]
mod tests {
    use federation_api::keys::CONTROLLER_MANAGER_USER;

    use super::*;

    fn verb(verb: &str) -> Attributes {
        Attributes { verb: verb.into(), ..Attributes::default() }
    }

    fn named(name: &str) -> UserInfo {
        UserInfo { name: name.into(), ..UserInfo::default() }
    }

    #[test]
    fn a_full_pool_refuses_all_but_watches_and_masters() {
        let inflight = Inflight::new(Limits { readonly: 1, mutating: 0 });
        let user = UserInfo::default();
        let slot = inflight.enter(&verb("get"), &user).unwrap();
        assert_eq!(inflight.enter(&verb("list"), &user).unwrap_err().code, 429);
        assert!(inflight.enter(&verb("watch"), &user).is_ok());
        assert!(inflight.enter(&verb("create"), &user).is_ok());
        let master = UserInfo { groups: vec![MASTERS.into()], ..UserInfo::default() };
        assert!(inflight.enter(&verb("get"), &master).is_ok());
        drop(slot);
        assert!(inflight.enter(&verb("get"), &user).is_ok());
    }

    #[test]
    fn d6_one_user_cannot_take_all_slots_nor_can_all_users_together() {
        let inflight = Inflight::new(Limits { readonly: 0, mutating: 16 });
        let take = |name: &str| inflight.enter(&verb("create"), &named(name));
        let mut held: Vec<_> = std::iter::from_fn(|| take("eve").ok()).collect();
        assert_eq!(held.len(), 8, "half of them");
        held.extend(std::iter::from_fn(|| take("mallory").ok()));
        for other in ["system:serviceaccount:shire:pod", "system:bootstrap:abcdef", "system:node:x", "system:anonymous"] {
            held.extend(std::iter::from_fn(|| take(other).ok()));
        }
        assert_eq!(held.len(), 14, "an eighth is left");
        for own in [CONTROLLER_MANAGER_USER, "system:apiserver"] {
            held.push(take(own).unwrap());
        }
        assert_eq!(take(CONTROLLER_MANAGER_USER).unwrap_err().code, 429);
        drop(held);
        assert!(inflight.mutating.as_ref().unwrap().held.lock().unwrap().by.is_empty());
    }

    #[test]
    fn d33_watches_and_bodies_of_one_are_bounded() {
        let inflight = Inflight::new(Limits { readonly: 0, mutating: 0 });
        let count = |f: &dyn Fn() -> Option<Place>| std::iter::from_fn(f).collect::<Vec<_>>().len();
        assert_eq!(count(&|| inflight.enter(&verb("watch"), &named("eve")).ok().flatten()), WATCHES / 2);
        let bodies = |name: &str, most| std::iter::from_fn(|| inflight.body(&named(name), most).ok().flatten()).collect::<Vec<_>>();
        assert_eq!(bodies("eve", 0).len(), BODIES / 2 / SMALLEST, "the smallest count too");
        let eve = bodies("eve", 3 << 20);
        assert_eq!(eve.len(), 42, "half of the bytes");
        assert!(inflight.body(&named("eve"), 1 << 20).is_ok(), "what is left");
        let mallory = bodies("mallory", 3 << 20);
        assert_eq!(eve.len() + mallory.len(), 74, "an eighth is left");
        assert!(inflight.body(&named(CONTROLLER_MANAGER_USER), 3 << 20).is_ok());
        drop((eve, mallory));
        assert_eq!(inflight.bodies.held.lock().unwrap().all, 0);
    }
}
