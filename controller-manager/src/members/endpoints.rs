//! Which Services of a member have a ready endpoint: an index over its endpoint slices by Service, so that a look at
//! one Service costs as much as it has slices.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    sync::{Arc, PoisonError, RwLock},
};

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{ResourceExt, runtime::watcher::Event};

/// Label on an endpoint slice: the Service it belongs to.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Namespace and name of a Service.
type Service = (String, String);

/// By Service, which of its slices have a ready endpoint.
type Index = HashMap<Service, BTreeMap<String, bool>>;

/// What is known of the endpoints of a member. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Endpoints(Arc<RwLock<Index>>);

impl Endpoints {
    /// Whether at least one endpoint of a Service is ready.
    pub fn answer(&self, namespace: &str, service: &str) -> bool {
        let index = self.0.read().unwrap_or_else(PoisonError::into_inner);
        index.get(&(namespace.to_owned(), service.to_owned())).is_some_and(|slices| slices.values().any(|ready| *ready))
    }

    /// Services of which at least one endpoint is ready.
    pub(super) fn answering(&self) -> BTreeMap<Service, ()> {
        let index = self.0.read().unwrap_or_else(PoisonError::into_inner);
        index.iter().filter(|(_, slices)| slices.values().any(|ready| *ready)).map(|(service, _)| (service.clone(), ())).collect()
    }
}

/// Fills [`Endpoints`] from a watch.
#[derive(Debug, Default)]
pub struct Writer {
    endpoints: Endpoints,
    /// A list that is not complete yet.
    listing: Index,
}

impl Writer {
    /// What is written.
    pub fn as_reader(&self) -> Endpoints {
        self.endpoints.clone()
    }

    /// Takes in an event of a watch; a list replaces what was known once it is complete.
    pub fn apply_watcher_event(&mut self, event: &Event<EndpointSlice>) {
        let mut index = self.endpoints.0.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => self.listing.clear(),
            Event::InitApply(slice) => put(&mut self.listing, slice),
            Event::InitDone => *index = mem::take(&mut self.listing),
            Event::Apply(slice) => put(&mut index, slice),
            Event::Delete(slice) => remove(&mut index, slice),
        }
    }
}

impl Writer {
    /// In a list: a slice that is there and cannot be read stays as it is known.
    pub(super) fn keep(&mut self, namespace: &str, slice: &str) {
        let index = self.endpoints.0.read().unwrap_or_else(PoisonError::into_inner);
        for (service, slices) in index.iter().filter(|(service, _)| service.0 == namespace) {
            if let Some(ready) = slices.get(slice) {
                self.listing.entry(service.clone()).or_default().insert(slice.to_owned(), *ready);
            }
        }
    }
}

/// The Service a slice belongs to, if any.
pub(super) fn service_of(slice: &EndpointSlice) -> Option<Service> {
    Some((slice.namespace()?, slice.labels().get(SERVICE_NAME)?.clone()))
}

fn put(index: &mut Index, slice: &EndpointSlice) {
    let Some(service) = service_of(slice) else { return };
    index.entry(service).or_default().insert(slice.name_any(), has_ready_endpoint(slice));
}

fn remove(index: &mut Index, slice: &EndpointSlice) {
    let Some(service) = service_of(slice) else { return };
    if let Some(slices) = index.get_mut(&service) {
        slices.remove(&slice.name_any());
        if slices.is_empty() {
            index.remove(&service);
        }
    }
}

/// Whether a slice has an endpoint that is ready; a condition that is not given counts as ready.
fn has_ready_endpoint(slice: &EndpointSlice) -> bool {
    slice.endpoints.iter().flatten().any(|endpoint| {
        let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready);
        ready.unwrap_or(true) && !endpoint.addresses.is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[expect(clippy::needless_pass_by_value, reason = "reads better in the tests below")]
    fn slice(name: &str, service: &str, endpoints: Value) -> EndpointSlice {
        let metadata = json!({"name": name, "namespace": "demo", "labels": {SERVICE_NAME: service}});
        serde_json::from_value(json!({"metadata": metadata, "addressType": "IPv4", "endpoints": endpoints})).unwrap()
    }

    fn ready() -> Value {
        json!([{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}])
    }

    #[test]
    fn only_endpoints_that_are_ready_answer() {
        let answers = |endpoints| has_ready_endpoint(&slice("s", "web", endpoints));
        assert!(answers(json!([{"addresses": ["10.0.0.1"]}])));
        assert!(answers(ready()));
        assert!(!answers(json!([{"addresses": ["10.0.0.1"], "conditions": {"ready": false}}])));
        assert!(!answers(json!([])));
    }

    #[test]
    fn a_service_answers_as_long_as_one_of_its_slices_does() {
        let mut writer = Writer::default();
        let endpoints = writer.as_reader();
        writer.apply_watcher_event(&Event::Apply(slice("web-1", "web", ready())));
        writer.apply_watcher_event(&Event::Apply(slice("web-2", "web", ready())));
        writer.apply_watcher_event(&Event::Apply(slice("web-2", "web", json!([]))));
        assert!(endpoints.answer("demo", "web") && !endpoints.answer("demo", "db") && !endpoints.answer("other", "web"));
        writer.apply_watcher_event(&Event::Delete(slice("web-1", "web", ready())));
        assert!(!endpoints.answer("demo", "web"));
    }

    #[test]
    fn a_list_replaces_what_was_known_when_it_is_complete() {
        let mut writer = Writer::default();
        let endpoints = writer.as_reader();
        writer.apply_watcher_event(&Event::Apply(slice("web-1", "web", ready())));
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitApply(slice("db-1", "db", ready())));
        assert!(endpoints.answer("demo", "web") && !endpoints.answer("demo", "db"));
        writer.apply_watcher_event(&Event::InitDone);
        assert!(!endpoints.answer("demo", "web") && endpoints.answer("demo", "db"));
    }
}
