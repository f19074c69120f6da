//! Label and field selectors.

mod cluster;
mod field;
mod label;
mod parse;
mod requirement;
#[cfg(test)]
mod tests;

pub use self::cluster::cluster_selector;
pub use self::field::{FieldRequirement, FieldSelector};
pub use self::label::LabelSelector;
pub use self::requirement::{Operator, Requirement};
use crate::status::ApiError;

/// A selector that cannot be understood; the text says what is wrong with it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub(crate) String);

impl From<SelectorError> for ApiError {
    fn from(error: SelectorError) -> Self {
        Self::bad_request(error.0)
    }
}

/// Terms one selector of a request may have: each is looked at for each object.
const MAX_TERMS: usize = 1000;

/// Whether a selector may have so many terms.
fn bounded(terms: usize) -> Result<(), SelectorError> {
    if terms <= MAX_TERMS { Ok(()) } else { Err(SelectorError(format!("a selector has at most {MAX_TERMS} terms"))) }
}
