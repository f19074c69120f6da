//! Takes old requests for certificates away, after the times of kube-controller-manager.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use machinery::status::ApiError;
use serde_json::Value;
use x509_parser::pem::Pem;

use crate::handlers::{self, Api, DeleteOptions};
use crate::registry::certificates::{GROUP, PLURAL};
use crate::storage::store::{ListOptions, ReadAt};

/// How often is looked for old ones.
const EVERY: Duration = Duration::from_secs(10 * 60);
/// How long what is settled is kept, in seconds from when it was.
const SETTLED: i64 = 3600;
/// How long what is not is kept, in seconds from its creation or approval.
const UNSETTLED: i64 = 24 * 3600;

/// Runs for ever.
pub(crate) async fn run(api: Arc<Api>) {
    loop {
        if let Err(e) = clean(&api, Timestamp::now()).await {
            tracing::warn!("old certificate requests are not all deleted yet, trying again later: {e}");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Deletes those that are old at `now`, whatever is wrong with one of them.
async fn clean(api: &Api, now: Timestamp) -> Result<(), ApiError> {
    let Some(entry) = api.registry.find(GROUP, "v1", PLURAL) else { return Ok(()) };
    let all = ListOptions { at: ReadAt::Any, limit: 0, continue_token: None };
    let mut failed = None;
    for object in entry.store().list(None, &all, None).await?.items {
        let Some(value) = object.readable(PLURAL) else { continue };
        let Some(why) = old(&value, now) else { continue };
        // What changed since it was read is looked at next time.
        match handlers::delete_object(&entry, None, object.head.name(), &DeleteOptions::default().as_read(&object)).await {
            Ok(_) => tracing::info!(name = object.head.name(), "certificate request deleted, {why}"),
            Err(e) if matches!(e.code, 404 | 409) => {}
            Err(e) => failed = Some(e),
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Why a request goes now, if it does.
fn old(request: &Value, now: Timestamp) -> Option<&'static str> {
    let passed = |time: &Value, seconds: i64| {
        let since = time.as_str().and_then(|text| text.parse::<Timestamp>().ok());
        since.is_some_and(|since| now.as_second() - since.as_second() > seconds)
    };
    let status = &request["status"];
    let conditions = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let since = |kind: &str, seconds| conditions.iter().any(|c| c["type"] == kind && passed(&c["lastUpdateTime"], seconds));
    let certificate = status["certificate"].as_str().filter(|text| !text.is_empty());
    let approved = conditions.iter().any(|c| c["type"] == "Approved");
    match certificate {
        Some(text) if approved && expired(text, now) => Some("its certificate has expired"),
        Some(_) if since("Approved", SETTLED) => Some("its certificate was issued an hour ago"),
        None if since("Approved", UNSETTLED) => Some("nobody signed it for a day"),
        _ if since("Denied", SETTLED) => Some("it was denied an hour ago"),
        _ if since("Failed", SETTLED) => Some("it failed an hour ago"),
        _ if conditions.is_empty() && passed(&request["metadata"]["creationTimestamp"], UNSETTLED) => {
            Some("nobody decided about it for a day")
        }
        _ => None,
    }
}

/// Whether the first certificate in base64 of PEM does not hold any more.
fn expired(text: &str, now: Timestamp) -> bool {
    let Ok(pem) = STANDARD.decode(text) else { return false };
    let Some(Ok(block)) = Pem::iter_from_buffer(&pem).next() else { return false };
    block.parse_x509().is_ok_and(|cert| cert.validity().not_after.timestamp() < now.as_second())
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use rcgen::{CertificateParams, KeyPair};
    use serde_json::json;

    use super::*;
    use crate::server::Server;
    use crate::{Config, Profile};

    const THEN: &str = "2026-11-26T12:00:00Z";

    fn request(conditions: &[(&str, &str)], certificate: Option<&str>) -> Value {
        let conditions: Vec<Value> = conditions.iter().map(|(kind, at)| json!({"type": kind, "lastUpdateTime": at})).collect();
        let mut out = json!({"metadata": {"creationTimestamp": THEN}, "status": {"conditions": conditions}});
        if let Some(pem) = certificate {
            out["status"]["certificate"] = STANDARD.encode(pem).into();
        }
        out
    }

    #[test]
    fn issue10_each_request_is_kept_as_long_as_in_kubernetes() {
        let then: Timestamp = THEN.parse().unwrap();
        let certificate = |until: Timestamp| {
            let mut params = CertificateParams::default();
            params.not_after = std::time::SystemTime::from(until).into();
            params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
        };
        let (minute, hour, day) = (SignedDuration::from_mins(1), SignedDuration::from_hours(1), SignedDuration::from_hours(24));
        let (long, short) = (certificate(then + day * 365), certificate(then + minute * 10));
        let cases = [
            (request(&[], None), day),
            (request(&[("Denied", THEN)], None), hour),
            (request(&[("Approved", THEN), ("Failed", THEN)], None), hour),
            (request(&[("Approved", THEN)], None), day),
            (request(&[("Approved", THEN)], Some(&long)), hour),
            (request(&[("Approved", THEN)], Some(&short)), minute * 10),
        ];
        for (request, kept) in cases {
            assert_eq!(old(&request, then + kept), None, "{request}");
            assert!(old(&request, then + kept + SignedDuration::from_secs(1)).is_some(), "{request}");
        }
        assert_eq!(old(&request(&[("Approved", "nonsense")], None), then + day * 99), None, "what cannot be read is kept");
    }

    #[tokio::test]
    async fn issue10_old_requests_go_and_young_ones_stay() {
        let server = Server::start(Config::in_memory(Profile::Federation)).await.unwrap();
        server.wait_ready(Duration::from_secs(60)).await.unwrap();
        let api = server.api();
        let entry = api.registry.find(GROUP, "v1", PLURAL).unwrap();
        for (name, made) in [("young", "2026-11-26T12:00:01Z"), ("old", THEN)] {
            let mut object = request(&[], None);
            object["metadata"] = json!({"name": name, "uid": name, "creationTimestamp": made});
            entry.store().create(None, name, &object).await.unwrap();
        }
        clean(api, THEN.parse::<Timestamp>().unwrap() + SignedDuration::from_hours(24) + SignedDuration::from_secs(1)).await.unwrap();
        let left = entry.store().list(None, &ListOptions { at: ReadAt::Latest, limit: 0, continue_token: None }, None).await.unwrap();
        assert_eq!(left.items.iter().map(|object| object.head.name()).collect::<Vec<_>>(), ["young"]);
    }
}
