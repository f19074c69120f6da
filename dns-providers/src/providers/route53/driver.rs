//! The `aws-route53` provider before it is opened.

use std::sync::Arc;

use crate::deploy::mounted;
use crate::{Deployment, Error, Ini, PodNeeds, Provider, Settings};

use super::Route53;
use super::config::{Config, FILE_KEYS, KEYS};

/// By this annotation of a service account EKS gives its pods a role.
const ROLE: &str = "eks.amazonaws.com/role-arn";

/// As [`crate::Driver::deploys`].
pub(in crate::providers) fn deploys(wanted: &Deployment<'_>) -> Result<PodNeeds, Error> {
    // As with v1, what is found in the pod is enough.
    let Some((path, text)) = wanted.config else { return Ok(PodNeeds::default()) };
    let config = Config::parse(path, text)?;
    let (text, files) = mounted(&Ini::parse(path, text, KEYS)?, text, &FILE_KEYS, wanted.pod.config_dir)?;
    let account_annotations = config.service_account_role.map(|role| (ROLE.to_owned(), role)).into_iter().collect();
    Ok(PodNeeds { config: Some(text), files, account_annotations, ..PodNeeds::default() })
}

/// As [`crate::Driver::open`].
pub(in crate::providers) async fn open(settings: &Settings) -> Result<Arc<dyn Provider>, Error> {
    Ok(Arc::new(Route53::new(Config::load(settings.config.as_deref())?, settings)))
}
