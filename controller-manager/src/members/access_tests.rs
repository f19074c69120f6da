use super::*;

fn data(pairs: &[(&str, &str)]) -> Data {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), ByteString(v.as_bytes().to_vec()))).collect()
}

fn read(pairs: &[(&str, &str)]) -> Result<Access, ConnectError> {
    Access::from_secret("federation-system/gondor", &data(pairs))
}

#[test]
fn v1s_rules_for_secrets() {
    let access = read(&[("token", "abc\n"), ("ca.crt", "PEM")]).unwrap();
    assert_eq!(access.cluster.certificate_authority_data, b"PEM");
    for (pairs, complaint) in [
        (&[("token", "abc")][..], "lacks ca.crt"),
        (&[("token", "abc"), ("ca.crt", "")][..], "lacks ca.crt"),
        (&[("ca.crt", "PEM")][..], "lacks token"),
        (&[("other", "")][..], "neither"),
        (&[("token", ""), ("ca.crt", "")][..], "neither"),
        (&[("token", "t"), ("ca.crt", "PEM"), ("insecure-skip-tls-verify", "true")][..], "lacks server"),
    ] {
        let error = read(pairs).unwrap_err().to_string();
        assert!(error.contains(complaint) && error.contains("secret federation-system/gondor"), "{error}");
    }
}

#[test]
fn issue7_case_10_without_an_authority_the_systems_roots_check_the_server_the_secret_names() {
    let access = read(&[("token", "t"), ("ca.crt", ""), ("server", "https://gondor.example:6443")]).unwrap();
    assert!(access.cluster.certificate_authority_data.is_empty() && !access.cluster.insecure_skip_tls_verify);
}

#[test]
fn issue7_case_14_tls_server_name_and_insecure_are_carried_by_the_secret() {
    let named = [("token", "t"), ("ca.crt", ""), ("server", "https://10.0.0.1"), ("tls-server-name", "gondor")];
    let at = |access: Access| access.resolve("gondor", "https://10.0.0.1", Timeouts::default()).unwrap();
    let access = at(read(&named).unwrap());
    assert_eq!((access.tls_server_name.as_deref(), access.insecure), (Some("gondor"), false));
    let unchecked = [("token", "t"), ("ca.crt", "PEM"), ("server", "https://10.0.0.1"), ("insecure-skip-tls-verify", "true")];
    let access = at(read(&unchecked).unwrap());
    assert!(access.insecure && access.authorities.is_none());
}

const KUBECONFIG: &str = "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n\
    clusters: [{name: c, cluster: {server: 'https://old:1' CLUSTER}}]\nusers: [{name: u, user: {USER}}, {name: other, user: {exec: \
    {apiVersion: client.authentication.k8s.io/v1, command: /bin/true}}}]\n";

fn kubeconfig(cluster: &str, user: &str) -> Result<Access, ConnectError> {
    read(&[("kubeconfig", &KUBECONFIG.replace("CLUSTER", cluster).replace("USER", user))])
}

#[test]
fn issue7_case_24_only_what_is_inline_in_a_members_kubeconfig_counts() {
    for (cluster, user, field) in [
        ("", "exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/sh, args: ['-c', id]}", "exec (of user \"u\")"),
        ("", "token: t, exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/sh}", "exec"),
        ("", "auth-provider: {name: gcp, config: {cmd-path: /bin/sh}}", "auth-provider"),
        ("", "tokenFile: /etc/hostname", "tokenFile"),
        ("", "token: t, tokenFile: /etc/hostname", "tokenFile"),
        ("", "client-certificate: /etc/c, client-key-data: eA==", "client-certificate"),
        ("", "client-certificate-data: eA==, client-key: /etc/k", "client-key"),
        (", certificate-authority: /etc/ca", "token: t", "certificate-authority (of cluster \"c\")"),
    ] {
        let error = kubeconfig(cluster, user).unwrap_err();
        assert!(error.forbids() && error.reason() == "CredentialsRefused", "{field}: {error}");
        assert!(error.to_string().contains(field) && error.to_string().contains("federation-system/gondor"), "{error}");
    }
    // The entry `other` is nobody's, and empty strings are absent.
    kubeconfig(", certificate-authority: ''", "token: t, tokenFile: '', client-key: ''").unwrap();
}

#[test]
fn d8_credentials_go_only_to_the_server_they_are_for() {
    let joined = read(&[("token", "t"), ("ca.crt", "PEM"), ("server", "https://gondor:6443")]).unwrap();
    let by_kubeconfig = kubeconfig("", "token: t").unwrap();
    let rebound = read(&[("kubeconfig", &KUBECONFIG.replace("CLUSTER", "").replace("USER", "token: t")), ("server", "https://new:2")]);
    let go = |access: &Access, server: &str| access.may_go_to("s", server, false).map_err(|e| e.reason());
    let other = Err("CredentialsForAnotherServer");
    for (server, want) in [
        ("https://gondor:6443", Ok(())),
        ("https://GONDOR:6443/", Ok(())),
        ("https://gondor", other),
        ("https://attacker:6443", other),
        ("https://gondor:6443/proxy", other),
        ("https://gondor.attacker:6443", other),
    ] {
        assert_eq!(go(&joined, server), want, "{server}");
    }
    assert_eq!((go(&by_kubeconfig, "https://old:1"), go(&by_kubeconfig, "https://new:2")), (Ok(()), other));
    assert_eq!(go(&rebound.unwrap(), "https://new:2"), Ok(()), "the secret's own word goes before its kubeconfig's");
    // v1's secrets name no server: their authority is what binds them.
    assert_eq!(go(&read(&[("token", "t"), ("ca.crt", "PEM")]).unwrap(), "https://anywhere"), Ok(()));
}

#[test]
fn d8_credentials_never_leave_in_clear_text_unless_secret_and_cluster_have_it_so() {
    let clear = read(&[("token", "t"), ("ca.crt", "PEM"), ("server", "http://gondor:8080")]).unwrap();
    let tls = read(&[("token", "t"), ("ca.crt", "PEM"), ("server", "https://gondor:8080")]).unwrap();
    let v1 = read(&[("token", "t"), ("ca.crt", "PEM")]).unwrap();
    let go = |access: &Access, insecure| access.may_go_to("s", "http://gondor:8080", insecure).map_err(|e| e.reason());
    assert_eq!((go(&clear, false), go(&clear, true)), (Err("ServerNotVerified"), Ok(())));
    assert_eq!(go(&tls, true), Err("CredentialsForAnotherServer"), "the Cluster alone does not decide it");
    assert_eq!(go(&v1, true), Err("ServerNotVerified"));
}
