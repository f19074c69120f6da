//! What a provider needs where it runs: asked before anything is deployed, so that `kubefed init` knows no provider by
//! name.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::{DnsName, Error, Ini};

/// A pod that a provider is to run in.
#[derive(Clone, Copy, Debug)]
pub struct Pod<'a> {
    /// Directory in which the configuration and the files it names will stand, readable only.
    pub config_dir: &'a str,
    /// Directory for state, there only if [`PodNeeds::state`] asks for it. It outlives the container, not the pod.
    pub state_dir: &'a str,
    /// Port to which port 53 of a Service leads, by UDP and TCP, if [`PodNeeds::answers`] asks for it.
    pub dns_port: u16,
}

/// What a person asked for, before it is deployed.
#[derive(Clone, Copy, Debug)]
pub struct Deployment<'a> {
    /// The zone to publish in, as it was written.
    pub zone: &'a str,
    /// The configuration file, if one was named: where it is on this machine, and its text.
    pub config: Option<(&'a Path, &'a str)>,
    /// Where it is to run.
    pub pod: Pod<'a>,
}

impl Deployment<'_> {
    /// The zone, where it is a domain.
    pub fn zone_name(&self) -> Option<DnsName> {
        DnsName::parse(self.zone).ok()
    }

    /// Checks that a configuration's zones have the one to publish in: the controller manager would find it out only in
    /// its pod.
    ///
    /// # Errors
    /// [`Error::Undeployable`], with the zones there are.
    pub fn published_in(&self, config: &Path, zones: &[DnsName]) -> Result<(), Error> {
        if self.zone_name().is_some_and(|zone| zones.contains(&zone)) {
            return Ok(());
        }
        let (zone, listed) = (self.zone, zones.iter().map(DnsName::as_str).collect::<Vec<_>>().join(", "));
        Err(Error::Undeployable {
            message: format!("{}: zones has {listed} and not the zone of --dns-zone-name, {zone}", config.display()),
            hint: format!("add {zone} to zones, or publish in one of them with --dns-zone-name"),
        })
    }
}

/// What the pod of the controller manager must have for a provider.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PodNeeds {
    /// Text of the configuration file as it is mounted, naming other files by their paths in the pod; none where the
    /// provider needs no configuration.
    pub config: Option<String>,
    /// Files mounted beside the configuration.
    pub files: Vec<File>,
    /// Environment, by name. Values are seen by whoever may read the Deployment: secrets belong into `files`, and a
    /// variable says where they are.
    pub env: BTreeMap<String, String>,
    /// Annotations of the service account the pod runs as: how a cloud knows which rights it has there.
    pub account_annotations: BTreeMap<String, String>,
    /// It answers DNS queries at [`Pod::dns_port`]: the port is opened, and a Service leads to it.
    pub answers: bool,
    /// It writes to [`Pod::state_dir`].
    pub state: bool,
    /// Name servers that the DNS of members forwards the zone to; none where the zone is found from the root.
    pub nameservers: Option<Vec<String>>,
}

/// A file of this machine that a pod reads: a key of a secret, mounted under the same name. Its content may be a private
/// key, so debug output has only its name.
#[derive(Clone, Eq, PartialEq)]
pub struct File {
    /// Key in the secret and file name in the pod.
    pub name: &'static str,
    /// What is in it.
    pub content: String,
}

impl File {
    /// Reads a file that a line of a configuration names; a relative path begins at the configuration's own directory.
    ///
    /// # Errors
    /// [`Error::Undeployable`], naming the line.
    pub fn named_by(config: &Path, entry: &crate::Entry, name: &'static str) -> Result<Self, Error> {
        let path: PathBuf = config.parent().unwrap_or(Path::new("")).join(&entry.value);
        let content = std::fs::read_to_string(&path).map_err(|e| Error::Undeployable {
            message: format!("{}:{}: {}: cannot read {}: {e}", config.display(), entry.line, entry.key, path.display()),
            hint: "name a readable file; a relative path begins at the configuration's own directory".to_owned(),
        })?;
        Ok(File { name, content })
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Reads the files that keys of a configuration name, each with its name in the pod, and makes the text name them in
/// `dir`.
///
/// # Errors
/// As [`File::named_by`].
pub(crate) fn mounted(ini: &Ini, text: &str, keys: &[(&str, &'static str)], dir: &str) -> Result<(String, Vec<File>), Error> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut files = Vec::new();
    for (key, name) in keys {
        let Some(entry) = ini.get(key).filter(|entry| !entry.value.is_empty()) else { continue };
        files.push(File::named_by(ini.path(), entry, name)?);
        lines[entry.line - 1] = format!("{key} = {dir}/{name}");
    }
    if files.is_empty() {
        return Ok((text.to_owned(), files));
    }
    Ok((lines.join("\n") + "\n", files))
}
