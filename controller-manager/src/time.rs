//! Times as Kubernetes writes them, and a clock that nobody sets while it runs.

use std::time::Duration;

use tokio::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// A machine's clock may differ by this much from the federation's server before the server's is believed.
const TOLERATED: SignedDuration = SignedDuration::from_secs(30);
/// Longest wait for the server's time.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The machine's time of day, to be written into objects. Whether something is due is asked of a [`Clock`], or of tokio's
/// `Instant`, which tests can pause.
#[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// The time of day at one moment, and how long ago that was: setting the machine's clock does not change it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    at: Timestamp,
    since: Instant,
}

impl Clock {
    /// A clock that shows this time now.
    pub fn showing(at: Timestamp) -> Self {
        Self { at, since: Instant::now() }
    }

    /// The machine's time, unless the server says that it is wrong.
    pub fn checked(machine: Timestamp, server: Option<Timestamp>) -> Self {
        match server.filter(|server| server.duration_since(machine).abs() > TOLERATED) {
            Some(server) => {
                tracing::warn!(%machine, %server, "this machine's clock is wrong; the time of the federation's server is used");
                Self::showing(server)
            }
            None => Self::showing(machine),
        }
    }

    /// The machine's clock, compared with what a server's answers say.
    pub(crate) async fn of(client: &kube::Client) -> Self {
        let asked = async {
            let request = http::Request::get("/version").body(kube::client::Body::empty()).ok()?;
            let response = client.send(request).await.ok()?;
            let date = response.headers().get(http::header::DATE)?.to_str().ok()?;
            jiff::fmt::rfc2822::parse(date).ok().map(|date| date.timestamp())
        };
        let server = tokio::time::timeout(TIMEOUT, asked).await.ok().flatten();
        Self::checked(now(), server)
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.since.elapsed()).unwrap_or(SignedDuration::MAX);
        self.at.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }
}

/// RFC 3339 in UTC, whole seconds: `metav1.Time`.
pub fn seconds(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// RFC 3339 in UTC, microseconds: `metav1.MicroTime`.
pub fn micros(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d39_a_clock_that_is_far_from_the_servers_is_not_believed() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(Clock::checked(at(1_000_000), Some(at(5_000))).at, at(5_000));
        assert_eq!(Clock::checked(at(5_010), Some(at(5_000))).at, at(5_010));
        assert_eq!(Clock::checked(at(5_010), None).at, at(5_010));
        assert!(Clock::showing(at(5_000)).now() < at(5_010));
    }
}
