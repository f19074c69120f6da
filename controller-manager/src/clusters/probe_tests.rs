//! Every way not to reach a member, over real sockets and real certificates.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use federation_api::cluster::{ClusterSpec, SecretRef, ServerAddressByClientCidr};
use k8s_openapi::ByteString;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::{net::TcpListener, task::AbortHandle};

use super::*;
use crate::{HostConnector, HostCredentials, MemberConnector, members::connect::Connection};

/// An authority, and its certificate as PEM.
fn authority() -> (Issuer<'static, KeyPair>, String) {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), pem)
}

/// A server on loopback that does TLS with a certificate of this authority and nothing else.
async fn server(authority: &Issuer<'static, KeyPair>, name: &str, expired: bool) -> (SocketAddr, AbortHandle) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if expired {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 2, 1));
    }
    let key = KeyPair::generate().unwrap();
    let certificate: CertificateDer<'static> = params.signed_by(&key, authority).unwrap().into();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // What the client makes of it is what is asked.
            let _ = acceptor.accept(stream).await;
        }
    });
    (at, serving.abort_handle())
}

/// The client for a member at this address, with this authority in its secret.
async fn client(at: &str, ca: &str) -> kube::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
    let data = BTreeMap::from([("token", bytes("t")), ("ca.crt", bytes(ca)), ("server", bytes(at))]);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "gondor"}, "data": data}).to_string();
    let service = tower::service_fn(move |_: http::Request<kube::client::Body>| {
        std::future::ready(Ok::<_, std::io::Error>(http::Response::new(kube::client::Body::from(secret.clone().into_bytes()))))
    });
    let host = HostCredentials { client: kube::Client::new(service, "default"), namespace: "federation-system".into() };
    let spec = ClusterSpec {
        server_address_by_client_cidrs: vec![ServerAddressByClientCidr { client_cidr: "0.0.0.0/0".into(), server_address: at.into() }],
        secret_ref: Some(SecretRef { name: "gondor".into() }),
    };
    let connection: Option<Connection> = HostConnector::new(Some(host)).connect("gondor", &spec, false, None).await.unwrap();
    connection.unwrap().client
}

async fn reason(at: &str, ca: &str, limit: Duration) -> &'static str {
    let Answer { finding, uid } = probe(&client(at, ca).await, at, limit).await;
    assert_eq!((finding.health, uid), (Health::Offline, None));
    assert!(finding.message.starts_with("cluster is not reachable: ") && finding.message.contains("; "), "{}", finding.message);
    finding.reason
}

#[tokio::test]
async fn issue7_case_w2_each_real_way_not_to_be_reached_has_its_reason() {
    let long = Duration::from_secs(60);
    let ((ours, ca), (theirs, _)) = (authority(), authority());
    for (issuer, name, expired, want) in [
        (&theirs, "127.0.0.1", false, "UnknownAuthority"),
        (&ours, "minas-tirith.example", false, "CertificateNameMismatch"),
        (&ours, "127.0.0.1", true, "CertificateExpired"),
        // It says nothing after the handshake.
        (&ours, "127.0.0.1", false, "ConnectionBroken"),
    ] {
        let (at, serving) = server(issuer, name, expired).await;
        assert_eq!(reason(&format!("https://{at}"), &ca, long).await, want);
        serving.abort();
    }
    let (closed, silent) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let at = closed.local_addr().unwrap();
    drop(closed);
    assert_eq!(reason(&format!("https://{at}"), &ca, long).await, "ConnectionRefused");
    let at = silent.local_addr().unwrap();
    assert_eq!(reason(&format!("https://{at}"), &ca, Duration::from_millis(200)).await, "Timeout");
    // A label that no name may have, so nobody is asked.
    let nowhere = format!("https://{}.invalid:6443", "a".repeat(70));
    assert_eq!(reason(&nowhere, &ca, long).await, "UnknownHost");
}
