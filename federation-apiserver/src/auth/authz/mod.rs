//! Authorization: RBAC, AlwaysAllow, AlwaysDeny. Decisions are synchronous and take no locks.

pub mod aggregate;
pub mod bootstrap;
pub mod cover;
mod decision;
pub mod escalation;
pub mod feed;
mod forbidden;
pub mod object;
pub mod rbac;
pub mod roles;
pub mod rule;
mod snapshot;
#[cfg(test)]
mod tests;

use std::str::FromStr;
use std::sync::Arc;

use machinery::status::ApiError;

pub use decision::Decision;
pub use forbidden::forbidden;
pub use rbac::{Change, Rbac};

use super::{Attributes, MASTERS, UserInfo};
use rule::Rule;

/// One entry of `--authorization-mode`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// Roles and bindings decide.
    Rbac,
    /// Everything is allowed.
    AlwaysAllow,
    /// Nothing is allowed.
    AlwaysDeny,
}

/// A mode that is none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown authorization mode `{0}`, known are RBAC, AlwaysAllow and AlwaysDeny")]
pub struct UnknownMode(String);

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(s: &str) -> Result<Self, UnknownMode> {
        match s {
            "RBAC" => Ok(Self::Rbac),
            "AlwaysAllow" => Ok(Self::AlwaysAllow),
            "AlwaysDeny" => Ok(Self::AlwaysDeny),
            other => Err(UnknownMode(other.to_owned())),
        }
    }
}

/// The authorizers of the server, asked in order; the first that allows wins.
#[derive(Debug)]
pub struct Authorization {
    modes: Vec<Mode>,
    rbac: Arc<Rbac>,
}

impl Authorization {
    /// The authorizers of `--authorization-mode`.
    pub fn new(modes: Vec<Mode>, rbac: Arc<Rbac>) -> Self {
        Self { modes, rbac }
    }

    /// The RBAC part, whatever the modes are.
    pub fn rbac(&self) -> &Arc<Rbac> {
        &self.rbac
    }

    /// Whether roles and bindings have a say.
    pub fn uses_rbac(&self) -> bool {
        self.modes.contains(&Mode::Rbac)
    }

    /// Lets the request go on, or says why not as kube-apiserver does.
    ///
    /// # Errors
    /// 403.
    pub fn authorize(&self, user: &UserInfo, attributes: &Attributes) -> Result<(), ApiError> {
        if self.allows(user, attributes) {
            return Ok(());
        }
        Err(forbidden(user, attributes, &self.decide(user, attributes).reason))
    }

    /// Whether the request may go on; the fast way, without a reason.
    pub fn allows(&self, user: &UserInfo, attributes: &Attributes) -> bool {
        user.in_group(MASTERS)
            || self.modes.iter().any(|mode| match mode {
                Mode::AlwaysAllow => true,
                Mode::AlwaysDeny => false,
                Mode::Rbac => self.rbac.snapshot().allows(user, attributes),
            })
    }

    /// The decision with its reason, for access reviews and audit.
    pub fn decide(&self, user: &UserInfo, attributes: &Attributes) -> Decision {
        if user.in_group(MASTERS) {
            return Decision { allowed: true, reason: String::new() };
        }
        let mut reasons = Vec::new();
        for mode in &self.modes {
            let decision = match mode {
                Mode::AlwaysAllow => Decision { allowed: true, reason: String::new() },
                Mode::AlwaysDeny => Decision { allowed: false, reason: "Everything is forbidden.".to_owned() },
                Mode::Rbac => self.rbac.snapshot().decide(user, attributes),
            };
            if decision.allowed {
                return decision;
            }
            if !decision.reason.is_empty() {
                reasons.push(decision.reason);
            }
        }
        Decision { allowed: false, reason: reasons.join("\n") }
    }

    /// All rules that apply to a user in a namespace (cluster-wide ones included), for
    /// SelfSubjectRulesReview and the escalation check.
    pub fn rules_for(&self, user: &UserInfo, namespace: &str) -> Vec<Rule> {
        let everything = user.in_group(MASTERS) || self.modes.contains(&Mode::AlwaysAllow);
        if everything {
            return vec![Rule::all_resources(), Rule::all_urls()];
        }
        if self.uses_rbac() { self.rbac.snapshot().rules_for(user, namespace) } else { Vec::new() }
    }
}
