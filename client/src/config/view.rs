//! What `kubectl config view` shows: files merged, cut down to one context, made to stand alone, without secrets.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::paths::base;
use crate::kubeconfig::{bytes, nearest};
use crate::redact::without_secret;
use crate::{Error, Files, Kubeconfig};

/// What stands for certificates and keys; it is base64 too.
const OMITTED: &str = "DATA+OMITTED";
/// What stands for other secrets.
const REDACTED: &str = "REDACTED";

/// How to show kubeconfigs.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// With secrets.
    pub raw: bool,
    /// With what files say in the place of their paths, and with secrets.
    pub flatten: bool,
    /// Only what the context uses.
    pub minify: bool,
    /// Whether all files count; if not, one has to be named, and to exist.
    pub merge: Option<bool>,
    /// The context, if not the current one.
    pub context: Option<String>,
}

/// The kubeconfigs as they are to be shown; paths are as they are written.
///
/// # Errors
/// Files that cannot be read or understood; no such context; files to embed that cannot be read.
pub fn view(files: &Files, how: &View) -> Result<Kubeconfig, Error> {
    let mut config = match how.merge {
        Some(false) if !files.is_explicit() => {
            return Err(missing("if merge==false a precise file must be specified", "name it with --kubeconfig"));
        }
        Some(false) => files.load_shown()?,
        _ => files.load_any_shown()?,
    };
    if how.minify {
        if let Some(context) = how.context.as_ref().filter(|name| !name.is_empty()) {
            config.current_context.clone_from(context);
        }
        minify(&mut config)?;
    }
    if how.flatten {
        flatten(&mut config)?;
    } else if !how.raw {
        redact(&mut config);
    }
    Ok(config)
}

fn missing(what: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::Missing { what: what.into(), hint: hint.into() }
}

/// Keeps only what the current context uses.
fn minify(config: &mut Kubeconfig) -> Result<(), Error> {
    let name = config.current_context.clone();
    if name.is_empty() {
        return Err(missing("current-context must exist in order to minify", "name one with --context"));
    }
    let Some(context) = config.contexts.get(&name).cloned() else {
        return Err(missing(format!("cannot locate context {name}"), format!("contexts there are: {}", config.context_names(&name))));
    };
    let gone = |kind: &str, wanted: &str, names: Vec<&str>| {
        let there = nearest(names.into_iter(), wanted);
        missing(format!("cannot locate {kind} {wanted}"), format!("context \"{name}\" names it; {kind}s there are: {there}"))
    };
    if !context.cluster.is_empty() && !config.clusters.contains_key(&context.cluster) {
        return Err(gone("cluster", &context.cluster, config.clusters.keys().map(String::as_str).collect()));
    }
    if !context.user.is_empty() && !config.users.contains_key(&context.user) {
        return Err(gone("user", &context.user, config.users.keys().map(String::as_str).collect()));
    }
    // An empty name is no name, also where an entry has it.
    config.clusters.retain(|cluster, _| *cluster == context.cluster && !cluster.is_empty());
    config.users.retain(|user, _| *user == context.user && !user.is_empty());
    config.contexts.retain(|context, _| *context == name);
    Ok(())
}

/// Puts what certificate and key files say in the place of their paths.
fn flatten(config: &mut Kubeconfig) -> Result<(), Error> {
    for (name, cluster) in &mut config.clusters {
        let at = Place { kind: "cluster", name, origin: cluster.origin.as_deref() };
        at.embed("certificate-authority", &mut cluster.certificate_authority, &mut cluster.certificate_authority_data)?;
    }
    for (name, user) in &mut config.users {
        let at = Place { kind: "user", name, origin: user.origin.as_deref() };
        at.embed("client-certificate", &mut user.client_certificate, &mut user.client_certificate_data)?;
        at.embed("client-key", &mut user.client_key, &mut user.client_key_data)?;
    }
    Ok(())
}

