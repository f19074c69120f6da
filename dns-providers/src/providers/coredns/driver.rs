//! The `coredns` provider before it is opened.

use std::sync::Arc;

use crate::deploy::mounted;
use crate::{Deployment, Error, Ini, PodNeeds, Provider, Settings};

use super::CoreDns;
use super::config::{Config, KEYS};

/// Keys of the configuration that name files, and what these are called in the pod.
const FILE_KEYS: [(&str, &str); 3] =
    [("etcd-ca-file", "etcd-ca.crt"), ("etcd-cert-file", "etcd-client.crt"), ("etcd-key-file", "etcd-client.key")];

/// As [`crate::Driver::deploys`].
pub(in crate::providers) fn deploys(wanted: &Deployment<'_>) -> Result<PodNeeds, Error> {
    let Some((path, text)) = wanted.config else {
        return Err(Error::Undeployable {
            message: "--dns-provider=coredns needs --dns-provider-config".to_owned(),
            hint: "a file with the lines [Global], etcd-endpoints = http://etcd.dns:2379 and zones = example.com.".to_owned(),
        });
    };
    let config = Config::parse(path, text)?;
    wanted.published_in(path, &config.zones)?;
    let (text, files) = mounted(&Ini::parse(path, text, KEYS)?, text, &FILE_KEYS, wanted.pod.config_dir)?;
    Ok(PodNeeds { config: Some(text), files, nameservers: Some(config.nameservers), ..PodNeeds::default() })
}

/// As [`crate::Driver::open`].
pub(in crate::providers) async fn open(settings: &Settings) -> Result<Arc<dyn Provider>, Error> {
    Ok(Arc::new(CoreDns::connect(Config::load(settings.config.as_deref())?, &settings.owner).await?))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const DIR: &str = "/etc/federation/dns-provider";

    fn mounted(path: &Path, text: &str) -> Result<(String, Vec<crate::File>), Error> {
        super::mounted(&Ini::parse(path, text, KEYS)?, text, &FILE_KEYS, DIR)
    }

    #[test]
    fn named_files_are_read_and_named_as_mounted() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), "authority").unwrap();
        std::fs::write(dir.path().join("me.pem"), "certificate").unwrap();
        std::fs::write(dir.path().join("me.key"), "key").unwrap();
        let conf = dir.path().join("coredns.conf");
        let absolute = dir.path().join("me.pem");
        let text = format!(
            "# ours\n[Global]\netcd-endpoints = https://a:1\n  ETCD-CA-FILE=\"ca.pem\" ; theirs\nzones = example.com.\netcd-cert-file = {}\netcd-key-file = me.key",
            absolute.display()
        );
        let (text, files) = mounted(&conf, &text).unwrap();
        assert_eq!(
            text,
            "# ours\n[Global]\netcd-endpoints = https://a:1\netcd-ca-file = /etc/federation/dns-provider/etcd-ca.crt\nzones = example.com.\n\
             etcd-cert-file = /etc/federation/dns-provider/etcd-client.crt\netcd-key-file = /etc/federation/dns-provider/etcd-client.key\n"
        );
        let read: Vec<&str> = files.iter().map(|f| f.content.as_str()).collect();
        assert_eq!(read, ["authority", "certificate", "key"]);
        assert!(!format!("{files:?}").contains("authority"), "content stays out of debug output");
        Config::parse(&conf, &text).expect("the mounted text is a configuration still");
    }

    #[test]
    fn a_text_without_files_stays_as_it_is() {
        let text = "[Global]\r\nzones = example.com.\netcd-endpoints = a:1";
        assert_eq!(mounted(Path::new("c.conf"), text).unwrap(), (text.to_owned(), Vec::new()));
    }
}
