//! What is known of a token by its secret.

use federation_api::bootstrap;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use machinery::table::human_duration;
use serde_json::{Value, json};

/// Tokens that are read, at most; nobody has so many.
pub(super) const MOST: u32 = 5000;

/// What is told of a token: nothing secret.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) id: String,
    /// As written; it may be no time.
    pub(super) expires: Option<String>,
    pub(super) usages: Vec<String>,
    description: String,
    groups: Vec<String>,
}

impl Known {
    pub(super) fn of(secret: &Secret) -> Self {
        let texts = secret.data.iter().flatten().filter_map(|(key, bytes)| Some((key.as_str(), std::str::from_utf8(&bytes.0).ok()?)));
        let texts: std::collections::BTreeMap<&str, &str> = texts.collect();
        let text = |key: &str| texts.get(key).copied().unwrap_or_default().to_owned();
        let usages = texts.iter().filter(|(_, text)| **text == "true").filter_map(|(key, _)| key.strip_prefix(bootstrap::USAGE_PREFIX));
        Self {
            id: secret.name_any().trim_start_matches(bootstrap::SECRET_PREFIX).to_owned(),
            expires: texts.get(bootstrap::EXPIRATION).map(|text| (*text).to_owned()),
            usages: usages.map(str::to_owned).collect(),
            description: text(bootstrap::DESCRIPTION),
            groups: text(bootstrap::EXTRA_GROUPS).split(',').filter(|group| !group.is_empty()).map(str::to_owned).collect(),
        }
    }

    pub(super) fn object(&self) -> Value {
        let mut out = json!({"id": self.id, "usages": self.usages, "groups": self.groups});
        if let Some(expires) = &self.expires {
            out["expires"] = expires.as_str().into();
        }
        if !self.description.is_empty() {
            out["description"] = self.description.as_str().into();
        }
        out
    }

    pub(super) fn row(&self, now: Timestamp) -> Vec<String> {
        let none = |text: String| if text.is_empty() { "<none>".to_owned() } else { text };
        let left = |text: &String| text.parse::<Timestamp>().ok().map(|end| end.as_second() - now.as_second()).filter(|left| *left > 0);
        let (ttl, expires) = match &self.expires {
            None => ("<forever>".to_owned(), "<never>".to_owned()),
            Some(text) => {
                let ttl = left(text).map(human_duration);
                (ttl.unwrap_or_else(|| "<invalid>".to_owned()), text.clone())
            }
        };
        vec![self.id.clone(), ttl, expires, none(self.usages.join(",")), none(self.description.clone()), none(self.groups.join(","))]
    }
}
