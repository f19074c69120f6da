//! Clusters, which are the members of the federation, and credentials that it issued.

use federation_api::credential::{self, Type};
use machinery::schema::metadata::{self, NameRule};
use machinery::status::FieldError;
use serde_json::{Value, json};

use crate::auth::UserInfo;

use super::resource::{Change, Strategy, Subresource};

/// Clusters have names that fit into DNS names.
pub(super) struct Clusters;

impl Strategy for Clusters {
    fn returns_deleted(&self) -> bool {
        true
    }

    fn name_rule(&self) -> Option<NameRule> {
        Some(metadata::dns1035_label)
    }
}

/// What is known of a credential never changes, and that it was revoked is never taken back.
pub(super) struct Credentials;

impl Strategy for Credentials {
    /// When a credential ends is said by who issued it, which is this server. Somebody else could say that one ends earlier than it
    /// does, and it would be forgotten before that it was revoked.
    fn prepare_create(&self, object: &mut Value, user: &UserInfo) {
        if !user.name.is_empty() {
            object["spec"] = json!({"type": object["spec"]["type"]});
        }
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, change: Change<'_>) {
        new["spec"] = old["spec"].clone();
        if change.part != Some(Subresource::Status) {
            return;
        }
        match (new["status"].as_object_mut(), &old["status"]["lastUsed"]) {
            (Some(status), Value::Null) => drop(status.remove("lastUsed")),
            (Some(status), last) => drop(status.insert("lastUsed".to_owned(), last.clone())),
            (None, _) => {}
        }
        let before = &old["status"]["revoked"];
        if before.is_object() {
            new["status"]["revoked"] = before.clone();
        } else if new["status"]["revoked"].is_object() {
            new["status"]["revoked"]["time"] = change.now.into();
        }
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let type_ = if object["spec"]["type"] == "Token" { Type::Token } else { Type::Certificate };
        if credential::is_name(name, type_) {
            return Vec::new();
        }
        let rule = "must be certificate- and a serial number in lower-case hexadecimal digits without leading zeros, or token- and an id";
        vec![FieldError::invalid("metadata.name", name, rule)]
    }

    fn keeps_spec(&self) -> bool {
        true
    }

    fn counts_generations(&self) -> bool {
        false
    }
}
