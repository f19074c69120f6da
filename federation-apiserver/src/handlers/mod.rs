//! What a request does to stored objects. One file a verb; [`dispatch`] chooses.

mod api;
mod body;
mod call;
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

use http::{Response, StatusCode};
use machinery::status::ApiError;

use crate::auth::{Attributes, UserInfo};
use crate::http::request::RequestBody;
use crate::http::response::Body;
use crate::registry::Entry;
use crate::registry::resource::Subresource;

pub(crate) use api::Api;
pub(crate) use call::Call;
pub(crate) use delete::{DeleteOptions, Deleted, delete_object, keeps_copies};
pub(crate) use prepare::{Write, waits};

/// Makes an object of the server's own ready to be stored.
pub(crate) fn prepare_create(entry: &Entry, object: &mut serde_json::Value, user: &UserInfo, write: &Write) -> Result<(), ApiError> {
    prepare::create(entry, object, user, write, false)
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

async fn get(call: Call<'_>) -> Result<Response<Body>, ApiError> {
    let at = options::read_at(call.query)?;
    let object = call.store().get(call.namespace(), &call.info.name, at).await?.ok_or_else(|| call.not_found())?;
    encode::object(call, StatusCode::OK, &object).await
}
