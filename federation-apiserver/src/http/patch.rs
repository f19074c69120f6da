//! Which kind of patch a body is.

use machinery::codec::MediaType;
use machinery::status::ApiError;

/// Kinds of patches, by `Content-Type`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PatchKind {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' own.
    Strategic,
    /// Server-side apply.
    Apply,
}

const ACCEPTED: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

impl PatchKind {
    /// The kind a `Content-Type` names.
    ///
    /// # Errors
    /// 415 for any other.
    pub(crate) fn of(content_type: &str) -> Result<Self, ApiError> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" => Ok(Self::Strategic),
            "application/apply-patch+yaml" | "application/apply-patch+json" => Ok(Self::Apply),
            _ => Err(ApiError::unsupported_media_type(&ACCEPTED)),
        }
    }

    /// How the body of a patch of this `Content-Type` is read.
    pub(crate) fn media(content_type: &str) -> Option<MediaType> {
        Self::of(content_type).ok().map(|kind| if kind == Self::Apply { MediaType::Yaml } else { MediaType::Json })
    }
}
