//! What a request asks a resource for.

use machinery::status::ApiError;

use super::call::Call;
use crate::auth::{Attributes, Verb};
use crate::registry::resource::Subresource;

/// What is done, for a request that makes sense.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Action {
    Get,
    /// Read the Scale of an object.
    Scale,
    List,
    Watch,
    /// Create, update or patch an object, or one of its subresources.
    Write(Option<Subresource>),
    Delete,
    DeleteCollection,
    /// An access or token review; nothing is stored.
    Ask,
    /// Make a token for a service account.
    Token,
}

impl Action {
    /// # Errors
    /// 404 for what is not served, 405 for what is served and cannot be done.
    pub(super) fn of(call: Call<'_>) -> Result<Self, ApiError> {
        let resource = call.resource();
        let Attributes { verb, name, namespace, subresource, .. } = call.info;
        // A field selector may have given lists and watches a name.
        if resource.namespaced && namespace.is_empty() && !(resource.stored() && verb.of_many()) {
            return Err(ApiError::no_such_path());
        }
        match verb {
            Verb::Create if resource.subresource(subresource) == Some(Subresource::Token) && !name.is_empty() => return Ok(Self::Token),
            Verb::DeleteCollection if resource.namespaced && namespace.is_empty() => return Err(ApiError::method_not_allowed()),
            Verb::Create if !name.is_empty() => return Err(ApiError::method_not_allowed()),
            Verb::Update | Verb::Patch if name.is_empty() => return Err(ApiError::method_not_allowed()),
            _ => {}
        }
        if !resource.stored() {
            let asks = *verb == Verb::Create && subresource.is_empty();
            return if asks { Ok(Self::Ask) } else { Err(ApiError::method_not_allowed()) };
        }
        if !subresource.is_empty() {
            let part = resource.subresource(subresource).ok_or_else(ApiError::no_such_path)?;
            return match (part, verb) {
                (Subresource::Status | Subresource::Approval, Verb::Get) => Ok(Self::Get),
                (Subresource::Scale, Verb::Get) => Ok(Self::Scale),
                (Subresource::Token, _) => Err(ApiError::method_not_allowed()),
                (_, Verb::Update) | (Subresource::Status | Subresource::Scale | Subresource::Approval, Verb::Patch) => {
                    Ok(Self::Write(Some(part)))
                }
                _ => Err(ApiError::method_not_allowed()),
            };
        }
        if !resource.verbs.contains(verb) {
            return Err(ApiError::method_not_allowed());
        }
        match verb {
            Verb::Get => Ok(Self::Get),
            Verb::List => Ok(Self::List),
            Verb::Watch => Ok(Self::Watch),
            Verb::Create | Verb::Update | Verb::Patch => Ok(Self::Write(None)),
            Verb::Delete => Ok(Self::Delete),
            Verb::DeleteCollection => Ok(Self::DeleteCollection),
            _ => Err(ApiError::method_not_allowed()),
        }
    }
}
