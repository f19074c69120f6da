//! Clusters: the members of the federation.

use federation_api::names;
use machinery::schema::metadata::{self, NameRule};
use machinery::status::FieldError;
use serde_json::Value;

use super::resource::Strategy;

/// Rules of clusters: a name that fits into DNS names and at least one address.
pub(super) struct Clusters;

impl Strategy for Clusters {
    fn validate(&self, new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
        const FIELD: &str = "spec.serverAddressByClientCIDRs";
        let addresses = new["spec"]["serverAddressByClientCIDRs"].as_array().map(Vec::as_slice).unwrap_or_default();
        if addresses.is_empty() {
            return vec![FieldError::required(FIELD, "at least one address of the cluster's API server is needed")];
        }
        let missing = |(i, a): (usize, &Value)| {
            let empty = a["serverAddress"].as_str().is_none_or(str::is_empty);
            empty.then(|| FieldError::required(format!("{FIELD}[{i}].serverAddress"), ""))
        };
        let mut errors: Vec<FieldError> = addresses.iter().enumerate().filter_map(missing).collect();
        if let Some(secret) = new["spec"]["secretRef"]["name"].as_str()
            && let Err(e) = names::secret_name(secret)
        {
            errors.push(FieldError::invalid("spec.secretRef.name", secret, e.rule));
        }
        errors
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn name_rule(&self) -> Option<NameRule> {
        Some(metadata::dns1035_label)
    }
}
