//! The identity in a client certificate: common name and organizations.

use machinery::status::ApiError;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::auth::UserInfo;

/// Who a verified client certificate says the peer is. Made once for a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerIdentity {
    /// Common name and organizations as user and groups, without `system:authenticated`.
    pub user: UserInfo,
    /// Seconds since the epoch.
    not_before: i64,
    /// Seconds since the epoch.
    not_after: i64,
}

impl PeerIdentity {
    /// Reads the identity. The chain must have been verified against the client CA before.
    ///
    /// # Errors
    /// 401 when the certificate cannot be parsed or names nobody.
    pub fn from_der(der: &[u8]) -> Result<Self, ApiError> {
        let (_, cert) = X509Certificate::from_der(der).map_err(|_| ApiError::unauthorized())?;
        let subject = cert.subject();
        let name = subject.iter_common_name().filter_map(|n| n.as_str().ok()).last().unwrap_or_default();
        if name.is_empty() {
            return Err(ApiError::unauthorized());
        }
        let groups = subject.iter_organization().filter_map(|o| o.as_str().ok()).map(str::to_owned).collect();
        Ok(Self {
            user: UserInfo { name: name.to_owned(), uid: String::new(), groups },
            not_before: cert.validity().not_before.timestamp(),
            not_after: cert.validity().not_after.timestamp(),
        })
    }

    /// Whether the certificate holds at that time (seconds since the epoch): a connection may
    /// outlive the certificate it was made with.
    pub fn valid_at(&self, now: i64) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}
