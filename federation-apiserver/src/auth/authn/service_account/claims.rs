//! What a token says, and whether it still holds. Pure.

use serde::{Deserialize, Serialize};

/// How far clocks may be apart, in seconds.
pub(super) const LEEWAY: i64 = 60;

/// The claims of a token (RFC 7519), and Kubernetes' own.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Claims {
    pub(super) aud: Audiences,
    /// This and the next two in seconds since the epoch.
    pub(super) exp: i64,
    pub(super) iat: i64,
    pub(super) nbf: i64,
    pub(super) iss: String,
    pub(super) jti: String,
    pub(super) sub: String,
    #[serde(rename = "kubernetes.io")]
    pub(super) bound: Bound,
}

/// One audience, or several.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum Audiences {
    One(String),
    Several(Vec<String>),
}

/// What a token is bound to: it holds while these are there.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Bound {
    pub(super) namespace: String,
    pub(super) serviceaccount: Reference,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pod: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) node: Option<Reference>,
}

/// One particular object.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Reference {
    pub(super) name: String,
    pub(super) uid: String,
}

/// Why a token that was signed here does not count.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Refused {
    #[error("it is of another issuer")]
    Issuer,
    #[error("it is for other audiences")]
    Audience,
    #[error("it has expired")]
    Expired,
    #[error("it does not hold yet")]
    Early,
    #[error("its subject is not its service account")]
    Subject,
}

impl Audiences {
    pub(super) fn list(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(all) => all,
        }
    }
}

impl Claims {
    /// Its id (`jti`).
    pub(crate) fn id(&self) -> &str {
        &self.jti
    }

    /// The audiences among `wanted` that it is for, if it holds at `now` (seconds since the epoch).
    pub(super) fn check(&self, issuer: &str, wanted: &[String], now: i64) -> Result<Vec<String>, Refused> {
        if self.iss != issuer {
            return Err(Refused::Issuer);
        }
        if now - LEEWAY >= self.exp {
            return Err(Refused::Expired);
        }
        if now + LEEWAY < self.nbf.max(self.iat) {
            return Err(Refused::Early);
        }
        if self.sub != user(&self.bound.namespace, &self.bound.serviceaccount.name) {
            return Err(Refused::Subject);
        }
        let common: Vec<String> = wanted.iter().filter(|audience| self.aud.list().contains(audience)).cloned().collect();
        if common.is_empty() { Err(Refused::Audience) } else { Ok(common) }
    }
}

/// The user that a service account is.
pub(super) fn user(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issue10_a_token_holds_for_its_time_issuer_and_audiences() {
        let claims = Claims {
            aud: Audiences::Several(vec!["federation".into(), "vault".into()]),
            exp: 2000,
            iat: 1000,
            nbf: 1000,
            iss: "https://federation".into(),
            jti: "1".into(),
            sub: "system:serviceaccount:shire:frodo".into(),
            bound: Bound {
                namespace: "shire".into(),
                serviceaccount: Reference { name: "frodo".into(), uid: "7".into() },
                secret: None,
                pod: None,
                node: None,
            },
        };
        let check =
            |issuer: &str, wanted: &[&str], now| claims.check(issuer, &wanted.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>(), now);
        assert_eq!(check("https://federation", &["federation", "other"], 1500), Ok(vec!["federation".into()]));
        assert_eq!(check("https://other", &["federation"], 1500), Err(Refused::Issuer));
        assert_eq!(check("https://federation", &["other"], 1500), Err(Refused::Audience));
        for (now, outcome) in [(939, Err(Refused::Early)), (940, Ok(())), (2059, Ok(())), (2060, Err(Refused::Expired))] {
            assert_eq!(check("https://federation", &["vault"], now).map(drop), outcome, "{now}");
        }
        let stolen = Claims { sub: "system:serviceaccount:shire:sauron".into(), ..claims.clone() };
        assert_eq!(stolen.check("https://federation", &["vault".to_owned()], 1500), Err(Refused::Subject));
        let one: Audiences = serde_json::from_str("\"vault\"").unwrap();
        assert_eq!(one.list(), ["vault"]);
    }
}
