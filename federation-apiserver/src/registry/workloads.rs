//! Jobs and pods: what the server fills in.

use machinery::schema::rules::batch;
use serde_json::{Value, json};

use super::resource::Strategy;
use crate::auth::UserInfo;

/// Jobs: their pods are told apart by the job's uid.
pub(super) struct Jobs;

impl Strategy for Jobs {
    fn prepare_create(&self, object: &mut Value, _user: &UserInfo) {
        batch::generate_selector(object);
    }
}

/// Pods of hollow members: what simulators of nodes need, no more.
pub(super) struct Pods;

impl Strategy for Pods {
    fn prepare_create(&self, object: &mut Value, _user: &UserInfo) {
        object["status"] = json!({"phase": "Pending"});
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}
