//! The `rfc2136` provider before it is opened.

use std::sync::Arc;

use crate::deploy::mounted;
use crate::{Deployment, Error, Ini, PodNeeds, Provider, Settings};

use super::Rfc2136;
use super::config::{Config, FILE_KEYS, KEYS};

/// As [`crate::Driver::deploys`].
pub(in crate::providers) fn deploys(wanted: &Deployment<'_>) -> Result<PodNeeds, Error> {
    let Some((path, text)) = wanted.config else {
        return Err(Error::Undeployable {
            message: "--dns-provider=rfc2136 needs --dns-provider-config".to_owned(),
            hint: "a file with the lines [Global], server = 10.0.0.53, zones = example.com. and tsig-key-file = federation.key".to_owned(),
        });
    };
    let config = Config::parse(path, text)?;
    wanted.published_in(path, &config.zones)?;
    let (text, files) = mounted(&Ini::parse(path, text, KEYS)?, text, &FILE_KEYS, wanted.pod.config_dir)?;
    let nameservers = Some(config.nameservers).filter(|list| !list.is_empty());
    Ok(PodNeeds { config: Some(text), files, nameservers, ..PodNeeds::default() })
}

/// As [`crate::Driver::open`].
pub(in crate::providers) async fn open(settings: &Settings) -> Result<Arc<dyn Provider>, Error> {
    Ok(Arc::new(Rfc2136::new(Config::load(settings.config.as_deref())?, &settings.owner)))
}
