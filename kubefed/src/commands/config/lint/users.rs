//! What is wrong with users.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use federation_client::config::{Config, List};
use federation_client::kubeconfig::bytes;
use federation_client::{Exec, User};

use super::contexts::is_used;
use super::files::readable;
use super::finding::{Findings, Severity, entry, unset, word};
use crate::expiry;

pub(super) fn look(config: &Config, findings: &mut Findings) {
    for (name, user) in &config.merged.users {
        let bad = if is_used(config, List::Users, name) { Severity::Error } else { Severity::Note };
        let mut look = Look { name, at: entry(List::Users, name), bad, findings };
        look.combinations(user);
        look.certificate(user);
        look.token(user);
        if let Some(exec) = &user.exec {
            look.plugin(exec);
        }
    }
}

struct Look<'a> {
    name: &'a str,
    at: String,
    /// How bad it is that something does not work.
    bad: Severity,
    findings: &'a mut Findings,
}

impl Look<'_> {
    fn add(&mut self, what: impl Into<String>, mend: String) {
        self.findings.add(self.bad, &self.at, what, mend);
    }

    fn set(&self, flags: &str) -> String {
        format!("kubefed config set-credentials {} {flags}", word(self.name))
    }

    fn unset(&self, field: &str) -> String {
        unset(List::Users, self.name, field)
    }

    fn combinations(&mut self, user: &User) {
        let password = !user.username.is_empty() || !user.password.is_empty();
        if !user.token.is_empty() && password {
            self.add("it has a token and a password, which exclude each other", self.unset("token"));
        }
        if user.act_as.is_empty() && !(user.act_as_uid.is_empty() && user.act_as_groups.is_empty() && user.act_as_user_extra.is_empty()) {
            let mend = format!("kubefed config set {} USER", word(&format!("users[\"{}\"].as", self.name)));
            self.add("it acts with a uid, groups or more, and as nobody", mend);
        }
        if let Some(provider) = &user.auth_provider {
            if user.exec.is_some() {
                self.add("it has an auth-provider and a credential plugin, which exclude each other", self.unset("auth-provider"));
            } else {
                let what = format!("its auth-provider {:?} is one that Kubernetes gave up", provider.name);
                self.findings.add(
                    Severity::Warning,
                    &self.at,
                    what,
                    self.set("--exec-command=PLUGIN --exec-api-version=client.authentication.k8s.io/v1"),
                );
            }
        }
    }

    /// What a field says, or the file it names; none where there is nothing, or nothing that can be read.
    fn contents(&mut self, field: &str, path: &str, data: &[u8], secret: bool) -> Option<Vec<u8>> {
        if path.is_empty() {
            return (!data.is_empty()).then(|| data.to_vec());
        }
        if !data.is_empty() {
            self.add(format!("it has {field} and {field}-data: kubectl refuses that"), self.unset(field));
        }
        if secret && std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0) {
            let at = format!("{}: {field} {path}", self.at);
            readable(&at, Path::new(path), self.findings);
        }
        match bytes(Path::new(path)) {
            Ok(contents) => Some(contents),
            Err(e) => {
                let mend =
                    if field == "tokenFile" { self.set("--token=TOKEN") } else { self.set(&format!("--{field}=FILE --embed-certs")) };
                self.add(format!("{field}: {path}: {e}"), mend);
                None
            }
        }
    }

    fn certificate(&mut self, user: &User) {
        let certificate = self.contents("client-certificate", &user.client_certificate, &user.client_certificate_data, false);
        let key = self.contents("client-key", &user.client_key, &user.client_key_data, true);
        let has_key = !(user.client_key.is_empty() && user.client_key_data.is_empty());
        let has_certificate = !(user.client_certificate.is_empty() && user.client_certificate_data.is_empty());
        let mend = self.set("--client-certificate=FILE --client-key=FILE --embed-certs");
        if has_certificate && !has_key {
            self.add("it has a client certificate and no key of it", mend.clone());
        }
        if has_key && !has_certificate {
            self.findings.add(Severity::Warning, &self.at, "it has a client key and no certificate: the key is of no use", mend.clone());
        }
        let Some(certificate) = certificate else { return };
        match expiry::certificates(&certificate) {
            Err(why) => self.add(format!("its client certificate cannot be used: {why}"), mend),
            Ok(periods) => {
                if let Some(period) = periods.first() {
                    self.findings.end(period.end, &self.at, "its client certificate", &mend);
                }
                if let Some(Err(why)) = key.map(|key| federation_client::connect::pair(&certificate, &key)) {
                    self.add(format!("its {why}"), mend);
                }
            }
        }
    }

    fn token(&mut self, user: &User) {
        let file = self.contents("tokenFile", &user.token_file, &[], true);
        if let Some(period) = file.and_then(|bytes| expiry::token(&String::from_utf8_lossy(&bytes))) {
            let mend = self.set("--token=TOKEN");
            self.findings.end(period.end, &self.at, "the token in its tokenFile", &mend);
        }
        if let Some(period) = expiry::token(&user.token).filter(|_| user.token_file.is_empty()) {
            let mend = self.set("--token=TOKEN");
            self.findings.end(period.end, &self.at, "its token", &mend);
        }
    }

    fn plugin(&mut self, exec: &Exec) {
        const VERSIONS: [&str; 2] = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];
        if exec.command.is_empty() {
            return self.add("its credential plugin has no command", self.set("--exec-command=COMMAND"));
        }
        if !VERSIONS.contains(&exec.api_version.as_str()) {
            let what = format!("its credential plugin speaks {:?}, which is none of the versions there are", exec.api_version);
            self.add(what, self.set(&format!("--exec-api-version={}", VERSIONS[0])));
        }
        if !["Never", "IfAvailable", "Always"].contains(&exec.interactive_mode.as_str()) {
            self.add("its credential plugin has no interactiveMode", self.set("--exec-interactive-mode=IfAvailable"));
        }
        if !is_program(&exec.command) {
            let hint = exec.install_hint.split_whitespace().collect::<Vec<_>>().join(" ");
            let mend = if hint.is_empty() { format!("install {}, or put its directory into PATH", exec.command) } else { hint };
            self.add(format!("its credential plugin {} is not there, or is no program", exec.command), mend);
        }
    }
}

/// Whether a command is a program, in `PATH` where it is a bare name.
fn is_program(command: &str) -> bool {
    let runs = |path: &Path| path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    if command.contains('/') {
        return runs(Path::new(command));
    }
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|directory| runs(&directory.join(command))))
}
