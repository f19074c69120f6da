//! `kubefed kubeconfig issue` and `kubefed token` on a real API server: what they give is taken by it, and what is wrong is
//! told before anything is made.

use std::os::unix::fs::PermissionsExt as _;

use federation_client::{Access, Environment, Files, Target};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ListParams, PostParams};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::support::{ADMIN, Apiserver, NOBODY, Place};

/// A server that signs with the authority of its clients and takes bootstrap tokens, and the kubeconfig to it.
pub(crate) fn signing(place: &Place) -> (Apiserver, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "fellowship");
    let cert = place.file("ca.crt", &params.self_signed(&key).unwrap().pem());
    let key = place.file("ca.key", &key.serialize_pem());
    let flags = [
        format!("--client-ca-file={cert}"),
        format!("--cluster-signing-cert-file={cert}"),
        format!("--cluster-signing-key-file={key}"),
        "--enable-bootstrap-token-auth".to_owned(),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let server = place.apiserver("fellowship", 0, &flags);
    place.file("fellowship.crt", &server.certificate);
    // What stands beside a kubeconfig is found from there.
    let config = json!({"current-context": "fellowship",
        "clusters": [{"name": "c", "cluster": {"server": server.url, "certificate-authority": "../fellowship.crt"}}],
        "users": [{"name": "admin", "user": {"token": ADMIN}}, {"name": "frodo", "user": {"token": NOBODY}}],
        "contexts": [{"name": "fellowship", "context": {"cluster": "c", "user": "admin"}},
            {"name": "nobody", "context": {"cluster": "c", "user": "frodo"}}]});
    let config = place.file(".kube/config", &config.to_string());
    (server, config)
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Who the holder of a kubeconfig is, and its groups.
pub(crate) fn holder(path: &std::path::Path) -> (String, Vec<String>) {
    known(path).unwrap()
}

/// The same, where the server knows it.
pub(crate) fn known(path: &std::path::Path) -> Result<(String, Vec<String>), kube::Error> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    runtime().block_on(async {
        let config = Files::choose(Some(path)).load().unwrap();
        let client = Access::resolve(&config, &Target::context(None), &Environment::default()).unwrap().client().await.unwrap();
        let review = Api::<SelfSubjectReview>::all(client).create(&PostParams::default(), &SelfSubjectReview::default()).await?;
        let user = review.status.unwrap().user_info.unwrap();
        Ok((user.username.unwrap(), user.groups.unwrap()))
    })
}

pub(crate) fn requests(server: &Apiserver) -> usize {
    runtime().block_on(async {
        let all = Api::<CertificateSigningRequest>::all(server.client(ADMIN)).list(&ListParams::default()).await.unwrap();
        all.items.len()
    })
}

