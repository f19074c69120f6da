//! Bootstrap tokens: each is a secret of `kube-system`, looked up among those that are served. The rules are
//! kube-apiserver's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use daemon::logs::Sparing;
use federation_api::bootstrap::{self, Token};
use jiff::Timestamp;
use serde_json::Value;
use subtle::ConstantTimeEq as _;

use crate::auth::UserInfo;
use crate::registry::Entry;

/// Why a token is refused that has a secret of its id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
enum Refused {
    #[error("its secret is of another type than {}", bootstrap::SECRET_TYPE)]
    Type,
    #[error("its secret part is another")]
    Secret,
    #[error("its secret is of another id")]
    Id,
    #[error("it has expired")]
    Expired,
    #[error("it may not be used to authenticate")]
    Usage,
    #[error("it gives a group that bootstrap tokens cannot give")]
    Group,
}

/// The secrets that tokens are kept in.
pub(super) struct BootstrapTokens(pub(super) Arc<Entry>);

impl fmt::Debug for BootstrapTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BootstrapTokens")
    }
}

impl BootstrapTokens {
    /// Whom a bearer token stands for.
    pub(super) fn by_token(&self, text: &str, now: Timestamp) -> Option<UserInfo> {
        let token: Token = text.parse().ok()?;
        let stored = self.0.store().cached(Some(bootstrap::NAMESPACE), &bootstrap::secret_name(token.id())).ok()??;
        if stored.head.deleting() {
            return None;
        }
        match user(&stored.readable("secrets")?, &token, now) {
            Ok(user) => Some(user),
            Err(why) => {
                // Told now and then, for strangers can cause it as often as they like.
                static SAID: Sparing = Sparing::new(Duration::from_secs(10));
                if let Some(others) = SAID.now() {
                    tracing::info!(others, id = token.id(), "bootstrap token refused: {why}");
                }
                None
            }
        }
    }
}

/// Whom a token stands for, by the secret of its id. Pure.
fn user(secret: &Value, token: &Token, now: Timestamp) -> Result<UserInfo, Refused> {
    if secret["type"] != bootstrap::SECRET_TYPE {
        return Err(Refused::Type);
    }
    if !bool::from(data(secret, bootstrap::SECRET).as_bytes().ct_eq(token.secret().as_bytes())) {
        return Err(Refused::Secret);
    }
    if data(secret, bootstrap::ID) != token.id() {
        return Err(Refused::Id);
    }
    if expired(secret, now) {
        return Err(Refused::Expired);
    }
    if data(secret, &format!("{}{}", bootstrap::USAGE_PREFIX, bootstrap::AUTHENTICATION)) != "true" {
        return Err(Refused::Usage);
    }
    let mut groups = vec![bootstrap::GROUP.to_owned()];
    let extra = data(secret, bootstrap::EXTRA_GROUPS);
    for group in extra.split(',').filter(|_| !extra.is_empty()) {
        bootstrap::group(group).map_err(|_| Refused::Group)?;
        groups.push(group.to_owned());
    }
    groups.sort();
    groups.dedup();
    Ok(UserInfo { name: format!("{}{}", bootstrap::USER_PREFIX, token.id()), uid: String::new(), groups })
}

/// Whether the token of a secret is worth nothing any more. A time that cannot be read has passed.
pub(crate) fn expired(secret: &Value, now: Timestamp) -> bool {
    let text = data(secret, bootstrap::EXPIRATION);
    !text.is_empty() && text.parse::<Timestamp>().map_or(true, |at| at <= now)
}

/// A text in a secret; empty when there is none. What is no text is one that nothing accepts.
fn data(secret: &Value, key: &str) -> String {
    let decoded = STANDARD.decode(secret["data"][key].as_str().unwrap_or_default());
    decoded.map_or_else(|_| char::REPLACEMENT_CHARACTER.to_string(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-26T12:00:00Z".parse().unwrap()
    }

    fn secret(changes: &[(&str, &str)]) -> Value {
        let mut data = json!({});
        let good = [
            ("token-id", "abcdef"),
            ("token-secret", "0123456789abcdef"),
            ("usage-bootstrap-authentication", "true"),
            ("expiration", "2026-11-26T12:00:01Z"),
            ("auth-extra-groups", "system:bootstrappers:riders,system:bootstrappers:archers"),
        ];
        for (key, value) in good.iter().chain(changes) {
            data[key] = STANDARD.encode(value).into();
        }
        json!({"type": "bootstrap.kubernetes.io/token", "data": data})
    }

    fn ask(secret: &Value) -> Result<UserInfo, Refused> {
        user(secret, &"abcdef.0123456789abcdef".parse().unwrap(), now())
    }

    #[test]
    fn issue10_a_bootstrap_token_stands_for_its_user_and_groups() {
        let groups = ["system:bootstrappers", "system:bootstrappers:archers", "system:bootstrappers:riders"].map(String::from).to_vec();
        let user = UserInfo { name: "system:bootstrap:abcdef".into(), uid: String::new(), groups };
        assert_eq!(ask(&secret(&[])), Ok(user.clone()));
        assert_eq!(ask(&secret(&[("expiration", "")])), Ok(user));
        assert_eq!(ask(&secret(&[("auth-extra-groups", "")])).unwrap().groups, ["system:bootstrappers"]);
    }

    #[test]
    fn issue10_everything_of_a_bootstrap_token_has_to_be_right() {
        let mut other = secret(&[]);
        other["type"] = "Opaque".into();
        assert_eq!(ask(&other), Err(Refused::Type));
        for (key, value, why) in [
            ("token-secret", "0123456789abcdeg", Refused::Secret),
            ("token-secret", "", Refused::Secret),
            ("token-id", "abcdeg", Refused::Id),
            ("expiration", "2026-11-26T12:00:00Z", Refused::Expired),
            ("expiration", "tomorrow", Refused::Expired),
            ("usage-bootstrap-authentication", "True", Refused::Usage),
            ("usage-bootstrap-authentication", "", Refused::Usage),
            ("auth-extra-groups", "system:bootstrappers:riders,system:masters", Refused::Group),
            ("auth-extra-groups", "system:bootstrappers:riders, system:bootstrappers:archers", Refused::Group),
            ("auth-extra-groups", "system:bootstrappers:riders,", Refused::Group),
        ] {
            assert_eq!(ask(&secret(&[(key, value)])), Err(why), "{key} {value:?}");
        }
    }

    #[test]
    fn a_time_that_is_no_text_has_passed() {
        for bad in [STANDARD.encode([0xff]), "no base64".to_owned()] {
            assert!(expired(&json!({"data": {"expiration": bad}}), now()), "{bad}");
        }
        assert!(!expired(&json!({"data": {}}), now()));
    }
}
