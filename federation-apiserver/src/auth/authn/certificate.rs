//! The identity in a client certificate: common name and organizations.

use federation_api::credential;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::auth::UserInfo;

/// What the client certificate of a connection proves. Made once for a connection.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Peer {
    /// Nothing: there is none, or a good one without a common name.
    #[default]
    Nobody,
    /// Who the peer is.
    Known(PeerIdentity),
    /// It is no good. Other credentials may be, but who shows it is never anonymous, as in Kubernetes.
    Refused,
}

/// Who a verified client certificate says the peer is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerIdentity {
    /// Common name and organizations as user and groups, without `system:authenticated`.
    pub user: UserInfo,
    /// Name of the certificate among credentials.
    credential: String,
    /// Seconds since the epoch.
    not_before: i64,
    /// Seconds since the epoch.
    not_after: i64,
}

impl Peer {
    /// Reads a certificate whose chain has been verified against the client CA.
    pub fn from_der(der: &[u8]) -> Self {
        let Ok((_, cert)) = X509Certificate::from_der(der) else { return Self::Refused };
        let subject = cert.subject();
        let name = subject.iter_common_name().filter_map(|n| n.as_str().ok()).last().unwrap_or_default();
        if name.is_empty() {
            return Self::Nobody;
        }
        let groups = subject.iter_organization().filter_map(|o| o.as_str().ok()).map(str::to_owned).collect();
        Self::Known(PeerIdentity {
            user: UserInfo { name: name.to_owned(), uid: String::new(), groups },
            credential: credential::of_serial(cert.raw_serial()),
            not_before: cert.validity().not_before.timestamp(),
            not_after: cert.validity().not_after.timestamp(),
        })
    }
}

impl PeerIdentity {
    /// Name of the certificate among credentials (`federation_api::credential`).
    pub fn credential(&self) -> &str {
        &self.credential
    }

    /// When the certificate ends, in seconds since the epoch.
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// Whether the certificate holds at that time (seconds since the epoch): a connection may
    /// outlive the certificate it was made with.
    pub fn valid_at(&self, now: i64) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}
