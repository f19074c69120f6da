//! PATCH with what should change: JSON, merge and strategic merge patches.

use machinery::codec::{self, FieldValidation, Unfit};
use machinery::patch::{json, merge, strategic};
use machinery::status::{ApiError, FieldError};
use serde_json::Value;

use super::call::Owned;
use crate::http::patch::PatchKind;
use crate::registry::Entry;

/// What a transform made of an object.
pub(super) struct Made {
    pub(super) object: Value,
    pub(super) warnings: Vec<String>,
}

impl From<Value> for Made {
    fn from(object: Value) -> Self {
        Self { object, warnings: Vec::new() }
    }
}

/// A patch that is not applied by fields' owners.
pub(super) struct Patch {
    pub(super) kind: PatchKind,
    pub(super) patch: Value,
    pub(super) validation: FieldValidation,
}

impl Patch {
    pub(super) fn make(&self, about: &Owned, old: &Value) -> Result<Made, ApiError> {
        let new = self.applied(&about.entry, old)?;
        let decoded = codec::conform_patched(&about.entry.types, &about.entry.gvk, new, self.validation).map_err(unfit)?;
        let mut new = decoded.value;
        let name = new["metadata"]["name"].as_str().unwrap_or_default();
        if old["metadata"]["name"] != name {
            return Err(about.misnamed(name));
        }
        // A namespace that is not said is the one of the request.
        let namespace = &old["metadata"]["namespace"];
        match new["metadata"]["namespace"].as_str().filter(|said| !said.is_empty()) {
            Some(said) if *namespace != said => return Err(about.misplaced(said, namespace.as_str().unwrap_or_default())),
            Some(_) => {}
            None if namespace.is_null() => {}
            None => new["metadata"]["namespace"] = namespace.clone(),
        }
        let uid = &old["metadata"]["uid"];
        if new["metadata"]["uid"].is_null() {
            new["metadata"]["uid"] = uid.clone();
        } else if new["metadata"]["uid"] != *uid {
            // Only an update makes a condition of it.
            let e = FieldError::invalid("metadata.uid", new["metadata"]["uid"].clone(), "field is immutable");
            return Err(ApiError::invalid(&about.entry.resource.group, &about.entry.resource.kind, &about.name, &[e]));
        }
        Ok(Made { object: new, warnings: decoded.warnings })
    }

    fn applied(&self, entry: &Entry, old: &Value) -> Result<Value, ApiError> {
        match self.kind {
            PatchKind::Strategic | PatchKind::Apply => strategic::apply(&entry.types, entry.type_id, old, &self.patch),
            PatchKind::Json | PatchKind::Merge => self.applied_plainly(old),
        }
    }

    /// Of a document that is no stored object (a Scale): strategic patches merge plainly.
    pub(super) fn applied_plainly(&self, old: &Value) -> Result<Value, ApiError> {
        if self.kind == PatchKind::Json {
            return json::apply(old, &self.patch);
        }
        let mut new = old.clone();
        merge::apply(&mut new, &self.patch);
        Ok(new)
    }
}

/// A patch that makes something of the wrong type is invalid rather than unreadable.
fn unfit(unfit: Unfit) -> ApiError {
    let wrong = match unfit {
        Unfit::Wrong(wrong) => wrong,
        other => return other.into(),
    };
    let error = FieldError::invalid("patch", Value::Null, wrong.message);
    let error = FieldError { value: None, ..error };
    // Nothing of that kind was made, so the error is none of an object.
    ApiError::invalid("", "", "", &[error])
}
