//! The way of a request: who → may they → is there room → decode, default, prune, admit, validate,
//! store, encode (the handlers). [`stages`] shows the order; each stage is a file of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::supervise::guarded;
use daemon::trace::{self, field};
use federation_api::bootstrap;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use jiff::Timestamp;
use machinery::status::ApiError;
use serde_json::json;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::caller::Caller;
use super::inflight::Place;
use super::served::Served;
use super::{fixed, request_info, standing};
use crate::audit::{self, Record};
use crate::auth::authn::impersonate;
use crate::auth::authn::proof::Proof;
use crate::auth::{ANONYMOUS, Attributes, MASTERS, UNAUTHENTICATED, UserInfo, Verb};
use crate::handlers;
use crate::http::query::Query;
use crate::http::request::{self, RequestBody};
use crate::http::response::{self, Body, Written};
use crate::metrics::{self, Ongoing, RequestLabels};
use crate::registry::resource::Subresource;

/// A body that takes no longer came with the head: nothing was taken back meanwhile.
const AT_ONCE: Duration = Duration::from_millis(50);
/// Paths that tell nothing but whether the server lives: probes carry no credentials.
const OPEN_PATHS: [&str; 3] = ["/healthz", "/livez", "/readyz"];

/// What is known of a request so far.
#[derive(Default)]
struct Known {
    /// Its audit id.
    id: String,
    /// Who it is carried out as.
    user: UserInfo,
    /// What proved who sent it.
    proof: Option<Proof>,
    /// Who sent it, where that is somebody else.
    impersonator: Option<UserInfo>,
    record: Option<Record>,
    /// Whether the policy was asked about it.
    judged: bool,
    /// What it takes until its answer is written.
    taken: Option<Taken>,
}

/// A request's place among those in flight, and that it is counted.
type Taken = (Option<Place>, Option<Ongoing>);

/// Answers one request, whatever happens.
pub(super) async fn handle(server: &Arc<Served>, caller: &Caller, request: Request<RequestBody>) -> Response<Body> {
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let info = request_info::parse(&parts.method, parts.uri.path(), &query);
    let mut known = Known { id: audit::id(&parts.headers), ..Known::default() };
    let span = tracing::info_span!(
        target: trace::TARGET,
        "request",
        { field::AUDIT_ID } = known.id,
        { field::VERB } = info.verb.as_str(),
        { field::GROUP } = info.group,
        { field::RESOURCE } = info.resource,
        { field::NAMESPACE } = info.namespace,
        { field::NAME } = info.name,
        { field::USER } = Empty,
        { field::CODE } = Empty,
    );
    let proved = guarded("request", async { authenticate(server, caller, &parts, &info) }).await;
    trace::of_request(&span, &parts.headers, matches!(&proved, Some(Ok((user, _))) if user.in_group(MASTERS)));
    let outcome = match proved {
        None => None,
        Some(Err(e)) => Some(Err(e)),
        Some(Ok((user, by))) => {
            (known.user, known.proof) = (user, Some(by));
            let work = stages(server, caller, &parts, &query, &info, body, &mut known);
            let work = guarded("request", work).instrument(span.clone());
            if info.verb == Verb::Watch {
                work.await
            } else {
                tokio::time::timeout(server.config.request_timeout, work).await.unwrap_or_else(|_| Some(Err(timed_out())))
            }
        }
    };
    let panicked = outcome.is_none();
    let mut response = match outcome {
        Some(Ok(response)) => response,
        Some(Err(e)) => response::error(&e),
        None => {
            tracing::error!(verb = info.verb.as_str(), path = info.path, "this request made its handler panic");
            response::error(&ApiError::internal("the server failed while answering this request"))
        }
    };
    // What lasts ends with the credential of who asked for it, whoever he acts as.
    if response.body().is_stream()
        && let (Some(proof), Caller::Connection(connected)) = (known.proof.take(), caller)
    {
        let user = known.impersonator.as_ref().unwrap_or(&known.user).clone();
        let ended = standing::ended(Arc::clone(&server.api.authn), Arc::clone(connected), user, proof);
        *response.body_mut() = std::mem::take(response.body_mut()).until(ended);
    }
    let Known { id, user, impersonator, mut record, judged, taken, proof: _ } = known;
    follow(&span, &id, &info, &user, &response);
    if !judged {
        // Who could not say who he is.
        record = audit::begin(server.audit.as_ref(), &id, &parts, &info, &user, caller.address());
    }
    if let Some(record) = record {
        record.answered(&mut response, panicked, &info, &user).await;
    }
    if parts.method == Method::HEAD {
        *response.body_mut() = Body::Empty;
    }
    // Who reads slowly keeps his place meanwhile, so that all answers waiting for readers are bounded.
    if let Some(taken) = taken {
        *response.body_mut() = std::mem::take(response.body_mut()).keeping(taken);
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(audit::AUDIT_ID, id);
    }
    tracing::debug!(
        target: "request",
        audit_id = id,
        user = user.name,
        impersonator = impersonator.map(|i| i.name),
        verb = info.verb.as_str(),
        path = info.path,
        code = response.status().as_u16(),
        micros = started.elapsed().as_micros() as u64,
    );
    metrics::request(labels(server, &info), response.status().as_u16(), started.elapsed());
    response
}

