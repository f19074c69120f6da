//! The Deployment of the controller manager and the account it runs as.

use std::collections::BTreeMap;

use dns_providers::Pod;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, EnvVarSource, ObjectFieldSelector, PodSpec, PodTemplateSpec, ServiceAccount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Value, json};

use crate::render::args::merge;
use crate::render::config::ControlPlane;
use crate::render::credentials::{self, Credentials, DNS_PROVIDER_CONF, KUBECONFIG};
use crate::render::names::{CONTROLLER_MANAGER_MODULE, map};
use crate::render::object::Object;
use crate::render::pods::{
    NONROOT, apart, http_probe, marked, mount, placed, resources, scratch, secret_files, secret_volume, security, strategy,
};

/// Deployment annotation `<federation>=<zone>`, read back by `join` and `unjoin`; v1's name.
pub const FEDERATIONS: &str = "federations";
/// Deployment annotation with the zone members forward to a name server; v1's name.
pub const DNS_ZONE_NAME: &str = "dns-zone-name";
/// Deployment annotation with that name server; v1's name.
pub const NAMESERVER: &str = "nameserver";
/// Deployment annotation with the provider; v1's name.
pub const DNS_PROVIDER: &str = "dns-provider";

const KUBECONFIG_DIR: &str = "/etc/federation/controller-manager";
const KUBECONFIG_VOLUME: &str = "controller-manager-kubeconfig";
/// Where the DNS provider's configuration is mounted, and the files it names.
const DNS_DIR: &str = "/etc/federation/dns-provider";
const DNS_VOLUME: &str = "config-volume";
/// Port of health checks and metrics; v1's number.
const HEALTH_PORT: i32 = 10253;
/// Port of a DNS provider that answers queries itself, inside the pod; the Service maps 53 to it.
const DNS_PORT: u16 = 10053;
/// The one place a DNS provider can write to.
const STATE_DIR: &str = "/var/lib/federation";
const STATE_VOLUME: &str = "state";
/// Far above the records of the largest zone; the node is safe from more.
const STATE_LIMIT: &str = "256Mi";
/// Pod annotation that changes with the credentials and the provider's configuration.
const DIGEST: &str = "federation.kubernetes.io/credentials-digest";

/// The pod as a DNS provider finds it.
pub const POD: Pod<'static> = Pod { config_dir: DNS_DIR, state_dir: STATE_DIR, dns_port: DNS_PORT };

/// The controller manager's arguments.
pub fn args(plane: &ControlPlane) -> Vec<String> {
    let mut defaults = vec![
        ("--dns-provider", plane.dns.provider.clone()),
        ("--federation-name", plane.federation.name.clone()),
        ("--kubeconfig", format!("{KUBECONFIG_DIR}/{KUBECONFIG}")),
        ("--master", format!("https://{}", plane.federation.apiserver())),
        ("--zone-name", plane.dns.zone.clone()),
    ];
    defaults.extend(plane.dns.needs.config.as_ref().map(|_| ("--dns-provider-config", format!("{DNS_DIR}/{DNS_PROVIDER_CONF}"))));
    merge(defaults, &plane.controller_manager_overrides)
}

/// The account it runs as. By itself it may do nothing in the host cluster: `join` lets it read the
/// secret of each member, one by one, so that the authority's key beside them stays out of its reach.
pub fn account(plane: &ControlPlane) -> Object {
    let mut metadata = plane.federation.meta(plane.federation.controller_manager());
    metadata.annotations.get_or_insert_default().extend(plane.dns.needs.account_annotations.clone());
    Object::new(&ServiceAccount { metadata, ..ServiceAccount::default() })
}

/// What `join` and `unjoin` read back from the Deployment.
fn annotations(plane: &ControlPlane) -> BTreeMap<String, String> {
    let mut all = plane.federation.annotations();
    let zone = plane.dns.bare_zone();
    all.extend(map([(FEDERATIONS, &format!("{}={zone}", plane.federation.name))]));
    if let Some(servers) = &plane.dns.needs.nameservers {
        all.extend(map([(DNS_ZONE_NAME, zone), (DNS_PROVIDER, &plane.dns.provider), (NAMESERVER, &servers.join(","))]));
    }
    all
}

/// The digest in the pods' template: of the kubeconfig's secret, and of the data of the one with the DNS provider's
/// configuration.
fn digest(kubeconfig: &Object, conf: Option<&Value>) -> String {
    let own = credentials::digest(kubeconfig, &[]);
    conf.map_or_else(|| own.clone(), |conf| format!("{own}-{}", credentials::digest_of(conf, &[])))
}

