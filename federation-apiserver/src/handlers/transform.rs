//! What a write makes of the object that is there.

use machinery::status::ApiError;
use serde_json::Value;

use super::apply::Apply;
use super::call::Owned;
use super::patch::{Made, Patch};
use super::scale::Scale;

/// From the object that is there, if any, to the one that is wanted. Pure: it is done again when somebody else wrote in
/// between.
pub(super) enum Transform {
    /// POST: the object, where none is.
    Create(Value),
    /// PUT: this object instead of that one.
    Replace(Value),
    /// PATCH with what should change.
    Patch(Patch),
    /// PATCH with what should be.
    Apply(Apply),
    /// PUT or PATCH of a Scale.
    Scale(Scale),
}

impl Transform {
    /// Whether it is about an object that is there.
    pub(super) fn looks(&self) -> bool {
        !matches!(self, Self::Create(_))
    }

    /// Whether it keeps account of its fields' owners itself.
    pub(super) fn owns(&self) -> bool {
        matches!(self, Self::Apply(_))
    }

    /// Whether it may make the object of the request, which is not there.
    ///
    /// # Errors
    /// 404, or what else is to be said to that.
    pub(super) fn may_create(&self, about: &Owned) -> Result<(), ApiError> {
        match self {
            Self::Create(_) => Ok(()),
            Self::Apply(apply) => apply.may_create(about),
            Self::Replace(_) | Self::Patch(_) | Self::Scale(_) => Err(about.not_found()),
        }
    }

    /// The object that is wanted. Only where [`Transform::may_create`] agreed is there none before.
    pub(super) fn make(&self, about: &Owned, old: Option<&Value>) -> Result<Made, ApiError> {
        match (self, old) {
            (Self::Create(object) | Self::Replace(object), _) => Ok(object.clone().into()),
            (Self::Apply(apply), old) => apply.make(about, old).map(Made::from),
            (Self::Patch(patch), Some(old)) => patch.make(about, old),
            (Self::Scale(scale), Some(old)) => scale.make(about, old),
            (Self::Patch(_) | Self::Scale(_), None) => Err(about.not_found()),
        }
    }
}
