//! How many requests may be in flight; more are told to come again.

use std::sync::Arc;

use machinery::status::ApiError;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::auth::{Attributes, MASTERS, UserInfo};
use crate::config::Limits;

/// The two pools of slots.
pub(crate) struct Inflight {
    readonly: Option<Arc<Semaphore>>,
    mutating: Option<Arc<Semaphore>>,
}

impl Inflight {
    pub(super) fn new(limits: Limits) -> Self {
        let pool = |n: usize| (n > 0).then(|| Arc::new(Semaphore::new(n)));
        Self { readonly: pool(limits.readonly), mutating: pool(limits.mutating) }
    }

    /// Takes a slot for a request, held until the answer is made. Watches need none, and
    /// `system:masters` always get in, so that an overloaded server can be mended.
    pub(super) fn enter(&self, info: &Attributes, user: &UserInfo) -> Result<Option<OwnedSemaphorePermit>, ApiError> {
        let pool = match info.verb.as_str() {
            "watch" => return Ok(None),
            "get" | "list" | "head" | "options" => &self.readonly,
            _ => &self.mutating,
        };
        let Some(pool) = pool else { return Ok(None) };
        match Arc::clone(pool).try_acquire_owned() {
            Ok(slot) => Ok(Some(slot)),
            Err(_) if user.in_group(MASTERS) => Ok(None),
            Err(_) => Err(ApiError {
                details: json!({"retryAfterSeconds": 1}),
                ..ApiError::new(429, "TooManyRequests", "too many requests, please try again later")
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verb(verb: &str) -> Attributes {
        Attributes { verb: verb.into(), ..Attributes::default() }
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
}
