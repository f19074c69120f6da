//! Storage errors as the API tells them.

use machinery::status::ApiError;
use serde_json::json;

use super::StorageError;

impl From<StorageError> for ApiError {
    /// All but [`StorageError::Conflict`] have one meaning whatever the request was; callers that know the
    /// object turn a conflict into AlreadyExists, NotFound or Conflict before, else it becomes a bare 409.
    fn from(error: StorageError) -> Self {
        let message = error.to_string();
        match error {
            StorageError::Conflict { .. } | StorageError::Changed => Self::new(409, "Conflict", message),
            StorageError::Compacted { requested, oldest } => Self::expired(format!("too old resource version: {requested} ({oldest})")),
            StorageError::ContinueExpired { .. } => Self::expired(message),
            StorageError::Future { requested, current } => Self {
                details: json!({
                    "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                    "retryAfterSeconds": 1,
                }),
                ..Self::new(504, "Timeout", format!("Too large resource version: {requested}, current: {current}"))
            },
            StorageError::BadContinue(_) | StorageError::BadName(_) | StorageError::TooDeep(_) => Self::bad_request(message),
            // Without a time to try again: client-go would repeat the request by itself.
            StorageError::Unanswered(_) => Self::new(504, "Timeout", message),
            StorageError::TooLarge(_) => Self::new(413, "RequestEntityTooLarge", message),
            StorageError::Unavailable(_) => Self::unavailable(message),
            StorageError::Corrupt(_) => Self::internal(message),
        }
    }
}
