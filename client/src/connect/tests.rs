use std::path::Path;

use super::*;
use crate::kubeconfig::{Files, Source};

fn config(text: &str) -> Kubeconfig {
    Kubeconfig::read(text.as_bytes(), Source::File(Path::new("config"))).unwrap()
}

fn plain() -> Kubeconfig {
    config(
        "clusters: [{name: c, cluster: {server: 'https://gondor:6443', certificate-authority-data: aGk=}}, {name: empty, cluster: {}}]\n\
         users: [{name: u, user: {token: t}}, {name: w, user: {client-certificate-data: aGk=, client-key-data: aGk=, token: t}}]\n\
         contexts: [{name: gondor, context: {cluster: c, user: u}}, {name: torn, context: {cluster: none, user: u}}, \
         {name: hollow, context: {cluster: empty, user: u}}, {name: nobody, context: {cluster: c, user: ghost}}, \
         {name: anonymous, context: {cluster: c}}]\n",
    )
}

fn resolve(config: &Kubeconfig, target: &Target) -> Result<Access, program::failure::Failure> {
    Access::resolve(config, target, &Environment::default()).map_err(Into::into)
}

fn said(text: &str) -> String {
    resolve(&config(text), &Target::context(Some("k"))).err().unwrap().message
}

/// One context `k` of these entries.
fn one(cluster: &str, user: &str) -> String {
    format!(
        "clusters: [{{name: k, cluster: {{{cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n\
         contexts: [{{name: k, context: {{cluster: k, user: u}}}}]\n"
    )
}

#[test]
fn a_context_is_resolved() {
    let a = resolve(&plain(), &Target::context(Some("gondor"))).unwrap();
    assert_eq!((a.server.to_string().as_str(), a.authorities.as_deref()), ("https://gondor:6443/", Some(b"hi".as_slice())));
    assert!(matches!(a.login, Login::Token(t) if t == "t"));
    assert!(matches!(resolve(&plain(), &Target::context(Some("anonymous"))).unwrap().login, Login::None));
}

#[test]
fn flags_count_more_than_the_entries_of_the_context_and_touch_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, "other").unwrap();
    let target = Target {
        authority: Some(ca),
        credentials: Some(User { username: "frodo".into(), ..User::default() }),
        impersonate: Some("sam".into()),
        ..Target::context(Some("gondor"))
    };
    let a = resolve(&plain(), &target).unwrap();
    assert_eq!(a.authorities.as_deref(), Some(b"other".as_slice()));
    assert!(matches!(&a.login, Login::Basic(name, _) if name == "frodo"));
    assert_eq!(a.impersonate.user, "sam");
    let insecure = resolve(&plain(), &Target { insecure: true, ..Target::context(Some("gondor")) }).unwrap();
    assert!(insecure.insecure && insecure.authorities.is_none());
    let server = Target { server: Some("gondor:1".into()), ..Target::context(Some("gondor")) };
    assert_eq!(resolve(&plain(), &server).err().unwrap().message, "--server: server \"gondor:1\" has no scheme");
}

#[test]
fn what_is_missing_is_said_in_v1s_words() {
    let say = |context: Option<&str>| resolve(&plain(), &Target::context(context)).err().unwrap();
    assert_eq!(say(Some("mordor")).message, "context \"mordor\" does not exist");
    assert_eq!(say(Some("mordor")).hint.as_deref(), Some("contexts there are: anonymous, gondor, hollow, nobody, torn"));
    assert_eq!(say(Some("torn")).message, "cluster endpoint not found for \"none\"");
    assert_eq!(say(Some("hollow")).message, "cluster endpoint not found for \"empty\"");
    assert_eq!(say(Some("nobody")).message, "user \"ghost\" does not exist");
    assert!(say(None).message.contains("no current-context"));
}

#[test]
fn issue7_case_01_a_server_without_a_scheme_names_its_entry() {
    assert_eq!(
        said(&one("server: 'gondor:6443', certificate-authority-data: aGk=", "token: t")),
        "cluster \"k\" of kubeconfig config: server \"gondor:6443\" has no scheme"
    );
    assert!(said(&one("server: 'ftp://gondor'", "")).starts_with("cluster \"k\" of kubeconfig config: server \"ftp://gondor\" has scheme"));
    let a = resolve(&config(&one("server: 'gondor:8080'", "")), &Target::context(Some("k"))).unwrap();
    assert_eq!(a.server, "http://gondor:8080/");
}

