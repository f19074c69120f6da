//! The `rfc2136` provider before it is opened.

use std::sync::Arc;

use async_trait::async_trait;

use crate::deploy::mounted;
use crate::{Capabilities, Deployment, Error, Ini, PodNeeds, Provider, Settings};

use super::config::{Config, FILE_KEYS, KEYS};
use super::{CAPABILITIES, NAME, Rfc2136};

/// Registration of `rfc2136`.
#[derive(Debug)]
pub struct Driver;

#[async_trait]
impl crate::Driver for Driver {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "a DNS server that takes updates, as BIND does"
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn deploys(&self, wanted: &Deployment<'_>) -> Result<PodNeeds, Error> {
        let Some((path, text)) = wanted.config else {
            return Err(Error::Undeployable {
                message: "--dns-provider=rfc2136 needs --dns-provider-config".to_owned(),
                hint: "a file with the lines [Global], server = 10.0.0.53, zones = example.com. and tsig-key-file = federation.key"
                    .to_owned(),
            });
        };
        let config = Config::parse(path, text)?;
        wanted.published_in(path, &config.zones)?;
        let (text, files) = mounted(&Ini::parse(path, text, KEYS)?, text, &FILE_KEYS, wanted.pod.config_dir)?;
        let nameservers = Some(config.nameservers).filter(|list| !list.is_empty());
        Ok(PodNeeds { config: Some(text), files, nameservers, ..PodNeeds::default() })
    }

    async fn open(&self, settings: &Settings) -> Result<Arc<dyn Provider>, Error> {
        Ok(Arc::new(Rfc2136::new(Config::load(settings.config.as_deref())?, &settings.owner)))
    }
}