/// Completes the request's span, and begins the trace of the change it made.
fn follow(span: &Span, id: &str, info: &Attributes, user: &UserInfo, response: &Response<Body>) {
    if span.is_disabled() {
        return;
    }
    span.record(field::USER, user.name.as_str()).record(field::CODE, response.status().as_u16());
    let Some(Written { uid, revision }) = response.extensions().get() else { return };
    let version = revision.to_string();
    trace::made(span, uid, &version);
    let stored = tracing::info_span!(
        target: trace::TARGET,
        "stored",
        { field::AUDIT_ID } = id,
        { field::VERB } = info.verb.as_str(),
        { field::GROUP } = info.group,
        { field::RESOURCE } = info.resource,
        { field::NAMESPACE } = info.namespace,
        { field::NAME } = info.name,
        { field::USER } = user.name,
        { field::UID } = uid,
        { field::RESOURCE_VERSION } = version,
    );
    trace::follows(&stored, uid, &version);
}

/// What a request is counted under: only names of what is served, never what a client made up.
fn labels(server: &Served, info: &Attributes) -> RequestLabels {
    let verb = match info.verb {
        Verb::Get => "GET",
        Verb::List => "LIST",
        Verb::Watch => "WATCH",
        Verb::Create => "POST",
        Verb::Update => "PUT",
        Verb::Patch => "PATCH",
        Verb::Delete => "DELETE",
        Verb::DeleteCollection => "DELETECOLLECTION",
        _ => "OTHER",
    };
    let Some(entry) = server.api.registry.find(&info.group, &info.version, &info.resource) else {
        return RequestLabels { verb, ..RequestLabels::default() };
    };
    let r = &entry.resource;
    let scope = match (info.name.is_empty(), info.namespace.is_empty()) {
        (false, _) => "resource",
        (true, false) => "namespace",
        (true, true) => "cluster",
    };
    let subresource = r.subresource(&info.subresource).map(Subresource::name).unwrap_or_default();
    RequestLabels { verb, group: r.group.clone(), version: r.version.clone(), resource: r.plural.clone(), subresource, scope }
}

/// The order of things.
async fn stages(
    server: &Arc<Served>,
    caller: &Caller,
    parts: &Parts,
    query: &Query,
    info: &Attributes,
    body: RequestBody,
    Known { id, user, proof, impersonator, record, judged, taken }: &mut Known,
) -> Result<Response<Body>, ApiError> {
    *record = audit::begin(server.audit.as_ref(), id, parts, info, user, caller.address());
    *judged = true;
    let acting = impersonate(&server.api.authz, user.clone(), &parts.headers)?;
    if acting != *user {
        *impersonator = Some(std::mem::replace(user, acting));
        if let Some(record) = record {
            record.impersonated(user);
        }
    }
    scoped(server, info)?;
    // Probes must learn the truth also before the roles are loaded and when there is no room; what
    // a single check says is for those who may read it.
    if OPEN_PATHS.contains(&info.path.as_str()) && matches!(info.verb, Verb::Get | Verb::Head) {
        return fixed::answer(server, parts, body).await;
    }
    let allowed = server.api.authz.authorize(user, info);
    if let Some(record) = record {
        record.decided(allowed.is_ok());
    }
    allowed?;
    let began = Instant::now();
    let (body, _bytes) = arrived(server, info, user, parts, record.as_mut(), body).await?;
    // Who lets a body trickle in may have been taken back meanwhile.
    if let (Caller::Connection(connected), Some(proof), true) = (caller, &*proof, began.elapsed() >= AT_ONCE) {
        let who = impersonator.as_ref().unwrap_or(user);
        if !server.api.authn.still(who, proof, &connected.peer(), Timestamp::now().as_second()) {
            return Err(ApiError::unauthorized());
        }
    }
    let slot = server.inflight.enter(info, user)?;
    let counted = (info.verb != Verb::Watch).then(|| metrics::inflight(!info.verb.reads()));
    *taken = Some((slot, counted));
    if info.resource.is_empty() {
        return fixed::answer(server, parts, body).await;
    }
    let entry = server.api.registry.find(&info.group, &info.version, &info.resource).ok_or_else(ApiError::no_such_path)?;
    handlers::answer(handlers::Call { api: &server.api, entry: &entry, info, user, query, headers: &parts.headers }, body).await
}