#[test]
fn issue10_an_issued_kubeconfig_needs_nothing_else_and_leaves_nothing_behind() {
    let place = Place::new();
    let (server, _) = signing(&place);
    let args = ["kubeconfig", "issue", "frodo", "--group=hobbits", "--group=ring-bearers", "--ttl=10m", "--namespace=shire"];
    let said = place.kubefed(&[&args[..], &["--output=frodo.kubeconfig"]].concat());
    assert_eq!((said.code, said.out.as_str()), (0, ""), "{}", said.err);
    assert!(said.err.starts_with("Issued for user frodo, groups hobbits, ring-bearers, until 20"), "{}", said.err);
    assert_eq!(said.err.lines().count(), 1, "it works: {}", said.err);
    let path = place.path("frodo.kubeconfig");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    let shown: Vec<String> = text
        .lines()
        .map(|line| match line.split_once("-data: ") {
            Some((field, _)) => format!("{field}-data: ..."),
            None => line.replace(&server.url, "URL").split(", until").next().unwrap_or_default().to_owned(),
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
    assert_eq!(holder(&path), ("frodo".into(), ["hobbits", "ring-bearers", "system:authenticated"].map(String::from).to_vec()));
    assert_eq!(requests(&server), 0);

    let again = place.kubefed(&[&args[..], &["--output=frodo.kubeconfig"]].concat()).complaint(1);
    assert!(again.contains("--output: frodo.kubeconfig exists already"), "{again}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    // What is in another place is another's.
    let printed = place.kubefed(&[&args[..], &["--endpoint=https://127.0.0.1:1"]].concat());
    assert_eq!(printed.code, 0);
    assert!(printed.err.starts_with("warning: trying the kubeconfig: "), "{}", printed.err);
    assert!(printed.out.contains("server: https://127.0.0.1:1\n") && printed.out.contains("client-key-data: "));
    server.close();
}

#[test]
fn issue10_what_was_issued_is_listed_and_taken_back() {
    let place = Place::new();
    let (server, _) = signing(&place);
    for user in ["frodo", "sam"] {
        let said = place.kubefed(&["kubeconfig", "issue", user, "--group=hobbits", &format!("--output={user}.kubeconfig")]);
        assert_eq!(said.code, 0, "{}", said.err);
    }
    let list = |args: &[&str]| -> Vec<Vec<String>> {
        let said = place.kubefed(&[&["kubeconfig", "list"], args].concat());
        assert_eq!(said.code, 0, "{}", said.err);
        said.out.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()).collect()
    };
    let all = list(&[]);
    assert_eq!(all[0], ["NAME", "TYPE", "USER", "GROUPS", "ISSUED", "EXPIRES", "ISSUED BY", "LAST USED", "FROM", "STATE"]);
    assert_eq!(all.len(), 3);
    let frodos = list(&["--user=frodo"])[1].clone();
    assert_eq!((&frodos[1..4], frodos[9].as_str()), (&["Certificate", "frodo", "hobbits"].map(String::from)[..], "Issued"));

    let revoked = place.kubefed(&["kubeconfig", "revoke", "--user=frodo", "--reason=laptop lost"]);
    assert_eq!(revoked.out, format!("credential \"{}\" of user frodo revoked\n", frodos[0]));
    assert_eq!(list(&["--user=frodo"])[1][9], "Revoked: laptop lost");
    let frodo = place.kubefed(&["--kubeconfig=frodo.kubeconfig", "kubeconfig", "list"]).complaint(1);
    assert!(frodo.contains("Unauthorized"), "{frodo}");
    assert_eq!(holder(&place.path("sam.kubeconfig")).0, "sam");
    let nothing = place.kubefed(&["kubeconfig", "revoke", "--user=frodo"]);
    assert_eq!((nothing.code, nothing.err.as_str()), (0, "There is nothing to revoke.\n"));

    let sams = &list(&["--user=sam"])[1][0];
    let serial = sams.trim_start_matches("certificate-").to_ascii_uppercase();
    assert_eq!(place.kubefed(&["kubeconfig", "revoke", &format!("--serial={serial}")]).code, 0);
    assert!(place.kubefed(&["--kubeconfig=sam.kubeconfig", "kubeconfig", "list"]).complaint(1).contains("Unauthorized"));
    let foreign = place.kubefed(&["kubeconfig", "revoke", "--serial=0A:BC"]);
    assert_eq!(foreign.out, "credential \"certificate-abc\" revoked\n", "{}", foreign.err);

    let mut said = String::new();
    for (code, args) in [
        (64, &[][..]),
        (64, &["--all", "--user=sam"]),
        (64, &["sam"]),
        (64, &["certificate-0A"]),
        (64, &["--serial=sting"]),
        (1, &["certificate-1"]),
        (1, &["--all", "--context=nobody"]),
    ] {
        said.push_str(&place.kubefed(&[&["kubeconfig", "revoke"], args].concat()).complaint(code));
    }
    insta::assert_snapshot!(said.replace(&server.url, "URL"));
    server.close();
}

#[test]
fn issue10_nothing_is_issued_that_cannot_or_should_not_be() {
    let place = Place::new();
    let (server, _) = signing(&place);
    let mut all = String::new();
    for (code, args) in [
        (64, &["frodo", "--group=system:masters", "--allow-system"][..]),
        (64, &["frodo", "--group=system:nodes"]),
        (64, &["system:admin"]),
        (64, &["fro\ndo"]),
        (64, &[""]),
        (64, &["frodo", "--group= hobbits"]),
        (64, &["frodo", "--ttl=9m"]),
        (64, &["frodo", "--ttl=8"]),
        (64, &["frodo", "--endpoint=fellowship:6443"]),
        (64, &["frodo", "--namespace=The_Shire"]),
        (1, &["frodo", "--output=nowhere/frodo.kubeconfig"]),
        (1, &["frodo", "--context=nobody"]),
        (1, &["frodo", "--context=nowhere"]),
    ] {
        let said = place.kubefed(&[&["kubeconfig", "issue"], args].concat());
        assert!(said.out.is_empty(), "{}", said.out);
        all.push_str(&said.complaint(code));
    }
    insta::assert_snapshot!(all.replace(&server.url, "URL"));
    assert_eq!(requests(&server), 0);
    server.close();

    let place = Place::new();
    let server = place.apiserver("fellowship", 0, &[]);
    place.kubeconfig(&[("fellowship", &server.url, ADMIN)]);
    let said = place.kubefed(&["kubeconfig", "issue", "frodo", "--timeout=5s"]).complaint(2);
    assert!(said.contains("timed out after 5s waiting for the certificate: nobody signs it"), "{said}");
    assert_eq!(requests(&server), 0);
    server.close();
}

#[test]
fn issue10_tokens_are_made_listed_used_and_deleted() {
    let place = Place::new();
    let (server, config) = signing(&place);
    let ok = |args: &[&str]| {
        let said = place.kubefed(&[&["token"], args].concat());
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{args:?}");
        said.out
    };
    // Given by standard input, for arguments are seen by all.
    let piped = |token: &str, rest: &str| place.shell(&format!("echo {token} | \"$kubefed\" token create - {rest}"));
    let good = |said: crate::support::Said| {
        assert_eq!((said.code, said.err.as_str()), (0, ""));
        said.out
    };
    let rest = "--ttl=0 --groups=system:bootstrappers:riders '--description=of the mark' --usages=authentication";
    let made = good(piped("fedcba.abcdef0123456789", rest));
    let token = made.trim().to_owned();
    assert_eq!(token, "fedcba.abcdef0123456789");
    let used = std::fs::read_to_string(&config).unwrap().replace(ADMIN, &token);
    place.file("used.kubeconfig", &used.replace("../fellowship.crt", "fellowship.crt"));
    let groups = ["system:bootstrappers", "system:bootstrappers:riders", "system:authenticated"].map(String::from).to_vec();
    assert_eq!(holder(&place.path("used.kubeconfig")), ("system:bootstrap:fedcba".into(), groups));

    let object: Value = serde_json::from_str(&good(piped("abcdef.0123456789abcdef", "-o json"))).unwrap();
    assert_eq!(object["token"], "abcdef.0123456789abcdef");
    assert_eq!(
        (&object["usages"], &object["groups"]),
        (&json!(["authentication", "signing"]), &json!([federation_api::bootstrap::DEFAULT_GROUP]))
    );
    let expires = object["expires"].as_str().unwrap().to_owned();
    let listed = ok(&["list"]);
    assert!(!listed.contains("0123456789abcdef") && !listed.contains("abcdef0123456789"), "{listed}");
    insta::assert_snapshot!(shown(&listed, &expires));
    insta::assert_snapshot!(shown(&ok(&["list", "-o", "yaml"]), &expires));

    let mut wrong = String::new();
    for (code, args) in [
        (64, &["create", "abcdef.0123456789abcdef"][..]),
        (64, &["create", "--groups=system:masters"]),
        (64, &["create", "--usages=everything"]),
        (64, &["create", "--ttl=-1h"]),
        (1, &["create", "--context=nobody"]),
        (1, &["list", "--context=nobody"]),
        (64, &["delete", "ABCDEF"]),
        (64, &["delete"]),
        (1, &["delete", "zzzzzz"]),
        (1, &["delete", "abcdef", "--context=nobody"]),
    ] {
        wrong.push_str(&place.kubefed(&[&["token"], args].concat()).complaint(code));
    }
    wrong.push_str(&piped("abcdef.0123456789abcdef", "").complaint(1));
    wrong.push_str(&piped("abcdef", "").complaint(64));
    insta::assert_snapshot!(wrong.replace(&server.url, "URL"));

    assert_eq!(ok(&["delete", "abcdef", &token]), "bootstrap token \"abcdef\" deleted\nbootstrap token \"fedcba\" deleted\n");
    assert_eq!(ok(&["list"]).lines().count(), 1);
    let stored = ok(&["create"]);
    assert_eq!(ok(&["delete", stored.trim()]).lines().count(), 1);
    let random = ok(&["generate"]);
    assert!(random.trim().parse::<federation_api::bootstrap::Token>().is_ok() && random != ok(&["generate"]));
    let left =
        runtime().block_on(async { Api::<Secret>::namespaced(server.client(ADMIN), "kube-system").list(&ListParams::default()).await });
    assert!(left.unwrap().items.is_empty(), "what is generated is not stored");
    server.close();
}

/// A list without what differs each time.
fn shown(text: &str, expires: &str) -> String {
    let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ").replace(" 23h ", " TTL ").replace(" 24h ", " TTL ");
    text.replace(expires, "EXPIRES").lines().map(line).collect::<Vec<_>>().join("\n")
}
