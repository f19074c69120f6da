//! The Deployment of the API server, with etcd beside it unless etcd runs elsewhere.

use federation_apiserver::options::StorageKind;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EmptyDirVolumeSource, PersistentVolumeClaimVolumeSource, PodSpec, PodTemplateSpec, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::render::args::merge;
use crate::render::config::{Addresses, Claim, ControlPlane, Sizes, Storage};
use crate::render::credentials::{
    self, BASIC_FILE, CA_CERT, CA_KEY, Credentials, RELOADED, SERVER_CERT, SERVER_KEY, SERVICE_ACCOUNT_CERT, SERVICE_ACCOUNT_KEY,
    TOKEN_FILE,
};
use crate::render::names::{APISERVER_MODULE, map};
use crate::render::object::Object;
use crate::render::pods::{NONROOT, apart, etcd_probe, http_probe, marked, mount, placed, resources, secret_volume, security, strategy};

/// Port inside the pod, above 1024 so that nobody has to be root.
const SECURE_PORT: i32 = 8443;
/// Where the secret with certificates is mounted.
const CREDENTIALS_DIR: &str = "/etc/federation/apiserver";
const CREDENTIALS_VOLUME: &str = "apiserver-credentials";
/// Where the secret with the authority is mounted, which signs what clients ask to be certified.
const CA_DIR: &str = "/etc/federation/ca";
const CA_VOLUME: &str = "ca";
/// Where the embedded store's volume is mounted.
const DATA_DIR: &str = "/var/lib/federation-apiserver";
const DATA_VOLUME: &str = "data";
const ETCD_DIR: &str = "/var/etcd";
const ETCD_VOLUME: &str = "etcddata";
/// Loopback of the pod: nothing outside it can reach etcd.
const ETCD_URL: &str = "http://127.0.0.1:2379";
/// Where the kubelet asks after etcd's health; it answers that and metrics, no data.
const ETCD_METRICS_PORT: i32 = 2381;
/// Pod annotation that changes with the credentials, but for what the server reads again by itself.
const DIGEST: &str = "federation.kubernetes.io/credentials-digest";

/// The API server's arguments.
pub fn args(plane: &ControlPlane, at: &Addresses) -> Vec<String> {
    let file = |name: &str| format!("{CREDENTIALS_DIR}/{name}");
    let mut defaults = vec![
        ("--authorization-mode", "RBAC".to_owned()),
        ("--bind-address", "0.0.0.0".to_owned()),
        ("--client-ca-file", file(CA_CERT)),
        ("--cluster-signing-cert-file", format!("{CA_DIR}/{CA_CERT}")),
        ("--cluster-signing-key-file", format!("{CA_DIR}/{CA_KEY}")),
        ("--enable-bootstrap-token-auth", "true".to_owned()),
        ("--enable-admission-plugins", "NamespaceLifecycle,FederationFinalizers".to_owned()),
        ("--secure-port", SECURE_PORT.to_string()),
        ("--service-account-issuer", plane.federation.issuer()),
        ("--service-account-key-file", file(SERVICE_ACCOUNT_CERT)),
        ("--service-account-signing-key-file", file(SERVICE_ACCOUNT_KEY)),
        ("--tls-cert-file", file(SERVER_CERT)),
        ("--tls-private-key-file", file(SERVER_KEY)),
    ];
    match &plane.storage {
        Storage::External { servers, files } => {
            defaults.push(("--etcd-servers", servers.clone()));
            defaults.extend(files.iter().map(|(flag, mounted)| (*flag, file(mounted.name))));
        }
        Storage::Pod { .. } => defaults.push(("--etcd-servers", ETCD_URL.to_owned())),
        Storage::Embedded { .. } => {
            defaults.extend([("--storage", StorageKind::Embedded.word().to_owned()), ("--data-dir", format!("{DATA_DIR}/store"))])
        }
    }
    defaults.extend(at.ips.first().map(|ip| ("--advertise-address", ip.to_string())));
    defaults.extend(plane.basic_auth.then(|| ("--basic-auth-file", file(BASIC_FILE))));
    defaults.extend(plane.token_auth.then(|| ("--token-auth-file", file(TOKEN_FILE))));
    merge(defaults, &plane.apiserver_overrides)
}

