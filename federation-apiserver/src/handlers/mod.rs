//! What a request does to stored objects: `answer` is its walk, from what is asked to the encoded answer.

mod action;
mod api;
mod apply;
mod call;
mod decode;
mod delete;
mod encode;
mod gzip;
mod issued;
mod list;
mod options;
mod patch;
mod prepare;
mod projection;
mod scale;
mod token;
mod transform;
mod watch;
mod write;

use http::{Response, StatusCode};
use machinery::status::ApiError;

use self::action::Action;
use crate::auth::UserInfo;
use crate::auth::reviews::Reviewer;
use crate::http::request::RequestBody;
use crate::http::response::{self, Body};
use crate::http::warnings::with_warnings;
use crate::registry::Entry;
use crate::registry::resource::Subresource;

pub(crate) use api::Api;
pub(crate) use call::Call;
pub(crate) use delete::{DeleteOptions, Deleted, delete_object, keeps_copies};
pub(crate) use issued::{record, time};
pub(crate) use prepare::{Write, waits};

/// Makes an object of the server's own ready to be stored.
pub(crate) fn prepare_create(entry: &Entry, object: &mut serde_json::Value, user: &UserInfo, write: &Write) -> Result<(), ApiError> {
    prepare::create(entry, object, user, write, false)
}

/// Makes a change of the server's own, through a part of an object, ready to be stored; `None` when there is nothing to
/// store.
pub(crate) fn prepare_update(
    entry: &Entry,
    new: serde_json::Value,
    old: &serde_json::Value,
    part: Subresource,
    write: &Write,
) -> Result<Option<serde_json::Value>, ApiError> {
    Ok(match prepare::update(entry, new, old, Some(part), write, false)? {
        prepare::Change::Replace(new) => Some(new),
        prepare::Change::None | prepare::Change::Remove(_) => None,
    })
}

/// Answers a request for a resource.
pub(crate) async fn answer(call: Call<'_>, body: RequestBody) -> Result<Response<Body>, ApiError> {
    match Action::of(call)? {
        Action::Get => {
            let at = options::read_at(call.query)?;
            let object = call.store().get(call.namespace(), &call.info.name, at).await?.ok_or_else(|| call.not_found())?;
            encode::object(call, StatusCode::OK, &object).await
        }
        Action::Scale => {
            let object = call.current().await?.ok_or_else(|| call.not_found())?.value()?;
            Ok(response::json(StatusCode::OK, &scale::of(&object)))
        }
        Action::List => list::list(call).await,
        Action::Watch => watch::watch(call).await,
        Action::Write(part) => {
            let input = decode::write(call, part, body).await?;
            // Default, prune, admit, validate, own, store.
            let written = write::write(call, part, input).await?;
            encode::written(call, part, written).await
        }
        Action::Delete => {
            let wanted = DeleteOptions::parse(&decode::delete_options(call, body).await?, call.query)?;
            delete::delete(call, &wanted).await
        }
        Action::DeleteCollection => {
            let wanted = DeleteOptions::parse(&decode::delete_options(call, body).await?, call.query)?;
            delete::delete_collection(call, &wanted).await
        }
        Action::Token => token::issue(call, body).await,
        Action::Ask => {
            let asked = decode::question(call, call.entry.gvk.clone(), body).await?;
            let reviewer = Reviewer { authn: &call.api.authn, authz: &call.api.authz };
            let answer = reviewer.answer(&call.resource().plural, &call.info.namespace, call.user, asked.value)?;
            Ok(with_warnings(response::json(StatusCode::CREATED, &answer), &asked.warnings))
        }
    }
}
