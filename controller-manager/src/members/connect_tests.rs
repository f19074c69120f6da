use federation_api::cluster::ServerAddressByClientCidr;

use super::*;

fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, ByteString> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), ByteString(v.as_bytes().to_vec()))).collect()
}

#[test]
fn v1s_rules_for_secrets() {
    let token = Access::from_secret(&data(&[("token", "abc\n"), ("ca.crt", "PEM")])).unwrap();
    assert_eq!(token, Access::Token { token: "abc".into(), ca: b"PEM".to_vec() });
    assert_eq!(Access::from_secret(&data(&[("kubeconfig", "x")])).unwrap(), Access::Kubeconfig("x".into()));
    for (pairs, complaint) in
        [(&[("token", "abc")][..], "lacks ca.crt"), (&[("ca.crt", "PEM")][..], "lacks token"), (&[("other", "")][..], "neither")]
    {
        assert!(Access::from_secret(&data(pairs)).unwrap_err().to_string().contains(complaint), "{pairs:?}");
    }
}

#[test]
fn a_missing_scheme_is_https() {
    let spec = |address: &str| ClusterSpec {
        server_address_by_client_cidrs: vec![ServerAddressByClientCidr { client_cidr: "0.0.0.0/0".into(), server_address: address.into() }],
        secret_ref: None,
    };
    assert_eq!(server_url(&spec("10.0.0.1:6443")).unwrap(), "https://10.0.0.1:6443");
    assert_eq!(server_url(&spec("http://10.0.0.1")).unwrap(), "http://10.0.0.1");
    assert!(server_url(&ClusterSpec::default()).is_err());
}

#[test]
fn a_fingerprint_changes_with_address_and_secret() {
    let a = fingerprint("https://a", &data(&[("token", "1")]));
    assert_eq!(a, fingerprint("https://a", &data(&[("token", "1")])));
    assert_ne!(a, fingerprint("https://b", &data(&[("token", "1")])));
    assert_ne!(a, fingerprint("https://a", &data(&[("token", "2")])));
}

#[tokio::test]
async fn the_clusters_address_wins_over_the_kubeconfigs() {
    let kubeconfig = "apiVersion: v1\nkind: Config\nclusters: [{name: a, cluster: {server: 'https://old:1'}}]\n\
                      users: [{name: a, user: {token: t}}]\ncontexts: [{name: a, context: {cluster: a, user: a}}]\ncurrent-context: a\n";
    let config = Access::Kubeconfig(kubeconfig.into()).into_config("a", "https://new:2").await.unwrap();
    assert_eq!(config.cluster_url.to_string(), "https://new:2/");
}

#[tokio::test]
async fn a_member_that_cannot_be_checked_is_refused_unless_allowed() {
    let address = ServerAddressByClientCidr { client_cidr: "0.0.0.0/0".into(), server_address: "https://10.0.0.1".into() };
    let spec = ClusterSpec { server_address_by_client_cidrs: vec![address], secret_ref: None };
    let connector = HostConnector::new(None);
    let annotated = |value: &str| allows_insecure(&[(keys::INSECURE.to_owned(), value.to_owned())].into());
    for insecure in [allows_insecure(&BTreeMap::new()), annotated("false"), annotated("")] {
        let error = connector.connect("gondor", &spec, insecure, None).await.err().expect("a refusal");
        assert!(error.is::<Insecure>() && error.to_string().contains("federation.kubernetes.io/insecure=true"), "{error}");
        let known = fingerprint("https://10.0.0.1", &BTreeMap::new());
        assert!(connector.connect("gondor", &spec, insecure, Some(&known)).await.is_err(), "a client in hand does not help");
    }
    assert!(connector.connect("gondor", &spec, annotated("true"), None).await.unwrap().is_some());
}
