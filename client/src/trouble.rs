//! Why a server was not reached: each cause has its own remedy, so each has its own name.

use std::{error::Error, io};

use rustls::CertificateError;

/// What kept a request from being answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Trouble {
    /// No answer in time.
    Timeout,
    /// Nothing listens at the address.
    Refused,
    /// The network knows no way there.
    NoRoute,
    /// The host's name has no address.
    UnknownHost,
    /// The certificate is signed by nobody we trust.
    UnknownAuthority,
    /// The certificate is for other names.
    WrongName,
    /// The certificate is not valid any more.
    Expired,
    /// The certificate is not valid yet.
    NotYetValid,
    /// The certificate is wrong in another way.
    BadCertificate,
    /// TLS failed otherwise.
    Tls,
    /// The connection ended before the answer did.
    Broken,
    /// Something else, which the message tells.
    Other,
}

impl Trouble {
    /// What an error and its causes come to. It never answers [`Trouble::UnknownHost`]: who resolves names tells no more than
    /// that it failed.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        let mut found = Self::Other;
        while let Some(error) = next {
            match Self::of_one(error) {
                Self::Other => {}
                // A cause further down may say more, and a TLS error comes inside of an IO error.
                Self::Broken => found = Self::Broken,
                certain => return certain,
            }
            next = error.source();
        }
        found
    }

    /// Whether TLS or a certificate is in the way.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::UnknownAuthority | Self::WrongName | Self::Expired | Self::NotYetValid | Self::BadCertificate | Self::Tls)
    }

    fn of_one(error: &(dyn Error + 'static)) -> Self {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Self::of_tls(tls);
        }
        if error.is::<tokio::time::error::Elapsed>() {
            return Self::Timeout;
        }
        let Some(io) = error.downcast_ref::<io::Error>() else { return Self::Other };
        // The error inside is no source of its own: its source is.
        if let Some(inner) = io.get_ref() {
            match Self::of(inner) {
                Self::Other => {}
                certain => return certain,
            }
        }
        match io.kind() {
            io::ErrorKind::TimedOut => Self::Timeout,
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => Self::NoRoute,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Self::Broken,
            _ => Self::Other,
        }
    }

    fn of_tls(error: &rustls::Error) -> Self {
        let rustls::Error::InvalidCertificate(certificate) = error else { return Self::Tls };
        match certificate {
            // Authorities of clusters have one name, mostly, and then only the signature tells them apart.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownAuthority,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Self::WrongName,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            _ => Self::BadCertificate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w2_each_cause_is_found_wherever_it_hides() {
        let tls = |e: CertificateError| io::Error::other(io::Error::new(io::ErrorKind::InvalidData, rustls::Error::InvalidCertificate(e)));
        for (error, want) in [
            (tls(CertificateError::UnknownIssuer), Trouble::UnknownAuthority),
            (tls(CertificateError::NotValidForName), Trouble::WrongName),
            (tls(CertificateError::Expired), Trouble::Expired),
            (tls(CertificateError::NotValidYet), Trouble::NotYetValid),
            (tls(CertificateError::BadSignature), Trouble::UnknownAuthority),
            (tls(CertificateError::Revoked), Trouble::BadCertificate),
            (io::Error::other(rustls::Error::DecryptError), Trouble::Tls),
            (io::ErrorKind::ConnectionRefused.into(), Trouble::Refused),
            (io::ErrorKind::HostUnreachable.into(), Trouble::NoRoute),
            (io::ErrorKind::NetworkUnreachable.into(), Trouble::NoRoute),
            (io::ErrorKind::TimedOut.into(), Trouble::Timeout),
            (io::ErrorKind::UnexpectedEof.into(), Trouble::Broken),
            (io::Error::other("anything"), Trouble::Other),
        ] {
            assert_eq!(Trouble::of(&kube::Error::Service(Box::new(error))), want);
        }
    }
}
