//! Looking at what a member has under a name.

use http::StatusCode;
use machinery::discovery;

use super::{
    exchange::{Exchange, failed, parsed, unseen},
    job::Outcome,
};
use crate::{kinds::ObjectKey, observed::Seen, request::Call};

impl Exchange {
    /// What is there now under the name, if anything.
    pub(super) async fn look(&mut self, key: &ObjectKey) -> Result<Option<Seen>, Outcome> {
        let reply = self.send(Call::get(&key.path())).await?;
        match reply.status {
            StatusCode::OK => Ok(Some(self.seen(key, &parsed(&reply)?))),
            _ if reply.is_not_found() => Ok(None),
            // What an API server does not serve it calls a page that is not found, as anything on the way may do too.
            StatusCode::NOT_FOUND if self.is_unserved(&key.kind().api_version(), key.kind().resource).await? => Ok(None),
            _ => Err(failed(&reply)),
        }
    }

    /// Whether the member says that it does not serve a resource. That it cannot be asked is a failure.
    pub(super) async fn is_unserved(&mut self, api_version: &str, resource: &str) -> Result<bool, Outcome> {
        let path = match api_version.split_once('/') {
            None => format!("/api/{api_version}"),
            Some(_) => {
                let versions = discovery::versions(&self.read("/apis").await?).map_err(unseen)?;
                // An API server has other groups than the core one.
                if versions.len() > 1 && !versions.iter().any(|v| v.api_version == api_version) {
                    return Ok(true);
                }
                format!("/apis/{api_version}")
            }
        };
        let served = self.read(&path).await?;
        let Some(resources) = served["resources"].as_array().filter(|r| !r.is_empty()) else { return Ok(false) };
        Ok(!resources.iter().any(|r| r["name"] == resource))
    }
}
