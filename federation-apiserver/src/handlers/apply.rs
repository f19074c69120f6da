//! PATCH with what should be: server-side apply.

use machinery::patch::apply::{self, Writer};
use machinery::schema;
use machinery::status::ApiError;
use serde_json::Value;

use super::call::Owned;
use super::prepare::{self, Write};
use crate::registry::resource::Subresource;

/// What a manager of fields wants.
pub(super) struct Apply {
    pub(super) wanted: Value,
    /// Takes fields from others who own them.
    pub(super) force: bool,
    pub(super) part: Option<Subresource>,
    pub(super) how: Write,
}

impl Apply {
    pub(super) fn may_create(&self, about: &Owned) -> Result<(), ApiError> {
        if self.part.is_some() {
            return Err(about.not_found());
        }
        if !self.wanted["metadata"]["uid"].is_null() {
            return Err(about.conflict("the uid given does not exist"));
        }
        Ok(())
    }

    /// What was applied is merged as it was written; only the result takes the form of its type.
    pub(super) fn make(&self, about: &Owned, live: Option<&Value>) -> Result<Value, ApiError> {
        let entry = &about.entry;
        let subresource = self.part.map(Subresource::name).unwrap_or_default();
        let writer = Writer {
            manager: &self.how.manager,
            subresource,
            api_version: &entry.resource.api_version(),
            now: &self.how.now,
            ignored: prepare::ignored(entry, subresource),
        };
        let mut new = apply::apply(&entry.types, &entry.gvk, live, &self.wanted, self.force, &writer)?;
        schema::prune(&entry.types, entry.type_id, &mut new);
        match live {
            Some(_) => new["metadata"]["resourceVersion"] = self.wanted["metadata"]["resourceVersion"].clone(),
            // As in kube-apiserver a version is no condition where nothing is; only POST refuses one.
            None => drop(prepare::metadata(&mut new)?.remove("resourceVersion")),
        }
        Ok(new)
    }
}
