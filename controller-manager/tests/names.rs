//! A Service from the federation API to DNS answers: real API servers in memory, the real controllers,
//! the embedded DNS server asked by real queries.
#![expect(clippy::disallowed_methods, reason = "real servers take real time")]
#![allow(clippy::unwrap_used, reason = "a failure here fails the test")]

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use federation_api::cluster::ClusterSpec;
use federation_apiserver::Server;
use federation_apiserver::config::{Config as ServerConfig, Profile};
use federation_controller_manager::dns::Opened;
use federation_controller_manager::{Config, ConnectError, Connection, MemberConnector, run_with_dns};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use http::{Method, Request};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt};

#[derive(Clone)]
struct Api {
    server: Arc<Server>,
    cut: Arc<AtomicBool>,
}

impl Api {
    async fn start(profile: Profile) -> Self {
        let server = Server::start(ServerConfig::in_memory(profile)).await.unwrap();
        server.wait_ready(Duration::from_secs(60)).await.unwrap();
        Api { server: Arc::new(server), cut: Arc::default() }
    }

    /// A client whose requests hang while the network is cut.
    fn client(&self) -> kube::Client {
        let (inner, cut) = (self.server.admin_service(), self.cut.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (mut inner, cut) = (inner.clone(), cut.clone());
            async move {
                while cut.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                ServiceExt::<Request<Body>>::ready(&mut inner).await?.call(request).await
            }
        });
        kube::Client::new(service, "default")
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let request =
            Request::builder().method(method).uri(path).header("content-type", kind).body(Body::from(body.to_string().into_bytes()));
        let response = kube::Client::new(self.server.admin_service(), "default").send(request.unwrap()).await.unwrap();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&bytes).unwrap_or(Value::Null)
    }

    async fn until(&self, path: &str, done: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let found = self.call(Method::GET, path, json!({})).await;
            if done(&found) {
                return found;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{path} stayed {found}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What a cluster does for a LoadBalancer Service with a running pod.
    async fn balance(&self, ip: &str) {
        self.until(SERVICE, |s| s["metadata"]["name"] == "nginx").await;
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "nginx-1", "labels": {"kubernetes.io/service-name": "nginx", "federation.kubernetes.io/managed-by": "fellowship"}},
            "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}]
        });
        let made = self.call(Method::POST, "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices", slice).await;
        assert_eq!(made["kind"], "EndpointSlice", "{made}");
        let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": ip}]}}});
        let patched = self.call(Method::PATCH, &format!("{SERVICE}/status"), status).await;
        assert_eq!(patched["status"]["loadBalancer"]["ingress"][0]["ip"], ip, "{patched}");
    }
}

struct Members(HashMap<String, Api>);

#[async_trait]
impl MemberConnector for Members {
    async fn connect(&self, cluster: &str, _: &ClusterSpec, _: bool, known: Option<&str>) -> Result<Option<Connection>, ConnectError> {
        let api = self.0.get(cluster).ok_or_else(|| ConnectError::Other("no such member".into()))?;
        Ok(known.is_none().then(|| Connection { client: api.client(), fingerprint: "in memory".into(), credential: None }))
    }
}

const SERVICE: &str = "/api/v1/namespaces/demo/services/nginx";
const CLUSTERS: &str = "/apis/federation/v1beta1/clusters";

