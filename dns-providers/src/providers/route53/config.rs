//! Configuration of the `aws-route53` provider. v1 had none, and none is needed: everything has a default.

use std::path::{Path, PathBuf};

use crate::{Error, Ini};

use super::name::NAME;

/// The keys there are.
pub(super) const KEYS: &[&str] = &[
    "zone-type",
    "credentials-file",
    "profile",
    "role-arn",
    "external-id",
    "service-account-role-arn",
    "region",
    "endpoint",
    "requests-per-second",
];
/// The key that names a file, and what the file is called in a pod.
pub(super) const FILE_KEYS: [(&str, &str); 1] = [("credentials-file", "aws-credentials")];

/// Half of what an AWS account may ask of Route 53 for good, by the quotas of July 2026; before, it was all of it. Consoles,
/// Terraform and other controllers share the rest.
const REQUESTS_PER_SECOND: u32 = 5;
const MAX_REQUESTS_PER_SECOND: u32 = 1000;

/// What the configuration file says, checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Only zones of this kind are meant, where a zone is looked for by its name.
    pub visibility: Option<Visibility>,
    /// Shared credentials file to use instead of what is found around the process.
    pub credentials_file: Option<PathBuf>,
    /// Profile of that file, or of the usual ones.
    pub profile: Option<String>,
    /// Role to take with those credentials, in another account say.
    pub role: Option<Role>,
    /// Role that the pod's service account is given by its annotation (IRSA); only `kubefed init` uses it.
    pub service_account_role: Option<String>,
    /// Region of the token service, and of the partition.
    pub region: Option<String>,
    /// Another address than the region's own.
    pub endpoint: Option<String>,
    /// Most requests a second over a longer time.
    pub requests_per_second: u32,
}

/// A role to take.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// What its owner wants to hear.
    pub external_id: Option<String>,
}

/// Who may ask a zone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Visibility {
    /// Everybody.
    Public,
    /// The VPCs it is associated with.
    Private,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            visibility: None,
            credentials_file: None,
            profile: None,
            role: None,
            service_account_role: None,
            region: None,
            endpoint: None,
            requests_per_second: REQUESTS_PER_SECOND,
        }
    }
}

impl Config {
    /// Reads the file, if there is one.
    ///
    /// # Errors
    /// It cannot be read, or a line is wrong.
    pub fn load(path: Option<&Path>) -> Result<Self, Error> {
        path.map_or_else(|| Ok(Config::default()), |path| Self::from_ini(&Ini::read(path, KEYS)?))
    }

    /// As [`Config::load`], for text that is already here; `path` is named in errors, and relative paths begin at its
    /// directory.
    ///
    /// # Errors
    /// A line is wrong.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        Self::from_ini(&Ini::parse(path, text, KEYS)?)
    }

    fn from_ini(ini: &Ini) -> Result<Self, Error> {
        let text = |key| ini.get(key).map(|entry| entry.value.clone()).filter(|value| !value.is_empty());
        let directory = ini.path().parent().unwrap_or(Path::new(""));
        let taken = match (ini.parsed("role-arn", role)?, text("external-id")) {
            (Some(arn), external_id) => Some(Role { arn, external_id }),
            (None, None) => None,
            (None, Some(_)) => {
                let (message, hint) = ("external-id is given without role-arn", "name the role that asks for it");
                return Err(Error::Config { provider: NAME, message: message.to_owned(), hint: hint.to_owned() });
            }
        };
        Ok(Config {
            visibility: ini.parsed("zone-type", visibility)?,
            credentials_file: text("credentials-file").map(|file| directory.join(file)),
            profile: text("profile"),
            role: taken,
            service_account_role: ini.parsed("service-account-role-arn", role)?,
            region: text("region"),
            endpoint: ini.parsed("endpoint", endpoint)?,
            requests_per_second: ini.parsed("requests-per-second", rate)?.unwrap_or(REQUESTS_PER_SECOND),
        })
    }
}

fn visibility(text: &str) -> Result<Visibility, String> {
    match text {
        "public" => Ok(Visibility::Public),
        "private" => Ok(Visibility::Private),
        _ => Err(format!("\"{text}\" is neither public nor private")),
    }
}

fn role(text: &str) -> Result<String, String> {
    let (is_arn, example) = (text.starts_with("arn:aws") && text.contains(":role/"), "arn:aws:iam::123456789012:role/dns");
    if is_arn { Ok(text.to_owned()) } else { Err(format!("\"{text}\" is no role, for example {example}")) }
}

fn endpoint(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    if host.is_empty() || host.contains([' ', '?', '#']) {
        return Err(format!("\"{text}\" is no address, for example https://route53.amazonaws.com"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn rate(text: &str) -> Result<u32, String> {
    let rate = text.parse().ok().filter(|rate| (1..=MAX_REQUESTS_PER_SECOND).contains(rate));
    rate.ok_or_else(|| format!("\"{text}\" is no number from 1 to {MAX_REQUESTS_PER_SECOND}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, Error> {
        Config::parse(Path::new("dir/r.conf"), text)
    }

    #[test]
    fn nothing_is_required_and_everything_is_understood() {
        assert_eq!(parse("").unwrap(), Config::default());
        assert_eq!(Config::load(None).unwrap(), Config::default());
        let config = parse(
            "[Global]\nzone-type = private\ncredentials-file = keys\nprofile = dns\nrole-arn = arn:aws:iam::1:role/dns\nexternal-id = x\n\
             region = eu-central-1\nendpoint = http://127.0.0.1:5000/\nrequests-per-second = 2\n",
        )
        .unwrap();
        assert_eq!(config.visibility, Some(Visibility::Private));
        assert_eq!(config.credentials_file, Some("dir/keys".into()));
        assert_eq!(config.role, Some(Role { arn: "arn:aws:iam::1:role/dns".to_owned(), external_id: Some("x".to_owned()) }));
        assert_eq!((config.endpoint.as_deref(), config.requests_per_second), (Some("http://127.0.0.1:5000"), 2));
    }

    #[test]
    fn what_is_wrong_is_refused_with_a_hint() {
        for (text, want) in [
            ("[Global]\nzone-type = hidden", "dir/r.conf:2: zone-type: \"hidden\" is neither public nor private"),
            ("[Global]\nrole-arn = dns", "role-arn: \"dns\" is no role"),
            ("[Global]\nexternal-id = x", "external-id is given without role-arn"),
            ("[Global]\nservice-account-role-arn = x", "is no role"),
            ("[Global]\nendpoint = route53", "\"route53\" is no address"),
            ("[Global]\nrequests-per-second = 0", "\"0\" is no number from 1 to 1000"),
            ("[Global]\nsecret = x", "unknown key \"secret\""),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains(want), "{text:?}: {error}");
            assert!(error.is_configuration() && error.hint().is_some());
        }
    }
}
