//! What a lane is told to do in a member, and what comes of it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use daemon::trace::{TARGET, follows};

use crate::{
    compact::{Digest, Uid, Version},
    kinds::ObjectKey,
    observed::Seen,
};

/// One stretch of time in which a member can be reached.
#[derive(Clone)]
pub(crate) struct Session {
    /// Grows with each session; what belongs to an older one is void.
    pub(crate) epoch: u64,
    pub(crate) client: kube::Client,
}

/// Something to do in a member.
pub(crate) struct Job {
    pub(crate) key: Arc<ObjectKey>,
    pub(crate) epoch: u64,
    /// uid of the federated object; given back with the outcome.
    pub(crate) uid: Uid,
    /// resourceVersion of the federated object, as long as there is one.
    pub(crate) version: Option<Version>,
    /// Digest of what is applied; given back with the outcome.
    pub(crate) digest: Digest,
    pub(crate) work: Work,
}

impl Job {
    /// What is done for it in a member, for who follows the object: a part of the trace of the write that led to it.
    pub(super) fn span(&self, cluster: &str) -> tracing::Span {
        let (kind, namespace, name, uid) = (self.key.kind().kind, &self.key.namespace, &self.key.name, &self.uid);
        let what = match self.work {
            Work::Apply { .. } => "apply",
            Work::Delete => "delete",
            Work::LetGo { .. } => "let go",
            Work::Survey { .. } => "survey",
        };
        let span =
            tracing::info_span!(target: TARGET, "member", what, cluster, kind, namespace, name, %uid, outcome = tracing::field::Empty);
        if let Some(version) = &self.version {
            follows(&span, &uid.to_string(), &version.to_string());
        }
        span
    }
}

/// What to do.
pub(crate) enum Work {
    /// Make the object be as `body` says.
    Apply {
        body: Bytes,
        known: Known,
        /// Take over what is there.
        adopt: bool,
    },
    /// Delete the object if it is ours.
    Delete,
    /// Take our marks off the object if it is ours; with the reason.
    LetGo { reason: &'static str },
    /// Look at the pods of a workload.
    Survey {
        selector: String,
        replicas: i64,
        /// uid of the workload in the member: pods of others may match its selector.
        workload: String,
    },
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    Applied {
        seen: Box<Seen>,
        created: bool,
    },
    /// An object that is not ours has the name.
    Conflict,
    /// Deletion was accepted; the watch will show when it is done.
    Deleting,
    /// Nothing of ours is there.
    Gone,
    /// A namespace that is in use by others was left to them; with the reason.
    Kept(String),
    /// Pods were looked at.
    Surveyed(Survey),
    /// Pods could not be looked at.
    Unsurveyed(String),
    Failed {
        reason: String,
        retry_after: Option<Duration>,
    },
}

impl Outcome {
    /// What came of it, in a word.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Applied { created: true, .. } => "created",
            Self::Applied { .. } => "applied",
            Self::Conflict => "conflict",
            Self::Deleting => "deleting",
            Self::Gone => "gone",
            Self::Kept(_) => "kept",
            Self::Surveyed(_) => "surveyed",
            Self::Unsurveyed(_) | Self::Failed { .. } => "failed",
        }
    }
}

/// What is known of the member's object before it is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Known {
    /// uid of the object that was seen there with our label.
    pub(crate) ours: Option<Uid>,
    /// Nothing is believed to be there; otherwise it is looked at first.
    pub(crate) absent: bool,
}

/// A job that was carried out, or failed.
#[derive(Debug)]
pub(crate) struct Done {
    /// The member.
    pub(crate) cluster: String,
    pub(crate) epoch: u64,
    pub(crate) key: Arc<ObjectKey>,
    /// uid of the federated object, as the job had it.
    pub(crate) uid: Uid,
    /// Digest of what was applied, as the job had it.
    pub(crate) digest: Digest,
    pub(crate) outcome: Outcome,
}

/// Pods of a workload, by v1's rules.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Survey {
    /// Running pods that have a `Ready` condition.
    pub(crate) running: i64,
    /// Replicas the cluster can hold, when some cannot be scheduled.
    pub(crate) capacity: Option<i64>,
}

#[cfg(test)]
mod tests {
    use daemon::trace::field;

    use super::*;

    #[test]
    fn issue7_a_job_in_a_member_is_a_span_with_the_objects_uid() {
        #[derive(Clone, Default)]
        struct Page(Arc<std::sync::Mutex<Vec<u8>>>);
        impl std::io::Write for Page {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let page = Page::default();
        let writer = page.clone();
        let told = tracing_subscriber::fmt()
            .with_span_events(tracing_subscriber::fmt::format::FmtSpan::CLOSE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        daemon::logs::within(told, || {
            let key = Arc::new(ObjectKey { kind: crate::kinds::id("ConfigMap"), namespace: "demo".into(), name: "ring".into() });
            let job = Job { key, epoch: 1, uid: "7f9c".into(), version: None, digest: Digest::default(), work: Work::Delete };
            job.span("gondor").record(field::OUTCOME, Outcome::Gone.word());
        });
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        for part in ["what=\"delete\"", "cluster=\"gondor\"", "kind=\"ConfigMap\"", "name=\"ring\"", "uid=7f9c", "outcome=\"gone\""] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_job_in_a_member_is_in_the_trace_of_the_write_that_led_to_it() {
        use opentelemetry::trace::{TraceContextExt, TracerProvider};
        use tracing_opentelemetry::OpenTelemetrySpanExt;
        use tracing_subscriber::layer::SubscriberExt;
        let tracer = opentelemetry_sdk::trace::SdkTracerProvider::builder().build().tracer("test");
        let layer = tracing_opentelemetry::layer().with_tracer(tracer);
        daemon::logs::within(tracing_subscriber::registry().with(layer), || {
            let trace = |span: &tracing::Span| span.context().span().span_context().trace_id();
            let written = tracing::info_span!(target: TARGET, "stored");
            follows(&written, "7f9c", "1842");
            let key = Arc::new(ObjectKey { kind: crate::kinds::id("ConfigMap"), namespace: "demo".into(), name: "ring".into() });
            let job = |version: &str| {
                let version = Some(version.into());
                Job { key: key.clone(), epoch: 1, uid: "7f9c".into(), version, digest: Digest::default(), work: Work::Delete }
            };
            assert_eq!(trace(&job("1842").span("gondor")), trace(&written));
            assert_ne!(trace(&job("1843").span("gondor")), trace(&written));
        });
    }
}