/// A merge patch that replaces the pods for what is in these secrets now.
pub fn restart(kubeconfig: &Object, conf: Option<&Value>) -> Value {
    json!({"spec": {"template": {"metadata": {"annotations": {DIGEST: digest(kubeconfig, conf)}}}}})
}

/// The Deployment.
pub fn deployment(plane: &ControlPlane, c: &Credentials) -> Object {
    let federation = &plane.federation;
    let labels = federation.pod_labels(CONTROLLER_MANAGER_MODULE);
    let mut volumes = vec![secret_volume(KUBECONFIG_VOLUME, federation.controller_manager_kubeconfig())];
    let conf = credentials::dns_provider(plane);
    let kubeconfig = credentials::controller_manager(federation, &c.ca, &c.controller_manager);
    let digest = digest(&kubeconfig, conf.as_ref().map(|conf| &conf.value()["data"]));
    if conf.is_some() {
        let keys = std::iter::once(DNS_PROVIDER_CONF).chain(plane.dns.needs.files.iter().map(|file| file.name));
        volumes.push(secret_files(DNS_VOLUME, federation.dns_provider_conf(), keys));
    }
    if plane.dns.needs.state {
        volumes.push(scratch(STATE_VOLUME, STATE_LIMIT));
    }
    let mut pod_annotations = federation.annotations();
    pod_annotations.extend(map([(DIGEST, &digest)]));
    let mut metadata = federation.meta(federation.controller_manager());
    metadata.annotations = Some(annotations(plane));
    Object::new(&Deployment {
        metadata,
        spec: Some(DeploymentSpec {
            replicas: Some(plane.controller_manager_replicas),
            selector: LabelSelector { match_labels: Some(labels.clone()), match_expressions: None },
            strategy: Some(strategy(plane.controller_manager_replicas)),
            template: PodTemplateSpec {
                metadata: Some(marked(plane, &labels, pod_annotations)),
                spec: Some(PodSpec {
                    containers: vec![container(plane)],
                    volumes: Some(volumes),
                    service_account_name: Some(federation.controller_manager()),
                    affinity: apart(plane.controller_manager_replicas, &labels),
                    ..placed(plane)
                }),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    })
}

fn container(plane: &ControlPlane) -> Container {
    let mut command = vec!["/fcp".to_owned(), "federation-controller-manager".to_owned()];
    command.extend(args(plane));
    let port = |name: &str, port: i32, protocol: &str| ContainerPort {
        name: Some(name.to_owned()),
        container_port: port,
        protocol: Some(protocol.to_owned()),
        ..ContainerPort::default()
    };
    let mut ports = vec![port("health", HEALTH_PORT, "TCP")];
    let mut mounts = vec![mount(KUBECONFIG_VOLUME, KUBECONFIG_DIR, false)];
    if plane.dns.needs.answers {
        ports.extend([port("dns", DNS_PORT.into(), "UDP"), port("dns-tcp", DNS_PORT.into(), "TCP")]);
    }
    if plane.dns.needs.config.is_some() {
        mounts.push(mount(DNS_VOLUME, DNS_DIR, false));
    }
    if plane.dns.needs.state {
        mounts.push(mount(STATE_VOLUME, STATE_DIR, true));
    }
    let namespace = EnvVarSource {
        field_ref: Some(ObjectFieldSelector { api_version: Some("v1".to_owned()), field_path: "metadata.namespace".to_owned() }),
        ..EnvVarSource::default()
    };
    let mut env = vec![EnvVar { name: "POD_NAMESPACE".to_owned(), value_from: Some(namespace), ..EnvVar::default() }];
    let given = plane.dns.needs.env.iter();
    env.extend(given.map(|(name, value)| EnvVar { name: name.clone(), value: Some(value.clone()), ..EnvVar::default() }));
    Container {
        name: "controller-manager".to_owned(),
        image: Some(plane.image.clone()),
        image_pull_policy: Some(plane.image_pull_policy.clone()),
        command: Some(command),
        env: Some(env),
        ports: Some(ports),
        volume_mounts: Some(mounts),
        startup_probe: Some(http_probe("HTTP", "/livez", "health", 2, 150)),
        readiness_probe: Some(http_probe("HTTP", "/readyz", "health", 5, 3)),
        liveness_probe: Some(http_probe("HTTP", "/livez", "health", 10, 3)),
        resources: Some(resources("100m", "64Mi", "1Gi", &plane.controller_manager_sizes)),
        security_context: Some(security(NONROOT)),
        ..Container::default()
    }
}
