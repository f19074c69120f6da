//! Whether what a context uses can be used: kubectl's checks, in kubectl's sentences. Entries nobody uses may be unfinished.

use super::{Cluster, Exec, User};
use crate::redact::without_secret;

/// What is wrong with a cluster entry.
pub(crate) fn cluster(name: &str, cluster: &Cluster) -> Vec<String> {
    let mut wrong = Vec::new();
    if cluster.server.is_empty() {
        wrong.push(if name.is_empty() {
            "default cluster has no server defined".to_owned()
        } else {
            format!("no server found for cluster \"{name}\"")
        });
    }
    if !cluster.proxy_url.is_empty()
        && let Err(why) = crate::connect::proxy_url(&cluster.proxy_url)
    {
        wrong.push(format!("invalid 'proxy-url' \"{}\" for cluster \"{name}\": {why}", without_secret(&cluster.proxy_url)));
    }
    if !cluster.certificate_authority.is_empty() {
        if !cluster.certificate_authority_data.is_empty() {
            wrong.push(format!(
                "certificate-authority-data and certificate-authority are both specified for {name}. certificate-authority-data will override."
            ));
        }
        readable("certificate-authority", &cluster.certificate_authority, name, &mut wrong);
    }
    if cluster.insecure_skip_tls_verify && !(cluster.certificate_authority.is_empty() && cluster.certificate_authority_data.is_empty()) {
        wrong.push("specifying a root certificates file with the insecure flag is not allowed".to_owned());
    }
    wrong
}

/// What is wrong with a user entry.
pub(crate) fn user(name: &str, user: &User) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut methods = Vec::new();
    if !user.token.is_empty() {
        methods.push("token");
    }
    if !user.username.is_empty() || !user.password.is_empty() {
        methods.push("basicAuth");
    }
    if !user.client_certificate.is_empty() || !user.client_certificate_data.is_empty() {
        both("client-cert", &user.client_certificate, &user.client_certificate_data, name, &mut wrong);
        both("client-key", &user.client_key, &user.client_key_data, name, &mut wrong);
        if user.client_key.is_empty() && user.client_key_data.is_empty() {
            wrong.push(format!("client-key-data or client-key must be specified for {name} to use the clientCert authentication method."));
        }
        if !user.client_certificate.is_empty() {
            readable("client-cert", &user.client_certificate, name, &mut wrong);
        }
        if !user.client_key.is_empty() {
            readable("client-key", &user.client_key, name, &mut wrong);
        }
    }
    if let Some(exec) = &user.exec {
        plugin(name, exec, user.auth_provider.is_some(), &mut wrong);
    }
    if methods.len() > 1 {
        wrong.push(format!("more than one authentication method found for {name}; found [{}], only one is allowed", methods.join(" ")));
    }
    if user.act_as.is_empty() && !(user.act_as_uid.is_empty() && user.act_as_groups.is_empty() && user.act_as_user_extra.is_empty()) {
        wrong.push(format!("requesting uid, groups or user-extra for {name} without impersonating a user"));
    }
    wrong
}

fn plugin(name: &str, exec: &Exec, provider: bool, wrong: &mut Vec<String>) {
    if provider {
        wrong.push(format!("authProvider cannot be provided in combination with an exec plugin for {name}"));
    }
    let needed = |what: &str| format!("{what} must be specified for {name} to use exec authentication plugin");
    if exec.command.is_empty() {
        wrong.push(needed("command"));
    }
    if exec.api_version.is_empty() {
        wrong.push(needed("apiVersion"));
    }
    if exec.env.iter().any(|(key, _)| key.is_empty()) {
        wrong.push(needed("env variable name"));
    }
    match exec.interactive_mode.as_str() {
        "" => wrong.push(needed("interactiveMode")),
        "Never" | "IfAvailable" | "Always" => {}
        other => wrong.push(format!("invalid interactiveMode for {name}: \"{other}\"")),
    }
}

fn both(what: &str, path: &str, data: &[u8], name: &str, wrong: &mut Vec<String>) {
    if !path.is_empty() && !data.is_empty() {
        wrong.push(format!("{what}-data and {what} are both specified for {name}. {what}-data will override."));
    }
}

fn readable(what: &str, path: &str, name: &str, wrong: &mut Vec<String>) {
    if let Err(e) = std::fs::File::open(path) {
        wrong.push(format!("unable to read {what} {path} for {name} due to {e}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_in_kubectls_sentences() {
        let c = Cluster {
            proxy_url: "ftp://x".into(),
            certificate_authority: "/nowhere/ca".into(),
            certificate_authority_data: b"x".to_vec(),
            ..Cluster::default()
        };
        let said = cluster("c", &c);
        assert_eq!(said[0], "no server found for cluster \"c\"");
        assert_eq!(
            said[1],
            "invalid 'proxy-url' \"ftp://x\" for cluster \"c\": unsupported scheme \"ftp\", must be http, https, or socks5"
        );
        assert_eq!(
            said[2],
            "certificate-authority-data and certificate-authority are both specified for c. certificate-authority-data will override."
        );
        assert!(said[3].starts_with("unable to read certificate-authority /nowhere/ca for c due to "));
        let u = User {
            token: "t".into(),
            username: "n".into(),
            act_as_uid: "1".into(),
            client_certificate_data: b"x".to_vec(),
            ..User::default()
        };
        assert_eq!(
            user("u", &u),
            [
                "client-key-data or client-key must be specified for u to use the clientCert authentication method.",
                "more than one authentication method found for u; found [token basicAuth], only one is allowed",
                "requesting uid, groups or user-extra for u without impersonating a user"
            ]
        );
        let exec = Exec { interactive_mode: "Foo".into(), ..Exec::default() };
        let u = User { exec: Some(exec), ..User::default() };
        assert_eq!(
            user("u", &u),
            [
                "command must be specified for u to use exec authentication plugin",
                "apiVersion must be specified for u to use exec authentication plugin",
                "invalid interactiveMode for u: \"Foo\""
            ]
        );
        assert_eq!(without_secret("http://me:pw@proxy:80"), "http://…@proxy:80");
    }
}
