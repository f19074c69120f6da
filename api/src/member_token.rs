//! Tokens with an end, by which the federation is known in a member: what has to be known of one to make the next.
//!
//! `kubefed join` asks the member for the first (`TokenRequest` of `authentication.k8s.io/v1`) and writes its terms beside it
//! into the member's secret in the host; the controller manager makes each next one of them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The life `kubefed join` asks for where none is given, in seconds: 30 days.
pub const USUAL_SECONDS: i64 = 30 * 24 * 3600;
/// The shortest life that Kubernetes gives, in seconds.
pub const SHORTEST_SECONDS: i64 = 600;
/// The longest life that may be asked for, in seconds: 2^32, as Kubernetes has it.
pub const LONGEST_SECONDS: i64 = 1 << 32;

/// The terms of one token, as they stand in a member's secret in the host.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenTerms {
    /// Namespace of the account and the secret in the member.
    pub namespace: String,
    /// Service account the token is for.
    pub account: String,
    /// Secret in the member that the token is bound to: it holds no longer than that secret is there.
    pub bound_to: String,
    /// Life that is asked for, in seconds; the member may give less.
    pub seconds: i64,
    /// When it was made, by the member's clock: seconds since 1970.
    pub issued: i64,
    /// When it ends, by the member's clock: seconds since 1970.
    pub expires: i64,
}

impl TokenTerms {
    /// The terms in a secret; nothing where they cannot be read, and then nobody makes a next token.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let terms: Self = serde_json::from_slice(text).ok()?;
        (terms.expires > terms.issued && !terms.account.is_empty() && !terms.bound_to.is_empty()).then_some(terms)
    }

    /// The terms as they are kept.
    pub fn text(&self) -> String {
        json!(self).to_string()
    }

    /// Life that was given, in seconds.
    pub fn life(&self) -> i64 {
        self.expires.saturating_sub(self.issued)
    }

    /// When the next token is to be made, in seconds since 1970: when half of its life is over, or up to a tenth of it later.
    /// `chance` is from 0 to 255, so that members that joined together are not all renewed together.
    pub fn renewal(&self, chance: u8) -> i64 {
        let (life, later) = (self.life(), (self.life() / 10).saturating_mul(i64::from(chance)) / 255);
        self.issued.saturating_add(life / 2).saturating_add(later)
    }

    /// URL path at which a token is asked for.
    pub fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/serviceaccounts/{}/token", self.namespace, self.account)
    }

    /// What is sent there.
    pub fn request(&self) -> Value {
        json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [],
                "expirationSeconds": self.seconds,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": self.bound_to},
            },
        })
    }

    /// The same for a token that was given for `life` seconds and ends at `expires`, in seconds since 1970.
    #[must_use]
    pub fn given(&self, life: i64, expires: i64) -> Self {
        Self { issued: expires.saturating_sub(life), expires, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> TokenTerms {
        TokenTerms {
            namespace: "federation-system".into(),
            account: "gondor-rivendell".into(),
            bound_to: "gondor-rivendell-token-1".into(),
            seconds: 3600,
            issued: 1_000_000,
            expires: 1_003_600,
        }
    }

    #[test]
    fn issue10_terms_come_back_and_what_is_none_is_nobodys() {
        assert_eq!(TokenTerms::parse(terms().text().as_bytes()), Some(terms()));
        for none in
            ["", "{}", "nonsense", &TokenTerms { expires: 0, ..terms() }.text(), &TokenTerms { account: String::new(), ..terms() }.text()]
        {
            assert_eq!(TokenTerms::parse(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn issue10_the_next_is_made_when_half_is_over_and_not_for_all_at_once() {
        let all: Vec<i64> = [0, 128, 255].map(|chance| terms().renewal(chance)).to_vec();
        assert_eq!(all, [1_001_800, 1_001_980, 1_002_160]);
        let longest = TokenTerms { issued: 0, expires: i64::MAX, ..terms() };
        assert!(longest.renewal(255) > longest.renewal(0));
        let shorter = terms().given(600, 2_000_000);
        assert_eq!((shorter.issued, shorter.life(), shorter.seconds), (1_999_400, 600, 3600), "what is asked for stays");
    }
}
