//! Namespaces: finalizers in `spec`, a phase, and names that are labels.

use machinery::schema::metadata::{self, NameRule};
use serde_json::{Value, json};

use super::resource::{Change, Strategy};
use crate::auth::UserInfo;

/// Finalizer in `spec.finalizers` that stands until the namespace is empty.
pub const KUBERNETES: &str = "kubernetes";
/// Label every namespace carries with its own name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Rules of namespaces.
pub(super) struct Namespaces;

impl Strategy for Namespaces {
    fn prepare_create(&self, object: &mut Value, _user: &UserInfo) {
        let mut finalizers = object["spec"]["finalizers"].as_array().cloned().unwrap_or_default();
        if !finalizers.iter().any(|f| f == KUBERNETES) {
            finalizers.push(KUBERNETES.into());
        }
        object["spec"]["finalizers"] = finalizers.into();
        object["status"] = json!({"phase": "Active"});
        set_name_label(object);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, _: Change<'_>) {
        new["spec"]["finalizers"] = old["spec"]["finalizers"].clone();
        set_name_label(new);
    }

    fn counts_generations(&self) -> bool {
        false
    }

    fn name_rule(&self) -> Option<NameRule> {
        Some(metadata::dns_label)
    }
}

fn set_name_label(object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    object["metadata"]["labels"][NAME_LABEL] = name;
}
