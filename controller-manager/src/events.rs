//! Events on federated objects: told when something was done or failed, never often enough to be a load.

use std::{collections::HashMap, time::Duration};

use http::Method;
use serde_json::json;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    kinds::ObjectKey,
    request::{Call, JSON},
};

/// Name of this process in events.
pub const COMPONENT: &str = "federation-controller-manager";
const TIMEOUT: Duration = Duration::from_secs(5);
/// Events that may wait to be written; more are dropped.
const QUEUE: usize = 512;
/// Events at once, and per second after that, over all objects.
const BURST: f64 = 50.0;
const RATE: f64 = 20.0;
/// Of these, so many are kept for warnings: a flood of good news must not hide a bad one.
const RESERVE: f64 = 20.0;
/// The same reason on the same object is told again after this.
const REPEAT: Duration = Duration::from_secs(60);

/// What an event is about.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// `apiVersion` of the object.
    pub api_version: String,
    /// Kind of the object.
    pub kind: &'static str,
    /// Namespace of the object; empty for cluster-scoped ones, whose events go to `default`.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// uid of the object.
    pub uid: String,
}

impl About {
    /// A federated object.
    pub(crate) fn object(key: &ObjectKey, uid: &str) -> Self {
        let kind = key.kind();
        Self { api_version: kind.api_version(), kind: kind.kind, namespace: key.namespace.clone(), name: key.name.clone(), uid: uid.into() }
    }
}

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// The object.
    pub about: About,
    /// Something went wrong.
    pub warning: bool,
    /// One word.
    pub reason: &'static str,
    /// One sentence.
    pub message: String,
}

/// Takes events; cheap to clone, never waits.
#[derive(Clone)]
pub struct Events(mpsc::Sender<Event>);

impl Events {
    /// The sink, and the task that writes to the federation until the last sink is gone.
    pub fn new(client: kube::Client) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), write(client, receiver))
    }

    /// The sink, and what is told.
    #[cfg(test)]
    pub(crate) fn read() -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), receiver)
    }

    /// Tells an event, or drops it when too many wait.
    pub fn tell(&self, event: Event) {
        if self.0.try_send(event).is_err() {
            metrics::counter!("federation_events_dropped_total").increment(1);
        }
    }
}

/// Decides which events are worth writing. Pure but for the time it is given.
#[derive(Debug)]
struct Spam {
    tokens: f64,
    filled: Instant,
    told: HashMap<(String, &'static str, String), Instant>,
}

impl Spam {
    fn new(now: Instant) -> Self {
        Self { tokens: BURST, filled: now, told: HashMap::new() }
    }

    fn admit(&mut self, event: &Event, now: Instant) -> bool {
        self.tokens = (self.tokens + now.duration_since(self.filled).as_secs_f64() * RATE).min(BURST);
        self.filled = now;
        if self.told.len() > 4096 {
            self.told.retain(|_, at| now.duration_since(*at) < REPEAT);
        }
        let key = (event.about.uid.clone(), event.reason, event.message.clone());
        let floor = if event.warning { 1.0 } else { 1.0 + RESERVE };
        if self.tokens < floor || self.told.get(&key).is_some_and(|at| now.duration_since(*at) < REPEAT) {
            return false;
        }
        self.tokens -= 1.0;
        self.told.insert(key, now);
        true
    }
}

async fn write(client: kube::Client, mut events: mpsc::Receiver<Event>) {
    let mut spam = Spam::new(Instant::now());
    while let Some(event) = events.recv().await {
        if !spam.admit(&event, Instant::now()) {
            metrics::counter!("federation_events_dropped_total").increment(1);
            continue;
        }
        let Event { about, warning, reason, message } = event;
        let namespace = if about.namespace.is_empty() { "default" } else { &about.namespace };
        let now = crate::time::now();
        let time = crate::time::seconds(now);
        let body = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": format!("{}.{:x}", about.name, now.as_nanosecond()), "namespace": namespace},
            "involvedObject": {"apiVersion": about.api_version, "kind": about.kind, "namespace": about.namespace, "name": about.name, "uid": about.uid},
            "reason": reason, "message": message, "type": if warning { "Warning" } else { "Normal" },
            "source": {"component": COMPONENT}, "reportingComponent": COMPONENT, "reportingInstance": COMPONENT,
            "firstTimestamp": time, "lastTimestamp": time, "count": 1,
        });
        let path = format!("/api/v1/namespaces/{namespace}/events");
        let call = Call { method: Method::POST, path: &path, content_type: JSON, body: body.to_string().into() };
        match call.send(&client, TIMEOUT).await {
            Ok(reply) if reply.status.is_success() => {}
            Ok(reply) => tracing::debug!(reason, error = reply.message(), "event refused"),
            Err(error) => tracing::debug!(reason, %error, "event not written"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_and_floods_are_held_back() {
        let now = Instant::now();
        let mut spam = Spam::new(now);
        let event = |name: &str| Event {
            about: About { uid: name.into(), ..About::default() },
            warning: false,
            reason: "CreateInCluster",
            message: "m".into(),
        };
        assert!(spam.admit(&event("a"), now));
        assert!(!spam.admit(&event("a"), now));
        assert_eq!((0..100).filter(|n| spam.admit(&event(&n.to_string()), now)).count(), 29);
        assert!(spam.admit(&Event { warning: true, ..event("bad news") }, now));
        assert!(spam.admit(&event("a"), now + Duration::from_secs(61)));
    }
}
