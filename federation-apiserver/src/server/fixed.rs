//! Paths that are no resources: discovery, OpenAPI, health, metrics, version and the log level.

use bytes::Bytes;
use daemon::logs;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use machinery::status::ApiError;

use super::served::Served;
use crate::auth::authn::service_account::{JWKS, OPENID};
use crate::discovery;
use crate::http::request::{self, RequestBody};
use crate::http::response::{self, Body};
use crate::{metrics, version};

/// Answers a request for such a path.
pub(super) async fn answer(server: &Served, parts: &Parts, body: RequestBody) -> Result<Response<Body>, ApiError> {
    let path = parts.uri.path();
    // For those allowed to: `put` on the path, which of the bootstrap roles only cluster-admin holds.
    if path == logs::PATH {
        let log_level = logs::level().ok_or_else(ApiError::no_such_path)?;
        let body = request::read(body).await?;
        return Ok(log_level.respond(&parts.method, &body).map(full));
    }
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Err(ApiError::method_not_allowed());
    }
    if let Some(health) = server.health.respond(path, parts.uri.query().unwrap_or_default()).await {
        return Ok(health.map(full));
    }
    match path {
        "/version" | "/version/" => return Ok(response::json_bytes(StatusCode::OK, full(version::document()))),
        "/metrics" => return Ok(metrics::Metrics::global().respond().map(full)),
        OPENID | JWKS => {
            let told = server.api.authn.service_accounts().and_then(|accounts| accounts.told(&server.config.advertised()));
            let Some((keys, leading)) = told else { return Err(ApiError::no_such_path()) };
            let (body, kind) = if path == JWKS { (keys, "application/jwk-set+json") } else { (leading, "application/json") };
            return Ok(discovery::answer(body, kind, "public, max-age=3600").map(full));
        }
        _ => {}
    }
    let published = server.published();
    if let Some(document) = published.openapi.respond(path, parts.uri.query().unwrap_or_default(), &parts.headers) {
        return Ok(document.map(full));
    }
    if let Some(document) = published.discovery.respond(path, &parts.headers) {
        return Ok(document.map(full));
    }
    if path.starts_with("/api/") || path.starts_with("/apis/") {
        return Err(ApiError::no_such_path());
    }
    Ok(response::text(StatusCode::NOT_FOUND, "404 page not found\n"))
}

fn full(bytes: Bytes) -> Body {
    Body::Full(bytes)
}
