//! Which trace a span belongs to.

use http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use sha2::{Digest as _, Sha256};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Puts a span, just made, into the trace of one change of one object. Its id is made of the object's
/// uid and the resourceVersion of the change, which everybody knows who watches the object: so the
/// programs share a trace without anything being sent or stored for it. Costs nothing when spans are
/// not exported.
pub fn follows(span: &Span, uid: &str, resource_version: &str) {
    if !span.is_disabled() {
        let _ = span.set_parent(Context::new().with_remote_span_context(of_change(uid, resource_version)));
    }
}

/// As [`follows`] for what several changes led to: the span is a part of the first one's trace, and linked to those of
/// the others, as many as a span may carry.
pub fn follows_all<'a>(span: &Span, changes: impl IntoIterator<Item = (&'a str, &'a str)>) {
    if span.is_disabled() {
        return;
    }
    let mut changes = changes.into_iter();
    if let Some((uid, resource_version)) = changes.next() {
        follows(span, uid, resource_version);
    }
    for (uid, resource_version) in changes.take(super::LINKS) {
        span.add_link(of_change(uid, resource_version));
    }
}

/// Ties a span, just made, to the trace its client is in, where the request says so (W3C `traceparent`):
/// as a part of it for who is `trusted`, for the trace also says whether it is exported; by a link for
/// anybody else.
pub fn of_request(span: &Span, headers: &HeaderMap, trusted: bool) {
    if !span.is_disabled() && headers.contains_key("traceparent") {
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
        if !context.has_active_span() {
            return;
        }
        if trusted {
            let _ = span.set_parent(context);
        } else {
            span.add_link(context.span().span_context().clone());
        }
    }
}

/// Ties a span to the trace of a change it made, once that is known.
pub fn made(span: &Span, uid: &str, resource_version: &str) {
    if !span.is_disabled() {
        span.add_link_with_attributes(of_change(uid, resource_version), vec![KeyValue::new("change", true)]);
    }
}

fn of_change(uid: &str, resource_version: &str) -> SpanContext {
    let digest = Sha256::digest(format!("{uid}/{resource_version}"));
    let mut trace = [0; 16];
    let mut span = [0; 8];
    trace.copy_from_slice(&digest[..16]);
    span.copy_from_slice(&digest[16..24]);
    SpanContext::new(TraceId::from_bytes(trace), SpanId::from_bytes(span), TraceFlags::SAMPLED, true, TraceState::NONE)
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_has_one_trace_wherever_it_is_seen() {
        let here = of_change("7f9c", "1842");
        assert!(here.is_valid() && here.is_sampled());
        assert_eq!(here.trace_id(), of_change("7f9c", "1842").trace_id());
        assert_ne!(here.trace_id(), of_change("7f9c", "1843").trace_id());
    }
}
