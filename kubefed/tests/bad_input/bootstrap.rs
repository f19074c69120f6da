//! Kubeconfigs and token files that are made from what is at hand, as the tutorials make them by hand: an API server takes
//! them, and what is wrong is told before anything is written.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, PKCS_RSA_SHA256, SignatureAlgorithm};

use crate::credentials::{holder, known, requests, signing};
use crate::support::{ADMIN, Place, until};

/// An authority and its key, both PEM.
fn authority(days: i64, is_ca: IsCa, by: &'static SignatureAlgorithm) -> (String, String) {
    let key = KeyPair::generate_for(by).unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = is_ca;
    params.distinguished_name.push(DnType::CommonName, "kubernetes");
    let now = std::time::SystemTime::now();
    params.not_before = (now - std::time::Duration::from_secs(20 * 24 * 3600)).into();
    let end = std::time::Duration::from_secs(days.unsigned_abs() * 24 * 3600);
    params.not_after = if days < 0 { now - end } else { now + end }.into();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// A kubeconfig without what differs each time.
fn shown(text: &str, url: &str) -> String {
    let line = |line: &str| match line.split_once("-data: ").or_else(|| line.split_once("token: ")) {
        Some((field, _)) => format!("{field} ..."),
        None => line.replace(url, "URL").split(", until").next().unwrap_or_default().to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn issue10_lines_of_a_token_file_are_taken_by_an_api_server() {
    let place = Place::new();
    let printed = place.kubefed(&["token", "csv"]);
    let line = printed.fine().out.clone();
    assert_eq!((printed.err.as_str(), line.len()), ("", 32 + r#",kubelet-bootstrap,10001,"system:kubelet-bootstrap""#.len() + 1));
    assert!(line.ends_with(",kubelet-bootstrap,10001,\"system:kubelet-bootstrap\"\n"), "{line}");
    let token = line.split(',').next().unwrap();
    assert!(token.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c)), "{token}");
    assert_ne!(line, place.kubefed(&["token", "csv"]).fine().out);

    // To the file of a server that runs, of somebody who forgot the last line end, and whose mode is careless.
    let server = place.apiserver("fellowship", 0, &[]);
    let file = place.file("fellowship/tokens.csv", &format!("{ADMIN},admin,u1,system:masters"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    place.file("mine", "0123456789abcdef\n");
    let said = place.kubefed(&["token", "csv", "--append=fellowship/tokens.csv", "--token-file=mine"]);
    assert_eq!((said.fine().out.as_str(), said.err.as_str()), ("", "Added a token of user kubelet-bootstrap to fellowship/tokens.csv.\n"));
    let odd = [
        "token",
        "csv",
        "--append=fellowship/tokens.csv",
        "--user=Frodo \"Mr. Underhill\", of Bag End",
        "--uid=4711",
        "--group=hobbits",
        "--group=rīdan",
    ];
    place.kubefed(&odd).fine();
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(mode(Path::new(&file)), 0o600);
    assert_eq!(text.lines().nth(1), Some("0123456789abcdef,kubelet-bootstrap,10001,\"system:kubelet-bootstrap\""));
    assert!(text.lines().nth(2).unwrap().ends_with(",\"Frodo \"\"Mr. Underhill\"\", of Bag End\",4711,\"hobbits,rīdan\""), "{text}");

    let secret = text.lines().nth(2).unwrap().split(',').next().unwrap().to_owned();
    for (token, user, groups) in [
        ("0123456789abcdef", "kubelet-bootstrap", vec!["system:kubelet-bootstrap", "system:authenticated"]),
        (&secret, "Frodo \"Mr. Underhill\", of Bag End", vec!["hobbits", "rīdan", "system:authenticated"]),
    ] {
        place.file("given", token);
        let authority = place.file("ca.crt", &server.certificate);
        let args = ["kubeconfig", "bootstrap", "--token-file=given", "--output=out", "--force"];
        let to = [format!("--server={}", server.url), format!("--certificate-authority={authority}")];
        let said = place.kubefed(&[&args[..], &[&to[0], &to[1]]].concat());
        assert_eq!((said.fine().out.as_str(), said.err.as_str()), ("", ""));
        let known = until("the server to read its file again", || known(&place.path("out")).ok());
        assert_eq!(known, (user.to_owned(), groups.iter().map(|g| (*g).to_owned()).collect()));
    }
    assert_eq!(mode(&place.path("out")), 0o600);
    insta::assert_snapshot!("bootstrap_kubeconfig", shown(&std::fs::read_to_string(place.path("out")).unwrap(), &server.url));
    server.close();
}

/// As many at once as one likes: none is lost.
#[test]
fn issue10_lines_that_are_added_at_the_same_time_all_come_in() {
    let place = Place::new();
    let all = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do \"$kubefed\" token csv --append=token.csv --user=u$i --uid=$i & done; wait";
    place.shell(all).fine();
    let text = std::fs::read_to_string(place.path("token.csv")).unwrap();
    assert_eq!((text.lines().count(), mode(&place.path("token.csv"))), (12, 0o600), "{text}");
    let left: Vec<_> = std::fs::read_dir(place.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".tmp")), "{left:?}");
}

#[test]
fn issue10_no_line_is_made_that_cannot_or_should_not_be() {
    let place = Place::new();
    place.file("token.csv", "s3cret,kubelet-bootstrap,10001\nother-s3cret,frodo,1\n");
    place.file("broken.csv", "s3cret,frodo,1\n\"s3cret");
    place.file("short.csv", "s3cret,frodo\n");
    place.file("other", "other-s3cret");
    place.file("lines", "one-s3cret\ntwo-s3cret\n");
    place.file("empty", "\n");
    place.file("unicode", "s3crét");
    place.file("comma", "s3cret,x");
    place.file("long", &"s3cret".repeat(1000));
    std::os::unix::fs::symlink("token.csv", place.path("link.csv")).unwrap();
    std::fs::write(place.path("binary"), [0xff, 0xfe]).unwrap();
    let long = format!("--user={}", "x".repeat(257));
    let mut all = String::new();
    for (code, args) in [
        (64, &["--user="][..]),
        (64, &["--user=fro\ndo"]),
        (64, &[&long]),
        (64, &["--uid= 1"]),
        (64, &["--group="]),
        (64, &["--group=a,b"]),
        (64, &["--group=hobbits", "--group=system:masters"]),
        (64, &["--token=a-token", "--token-file=other"]),
        (64, &["--token="]),
        (64, &["--token-file=lines"]),
        (64, &["--token-file=empty"]),
        (64, &["--token-file=unicode"]),
        (64, &["--token-file=comma"]),
        (64, &["--token-file=long"]),
        (64, &["--token-file=binary"]),
        (64, &["--token-file=nowhere"]),
        (64, &["kubelet-bootstrap"]),
        (1, &["--append=token.csv"]),
        (1, &["--append=token.csv", "--user=sam", "--uid=1"]),
        (1, &["--append=token.csv", "--user=sam", "--uid=2", "--token-file=other"]),
        (1, &["--append=broken.csv"]),
        (1, &["--append=short.csv"]),
        (1, &["--append=link.csv"]),
        (1, &["--append=nowhere/token.csv"]),
        (1, &["--append=."]),
    ] {
        let said = place.kubefed(&[&["token", "csv"], args].concat());
        assert!(said.out.is_empty() && !said.err.contains("s3cr"), "{}{}", said.out, said.err);
        all.push_str(&said.complaint(code).replace(&"x".repeat(257), "x..."));
    }
    insta::assert_snapshot!(all);
    assert_eq!(std::fs::read_to_string(place.path("token.csv")).unwrap(), "s3cret,kubelet-bootstrap,10001\nother-s3cret,frodo,1\n");
}

const COMPONENTS: [(&[&str], &str, &[&str]); 6] = [
    (&["kubelet", "--node=gondor-1.example.com"], "system:node:gondor-1.example.com", &["system:nodes", "system:authenticated"]),
    (&["kube-proxy"], "system:kube-proxy", &["system:authenticated"]),
    (&["controller-manager"], "system:kube-controller-manager", &["system:authenticated"]),
    (&["scheduler"], "system:kube-scheduler", &["system:authenticated"]),
    (&["Fëanor", "--group=elves"], "Fëanor", &["elves", "system:authenticated"]),
    (&["admin"], "admin", &["system:masters", "system:authenticated"]),
];

#[test]
fn issue10_kubeconfigs_of_components_are_made_with_the_authoritys_key() {
    let place = Place::new();
    let (server, _) = signing(&place);
    // The server's own certificate and the authority of its clients: the kubeconfig trusts both, the first signs.
    let ca = std::fs::read_to_string(place.path("ca.crt")).unwrap();
    place.file("both.crt", &format!("# of clients\n{ca}\n{}", server.certificate));
    let url = format!("--server={}", server.url);
    let mut all = String::new();
    for (args, user, groups) in COMPONENTS {
        let flags = ["--certificate-authority=both.crt", "--ca-key=ca.key", &url, "--output=out", "--force"];
        let said = place.kubefed(&[&["kubeconfig", "component"], args, &flags].concat());
        assert_eq!(said.fine().out, "");
        assert_eq!((said.err.lines().count(), mode(&place.path("out"))), (1, 0o600), "{}", said.err);
        assert_eq!(holder(&place.path("out")), (user.to_owned(), groups.iter().map(|g| (*g).to_owned()).collect()));
        all += &shown(&std::fs::read_to_string(place.path("out")).unwrap(), &server.url);
    }
    insta::assert_snapshot!("component_kubeconfigs", all);
    assert_eq!(requests(&server), 0, "nobody was asked");

    // The federation signs for the same, but for masters; nothing is left of the requests.
    for (args, user, groups) in &COMPONENTS[..5] {
        let said = place.kubefed(&[&["kubeconfig", "component"], *args, &["-o", "by-federation", "--force"]].concat());
        assert_eq!(said.fine().err.lines().count(), 1, "{}", said.err);
        assert_eq!(holder(&place.path("by-federation")), ((*user).to_owned(), groups.iter().map(|g| (*g).to_owned()).collect()));
    }
    assert_eq!(requests(&server), 0);
    server.close();
}

/// Keys as openssl and cfssl write them, and an end that is not beyond the authority's.
#[test]
fn issue10_any_authority_signs_and_none_beyond_its_end() {
    let place = Place::new();
    let (cert, key) = authority(9, IsCa::Ca(BasicConstraints::Unconstrained), &PKCS_RSA_SHA256);
    place.file("ca.pem", &cert);
    place.file("ca-key.pem", &key);
    place.shell("openssl rsa -in ca-key.pem -traditional -out ca-old.pem 2>&1 && grep -q 'BEGIN RSA PRIVATE KEY' ca-old.pem").fine();
    for key in ["--ca-key=ca-key.pem", "--ca-key=ca-old.pem"] {
        let args = ["kubeconfig", "component", "kube-proxy", "--server=https://10.64.3.7:6443", "--certificate-authority=ca.pem", key];
        let printed = place.kubefed(&args);
        let printed = printed.fine();
        let until: jiff::Timestamp = printed.err.trim_end_matches(".\n").rsplit(' ').next().unwrap().parse().unwrap();
        let days = (until.as_second() - jiff::Timestamp::now().as_second()) / (24 * 3600);
        assert!((8..=9).contains(&days), "{}", printed.err);
        place.file("out", &printed.out);
        place
            .shell(
                "sed -n 's/.*client-certificate-data: //p' out | base64 -d > cert && openssl verify -purpose sslclient -CAfile ca.pem cert",
            )
            .fine();
    }
}

#[test]
fn issue10_no_kubeconfig_is_made_that_cannot_or_should_not_be() {
    let place = Place::new();
    let ca = IsCa::Ca(BasicConstraints::Unconstrained);
    for (name, days, is_ca) in [("ca", 9, ca), ("other", 9, ca), ("ended", -9, ca), ("leaf", 9, IsCa::ExplicitNoCa)] {
        let (cert, key) = authority(days, is_ca, &rcgen::PKCS_ECDSA_P256_SHA256);
        place.file(&format!("{name}.pem"), &cert);
        place.file(&format!("{name}-key.pem"), &key);
    }
    place.file("both.pem", &["ca.pem", "ca-key.pem"].map(|name| std::fs::read_to_string(place.path(name)).unwrap()).concat());
    place.file("text", "s3cret");
    place.file("there", "s3cret");
    place.shell("openssl ec -in ca-key.pem -aes256 -passout pass:x -out encrypted.pem").fine();
    let (server, ca) = ("--server=https://10.64.3.7:6443", "--certificate-authority=ca.pem");
    let long = format!("--node={}", "x".repeat(53));
    let mut all = String::new();
    let bootstrap = |args: &[&'static str]| [&["bootstrap"], args].concat();
    let component = |args: &[&'static str]| [&["component", "kube-proxy", server], args].concat();
    for (code, args) in [
        (64, vec!["bootstrap"]),
        (64, bootstrap(&[ca, "--token-file=text"])),
        (64, bootstrap(&[server, "--token-file=text"])),
        (64, bootstrap(&[server, ca])),
        (64, bootstrap(&["--server=10.64.3.7:6443", ca, "--token-file=text"])),
        (64, bootstrap(&["--server=http://10.64.3.7", ca, "--token-file=text"])),
        (64, bootstrap(&["--server=https://frodo:s3cret@10.64.3.7", ca, "--token-file=text"])),
        (64, bootstrap(&["--server=https://fëanor.example.com", ca, "--token-file=text"])),
        (64, bootstrap(&["--server=", ca, "--token-file=text"])),
        (64, bootstrap(&[server, "--certificate-authority=text", "--token-file=text"])),
        (64, bootstrap(&[server, "--certificate-authority=ca-key.pem", "--token-file=text"])),
        (64, bootstrap(&[server, "--certificate-authority=both.pem", "--token-file=text"])),
        (64, bootstrap(&[server, "--certificate-authority=nowhere.pem", "--token-file=text"])),
        (64, bootstrap(&[server, ca, "--token-file=."])),
        (64, bootstrap(&[server, ca, "--token-file=text", "--kubeconfig=bootstrap.kubeconfig", "--user=frodo"])),
        (64, bootstrap(&[server, ca, "--token-file=text", "--force"])),
        (64, bootstrap(&[server, ca, "--token-file=text", "kubelet"])),
        (1, bootstrap(&[server, ca, "--token-file=text", "--output=there"])),
        (1, bootstrap(&[server, ca, "--token-file=text", "--output=.", "--force"])),
        (1, bootstrap(&[server, ca, "--token-file=text", "--output=nowhere/out"])),
        (64, vec!["component"]),
        (64, vec!["component", "", "--ca-key=ca-key.pem"]),
        (64, vec!["component", "kubelet"]),
        (64, vec!["component", "kubelet", "--node=Gondor_1"]),
        (64, vec!["component", "kubelet", "--node="]),
        (64, vec!["component", "kubelet", &long]),
        (64, vec!["component", "kube-proxy", "--node=gondor-1"]),
        (64, vec!["component", "scheduler", "--group=hobbits"]),
        (64, vec!["component", "system:kube-dns"]),
        (64, vec!["component", "coredns", "--group=system:masters", "--allow-system"]),
        (64, vec!["component", "admin"]),
        (64, component(&[ca, "--ca-key=ca-key.pem", "--ttl=9m"])),
        (64, component(&[ca, "--ca-key=ca-key.pem", "--ttl=-1h"])),
        (64, component(&["--ca-key=ca-key.pem"])),
        (64, component(&[ca, "--ca-key=other-key.pem"])),
        (64, component(&[ca, "--ca-key=ca.pem"])),
        (64, component(&[ca, "--ca-key=encrypted.pem"])),
        (64, component(&[ca, "--ca-key=text"])),
        (64, component(&["--certificate-authority=ended.pem", "--ca-key=ended-key.pem"])),
        (64, component(&["--certificate-authority=leaf.pem", "--ca-key=leaf-key.pem"])),
        (64, component(&[ca, "--ca-key=ca-key.pem", "--token=x"])),
        (64, component(&[ca, "--ca-key=ca-key.pem", "--context=fellowship"])),
        (1, component(&[ca, "--ca-key=ca-key.pem", "--output=there"])),
        (1, component(&[ca])),
    ] {
        let said = place.kubefed(&[&["kubeconfig"], args.as_slice()].concat());
        assert!(said.out.is_empty() && !said.err.contains("s3cret"), "{}{}", said.out, said.err);
        all.push_str(&said.complaint(code).replace(&"x".repeat(53), "x..."));
    }
    insta::assert_snapshot!(all);
    assert_eq!(std::fs::read_to_string(place.path("there")).unwrap(), "s3cret");
    let huge = ["kubeconfig", "component", "kube-proxy", server, ca, "--ca-key=ca-key.pem", "--ttl=2540400h"];
    place.kubefed(&huge).fine();
}
