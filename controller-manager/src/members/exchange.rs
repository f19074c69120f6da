//! One job's talk with a member: requests, and what the limiter hears of them.

use std::{sync::Arc, time::Duration};

use federation_client::Trouble;
use http::{Method, StatusCode};
use kube::api::DynamicObject;
use machinery::discovery;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    job::{Job, Outcome, Work},
    limiter::{Came, Like, Report},
};
use crate::{
    kinds::ObjectKey,
    observed::Seen,
    request::{Call, Endless, Reply},
};

/// Requests of one job the limiter hears of.
const REPORTS: usize = 16;
/// Longest wait for one answer of a member.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Why a namespace is left alone until more is known of it.
pub(super) const UNSEEN: &str = "whether others use the namespace cannot be seen";

/// One job's talk with the member.
pub(super) struct Exchange {
    pub(super) client: kube::Client,
    pub(super) federation: Arc<str>,
    /// Its requests, for the limiter: the first few of a job that asks for many pages.
    pub(super) reports: Vec<Report>,
}

impl Exchange {
    pub(super) fn new(client: kube::Client, federation: Arc<str>) -> Self {
        Self { client, federation, reports: Vec::new() }
    }

    /// Does what a job says.
    pub(super) async fn carry_out(&mut self, job: &Job) -> Outcome {
        let result = match &job.work {
            Work::Apply { body, known, adopt } => self.apply(&job.key, body, &job.uid, known.clone(), *adopt).await,
            Work::Delete => self.delete(&job.key, &job.uid).await,
            Work::LetGo { reason } => self.hand_over(&job.key, &job.uid, reason).await,
            Work::Survey { selector, replicas, workload } => match self.survey(&job.key, selector, *replicas, workload).await {
                Err(Outcome::Failed { reason, .. }) => Ok(Outcome::Unsurveyed(reason)),
                other => other,
            },
        };
        result.unwrap_or_else(|outcome| outcome)
    }

    pub(super) async fn send(&mut self, call: Call<'_>) -> Result<Reply, Outcome> {
        let like = match call.method {
            Method::GET if call.path.contains('?') => Like::List,
            Method::GET => Like::Read,
            _ => Like::Write,
        };
        let started = Instant::now();
        let result = call.send(&self.client, TIMEOUT).await;
        let came = match &result {
            Ok(reply) if reply.is_overload() => Came::Overloaded,
            Ok(_) => Came::Answered,
            Err(error) if error.trouble() == Trouble::Timeout => Came::TimedOut,
            Err(_) => Came::Unreachable,
        };
        if self.reports.len() < REPORTS {
            self.reports.push(Report { like, came, started, took: started.elapsed() });
        }
        result.map_err(|error| Outcome::Failed { reason: error.to_string(), retry_after: None })
    }

    pub(super) fn seen(&self, key: &ObjectKey, object: &DynamicObject) -> Seen {
        Seen::from_object(key.kind(), object, &self.federation)
    }

    /// What a server says of itself. That a part of it cannot be asked is a failure: it may be what people would miss.
    pub(super) async fn read(&mut self, path: &str) -> Result<Value, Outcome> {
        let reply = self.send(Call::get(path)).await?;
        if reply.status == StatusCode::OK {
            return parsed(&reply);
        }
        let reason = format!("{UNSEEN}, {path}: {}", reply.message());
        Err(Outcome::Failed { reason, retry_after: reply.retry_after })
    }
}

pub(super) fn failed(reply: &Reply) -> Outcome {
    Outcome::Failed { reason: reply.message(), retry_after: reply.retry_after }
}

pub(super) fn parsed<T: DeserializeOwned>(reply: &Reply) -> Result<T, Outcome> {
    serde_json::from_slice(&reply.body)
        .map_err(|e| Outcome::Failed { reason: format!("the member's answer cannot be read: {e}"), retry_after: None })
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
pub(super) fn endless(error: Endless) -> Outcome {
    Outcome::Failed { reason: error.to_string(), retry_after: None }
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
pub(super) fn unseen(error: discovery::Unreadable) -> Outcome {
    Outcome::Failed { reason: format!("{UNSEEN}, {error}"), retry_after: None }
}

#[cfg(test)]
pub(super) mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use crate::request::MERGE;

    /// An exchange with a member that answers as `answer` says, from how often it was asked.
    pub(in crate::members) fn exchange(answer: fn(usize, &str) -> std::io::Result<(u16, Value)>) -> Exchange {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        exchange_with(move |uri| answer(asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst), uri.query().unwrap_or_default()))
    }

    /// An exchange with a member that answers as `answer` says.
    pub(in crate::members) fn exchange_with(answer: impl Fn(&http::Uri) -> std::io::Result<(u16, Value)> + Send + 'static) -> Exchange {
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            std::future::ready(answer(request.uri()).map(|(status, body)| {
                let mut response = http::Response::new(kube::client::Body::from(body.to_string().into_bytes()));
                *response.status_mut() = StatusCode::from_u16(status).expect("a status");
                response
            }))
        });
        Exchange::new(kube::Client::new(service, "default"), "fellowship".into())
    }

    /// What an API server says of an object that is not there.
    pub(in crate::members) fn not_found() -> Value {
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404})
    }

    #[tokio::test]
    async fn issue7_limiter_what_comes_of_a_request_is_told_apart() {
        let mut talk = exchange(|count, _| match count {
            0 => Ok((200, json!({}))),
            1 => Ok((429, json!({}))),
            2 => Ok((503, json!({}))),
            _ => Err(std::io::ErrorKind::ConnectionRefused.into()),
        });
        for path in ["/api/v1/pods?limit=1", "/api/v1/nodes/a", "/api/v1/nodes/a", "/api/v1/nodes/a"] {
            let _ = talk.send(Call::get(path)).await;
        }
        let _ = talk.send(Call { method: Method::PATCH, path: "/x", content_type: MERGE, body: Bytes::new() }).await;
        let told: Vec<_> = talk.reports.iter().map(|r| (r.like, r.came)).collect();
        let refused = Came::Unreachable;
        assert_eq!(
            told,
            [
                (Like::List, Came::Answered),
                (Like::Read, Came::Overloaded),
                (Like::Read, Came::Overloaded),
                (Like::Read, refused),
                (Like::Write, refused)
            ]
        );
    }
}
