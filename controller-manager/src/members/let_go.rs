//! Letting an object of a member go: it stays, without the federation's marks.

use std::collections::BTreeMap;

use federation_api::keys;
use http::{Method, StatusCode};
use serde_json::json;

use super::{
    exchange::{Exchange, failed},
    job::Outcome,
};
use crate::{
    compact::Uid,
    kinds::ObjectKey,
    request::{Call, MERGE},
};

impl Exchange {
    /// Takes our marks off what was made from `source`.
    pub(super) async fn hand_over(&mut self, key: &ObjectKey, source: &Uid, reason: &str) -> Result<Outcome, Outcome> {
        match self.look(key).await?.filter(|found| found.is_from(source)) {
            Some(found) => self.let_go(key, &found.uid, reason.to_owned()).await,
            None => Ok(Outcome::Gone),
        }
    }

    /// Takes our marks off an object, so that it is the member's own from now on.
    pub(super) async fn let_go(&mut self, key: &ObjectKey, uid: &Uid, reason: String) -> Result<Outcome, Outcome> {
        let patch = json!({"metadata": {
            "uid": uid.to_string(), "labels": {keys::MANAGED_BY: null}, "annotations": BTreeMap::from(keys::COPY_ANNOTATIONS.map(|key| (key, None::<&str>))),
        }});
        let call = Call { method: Method::PATCH, path: &key.path(), content_type: MERGE, body: patch.to_string().into() };
        let reply = self.send(call).await?;
        match reply.status {
            StatusCode::OK => Ok(Outcome::Kept(reason)),
            _ if reply.is_not_found() => Ok(Outcome::Gone),
            _ => Err(failed(&reply)),
        }
    }
}