#[test]
fn d8_nobody_says_who_they_are_over_http() {
    let text = one(
        "server: 'http://gondor', certificate-authority-data: aGk=",
        "token: t, client-certificate-data: aGk=, client-key-data: aGk=, as: sam",
    );
    let a = resolve(&config(&text), &Target::context(Some("k"))).unwrap();
    assert!(matches!(a.login, Login::None) && a.identity.is_none() && a.authorities.is_none());
    assert_eq!(a.impersonate.user, "sam");
    let a = resolve(&config(&one("server: 'http://me:pw@gondor'", "")), &Target::context(Some("k"))).unwrap();
    assert!(matches!(a.login, Login::None));
    assert_eq!(a.server, "http://gondor/");
    let asked = Target { in_clear: true, ..Target::context(Some("k")) };
    assert!(matches!(resolve(&config(&text), &asked).unwrap().login, Login::Token(_)), "in so many words");
}

#[test]
fn which_credential_counts_is_as_in_client_go() {
    let login =
        |user: &str| resolve(&config(&one("server: 'https://gondor'", user)), &Target::context(Some("k"))).map(|a| (a.login, a.identity));
    let exec = "exec: {command: x, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never}";
    assert!(matches!(login("tokenFile: /dev/null, token: t").unwrap().0, Login::TokenFile(_, Some(t)) if t == "t"));
    assert!(matches!(login("tokenFile: /nowhere, token: t").unwrap().0, Login::TokenFile(_, Some(_))));
    assert!(login("tokenFile: /nowhere/t").err().unwrap().message.contains("tokenFile: open /nowhere/t: "));
    assert!(matches!(login(&format!("token: t, {exec}")).unwrap().0, Login::Token(_)));
    assert!(matches!(login(exec).unwrap().0, Login::Exec(_)));
    let (login_, identity) = login(&format!("client-certificate-data: aGk=, client-key-data: aGk=, {exec}")).unwrap();
    assert!(matches!(login_, Login::None) && identity.is_some());
    let (login_, identity) = login("client-certificate-data: aGk=, client-key-data: aGk=, token: t").unwrap();
    assert!(matches!(login_, Login::Token(_)) && identity.is_some(), "both are sent");
    assert!(
        said(&one("server: 'https://gondor'", "username: u, token: t"))
            .contains("more than one authentication method found for u; found [token basicAuth]")
    );
    assert!(said(&one("server: 'https://gondor'", "auth-provider: {name: gcp}")).contains("the gcp auth plugin has been removed"));
    assert!(
        said(&one("server: 'https://gondor'", "auth-provider: {name: oidc, config: {id-token: s3cret}}"))
            .contains("auth-provider \"oidc\" is not supported")
    );
    assert!(
        said(&one("server: 'https://gondor'", "exec: {command: x, apiVersion: client.authentication.k8s.io/v1alpha1}"))
            .contains("plugin: invalid apiVersion")
    );
}

#[test]
fn issue7_case_09_an_empty_text_is_absent() {
    let login = |user: &str| resolve(&config(&one("server: 'https://gondor'", user)), &Target::context(Some("k"))).unwrap().login;
    let exec = "exec: {command: /x, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never}";
    assert!(matches!(login(&format!("token: '', {exec}")), Login::Exec(_)));
    assert!(matches!(login("token: '', tokenFile: /dev/null"), Login::TokenFile(_, None)));
    assert!(matches!(login("tokenFile: '', client-certificate: '', client-key: '', token: t"), Login::Token(_)));
    assert!(matches!(login("username: '', password: '', token: t"), Login::Token(_)));
}

#[test]
fn issue7_case_10_an_empty_authority_is_absent() {
    for authority in
        ["certificate-authority-data: ''", "certificate-authority: ''", "certificate-authority-data: '', insecure-skip-tls-verify: true"]
    {
        let a = resolve(&config(&one(&format!("server: 'https://gondor', {authority}"), "token: t")), &Target::context(Some("k"))).unwrap();
        assert_eq!(a.authorities, None, "{authority}");
    }
    assert!(
        said(&one("server: 'https://gondor', certificate-authority-data: aGk=, insecure-skip-tls-verify: true", ""))
            .contains("insecure flag is not allowed")
    );
}