/// The Deployment. One that is alone is replaced and not rolled: two etcds must not share one volume.
pub fn deployment(plane: &ControlPlane, c: &Credentials, at: &Addresses) -> Object {
    let labels = plane.federation.pod_labels(APISERVER_MODULE);
    let mut annotations = plane.federation.annotations();
    annotations.extend(map([(DIGEST, &credentials::digest(&credentials::apiserver(plane, c), &RELOADED))]));
    let mut containers = vec![container(plane, at)];
    let mut volumes =
        vec![secret_volume(CREDENTIALS_VOLUME, plane.federation.apiserver_credentials()), secret_volume(CA_VOLUME, plane.federation.ca())];
    if let Storage::Pod { image, claim, user } = &plane.storage {
        containers.push(etcd_container(image, *user));
        volumes.push(data_volume(plane, ETCD_VOLUME, claim.as_ref()));
    }
    if let Storage::Embedded { claim } = &plane.storage {
        volumes.push(data_volume(plane, DATA_VOLUME, claim.as_ref()));
    }
    Object::new(&Deployment {
        metadata: plane.federation.meta(plane.federation.apiserver()),
        spec: Some(DeploymentSpec {
            replicas: Some(plane.apiserver_replicas),
            selector: LabelSelector { match_labels: Some(labels.clone()), match_expressions: None },
            strategy: Some(strategy(plane.apiserver_replicas)),
            template: PodTemplateSpec {
                metadata: Some(marked(plane, &labels, annotations)),
                spec: Some(PodSpec {
                    containers,
                    volumes: Some(volumes),
                    affinity: apart(plane.apiserver_replicas, &labels),
                    automount_service_account_token: Some(false),
                    termination_grace_period_seconds: Some(30),
                    ..placed(plane)
                }),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    })
}

fn container(plane: &ControlPlane, at: &Addresses) -> Container {
    let mut command = vec!["/fcp".to_owned(), "federation-apiserver".to_owned()];
    command.extend(args(plane, at));
    let mut mounts = vec![mount(CREDENTIALS_VOLUME, CREDENTIALS_DIR, false), mount(CA_VOLUME, CA_DIR, false)];
    if matches!(plane.storage, Storage::Embedded { .. }) {
        mounts.push(mount(DATA_VOLUME, DATA_DIR, true));
    }
    Container {
        name: "apiserver".to_owned(),
        image: Some(plane.image.clone()),
        image_pull_policy: Some(plane.image_pull_policy.clone()),
        command: Some(command),
        ports: Some(vec![ContainerPort {
            name: Some("https".to_owned()),
            container_port: SECURE_PORT,
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        volume_mounts: Some(mounts),
        // etcd may first have to replay its log, so starting may take five minutes; after that, half a minute of silence is a fault.
        startup_probe: Some(http_probe("HTTPS", "/livez", "https", 2, 150)),
        readiness_probe: Some(http_probe("HTTPS", "/readyz", "https", 5, 3)),
        liveness_probe: Some(http_probe("HTTPS", "/livez", "https", 10, 3)),
        resources: Some(resources("100m", "64Mi", "2Gi", &plane.apiserver_sizes)),
        security_context: Some(security(NONROOT)),
        ..Container::default()
    }
}

fn etcd_container(image: &str, user: i64) -> Container {
    let args = [
        "etcd".to_owned(),
        format!("--data-dir={ETCD_DIR}/data"),
        format!("--listen-client-urls={ETCD_URL}"),
        format!("--advertise-client-urls={ETCD_URL}"),
        "--listen-peer-urls=http://127.0.0.1:2380".to_owned(),
        format!("--listen-metrics-urls=http://0.0.0.0:{ETCD_METRICS_PORT}"),
        "--auto-compaction-mode=periodic".to_owned(),
        "--auto-compaction-retention=10m".to_owned(),
    ];
    Container {
        name: "etcd".to_owned(),
        image: Some(image.to_owned()),
        command: Some(args.to_vec()),
        ports: Some(vec![ContainerPort {
            name: Some("metrics".to_owned()),
            container_port: ETCD_METRICS_PORT,
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        // A log to replay may take five minutes. Alive is who can read its own store; ready, who has a quorum.
        startup_probe: Some(etcd_probe(false, 2, 150)),
        readiness_probe: Some(etcd_probe(false, 5, 3)),
        liveness_probe: Some(etcd_probe(true, 10, 8)),
        volume_mounts: Some(vec![mount(ETCD_VOLUME, ETCD_DIR, true)]),
        resources: Some(resources("100m", "128Mi", "2Gi", &Sizes::default())),
        security_context: Some(security(user)),
        ..Container::default()
    }
}

fn data_volume(plane: &ControlPlane, name: &str, claim: Option<&Claim>) -> Volume {
    let mut volume = Volume { name: name.to_owned(), ..Volume::default() };
    match claim {
        Some(claim) => {
            let claim_name = claim.name(&plane.federation);
            volume.persistent_volume_claim = Some(PersistentVolumeClaimVolumeSource { claim_name, read_only: None });
        }
        None => volume.empty_dir = Some(EmptyDirVolumeSource::default()),
    }
    volume
}
