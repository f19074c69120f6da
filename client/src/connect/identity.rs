//! Client certificates, and the process's cryptography.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use rustls::sign::CertifiedKey;

/// Why a certificate and a key make no identity.
#[derive(Debug, thiserror::Error)]
pub(super) enum IdentityError {
    #[error("{0}")]
    Certificate(rustls::pki_types::pem::Error),
    #[error("failed to find any PEM data in certificate input")]
    NoCertificate,
    #[error("no key in PEM: {0}")]
    Key(rustls::pki_types::pem::Error),
    #[error(transparent)]
    Unusable(#[from] rustls::Error),
}

/// A certificate and its key, from PEM; what else is in the two is passed over.
pub(super) fn identity(chain: &[u8], key: &[u8]) -> Result<CertifiedKey, IdentityError> {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(IdentityError::Certificate)?;
    if chain.is_empty() {
        return Err(IdentityError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(IdentityError::Key)?;
    Ok(CertifiedKey::from_der(chain, key, &provider())?)
}

/// The process's crypto, or ours where none is installed yet.
pub(super) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    rustls::crypto::CryptoProvider::get_default().cloned().unwrap_or_else(|| {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Arc::new(rustls::crypto::aws_lc_rs::default_provider())
    })
}
