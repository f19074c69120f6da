//! What is issued is written down first, so that it can be listed and revoked.

use federation_api::credential::{self, CredentialSpec};
use federation_api::keys;
use jiff::Timestamp;
use machinery::status::ApiError;
use serde_json::json;

use super::api::Api;
use super::prepare::{self, Write};
use crate::auth::UserInfo;
use crate::storage::StorageError;

/// Writes down a credential of that name, where the server serves such objects.
///
/// # Errors
/// The storage's; nobody may have the credential then.
pub(crate) async fn record(api: &Api, name: &str, spec: &CredentialSpec) -> Result<(), ApiError> {
    let Some(entry) = api.registry.find(keys::GROUP, keys::VERSION, credential::PLURAL) else { return Ok(()) };
    let mut object = json!({
        "apiVersion": entry.resource.api_version(),
        "kind": credential::KIND,
        "metadata": {"name": name},
        "spec": spec,
    });
    prepare::create(&entry, &mut object, &UserInfo::default(), &Write::internal(), false)?;
    match entry.store().create(None, name, &object).await {
        // Somebody revoked it before it was there.
        Ok(_) | Err(StorageError::Conflict { .. }) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// A time as objects have it.
pub(crate) fn time(seconds: i64) -> Option<String> {
    Timestamp::from_second(seconds).ok().map(|at| at.to_string())
}
