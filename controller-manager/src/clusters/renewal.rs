//! How the renewal of a member's token goes, and what people are told of its end.

use daemon::backoff::Backoff;
use federation_api::keys;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::{backoff, members::credential::Tenure, time::seconds};

/// Failures in a row that are told; by then half a minute has gone since the first, or nearly so.
pub(super) const TOLD: u32 = 3;
/// A token that nobody renews is told so long before its end.
const SOON: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How the renewal of one member's token goes.
pub(crate) struct Renewal {
    backoff: Backoff,
    /// Not before this.
    pub(super) next: Option<Instant>,
    /// Nor before this, whatever token is in use.
    pub(super) rest: Option<Instant>,
    pub(super) failures: u32,
    /// Why the last one failed.
    pub(super) why: String,
    /// The reason that was last told.
    pub(super) told: Option<&'static str>,
}

impl Default for Renewal {
    fn default() -> Self {
        Self { backoff: Backoff::new(backoff::RENEWAL), next: None, rest: None, failures: 0, why: String::new(), told: None }
    }
}

impl Renewal {
    /// Another token is in use: nothing has failed yet.
    pub(super) fn succeeded(&mut self) {
        *self = Self { told: self.told, rest: self.rest, ..Self::default() };
    }

    pub(super) fn failed(&mut self, why: String) {
        self.failures = self.failures.saturating_add(1);
        self.why = why;
        self.next = Some(Instant::now() + self.backoff.failed());
    }
}

/// Something about a token that people should know.
#[derive(Debug, PartialEq)]
pub(super) struct Notice {
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) warning: bool,
}

/// What is to be told of a token.
pub(super) fn notice(tenure: &Tenure, failures: u32, why: &str, now: Timestamp, cluster: &str) -> Option<Notice> {
    let again = format!("kubefed join {cluster} --rotate");
    let end = tenure.end();
    let left = end.map_or(SignedDuration::MAX, |end| end.duration_since(now));
    let until = end.map(seconds).unwrap_or_default();
    let told = |reason, warning, message| Some(Notice { reason, message, warning });
    match tenure {
        Tenure::Endless => {
            told(keys::TOKEN_WITHOUT_END, false, format!("the federation's token says no end; {again} gives it one that is renewed"))
        }
        Tenure::Ends(_) if left < SOON => told(
            keys::TOKEN_ENDS_SOON,
            true,
            format!("the federation's token ends at {until} and nobody renews it; {again} gives it one that is renewed"),
        ),
        Tenure::Ends(_) => None,
        Tenure::Terms(terms) => {
            let late = left < SignedDuration::from_secs(terms.life() / 4);
            let why = if why.is_empty() { "the member was not ready when it was to be" } else { why };
            (failures >= TOLD || late).then(|| Notice {
                reason: keys::TOKEN_NOT_RENEWED,
                message: format!("the federation's token ends at {until} and could not be renewed: {why}"),
                warning: true,
            })
        }
    }
}
