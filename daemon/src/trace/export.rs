//! Spans to an OpenTelemetry collector, by OTLP over gRPC.
//!
//! Requests never wait for it: ended spans go into a bounded queue that a thread of its own empties,
//! and what does not fit is dropped. A collector that is away is told once, and when it is back.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{SpanExporter as Otlp, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanData, SpanExporter};
use program::failure::{Failure, chain};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use super::{LINKS, TARGET};
use crate::logs::Said;

/// Spans that wait to be exported; more are dropped.
const QUEUE: usize = 4096;
/// Spans exported at once.
const BATCH: usize = 512;
/// Longest time a collector gets for a batch.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time the last spans get when the process ends.
const LAST: Duration = Duration::from_secs(2);
/// What a span may carry; more is dropped.
const ATTRIBUTES: u32 = 32;
/// Log events a span may carry.
const EVENTS: u32 = 16;

/// PEM file of the authority that signed the collector's certificate.
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";

/// Counter of batches that no collector took.
const ERRORS: &str = "federation_trace_export_errors_total";

/// The export, for as long as the process lives.
#[derive(Debug)]
pub(crate) struct Export(SdkTracerProvider);

impl Export {
    /// Sends what is left. Blocks for a moment; the runtime has to be running.
    pub(crate) fn end(&self) {
        let _ = self.0.shutdown_with_timeout(LAST);
    }
}

/// The layer that exports the spans of `program` to `endpoint`. To be called within a tokio runtime. How
/// many are exported is up to `OTEL_TRACES_SAMPLER`; all, unless it is set.
///
/// # Errors
/// An endpoint that is no URL, or a certificate that cannot be read.
pub(crate) fn exporting<S>(program: &'static str, endpoint: &str) -> Result<(Export, impl Layer<S> + Send + Sync), Failure>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let wrong = |why: String| {
        Failure::usage(format!("--tracing-otlp-endpoint {endpoint:?}: {why}"))
            .hint("give the collector's gRPC address, for example http://127.0.0.1:4317")
    };
    let uri: http::Uri = endpoint.parse().map_err(|e| wrong(format!("{e}")))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
        return Err(wrong("it is no URL with http or https".to_owned()));
    }
    let mut otlp = Otlp::builder().with_tonic().with_endpoint(endpoint).with_timeout(TIMEOUT);
    if uri.scheme_str() == Some("https") {
        let file = std::env::var_os(CERTIFICATE).ok_or_else(|| wrong(format!("https needs a PEM file of authorities in {CERTIFICATE}")))?;
        let pem = std::fs::read(&file).map_err(|e| wrong(format!("cannot read {}: {e}", file.display())))?;
        otlp = otlp.with_tls_config(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)));
    }
    let exporter = Telling { otlp: otlp.build().map_err(|e| wrong(chain(&e)))?, said: Said::default() };
    let batches = BatchConfigBuilder::default().with_max_queue_size(QUEUE).with_max_export_batch_size(BATCH).build();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
        .with_resource(
            Resource::builder()
                .with_service_name(program)
                .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
                .build(),
        )
        .with_max_attributes_per_span(ATTRIBUTES)
        .with_max_events_per_span(EVENTS)
        .with_max_links_per_span(LINKS as u32)
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer(program)).with_location(false).with_threads(false);
    // Beside the spans, warnings that were given during one of them.
    let filter = Targets::new().with_target(TARGET, LevelFilter::INFO).with_default(LevelFilter::WARN);
    Ok((Export(provider), layer.with_filter(filter)))
}

/// Tells once that nobody takes the spans.
#[derive(Debug)]
struct Telling {
    otlp: Otlp,
    said: Said,
}

impl SpanExporter for Telling {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let outcome = self.otlp.export(batch).await;
        match &outcome {
            Ok(()) if self.said.recovers() => tracing::info!("the collector takes traces again"),
            Ok(()) => {}
            Err(e) => {
                metrics::counter!(ERRORS).increment(1);
                if self.said.changes("away") {
                    tracing::warn!("traces cannot be exported and are dropped: {e}");
                }
            }
        }
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.otlp.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.otlp.set_resource(resource);
    }
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;
