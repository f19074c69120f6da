//! Which Services of a member have a ready endpoint: an index over its endpoint slices by Service, so that a look at
//! one Service costs as much as it has slices.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem,
    sync::{Arc, PoisonError, RwLock},
};

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;

use super::services::differing;
use crate::follow::{Change, Head};

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

    /// Takes in what a follower tells. Returns the Services of which something else may be known now.
    pub(crate) fn take(&self, change: &Change<EndpointSlice>) -> BTreeSet<Service> {
        let mut index = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match change {
            Change::Listed(listing) => {
                let mut now = Index::default();
                listing.objects.iter().for_each(|slice| put(&mut now, slice));
                for head in &listing.unreadable {
                    // It is there, so it stays as it is known.
                    if let Some((service, ready)) = find(&index, head) {
                        now.entry(service).or_default().insert(head.name.clone(), ready);
                    }
                }
                let before = mem::replace(&mut *index, now);
                differing(&answering(&before), &answering(&index))
            }
            Change::Changed(slice) => {
                put(&mut index, slice);
                service_of(slice).into_iter().collect()
            }
            Change::Gone(head, slice) => {
                let service = slice.as_ref().and_then(service_of).or_else(|| find(&index, head).map(|(service, _)| service));
                service.into_iter().inspect(|service| remove(&mut index, service, &head.name)).collect()
            }
            Change::Unreadable(..) | Change::Watching | Change::Failing(_) => BTreeSet::new(),
        }
    }
}

/// Services of which at least one endpoint is ready.
fn answering(index: &Index) -> BTreeMap<Service, ()> {
    index.iter().filter(|(_, slices)| slices.values().any(|ready| *ready)).map(|(service, _)| (service.clone(), ())).collect()
}

/// The Service that a slice is known to belong to, and whether that has a ready endpoint.
fn find(index: &Index, slice: &Head) -> Option<(Service, bool)> {
    let mut there = index.iter().filter(|(service, _)| service.0 == slice.namespace);
    there.find_map(|(service, slices)| Some((service.clone(), *slices.get(&slice.name)?)))
}

/// The Service a slice belongs to, if any.
fn service_of(slice: &EndpointSlice) -> Option<Service> {
    Some((slice.namespace()?, slice.labels().get(SERVICE_NAME)?.clone()))
}

fn put(index: &mut Index, slice: &EndpointSlice) {
    let Some(service) = service_of(slice) else { return };
    index.entry(service).or_default().insert(slice.name_any(), has_ready_endpoint(slice));
}

fn remove(index: &mut Index, service: &Service, slice: &str) {
    if let Some(slices) = index.get_mut(service) {
        slices.remove(slice);
        if slices.is_empty() {
            index.remove(service);
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
    use crate::follow::{Listing, Why};
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

    fn gone(name: &str) -> Change<EndpointSlice> {
        Change::Gone(Head { name: name.into(), namespace: "demo".into(), ..Head::default() }, None)
    }

    fn listed(objects: Vec<EndpointSlice>, unreadable: &[&str]) -> Change<EndpointSlice> {
        let head = |name: &&str| Head { name: (*name).into(), namespace: "demo".into(), ..Head::default() };
        let unreadable = unreadable.iter().map(head).collect();
        Change::Listed(Listing { objects, unreadable, version: None, why: Why::First, bytes: 0 })
    }

    fn web() -> BTreeSet<Service> {
        [("demo".to_owned(), "web".to_owned())].into()
    }

    #[test]
    fn a_service_answers_as_long_as_one_of_its_slices_does() {
        let endpoints = Endpoints::default();
        assert_eq!(endpoints.take(&Change::Changed(slice("web-1", "web", ready()))), web());
        endpoints.take(&Change::Changed(slice("web-2", "web", ready())));
        endpoints.take(&Change::Changed(slice("web-2", "web", json!([]))));
        assert!(endpoints.answer("demo", "web") && !endpoints.answer("demo", "db") && !endpoints.answer("other", "web"));
        assert_eq!(endpoints.take(&gone("web-1")), web(), "also where no more than its name can be read");
        assert!(!endpoints.answer("demo", "web"));
    }

    #[test]
    fn a_list_replaces_what_was_known_but_of_what_cannot_be_read() {
        let endpoints = Endpoints::default();
        endpoints.take(&Change::Changed(slice("web-1", "web", ready())));
        assert!(endpoints.take(&listed(vec![], &["web-1"])).is_empty());
        assert!(endpoints.answer("demo", "web"));
        let both = endpoints.take(&listed(vec![slice("db-1", "db", ready())], &[]));
        assert_eq!(both.len(), 2);
        assert!(!endpoints.answer("demo", "web") && endpoints.answer("demo", "db"));
    }
}
