//! The monitor's client for the member.

use std::time::Duration;

use tokio::time::Instant;

use super::{Monitor, TIMEOUT};
use crate::members::connect::{Connection, allows_insecure};

/// Credentials are read again this often, or at once when the member does not answer.
const CREDENTIALS_PERIOD: Duration = Duration::from_secs(30);

impl Monitor {
    /// Gets a client, when there is none or when address or credentials may have changed.
    pub(super) async fn connect(&mut self) {
        let due = self.credentials_read.is_none_or(|at| at.elapsed() >= CREDENTIALS_PERIOD);
        let doubtful = self.verdict.is_doubtful() && self.credentials_read.is_none_or(|at| at.elapsed() >= Duration::from_secs(2));
        if !due && !doubtful {
            return;
        }
        self.credentials_read = Some(Instant::now());
        let (spec, insecure) = {
            let joined = self.joined.borrow();
            (joined.spec.clone(), allows_insecure(&joined.annotations))
        };
        let attempt = self.clusters.connector.connect(&self.name, &spec, insecure, self.fingerprint.as_deref());
        let result = match tokio::time::timeout(TIMEOUT, attempt).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => {
                if error.forbids() {
                    self.disconnect();
                }
                Err((error.reason(), error.to_string()))
            }
            Err(_) => Err(("CredentialsUnreadable", format!("credentials could not be read within {} s", TIMEOUT.as_secs()))),
        };
        match result {
            Ok(None) => self.problem = None,
            Ok(Some(connection)) if self.takes_token(&connection) => self.problem = None,
            Ok(Some(connection)) => {
                self.problem = None;
                self.credential = connection.credential;
                self.renewal.succeeded();
                let renewed = self.fingerprint.replace(connection.fingerprint).is_some();
                self.client = Some(connection.client.clone());
                // Another cluster may answer: a session is opened when it said that it is the one.
                self.identified = false;
                self.close();
                if renewed {
                    // Whoever waits for the new ones hears of them as soon as they were tried.
                    self.written = None;
                    tracing::info!(cluster = self.name, "address or credentials changed");
                }
                self.clusters.members.modify(&self.name, |m| m.client = Some(connection.client));
            }
            // The client in hand may still work.
            Err(problem) => {
                if self.problem.as_ref() != Some(&problem) {
                    tracing::warn!(cluster = self.name, reason = problem.0, error = problem.1, "no new client for the member");
                    self.problem = Some(problem);
                }
            }
        }
    }

    /// Takes another token into the client in hand, if nothing else changed: its connections and watches go on.
    fn takes_token(&mut self, connection: &Connection) -> bool {
        let newer = connection.credential.as_deref();
        if !self.credential.as_deref_mut().zip(newer).is_some_and(|(held, newer)| held.take(newer)) {
            return false;
        }
        self.fingerprint = Some(connection.fingerprint.clone());
        self.renewal.succeeded();
        // Whoever waits for the new one hears of it as soon as it was tried.
        self.written = None;
        tracing::info!(cluster = self.name, "another token is used from now on");
        true
    }

    /// Forgets the client, which may not be used any more.
    pub(super) fn disconnect(&mut self) {
        self.fingerprint = None;
        self.credential = None;
        if self.client.take().is_some() {
            self.clusters.members.modify(&self.name, |m| m.client = None);
            self.close();
        }
    }
}
