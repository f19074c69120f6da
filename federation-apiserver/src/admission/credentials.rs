//! Credentials are kept as long as they could be used: what was forgotten could not be refused.

use federation_api::{credential, keys};
use jiff::Timestamp;
use machinery::status::ApiError;
use serde_json::Value;

use crate::registry::resource::Resource;

/// Whether the rule is about that resource.
pub(crate) fn concerns(resource: &Resource) -> bool {
    resource.group == *keys::GROUP && resource.plural == *credential::PLURAL
}

/// Whether it may be deleted: the server does that itself when it has expired.
///
/// # Errors
/// 403 for one that has not expired. One that was not issued here and is not revoked refuses nobody.
pub(crate) fn delete(object: &Value) -> Result<(), ApiError> {
    let until = object["spec"]["notAfter"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let useless = object["spec"]["notAfter"].is_null() && object["status"]["revoked"].is_null();
    if useless || until.is_some_and(|until| until < Timestamp::now()) {
        return Ok(());
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    Err(ApiError::forbidden(keys::GROUP, credential::PLURAL, name, "a credential is kept until it has expired, so that it can be refused"))
}
