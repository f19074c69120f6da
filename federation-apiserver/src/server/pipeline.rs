//! The way of a request: who → may they → is there room → decode, default, prune, admit, validate,
//! store, encode (the handlers). [`stages`] shows the order; each stage is a file of its own.

use std::sync::Arc;
use std::time::Instant;

use daemon::supervise::guarded;
use http::request::Parts;
use http::{Method, Request, Response};
use machinery::status::ApiError;
use serde_json::json;

use super::Inner;
use super::metrics::{self, RequestLabels};
use super::query::Query;
use super::response::{self, Body};
use super::service::{Caller, RequestBody};
use super::{fixed, request_info};
use crate::auth::authn::impersonate;
use crate::auth::{ANONYMOUS, Attributes, UNAUTHENTICATED, UserInfo};
use crate::handlers;
use crate::registry::resource::Subresource;

/// Paths that tell nothing but whether the server lives: probes carry no credentials.
const OPEN_PATHS: [&str; 3] = ["/healthz", "/livez", "/readyz"];

/// Answers one request, whatever happens.
pub(super) async fn handle(server: &Arc<Inner>, caller: &Caller, request: Request<RequestBody>) -> Response<Body> {
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let info = request_info::parse(&parts.method, parts.uri.path(), &query);
    let mut user = UserInfo::default();
    let work = guarded("request", stages(server, caller, &parts, &query, &info, body, &mut user));
    let outcome = if info.verb == "watch" {
        work.await
    } else {
        tokio::time::timeout(server.config.request_timeout, work).await.unwrap_or_else(|_| Some(Err(timed_out())))
    };
    let mut response = match outcome {
        Some(Ok(response)) => response,
        Some(Err(e)) => response::error(&e),
        None => {
            tracing::error!(verb = info.verb, path = info.path, "this request made its handler panic");
            response::error(&ApiError::internal("the server failed while answering this request"))
        }
    };
    if parts.method == Method::HEAD {
        *response.body_mut() = Body::Empty;
    }
    audit(&info, &user, &response, started);
    metrics::request(labels(server, &info), response.status().as_u16(), started.elapsed());
    response
}

/// What a request is counted under: only names of what is served, never what a client made up.
fn labels(server: &Inner, info: &Attributes) -> RequestLabels {
    let verb = match info.verb.as_str() {
        "get" => "GET",
        "list" => "LIST",
        "watch" => "WATCH",
        "create" => "POST",
        "update" => "PUT",
        "patch" => "PATCH",
        "delete" => "DELETE",
        "deletecollection" => "DELETECOLLECTION",
        _ => "OTHER",
    };
    let Some(entry) = server.registry.find(&info.group, &info.version, &info.resource) else {
        return RequestLabels { verb, ..RequestLabels::default() };
    };
    let r = entry.resource;
    let scope = match (info.name.is_empty(), info.namespace.is_empty()) {
        (false, _) => "resource",
        (true, false) => "namespace",
        (true, true) => "cluster",
    };
    let subresource = r.subresource(&info.subresource).map(Subresource::name).unwrap_or_default();
    RequestLabels { verb, group: r.group, version: r.version, resource: r.plural, subresource, scope }
}

/// The order of things.
async fn stages(
    server: &Arc<Inner>,
    caller: &Caller,
    parts: &Parts,
    query: &Query,
    info: &Attributes,
    body: RequestBody,
    user: &mut UserInfo,
) -> Result<Response<Body>, ApiError> {
    let proved = authenticate(server, caller, parts, info);
    metrics::authentication(proved.is_ok());
    *user = proved?;
    *user = impersonate(&server.authz, std::mem::take(user), &parts.headers)?;
    scoped(server, info)?;
    // Probes must learn the truth also before the roles are loaded and when there is no room; what
    // a single check says is for those who may read it.
    if OPEN_PATHS.contains(&info.path.as_str()) && matches!(info.verb.as_str(), "get" | "head") {
        return fixed::answer(server, parts, body).await;
    }
    server.authz.authorize(user, info)?;
    let _slot = server.inflight.enter(info, user)?;
    let _counted = (info.verb != "watch").then(|| metrics::inflight(!matches!(info.verb.as_str(), "get" | "list" | "head")));
    if info.resource.is_empty() {
        return fixed::answer(server, parts, body).await;
    }
    let entry = server.registry.find(&info.group, &info.version, &info.resource).ok_or_else(ApiError::no_such_path)?;
    handlers::dispatch(handlers::Call { server, entry, info, user, query, headers: &parts.headers }, body).await
}

/// A cluster-scoped resource has no path below a namespace. Said before authorization, where roles in
/// that namespace would count although the objects are nobody's in particular. A namespace's own
/// requests are in its namespace.
fn scoped(server: &Inner, info: &Attributes) -> Result<(), ApiError> {
    let Some(entry) = server.registry.find(&info.group, &info.version, &info.resource) else { return Ok(()) };
    let itself = info.group.is_empty() && entry.resource.plural == "namespaces" && info.name == info.namespace;
    if entry.resource.namespaced || info.namespace.is_empty() || itself { Ok(()) } else { Err(ApiError::no_such_path()) }
}

fn authenticate(server: &Inner, caller: &Caller, parts: &Parts, info: &Attributes) -> Result<UserInfo, ApiError> {
    match caller {
        Caller::Process(default) => Ok(parts.extensions.get::<UserInfo>().unwrap_or(default).clone()),
        Caller::Connection(peer) => match server.authn.authenticate(&parts.headers, peer) {
            Err(_) if OPEN_PATHS.iter().any(|p| info.path == *p || info.path.strip_prefix(p).is_some_and(|rest| rest.starts_with('/'))) => {
                Ok(UserInfo { name: ANONYMOUS.into(), uid: String::new(), groups: vec![UNAUTHENTICATED.into()] })
            }
            outcome => outcome,
        },
    }
}

fn timed_out() -> ApiError {
    ApiError { details: json!({}), ..ApiError::new(504, "Timeout", "the request took longer than the server allows") }
}

/// One line for each request: who did what, and what came of it. Bodies are never logged.
fn audit(info: &Attributes, user: &UserInfo, response: &Response<Body>, started: Instant) {
    if !tracing::enabled!(target: "audit", tracing::Level::DEBUG) {
        return;
    }
    metrics::audit_event();
    let took = started.elapsed();
    tracing::debug!(
        target: "audit",
        user = user.name,
        verb = info.verb,
        path = info.path,
        code = response.status().as_u16(),
        micros = took.as_micros() as u64,
    );
}
