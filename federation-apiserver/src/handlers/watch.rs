//! WATCH: lines of JSON, each encoded once and shared by all who watch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::StreamExt;
use http::{HeaderValue, Response, StatusCode, header};
use machinery::status::ApiError;
use serde_json::{Value, json};

use super::call::Call;
use super::projection::Projection;
use super::{encode, options};
use crate::auth::{UserInfo, Verb};
use crate::cpu;
use crate::http::response::{self, Body};
use crate::metrics;
use crate::names::Name;
use crate::storage::StorageError;
use crate::storage::event::WatchEvent;

/// Without `timeoutSeconds` a watch lasts between one and two times this long, so that watches of
/// many clients do not end together; the numbers are kube-apiserver's.
const MIN_TIMEOUT: Duration = Duration::from_secs(1800);
/// Events that are ready are sent together, up to so many bytes.
const BATCH: usize = 32 * 1024;

pub(super) async fn watch(call: Call<'_>) -> Result<Response<Body>, ApiError> {
    let encoder = Arc::new(Encoder::of(call)?);
    let filter = options::filter(call)?;
    let wanted = options::watch_options(call.query)?;
    let timeout = match call.query.number("timeoutSeconds")? {
        Some(seconds) if seconds > 0 => Duration::from_secs(seconds.unsigned_abs()),
        _ => MIN_TIMEOUT + Duration::from_millis(u64::from(uuid::Uuid::new_v4().as_fields().0) % 1_800_000),
    };
    let events = match call.store().watch(call.namespace(), wanted, filter).await {
        Ok(events) => events,
        Err(e) => {
            let e = match e {
                // kube-apiserver lets such a watch wait in silence; a client that goes on from a state that is no more, as
                // after a restored backup, has to list again.
                StorageError::Future { requested, current } if wanted.send_initial_events != Some(true) => {
                    ApiError::expired(format!("Too large resource version: {requested}, current: {current}; list again"))
                }
                e => ApiError::from(e),
            };
            // As kube-apiserver: such a watch opens and says so in its first event.
            return if matches!(e.code, 410 | 504) { Ok(stream(futures::stream::iter([error_line(&e)]).boxed())) } else { Err(e) };
        }
    };
    let stopping = call.api.stopping.clone();
    let end = async move {
        tokio::select! {
            () = tokio::time::sleep(timeout) => {}
            () = stopping.cancelled_owned() => {}
        }
    };
    let resource = call.resource();
    let open = metrics::watcher(resource.group.clone(), resource.version.clone(), resource.plural.clone());
    let sent = metrics::watch_events(resource.group.clone(), resource.version.clone(), resource.plural.clone());
    let lines = events.take_until(end).filter_map(move |event| {
        let _ = &open;
        let (encoder, sent) = (Arc::clone(&encoder), sent.clone());
        async move {
            let line = encoder.line(event).await;
            sent.increment(line.iter().len() as u64);
            line
        }
    });
    Ok(stream(lines.ready_chunks(64).flat_map(|lines| futures::stream::iter(join(lines))).boxed()))
}

/// Joins lines into buffers of at most about [`BATCH`] bytes.
fn join(mut lines: Vec<Bytes>) -> Vec<Bytes> {
    if lines.len() == 1 {
        return lines;
    }
    let mut out = Vec::new();
    let mut buffer = BytesMut::new();
    for line in lines.drain(..) {
        if !buffer.is_empty() && buffer.len() + line.len() > BATCH {
            out.push(buffer.split().freeze());
        }
        buffer.put(line);
    }
    out.push(buffer.freeze());
    out
}

fn stream(lines: futures::stream::BoxStream<'static, Bytes>) -> Response<Body> {
    let mut response = response::json_bytes(StatusCode::OK, Body::Stream(lines));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

fn error_line(e: &ApiError) -> Bytes {
    line("ERROR", &e.to_value())
}

fn line(kind: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{}\n", json!({"type": kind, "object": object})))
}

/// How events become lines. Those of objects are encoded once and shared; tables and metadata are put around bytes that
/// are. Of an object that cannot be decoded tables tell nothing.
enum Encoder {
    Objects { version: String, kind: Name },
    Projected { projection: Projection, headers: AtomicBool, user: UserInfo },
}

impl Encoder {
    fn of(call: Call<'_>) -> Result<Self, ApiError> {
        let resource = call.resource();
        Ok(match Projection::of(call)? {
            None => Self::Objects { version: resource.api_version(), kind: resource.kind.clone() },
            Some(projection) => Self::Projected { projection, headers: AtomicBool::new(true), user: call.user.clone() },
        })
    }

    async fn line(&self, event: WatchEvent) -> Option<Bytes> {
        let (projection, headers, user) = match self {
            Self::Objects { version, kind } => return Some(event.line(version, kind)),
            Self::Projected { projection, headers, user } => (projection, headers, user),
        };
        // The first table names its columns, the others have rows only.
        let first = headers.load(Ordering::Relaxed);
        let weight = event.object().map_or(0, |object| projection.weight(object));
        let shown = projection.clone();
        let line = cpu::run(user, &Verb::Watch, weight, move || shown.line(&event, first, encode::now())).await.ok().flatten();
        headers.store(first && line.is_none(), Ordering::Relaxed);
        line
    }
}
