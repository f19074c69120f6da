//! What a request does to stored objects. One file a verb; [`dispatch`] chooses.

mod accept;
mod body;
mod create;
mod delete;
mod encode;
mod gzip;
mod list;
mod options;
mod patch;
mod prepare;
mod projection;
mod scale;
mod update;
mod watch;

use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode};
use machinery::status::ApiError;

use crate::auth::authz::{escalation, object::RbacKind};
use crate::auth::{Attributes, UserInfo};
use crate::registry::Entry;
use crate::registry::resource::{Resource, Subresource};
use crate::server::query::Query;
use crate::server::response::{self, Body};
use crate::server::service::RequestBody;
use crate::server::{Inner, cpu};
use crate::storage::object::Object;
use crate::storage::store::{ReadAt, ResourceStore};

pub(crate) use body::{largest as largest_body, read as read_body};
pub(crate) use delete::{DeleteOptions, Deleted, delete_object, keeps_copies};
pub(crate) use patch::media as patch_media;
pub(crate) use prepare::{Write, waits};

/// Makes an object of the server's own ready to be stored.
pub(crate) fn prepare_create(entry: &Entry, object: &mut serde_json::Value, user: &UserInfo, write: &Write) -> Result<(), ApiError> {
    prepare::create(entry, object, user, write, false)
}

/// One request that may go on.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) server: &'a Arc<Inner>,
    pub(crate) entry: &'a Arc<Entry>,
    pub(crate) info: &'a Attributes,
    pub(crate) user: &'a UserInfo,
    pub(crate) query: &'a Query,
    pub(crate) headers: &'a HeaderMap,
}

/// Answers a request for a resource.
pub(crate) async fn dispatch(call: Call<'_>, body: RequestBody) -> Result<Response<Body>, ApiError> {
    let resource = call.resource();
    let Attributes { verb, name, namespace, subresource, .. } = call.info;
    // A field selector may have given lists and watches a name.
    let of_many = matches!(verb.as_str(), "list" | "watch" | "deletecollection");
    if resource.namespaced && namespace.is_empty() && !(resource.stored() && of_many) {
        return Err(ApiError::no_such_path());
    }
    match verb.as_str() {
        "deletecollection" if resource.namespaced && namespace.is_empty() => return Err(ApiError::method_not_allowed()),
        "create" if !name.is_empty() => return Err(ApiError::method_not_allowed()),
        "update" | "patch" if name.is_empty() => return Err(ApiError::method_not_allowed()),
        _ => {}
    }
    if !resource.stored() {
        if verb != "create" || !subresource.is_empty() {
            return Err(ApiError::method_not_allowed());
        }
        return create::answer_question(call, body).await;
    }
    if !subresource.is_empty() {
        let part = resource.subresource(subresource).ok_or_else(ApiError::no_such_path)?;
        return match (part, verb.as_str()) {
            (Subresource::Status, "get") => get(call).await,
            (Subresource::Scale, "get") => scale::get(call).await,
            (Subresource::Status | Subresource::Scale | Subresource::Finalize, "update") => update::update(call, body, Some(part)).await,
            (Subresource::Status | Subresource::Scale, "patch") => patch::patch(call, body, Some(part)).await,
            _ => Err(ApiError::method_not_allowed()),
        };
    }
    if !resource.verbs.contains(&verb.as_str()) {
        return Err(ApiError::method_not_allowed());
    }
    match verb.as_str() {
        "get" => get(call).await,
        "list" => list::list(call).await,
        "watch" => watch::watch(call).await,
        "create" => create::create(call, body).await,
        "update" => update::update(call, body, None).await,
        "patch" => patch::patch(call, body, None).await,
        "delete" => delete::delete(call, body).await,
        "deletecollection" => delete::delete_collection(call, body).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}

impl<'a> Call<'a> {
    pub(crate) fn resource(self) -> &'static Resource {
        self.entry.resource
    }

    pub(crate) fn store(self) -> &'a ResourceStore {
        self.entry.store()
    }

    /// The namespace as the store wants it.
    pub(crate) fn namespace(self) -> Option<&'a str> {
        (self.resource().namespaced && !self.info.namespace.is_empty()).then_some(self.info.namespace.as_str())
    }

    /// 404 for the object of this request.
    pub(crate) fn not_found(self) -> ApiError {
        ApiError::not_found(self.resource().group, self.resource().plural, &self.info.name)
    }

    /// The object of this request as it is now.
    pub(crate) async fn current(self) -> Result<Option<Arc<Object>>, ApiError> {
        Ok(self.store().get(self.namespace(), &self.info.name, ReadAt::Latest).await?)
    }

    /// Does work on so many bytes where it delays nobody else.
    async fn work<T: Send + 'static>(self, bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
        cpu::run(self.user, &self.info.verb, bytes, work).await
    }

    /// What outlives the request, for work that may.
    fn owned(self) -> Owned {
        Owned { server: Arc::clone(self.server), entry: Arc::clone(self.entry), user: self.user.clone(), name: self.info.name.clone() }
    }
}

