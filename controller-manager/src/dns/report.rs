//! Telling people what went wrong with a Service's names: once, until it changes.

use std::collections::BTreeMap;

use crate::events::{About, Event, Events};

use super::site::ServiceKey;

/// Takes notices about a Service.
pub trait Report: Send + Sync + 'static {
    /// Something is wrong; `reason` is one word, `message` one sentence. `uid` is empty where the Service is no more.
    fn warning(&self, service: &ServiceKey, uid: &str, reason: &'static str, message: &str);
}

impl Report for Events {
    fn warning(&self, service: &ServiceKey, uid: &str, reason: &'static str, message: &str) {
        let about = About {
            api_version: "v1".to_owned(),
            kind: "Service",
            namespace: service.namespace.clone(),
            name: service.name.clone(),
            uid: uid.to_owned(),
        };
        self.tell(Event { about, warning: true, reason, message: message.to_owned() });
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
    pub(super) fn set(&mut self, report: &dyn Report, service: &ServiceKey, uid: &str, reason: &'static str, message: Option<String>) {
        let key = (service.clone(), reason);
        match message {
            None => drop(self.0.remove(&key)),
            Some(message) if self.0.get(&key) == Some(&message) => {}
            Some(message) => {
                tracing::warn!(%service, reason, "{message}");
                report.warning(service, uid, reason, &message);
                self.0.insert(key, message);
            }
        }
    }
}