#[test]
fn issue7_case_02_only_what_is_used_matters() {
    let text = "clusters: [{name: k, cluster: {server: 'https://gondor'}}, {name: draft, cluster: null}, {name: bad, cluster: {proxy-url: 'ftp://x'}}]\n\
        users: [{name: u, user: {token: t}}, {name: draft}, {name: old, user: {auth-provider: {name: gcp, config: null}}}, \
        {name: plugin, user: {exec: {args: null, env: null, provideClusterInfo: null}}}]\n\
        contexts: [{name: k, context: {cluster: k, user: u}}, {name: d, context: {}}, {name: e}, {context: {user: u}}, null]\n";
    // Two without a name are one name twice, which kubectl does not read either.
    let one_nameless = text.replace(", null]", "]");
    assert!(resolve(&config(&one_nameless), &Target::context(Some("k"))).is_ok());
    assert!(Kubeconfig::read(text.as_bytes(), Source::File(Path::new("config"))).is_err());
}

#[test]
fn issue7_case_14_name_and_insecurity_are_taken_over() {
    let a = resolve(&config(&one("server: 'https://127.0.0.2', tls-server-name: 127.0.0.1", "")), &Target::context(Some("k"))).unwrap();
    assert_eq!(a.tls_server_name.as_deref(), Some("127.0.0.1"));
    assert!(
        resolve(&config(&one("server: 'https://127.0.0.2', insecure-skip-tls-verify: true", "")), &Target::context(Some("k")))
            .unwrap()
            .insecure
    );
}

#[test]
fn issue7_case_03_an_entrys_proxy_counts_more_than_the_environment_and_only_for_it() {
    let environment = Environment { https_proxy: "http://env:1".into(), no_proxy: "gondor".into(), ..Environment::default() };
    let route = |cluster: &str| {
        let access = Access::resolve(&config(&one(cluster, "")), &Target::context(Some("k")), &environment).unwrap();
        access.route.map(|p| p.uri.to_string())
    };
    assert_eq!(route("server: 'https://gondor', proxy-url: 'socks5://mine:2'").as_deref(), Some("socks5://mine:2/"));
    assert_eq!(route("server: 'https://gondor'"), None);
    assert_eq!(route("server: 'https://rohan'").as_deref(), Some("http://env:1/"));
    assert!(said(&one("server: 'https://gondor', proxy-url: 'ftp://x'", "")).contains("invalid 'proxy-url' \"ftp://x\" for cluster \"k\""));
}

#[test]
fn issue7_case_24_a_secret_holds_all_data_itself() {
    let at = |text: &str| {
        let config = Kubeconfig::read(text.as_bytes(), Source::Secret("secret a/b")).unwrap();
        resolve(&config, &Target::context(Some("k"))).map_err(|f| f.message)
    };
    for (user, field) in [
        ("exec: {command: /bin/sh, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never}", "exec"),
        ("tokenFile: /etc/hostname", "tokenFile"),
        ("client-certificate: /x", "client-certificate"),
        ("client-key: x", "client-key"),
        ("auth-provider: {name: gcp}", "auth-provider"),
    ] {
        let said = at(&one("server: 'https://gondor'", user)).err().unwrap();
        assert_eq!(said, format!("user \"u\": {field} is not allowed here"));
    }
    let said = at(&one("server: 'https://gondor', certificate-authority: /x", "")).err().unwrap();
    assert_eq!(said, "cluster \"k\": certificate-authority is not allowed here");
    assert!(at(&one("server: 'https://gondor', certificate-authority-data: aGk=", "token: t")).is_ok());
}

#[test]
fn files_of_other_entries_are_not_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    let text = "clusters: [{name: k, cluster: {server: 'https://gondor'}}, {name: l, cluster: {server: 'https://x', certificate-authority: gone}}]\n\
        contexts: [{name: k, context: {cluster: k}}, {name: l, context: {cluster: l}}]\n";
    std::fs::write(&file, text).unwrap();
    let config = Files::from(Some(&file), None, None).load().unwrap();
    assert!(resolve(&config, &Target::context(Some("k"))).is_ok());
    let message = resolve(&config, &Target::context(Some("l"))).err().unwrap().message;
    assert!(
        message.starts_with(&format!("invalid configuration: unable to read certificate-authority {}", dir.path().join("gone").display())),
        "{message}"
    );
}
