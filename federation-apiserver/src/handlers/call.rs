//! One request for a resource: what is asked of which, by whom.

use std::sync::Arc;

use http::HeaderMap;
use machinery::status::ApiError;
use serde_json::Value;

use super::api::Api;
use crate::admission;
use crate::auth::authz::{Authorization, escalation, object::RbacKind};
use crate::auth::{Attributes, UserInfo};
use crate::cpu;
use crate::http::query::Query;
use crate::registry::Entry;
use crate::registry::certificates;
use crate::registry::resource::{Resource, Subresource};
use crate::storage::object::Object;
use crate::storage::store::{ReadAt, ResourceStore};

/// One request that may go on.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) api: &'a Api,
    pub(crate) entry: &'a Arc<Entry>,
    pub(crate) info: &'a Attributes,
    pub(crate) user: &'a UserInfo,
    pub(crate) query: &'a Query,
    pub(crate) headers: &'a HeaderMap,
}

impl<'a> Call<'a> {
    pub(crate) fn resource(self) -> &'a Resource {
        &self.entry.resource
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
        ApiError::not_found(&self.resource().group, &self.resource().plural, &self.info.name)
    }

    /// The object of this request as it is now.
    pub(crate) async fn current(self) -> Result<Option<Arc<Object>>, ApiError> {
        Ok(self.store().get(self.namespace(), &self.info.name, ReadAt::Latest).await?)
    }

    /// Does work on so many bytes where it delays nobody else.
    pub(super) async fn work<T: Send + 'static>(self, bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
        cpu::run(self.user, &self.info.verb, bytes, work).await
    }

    /// What outlives the request, for work that may.
    pub(super) fn owned(self) -> Owned {
        Owned {
            authz: Arc::clone(&self.api.authz),
            finalizers: self.api.finalizers,
            entry: Arc::clone(self.entry),
            user: self.user.clone(),
            name: self.info.name.clone(),
        }
    }
}

/// What the processing of objects needs to know of a request.
#[derive(Clone)]
pub(super) struct Owned {
    authz: Arc<Authorization>,
    /// Whether new objects of federated kinds get the federation's finalizers.
    pub(super) finalizers: bool,
    pub(super) entry: Arc<Entry>,
    pub(super) user: UserInfo,
    /// Name in the path.
    pub(super) name: String,
}

impl Owned {
    /// 404 for the object of this request.
    pub(super) fn not_found(&self) -> ApiError {
        ApiError::not_found(&self.entry.resource.group, &self.entry.resource.plural, &self.name)
    }

    /// 409 for the object of this request.
    pub(super) fn conflict(&self, why: &str) -> ApiError {
        ApiError::conflict(&self.entry.resource.group, &self.entry.resource.plural, &self.name, why)
    }

    /// 400 for an object in another namespace than the one in the path.
    pub(super) fn misplaced(&self, namespace: &str, wanted: &str) -> ApiError {
        ApiError::bad_request(format!("the namespace of the object ({namespace}) does not match the namespace on the URL ({wanted})"))
    }

    /// 400 for an object that is another than the one in the path.
    pub(super) fn misnamed(&self, name: &str) -> ApiError {
        let wanted = &self.name;
        ApiError::bad_request(format!("the name of the object ({name}) does not match the name on the URL ({wanted})"))
    }

    /// Whether the user may write this, which depends on what it says: roles may not grant more than their author holds,
    /// and requests for certificates are approved and signed only by who may for their signer.
    pub(super) fn check(&self, new: &Value, old: Option<&Value>, part: Option<Subresource>) -> Result<(), ApiError> {
        let Resource { group, plural, .. } = &self.entry.resource;
        if *group == certificates::GROUP && *plural == certificates::PLURAL {
            return admission::certificates::check(&self.authz, &self.user, new, old, part);
        }
        if *group != "rbac.authorization.k8s.io" {
            return Ok(());
        }
        match RbacKind::of_resource(plural) {
            Some(kind) => escalation::check(&self.authz, &self.user, kind, new, old),
            None => Ok(()),
        }
    }
}
