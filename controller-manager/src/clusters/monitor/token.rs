//! The member's token: renewed when half its life is over, and told days before it ends when that does not go.

use std::time::Duration;

use federation_api::{cluster::ClusterCondition, keys};
use jiff::Timestamp;
use tokio::time::Instant;

use super::Monitor;
use crate::{
    clusters::{
        identity::noted,
        renewal::{Notice, notice},
    },
    members::{
        credential::{StoreError, Tenure},
        renewal::{self, RenewalError},
    },
    time::seconds,
};

/// For one renewal with all its requests: questions for health wait meanwhile.
const LIMIT: Duration = Duration::from_secs(5);
/// Between two renewals.
const REST: Duration = Duration::from_secs(60);

impl Monitor {
    /// Renews the member's token, when it is time; the one in use is good for as long again.
    pub(super) async fn renew(&mut self) {
        let (Some(credential), Some(client)) = (&self.credential, &self.client) else { return };
        let Tenure::Terms(terms) = &credential.tenure else { return };
        // The first byte of a digest is as good as any chance, and the same each time it is looked at.
        let chance = self.fingerprint.as_deref().and_then(|f| u8::from_str_radix(f.get(..2)?, 16).ok()).unwrap_or_default();
        let due = self.clusters.clock.now().as_second() >= terms.renewal(chance);
        let later = |at: Option<Instant>| at.is_some_and(|at| Instant::now() < at);
        if !due || later(self.renewal.next) || later(self.renewal.rest) {
            return;
        }
        let uid = noted(&self.joined.borrow()).map(str::to_owned);
        let renewing = renewal::renew(credential, client, &*self.clusters.connector, uid.as_deref(), LIMIT);
        let outcome = tokio::time::timeout(LIMIT, renewing).await;
        let count = |result: &'static str| {
            metrics::counter!("federation_member_token_renewals_total", "cluster" => self.name.clone(), "result" => result).increment(1);
        };
        let failed = match outcome {
            Ok(Ok(terms)) => {
                let until = Timestamp::from_second(terms.expires).map(seconds).unwrap_or_default();
                tracing::info!(cluster = self.name, until, "the member's token was renewed");
                count("ok");
                // What is stored counts, so it is read, as soon as it may be.
                self.credentials_read = None;
                self.renewal.succeeded();
                // It is read before the next question; until then this one must not be renewed again. And where clocks are apart,
                // or a member gives less than it says, the next one would be due at once, for ever.
                self.renewal.rest = Some(Instant::now() + REST);
                return;
            }
            // Whoever it was, what he stored is read at once.
            Ok(Err(RenewalError::Store(StoreError::Changed(_)))) => {
                self.credentials_read = None;
                // Though the same stand in it: what is held of the secret is old.
                self.fingerprint = None;
                self.renewal.next = Some(Instant::now() + LIMIT);
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", LIMIT.as_secs()),
        };
        count("error");
        tracing::warn!(cluster = self.name, error = failed, "the member's token cannot be renewed; the one in use goes on");
        self.renewal.failed(failed);
    }

    fn notice(&self) -> Option<Notice> {
        let tenure = &self.credential.as_ref()?.tenure;
        notice(tenure, self.renewal.failures, &self.renewal.why, self.clusters.clock.now(), &self.name)
    }

    /// Tells how long the token holds, and what is wrong with it, once.
    pub(super) fn tell_of_token(&mut self) {
        if let Some(end) = self.credential.as_ref().and_then(|credential| credential.tenure.end()) {
            let left = end.duration_since(self.clusters.clock.now()).as_secs_f64();
            metrics::gauge!("federation_member_credential_expiry_seconds", "cluster" => self.name.clone()).set(left);
        }
        let notice = self.notice();
        let reason = notice.as_ref().map(|notice| notice.reason);
        if reason == self.renewal.told {
            return;
        }
        self.renewal.told = reason;
        if let Some(Notice { reason, message, warning }) = notice {
            self.event(warning, reason, message);
        }
    }

    /// The condition that goes with it.
    pub(super) fn token_condition(&self, now: &str) -> Option<ClusterCondition> {
        let Notice { reason, message, .. } = self.notice()?;
        let before = self.status.conditions.iter().find(|c| c.type_ == keys::CREDENTIALS_RENEWED && c.reason == reason);
        Some(ClusterCondition {
            type_: keys::CREDENTIALS_RENEWED.into(),
            status: "False".into(),
            reason: reason.into(),
            message,
            last_probe_time: Some(now.to_owned()),
            last_transition_time: before.and_then(|c| c.last_transition_time.clone()).or_else(|| Some(now.to_owned())),
        })
    }
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