/// An entry whose files are read.
struct Place<'a> {
    kind: &'static str,
    name: &'a str,
    origin: Option<&'a Path>,
}

impl Place<'_> {
    fn embed(&self, field: &str, path: &mut String, data: &mut Vec<u8>) -> Result<(), Error> {
        let wrong = |what: String, hint: &str| Error::Entry {
            entry: format!("{} \"{}\"", self.kind, self.name),
            what: format!("{field}: {what}"),
            hint: hint.to_owned(),
        };
        if path.is_empty() {
            return Ok(());
        }
        if !data.is_empty() {
            return Err(wrong(
                "cannot have values for both path and contents".to_owned(),
                "take one of the two away: kubefed config unset",
            ));
        }
        let file = base(self.origin.unwrap_or(Path::new(""))).join(&*path);
        let read = bytes(&file).map_err(|e| {
            wrong(format!("{}: {e}", file.display()), "check the path and its permissions; --minify looks at one context's files only")
        })?;
        *data = read;
        path.clear();
        Ok(())
    }
}

/// Hides what is or may be secret: more than kubectl does, see docs/config.md.
fn redact(config: &mut Kubeconfig) {
    let data = |bytes: &mut Vec<u8>| {
        if !bytes.is_empty() {
            *bytes = STANDARD.decode(OMITTED).unwrap_or_default();
        }
    };
    let text = |text: &mut String| {
        if !text.is_empty() {
            REDACTED.clone_into(text);
        }
    };
    for cluster in config.clusters.values_mut() {
        data(&mut cluster.certificate_authority_data);
        for url in [&mut cluster.server, &mut cluster.proxy_url] {
            *url = without_secret(url);
        }
    }
    for user in config.users.values_mut() {
        data(&mut user.client_certificate_data);
        data(&mut user.client_key_data);
        text(&mut user.token);
        text(&mut user.password);
        if let Some(provider) = &mut user.auth_provider {
            provider.config.iter_mut().filter(|(key, _)| secret_setting(key)).for_each(|(_, value)| text(value));
        }
        if let Some(exec) = &mut user.exec {
            exec.env.iter_mut().for_each(|(_, value)| text(value));
        }
    }
}

/// Whether a setting of an authentication provider is, or may be, a secret: all but those known not to be.
fn secret_setting(key: &str) -> bool {
    const OPEN: [&str; 9] = [
        "idp-issuer-url",
        "client-id",
        "idp-certificate-authority",
        "extra-scopes",
        "apiserver-id",
        "tenant-id",
        "environment",
        "cmd-path",
        "expiry",
    ];
    !OPEN.contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Source;

    #[test]
    fn nothing_secret_is_left_and_what_is_open_stays() {
        let text = "clusters: [{name: c, cluster: {server: 'https://me:pw@c', proxy-url: 'http://me:pw@p:80', certificate-authority-data: aGk=}}]\n\
            users: [{name: u, user: {token: pw, password: pw, username: me, client-key-data: aGk=, auth-provider: {name: oidc, config: \
            {client-id: me, client-secret: pw, id-token: pw, refresh-token: pw, other: pw}}, exec: {command: x, args: [a], env: [{name: KEY, value: pw}]}}}]\n";
        let mut config = Kubeconfig::read(text.as_bytes(), Source::Shown(Path::new("config"))).unwrap();
        redact(&mut config);
        let shown = serde_json::to_string(&config).unwrap();
        assert!(!shown.contains("pw") && !shown.contains("aGk="), "{shown}");
        let user = &config.users["u"];
        assert_eq!(user.auth_provider.as_ref().unwrap().config["client-id"], "me");
        assert_eq!((user.username.as_str(), user.exec.as_ref().unwrap().args.as_slice()), ("me", &["a".to_owned()][..]));
        assert!(shown.contains("DATA+OMITTED") && shown.contains("https://…@c"), "{shown}");
    }
}