/// What the processing of objects needs to know of a request.
#[derive(Clone)]
struct Owned {
    server: Arc<Inner>,
    entry: Arc<Entry>,
    user: UserInfo,
    /// Name in the path.
    name: String,
}

impl Owned {
    /// 409 for the object of this request.
    fn conflict(&self, why: &str) -> ApiError {
        ApiError::conflict(self.entry.resource.group, self.entry.resource.plural, &self.name, why)
    }

    /// 400 for an object that is another than the one in the path.
    fn misnamed(&self, name: &str) -> ApiError {
        let wanted = &self.name;
        ApiError::bad_request(format!("the name of the object ({name}) does not match the name on the URL ({wanted})"))
    }

    /// Roles may not grant more than their author holds.
    fn check_escalation(&self, new: &serde_json::Value, old: Option<&serde_json::Value>) -> Result<(), ApiError> {
        if self.entry.resource.group != "rbac.authorization.k8s.io" {
            return Ok(());
        }
        match RbacKind::of_resource(self.entry.resource.plural) {
            Some(kind) => escalation::check(&self.server.authz, &self.user, kind, new, old),
            None => Ok(()),
        }
    }
}

async fn get(call: Call<'_>) -> Result<Response<Body>, ApiError> {
    let at = options::read_at(call.query)?;
    let object = call.store().get(call.namespace(), &call.info.name, at).await?.ok_or_else(|| call.not_found())?;
    encode::object(call, StatusCode::OK, &object).await
}

/// Characters all warnings of an answer may have together, and to how many each is cut when they have more:
/// kube-apiserver's limits.
const MAX_WARNINGS: usize = 4096;
const CUT_WARNING: usize = 256;

/// An answer with warnings for the user.
fn with_warnings(mut response: Response<Body>, warnings: &[String]) -> Response<Body> {
    let cut = warnings.iter().map(|w| w.chars().count()).sum::<usize>() > MAX_WARNINGS;
    let mut left = MAX_WARNINGS;
    for warning in warnings {
        let shown = warning.char_indices().nth(CUT_WARNING).filter(|_| cut).map_or(warning.as_str(), |(end, _)| &warning[..end]);
        let Some(rest) = left.checked_sub(shown.chars().count()) else { break };
        left = rest;
        let quoted = shown.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = http::HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(http::header::WARNING, value);
        }
    }
    response
}

/// `Status` of a success.
fn success(details: &serde_json::Value) -> Response<Body> {
    let status = serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
    response::json(StatusCode::OK, &status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d33_warnings_fit_into_headers_that_clients_take() {
        let told = |warnings: &[String]| -> Vec<usize> {
            let response = with_warnings(Response::new(Body::Empty), warnings);
            response.headers().get_all(http::header::WARNING).iter().map(http::HeaderValue::len).collect()
        };
        assert_eq!(told(&["w".repeat(4000), "\"".into()]), [4008, 10]);
        assert_eq!(told(&vec!["w".repeat(5000); 100]), vec![256 + 8; 16]);
        assert_eq!(told(&vec!["é".repeat(300); 100]).len(), 16);
    }
}