/// The request's body, read to its end before the request takes a slot: slots are for work, and who lets
/// a body trickle in does none. Its bytes are counted as long as the second part of the answer is kept.
async fn arrived(
    server: &Served,
    info: &Attributes,
    user: &UserInfo,
    parts: &Parts,
    record: Option<&mut Record>,
    body: RequestBody,
) -> Result<(RequestBody, Option<Place>), ApiError> {
    if info.verb.reads() || body.is_end_stream() {
        return Ok((body, None));
    }
    let place = server.inflight.body(user, request::largest(&body)?)?;
    let bytes = request::read(body).await?;
    if let Some(record) = record {
        record.asked(parts, &bytes, info, user).await;
    }
    Ok((Full::new(bytes).map_err(|never| match never {}).boxed_unsync(), place))
}

/// A cluster-scoped resource has no path below a namespace. Said before authorization, where roles in
/// that namespace would count although the objects are nobody's in particular. A namespace's own
/// requests are in its namespace.
fn scoped(server: &Served, info: &Attributes) -> Result<(), ApiError> {
    let Some(entry) = server.api.registry.find(&info.group, &info.version, &info.resource) else { return Ok(()) };
    let itself = info.group.is_empty() && entry.resource.plural == "namespaces" && info.name == info.namespace;
    if entry.resource.namespaced || info.namespace.is_empty() || itself { Ok(()) } else { Err(ApiError::no_such_path()) }
}

fn authenticate(server: &Served, caller: &Caller, parts: &Parts, info: &Attributes) -> Result<(UserInfo, Proof), ApiError> {
    let proved = prove(server, caller, parts, info);
    metrics::authentication(proved.is_ok());
    proved
}

fn prove(server: &Served, caller: &Caller, parts: &Parts, info: &Attributes) -> Result<(UserInfo, Proof), ApiError> {
    match caller {
        Caller::Process(default) => Ok((parts.extensions.get::<UserInfo>().unwrap_or(default).clone(), Proof::Nothing)),
        Caller::Connection(connected) => {
            let peer = connected.peer();
            match server.api.authn.prove(&parts.headers, &peer) {
                Err(e) if introduces(info) => {
                    let stranger = server.api.authn.stranger(&parts.headers, &peer);
                    stranger.map(|user| (user, Proof::Nothing)).ok_or(e)
                }
                Err(_)
                    if OPEN_PATHS
                        .iter()
                        .any(|p| info.path == *p || info.path.strip_prefix(p).is_some_and(|rest| rest.starts_with('/'))) =>
                {
                    let anonymous = UserInfo { name: ANONYMOUS.into(), uid: String::new(), groups: vec![UNAUTHENTICATED.into()] };
                    Ok((anonymous, Proof::Nothing))
                }
                Ok((user, proof)) if user.name != ANONYMOUS => {
                    connected.proved();
                    connected.used(server.api.authn.used(), &proof, &peer);
                    Ok((user, proof))
                }
                outcome => outcome,
            }
        }
    }
}

/// Whether this is what clients ask for that do not know the server yet (kubeadm's discovery). They may where somebody gave
/// `system:anonymous` the right, as `kubefed token create --print-join-command` does.
fn introduces(info: &Attributes) -> bool {
    let of_core = info.verb == Verb::Get && info.group.is_empty() && info.resource == "configmaps" && info.subresource.is_empty();
    of_core && info.namespace == bootstrap::PUBLIC_NAMESPACE && info.name == bootstrap::CLUSTER_INFO
}

fn timed_out() -> ApiError {
    ApiError { details: json!({}), ..ApiError::new(504, "Timeout", "the request took longer than the server allows") }
}
