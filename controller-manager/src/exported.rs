//! Spans as a collector gets them, for tests on one thread.

use std::sync::{Arc, Mutex};

use daemon::trace::{TARGET, follows};
use opentelemetry::trace::{TraceContextExt as _, TraceId, TracerProvider as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracing::subscriber::DefaultGuard;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

/// Takes the spans of this thread for as long as it lives.
pub(crate) struct Exported {
    kept: Kept,
    _here: DefaultGuard,
}

#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

impl Exported {
    pub(crate) fn here() -> Self {
        let kept = Kept::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        Self { kept, _here: daemon::logs::here(tracing_subscriber::registry().with(layer)) }
    }

    /// The spans of a name that ended.
    pub(crate) fn named(&self, name: &str) -> Vec<SpanData> {
        self.kept.0.lock().unwrap().iter().filter(|span| span.name == name).cloned().collect()
    }
}

/// The trace of a change. Needs an [`Exported`].
pub(crate) fn trace_of(uid: &str, version: &str) -> TraceId {
    let span = tracing::info_span!(target: TARGET, "change");
    follows(&span, uid, version);
    span.context().span().span_context().trace_id()
}
