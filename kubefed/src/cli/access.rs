//! kubectl's flags that say how to reach the federation API server, over what the kubeconfig says.

use std::path::PathBuf;

use clap::{ArgAction, Args};
use federation_client::User;

use super::values::boolean;
use crate::error::Failure;

/// How to reach the federation API server; host and members are reached as the kubeconfig says.
#[derive(Args, Clone, Debug, Default)]
pub struct AccessArgs {
    /// Kubeconfig cluster entry for the federation API server
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub cluster: Option<String>,
    /// Kubeconfig user entry for the federation API server
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub user: Option<String>,
    /// URL of the federation API server
    #[arg(long, short = 's', global = true, value_name = "URL", hide_short_help = true)]
    pub server: Option<String>,
    /// Authority that signed the federation API server's certificate, a PEM file
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub certificate_authority: Option<PathBuf>,
    /// Take any certificate of the federation API server: whoever is in between can read and change everything
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean, action = ArgAction::Set, hide_short_help = true)]
    pub insecure_skip_tls_verify: Option<bool>,
    /// Bearer token for the federation API server
    #[arg(long, global = true, value_name = "TOKEN", hide_short_help = true)]
    pub token: Option<String>,
    /// User name for basic authentication to the federation API server
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub username: Option<String>,
    /// Password for basic authentication to the federation API server
    #[arg(long, global = true, value_name = "PASSWORD", hide_short_help = true)]
    pub password: Option<String>,
    /// Client certificate for the federation API server, a PEM file
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub client_certificate: Option<PathBuf>,
    /// Key of the client certificate, a PEM file
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub client_key: Option<PathBuf>,
}

impl AccessArgs {
    /// The credentials to use instead of the kubeconfig's, if any are given.
    ///
    /// # Errors
    /// Flags that do not go together, or go only together.
    pub fn credentials(&self) -> Result<Option<User>, Failure> {
        if self.insecure_skip_tls_verify == Some(true) && self.certificate_authority.is_some() {
            return Err(Failure::usage("--certificate-authority and --insecure-skip-tls-verify exclude each other")
                .hint("leave --insecure-skip-tls-verify out"));
        }
        let given = [
            ("--token", self.token.is_some()),
            ("--username", self.username.is_some() || self.password.is_some()),
            ("--client-certificate", self.client_certificate.is_some() || self.client_key.is_some()),
        ];
        let given: Vec<&str> = given.iter().filter(|(_, is)| *is).map(|(flag, _)| *flag).collect();
        if given.len() > 1 {
            let hint = "give one way to authenticate, or none to use the kubeconfig's";
            return Err(Failure::usage(format!("{} exclude each other", given.join(" and "))).hint(hint));
        }
        let pair = |one: &str, other: &str| {
            Failure::usage(format!("{one} and {other} are needed together"))
                .hint("give both, or neither to use the kubeconfig's credentials")
        };
        if self.username.is_some() != self.password.is_some() {
            return Err(pair("--username", "--password"));
        }
        if self.client_certificate.is_some() != self.client_key.is_some() {
            return Err(pair("--client-certificate", "--client-key"));
        }
        for (flag, file) in [
            ("--certificate-authority", &self.certificate_authority),
            ("--client-certificate", &self.client_certificate),
            ("--client-key", &self.client_key),
        ] {
            if let Some(file) = file {
                std::fs::File::open(file).map_err(|e| {
                    Failure::usage(format!("{flag}: cannot read {}: {e}", file.display())).hint("check the path and its permissions")
                })?;
            }
        }
        let text = |path: &Option<PathBuf>| path.as_ref().map(|p| p.display().to_string()).unwrap_or_default();
        Ok((!given.is_empty()).then(|| User {
            token: self.token.clone().unwrap_or_default(),
            username: self.username.clone().unwrap_or_default(),
            password: self.password.clone().unwrap_or_default(),
            client_certificate: text(&self.client_certificate),
            client_key: text(&self.client_key),
            ..User::default()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_do_not_go_together_are_told() {
        let some = |text: &str| Some(text.to_owned());
        let say = |args: AccessArgs| args.credentials().unwrap_err().message;
        assert_eq!(
            say(AccessArgs { token: some("t"), username: some("u"), ..AccessArgs::default() }),
            "--token and --username exclude each other"
        );
        assert_eq!(say(AccessArgs { username: some("u"), ..AccessArgs::default() }), "--username and --password are needed together");
        let file = Some("/nowhere/x.pem".into());
        assert!(
            say(AccessArgs { client_certificate: file.clone(), client_key: file.clone(), ..AccessArgs::default() })
                .starts_with("--client-certificate: cannot read /nowhere/x.pem: ")
        );
        assert!(
            say(AccessArgs { certificate_authority: file, insecure_skip_tls_verify: Some(true), ..AccessArgs::default() })
                .contains("exclude each other")
        );
        assert!(AccessArgs::default().credentials().unwrap().is_none());
    }
}
