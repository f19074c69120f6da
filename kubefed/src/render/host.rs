//! A whole control plane in the order it is created.

use k8s_openapi::api::core::v1::{Namespace, Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::render::config::{Addresses, ControlPlane, Exposure};
use crate::render::credentials::{self, Credentials};
use crate::render::names::{APISERVER_MODULE, CONTROLLER_MANAGER_MODULE, Federation};
use crate::render::object::Object;
use crate::render::pods::budget;
use crate::render::{apiserver, claim, controller_manager};

/// Port of the API server's Service.
pub const SERVICE_PORT: i32 = 443;

/// The namespace, marked as ours: only a namespace that carries the mark is ever removed by `deinit`.
pub fn namespace(federation: &Federation) -> Object {
    Object::new(&Namespace {
        metadata: ObjectMeta {
            name: Some(federation.namespace.clone()),
            annotations: Some(federation.annotations()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    })
}

/// The API server's Service; made first, because the certificate needs its address.
pub fn service(plane: &ControlPlane) -> Object {
    let node_port = match &plane.service {
        Exposure::LoadBalancer | Exposure::ClusterIp => None,
        Exposure::NodePort { port, .. } => *port,
    };
    let mut metadata = plane.federation.meta(plane.federation.apiserver());
    metadata.annotations = Some(plane.service_annotations.clone().into_iter().chain(plane.federation.annotations()).collect());
    Object::new(&Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(plane.service.word().to_owned()),
            selector: Some(plane.federation.pod_labels(APISERVER_MODULE)),
            ports: Some(vec![ServicePort {
                name: Some("https".to_owned()),
                protocol: Some("TCP".to_owned()),
                port: SERVICE_PORT,
                target_port: Some(IntOrString::String("https".to_owned())),
                node_port,
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    })
}

/// The Service of a DNS provider that answers queries itself, of the same type as the API server's.
fn dns_service(plane: &ControlPlane) -> Option<Object> {
    if !plane.dns.needs.answers {
        return None;
    }
    let port = |name: &str, protocol: &str| ServicePort {
        name: Some(name.to_owned()),
        protocol: Some(protocol.to_owned()),
        port: 53,
        target_port: Some(IntOrString::String(name.to_owned())),
        ..ServicePort::default()
    };
    let type_ = plane.service.word();
    Some(Object::new(&Service {
        metadata: plane.federation.meta(plane.federation.dns()),
        spec: Some(ServiceSpec {
            type_: Some(type_.to_owned()),
            selector: Some(plane.federation.pod_labels(CONTROLLER_MANAGER_MODULE)),
            ports: Some(vec![port("dns", "UDP"), port("dns-tcp", "TCP")]),
            ..ServiceSpec::default()
        }),
        status: None,
    }))
}

/// The secrets and the claim, v1's "control plane objects".
pub fn objects(plane: &ControlPlane, c: &Credentials) -> Vec<Object> {
    let mut all = vec![
        credentials::ca(plane, c),
        credentials::apiserver(plane, c),
        credentials::controller_manager(&plane.federation, &c.ca, &c.controller_manager),
    ];
    all.extend(credentials::dns_provider(plane));
    all.extend(claim::claim(plane));
    all
}

/// Both components and what they may do.
pub fn components(plane: &ControlPlane, c: &Credentials, at: &Addresses) -> Vec<Object> {
    let federation = &plane.federation;
    let mut all = vec![apiserver::deployment(plane, c, at)];
    all.extend(budget(federation, federation.apiserver(), APISERVER_MODULE, plane.apiserver_replicas));
    all.push(controller_manager::account(plane));
    all.extend(dns_service(plane));
    all.push(controller_manager::deployment(plane, c));
    all.extend(budget(federation, federation.controller_manager(), CONTROLLER_MANAGER_MODULE, plane.controller_manager_replicas));
    all
}

/// Everything, in order.
pub fn all(plane: &ControlPlane, c: &Credentials, at: &Addresses) -> Vec<Object> {
    let mut all = vec![namespace(&plane.federation), service(plane)];
    all.extend(objects(plane, c));
    all.extend(components(plane, c, at));
    all
}
