//! Telling people what went wrong with a Service's names: once, until it changes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::api::{Api, ObjectMeta, PostParams};

use super::records::ServiceKey;

/// Takes notices about a Service.
pub trait Report: Send + Sync + 'static {
    /// Something is wrong; `reason` is one word, `message` one sentence.
    fn warning(&self, service: &ServiceKey, reason: &str, message: &str);
}

/// Writes Events on the federated Service.
pub struct Events {
    client: kube::Client,
}

impl Events {
    /// Writes through this client of the federation API.
    pub fn new(client: kube::Client) -> Self {
        Events { client }
    }
}

impl Report for Events {
    fn warning(&self, service: &ServiceKey, reason: &str, message: &str) {
        let now = jiff::Timestamp::now();
        let event = Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.{:x}", service.name, now.as_nanosecond())),
                namespace: Some(service.namespace.clone()),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Service".to_owned()),
                name: Some(service.name.clone()),
                namespace: Some(service.namespace.clone()),
                ..ObjectReference::default()
            },
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            type_: Some("Warning".to_owned()),
            source: Some(EventSource { component: Some("service-dns".to_owned()), host: None }),
            reporting_component: Some("service-dns".to_owned()),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            event_time: Some(MicroTime(now)),
            count: Some(1),
            ..Event::default()
        };
        let api: Api<Event> = Api::namespaced(self.client.clone(), &service.namespace);
        tokio::spawn(async move {
            if let Err(error) = api.create(&PostParams::default(), &event).await {
                tracing::debug!(%error, "an event was not written");
            }
        });
    }
}

/// Reports a problem when it appears or changes, and forgets it when it is over.
#[derive(Default)]
pub(super) struct Told(BTreeMap<(ServiceKey, &'static str), String>);

impl Told {
    /// Nobody has a problem of this kind any more.
    pub(super) fn over(&mut self, reason: &str) {
        self.0.retain(|(_, told), _| *told != reason);
    }

    /// The problem of this kind that the Service has now, if any.
    pub(super) fn set(&mut self, report: &dyn Report, service: &ServiceKey, reason: &'static str, message: Option<String>) {
        let key = (service.clone(), reason);
        match message {
            None => drop(self.0.remove(&key)),
            Some(message) if self.0.get(&key) == Some(&message) => {}
            Some(message) => {
                tracing::warn!(%service, reason, "{message}");
                report.warning(service, reason, &message);
                self.0.insert(key, message);
            }
        }
    }
}
