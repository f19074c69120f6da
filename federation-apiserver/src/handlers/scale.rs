//! `/scale`: an `autoscaling/v1` Scale over `spec.replicas`.

use machinery::codec;
use machinery::schema::Gvk;
use machinery::selector::LabelSelector;
use machinery::status::{ApiError, FieldError};
use serde_json::{Value, json};

use super::call::Owned;
use super::patch::{Made, Patch};

/// Patches a Scale takes.
pub(super) const PATCHES: [&str; 3] =
    ["application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"];

pub(super) fn gvk() -> Gvk {
    Gvk::new("autoscaling", "v1", "Scale")
}

/// A new Scale of an object.
pub(super) enum Scale {
    Whole(Value),
    Patch(Patch),
}

impl Scale {
    /// The object with the replicas that are wanted.
    pub(super) fn make(&self, about: &Owned, old: &Value) -> Result<Made, ApiError> {
        let (replicas, version, warnings) = match self {
            Self::Whole(scale) => (&scale["spec"]["replicas"], &scale["metadata"]["resourceVersion"], Vec::new()),
            Self::Patch(patch) => {
                let new = patch.applied_plainly(&of(old))?;
                let decoded = codec::conform_patched(&about.entry.types, &gvk(), new, patch.validation)?;
                let name = decoded.value["metadata"]["name"].as_str().unwrap_or_default();
                if name != about.name {
                    return Err(about.misnamed(name));
                }
                (&decoded.value["spec"]["replicas"].clone(), &patch.patch["metadata"]["resourceVersion"], decoded.warnings)
            }
        };
        let replicas = replicas.as_i64().unwrap_or(0);
        if !(0..=i64::from(i32::MAX)).contains(&replicas) {
            let e = FieldError::invalid("spec.replicas", replicas, "must be greater than or equal to 0");
            return Err(ApiError::invalid("autoscaling", "Scale", &about.name, &[e]));
        }
        let mut object = old.clone();
        object["spec"]["replicas"] = replicas.into();
        object["metadata"]["resourceVersion"] = version.as_str().map_or(Value::Null, Value::from);
        Ok(Made { object, warnings })
    }
}

/// The Scale of an object.
pub(super) fn of(object: &Value) -> Value {
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if !object["metadata"][field].is_null() {
            metadata[field] = object["metadata"][field].clone();
        }
    }
    let mut status = json!({"replicas": object["status"]["replicas"].as_i64().unwrap_or(0)});
    let selector = selector_text(&object["spec"]["selector"]);
    if !selector.is_empty() {
        status["selector"] = selector.into();
    }
    let mut spec = json!({});
    if let Some(replicas) = object["spec"]["replicas"].as_i64().filter(|r| *r != 0) {
        spec["replicas"] = replicas.into();
    }
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status})
}

/// A selector object as autoscalers read it: `a=b,c in (d,e)`.
fn selector_text(selector: &Value) -> String {
    LabelSelector::from_object(selector).map(|s| s.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_shows_replicas_and_selector() {
        let object = json!({"metadata": {"name": "web", "uid": "u", "labels": {"x": "y"}}, "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}},
            "status": {"replicas": 2}});
        assert_eq!(
            of(&object),
            json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": "web", "uid": "u"}, "spec": {"replicas": 3},
                "status": {"replicas": 2, "selector": "app=web"}})
        );
    }
}