async fn join(federation: &Api, member: &Api, name: &str) {
    let labels = json!({"topology.kubernetes.io/region": name, "topology.kubernetes.io/zone": format!("{name}-1")});
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": labels}});
    let made = member.call(Method::POST, "/api/v1/nodes", node).await;
    assert_eq!(made["kind"], "Node", "{made}");
    let spec = json!({"serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "https://in.memory"}]});
    let cluster = json!({"apiVersion": "federation/v1beta1", "kind": "Cluster", "metadata": {"name": name}, "spec": spec});
    federation.call(Method::POST, CLUSTERS, cluster).await;
}

fn resolver(at: SocketAddr) -> TokioResolver {
    let mut server = NameServerConfig::udp(at.ip());
    server.connections[0].port = at.port();
    let mut options = ResolverOpts::default();
    options.cache_size = 0;
    let config = ResolverConfig::from_parts(None, vec![], vec![server]);
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options).build().unwrap()
}

/// Asks until the answer is as expected; how long that took.
async fn answers(resolver: &TokioResolver, level: &str, expected: &[&str]) -> Duration {
    let start = Instant::now();
    let name = format!("nginx.demo.fellowship.svc.{level}example.com.");
    let mut expected: Vec<Ipv4Addr> = expected.iter().map(|ip| ip.parse().unwrap()).collect();
    expected.sort();
    loop {
        let mut found: Vec<Ipv4Addr> = match resolver.ipv4_lookup(name.as_str()).await {
            Ok(found) => found
                .answers()
                .iter()
                .filter_map(|r| match r.data.ip_addr() {
                    Some(std::net::IpAddr::V4(ip)) => Some(ip),
                    _ => None,
                })
                .collect(),
            Err(_) => Vec::new(),
        };
        found.sort();
        if found == expected {
            return start.elapsed();
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{name}: {found:?} instead of {expected:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_federated_service_resolves_follows_a_cut_and_goes() {
    let (federation, gondor, rohan) =
        (Api::start(Profile::Federation).await, Api::start(Profile::Member).await, Api::start(Profile::Member).await);
    let mut config = Config { federation_name: "fellowship".into(), zone_name: "example.com".into(), ..Config::default() };
    config.monitor.period = Duration::from_millis(200);
    config.monitor.timeout = Duration::from_millis(500);
    config.monitor.retry = Duration::from_millis(50);
    let embedded =
        dns_providers::embedded::Config::new("127.0.0.1:0".parse().unwrap(), dns_providers::DnsName::parse("example.com").unwrap());
    let provider = Arc::new(dns_providers::embedded::Embedded::start(embedded).await.unwrap());
    let dns = Opened::new(&config, provider).await.unwrap();
    let resolver = resolver(dns.addresses()[0]);
    join(&federation, &gondor, "gondor").await;
    join(&federation, &rohan, "rohan").await;
    let members = HashMap::from([("gondor".to_owned(), gondor.clone()), ("rohan".to_owned(), rohan.clone())]);
    let stop = CancellationToken::new();
    let running = tokio::spawn(run_with_dns(config, federation.client(), Arc::new(Members(members)), Some(dns), stop.clone()));

    federation
        .call(Method::POST, "/api/v1/namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}}))
        .await;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "nginx", "namespace": "demo"},
        "spec": {"type": "LoadBalancer", "selector": {"app": "nginx"}, "ports": [{"port": 80}]}
    });
    let made = federation.call(Method::POST, "/api/v1/namespaces/demo/services", service).await;
    assert_eq!(made["kind"], "Service", "{made}");
    gondor.balance("192.0.2.1").await;
    rohan.balance("192.0.2.2").await;
    let told = Instant::now();
    answers(&resolver, "", &["192.0.2.1", "192.0.2.2"]).await;
    assert!(told.elapsed() < Duration::from_secs(5), "endpoint change to record took {:?}", told.elapsed());
    answers(&resolver, "gondor.", &["192.0.2.1"]).await;
    answers(&resolver, "rohan-1.rohan.", &["192.0.2.2"]).await;
    let both = r#"{"items":[{"cluster":"gondor","items":[{"ip":"192.0.2.1"}]},{"cluster":"rohan","items":[{"ip":"192.0.2.2"}]}]}"#;
    let federated = federation.until(SERVICE, |s| s["metadata"]["annotations"]["federation.kubernetes.io/service-ingresses"] == both).await;
    assert_eq!(federated["status"]["loadBalancer"]["ingress"].as_array().unwrap().len(), 2, "{federated}");

    gondor.cut.store(true, Ordering::SeqCst);
    answers(&resolver, "", &["192.0.2.2"]).await;
    answers(&resolver, "gondor-1.gondor.", &["192.0.2.2"]).await;
    gondor.cut.store(false, Ordering::SeqCst);
    answers(&resolver, "gondor-1.gondor.", &["192.0.2.1"]).await;

    federation.call(Method::DELETE, SERVICE, json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"})).await;
    for level in ["", "gondor.", "gondor-1.gondor.", "rohan.", "rohan-1.rohan."] {
        answers(&resolver, level, &[]).await;
    }
    stop.cancel();
    running.await.unwrap().unwrap();
}
