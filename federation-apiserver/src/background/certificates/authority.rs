//! The authority that certificates are signed with: two PEM files, read again when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{AlgorithmIdentifier, CertificateDer, PrivateKeyDer, alg_id};
use rustls::sign::{CertifiedKey, Signer};
use rustls::{Error as TlsError, SignatureScheme};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::leaf::{self, Leaf};
use super::life::{Expired, Life};
use super::signers::Uses;
use crate::config::SigningConfig;
use crate::error::ConfigError;

/// How certificates are signed, by the kind of the authority's key.
const SIGNATURES: [(SignatureScheme, AlgorithmIdentifier); 5] = [
    (SignatureScheme::RSA_PKCS1_SHA256, alg_id::RSA_PKCS1_SHA256),
    (SignatureScheme::ECDSA_NISTP256_SHA256, alg_id::ECDSA_SHA256),
    (SignatureScheme::ECDSA_NISTP384_SHA384, alg_id::ECDSA_SHA384),
    (SignatureScheme::ECDSA_NISTP521_SHA512, alg_id::ECDSA_SHA512),
    (SignatureScheme::ED25519, alg_id::ED25519),
];

/// Why there is no authority in two files. Nothing secret is in the message.
#[derive(Debug, Error)]
pub(crate) enum AuthorityError {
    #[error("cannot read {path}: {source}")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path}: there has to be exactly one certificate in PEM, and {found} can be read")]
    Certificates { path: PathBuf, found: usize },
    #[error("{path}: the certificate cannot be read")]
    Certificate { path: PathBuf },
    #[error("{path}: the certificate is not that of an authority that may sign others")]
    Leaf { path: PathBuf },
    #[error("{path}: no private key in PEM can be read, or its kind is not known")]
    Key { path: PathBuf },
    #[error("{cert} and {key} do not belong together")]
    Strangers { cert: PathBuf, key: PathBuf },
}

impl From<AuthorityError> for ConfigError {
    fn from(e: AuthorityError) -> Self {
        let hint = "name the PEM files of one authority and its key with --cluster-signing-cert-file and --cluster-signing-key-file";
        Self::new(e.to_string(), hint)
    }
}

/// Why a certificate could not be signed.
#[derive(Debug, Error)]
pub(super) enum SignError {
    #[error(transparent)]
    Expired(#[from] Expired),
    #[error("the cryptography library: {0}")]
    Crypto(#[from] TlsError),
    #[error("the cryptography library has no randomness")]
    Random,
}

/// An authority as its files were when they were last read.
#[derive(Debug)]
struct Current {
    files: [u8; 32],
    /// Its subject, in DER.
    name: Vec<u8>,
    /// Its key's identifier, by which those it signed name it.
    key_id: Option<Vec<u8>>,
    /// Seconds since the epoch.
    not_after: i64,
    signer: Box<dyn Signer>,
    algorithm: AlgorithmIdentifier,
}

/// Signs certificates.
#[derive(Debug)]
pub(crate) struct Authority {
    config: SigningConfig,
    current: ArcSwap<Current>,
    provider: CryptoProvider,
}

impl Authority {
    /// Reads the files.
    ///
    /// # Errors
    /// They cannot be read, or hold no authority and its key.
    pub(crate) fn load(config: SigningConfig) -> Result<Self, AuthorityError> {
        let provider = aws_lc_rs::default_provider();
        let current = Files::read(&config)?.authority(&config, &provider)?;
        Ok(Self { config, current: ArcSwap::from_pointee(current), provider })
    }

    /// Takes over changed files; keeps what it has when they are bad.
    pub(super) fn reload(&self) -> Result<(), AuthorityError> {
        let files = Files::read(&self.config)?;
        if files.digest() != self.current.load().files {
            self.current.store(Arc::new(files.authority(&self.config, &self.provider)?));
            tracing::info!("the authority in {} was reloaded", self.config.cert.display());
        }
        Ok(())
    }

    /// A certificate in PEM for whom the request is about. `seconds` is the life asked for, `now` in seconds since the
    /// epoch.
    pub(super) fn sign(
        &self,
        request: &X509CertificationRequest<'_>,
        names: &[&GeneralName<'_>],
        uses: Uses,
        seconds: Option<i64>,
        now: i64,
    ) -> Result<String, SignError> {
        let current = self.current.load();
        let life = Life::of(seconds, self.config.longest, now, current.not_after)?;
        let mut serial = leaf::serial(now);
        self.provider.secure_random.fill(leaf::random(&mut serial)).map_err(|_| SignError::Random)?;
        let info = &request.certification_request_info;
        let leaf = Leaf {
            serial,
            issuer: &current.name,
            issuer_key: current.key_id.as_deref(),
            life,
            subject: info.subject.as_raw(),
            key: info.subject_pki.raw,
            names,
            uses,
        };
        let signed = leaf.to_be_signed(&current.algorithm);
        let signature = current.signer.sign(&signed)?;
        Ok(leaf::pem(leaf::certificate(&signed, &current.algorithm, &signature)))
    }
}

/// What is in the files.
struct Files {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    fn read(config: &SigningConfig) -> Result<Self, AuthorityError> {
        let read = |path: &Path| std::fs::read(path).map_err(|source| AuthorityError::Read { path: path.to_owned(), source });
        Ok(Self { cert: read(&config.cert)?, key: read(&config.key)? })
    }

    fn digest(&self) -> [u8; 32] {
        Sha256::new().chain_update(Sha256::digest(&self.cert)).chain_update(Sha256::digest(&self.key)).finalize().into()
    }

    fn authority(&self, config: &SigningConfig, provider: &CryptoProvider) -> Result<Current, AuthorityError> {
        let (path, key_path) = (config.cert.clone(), config.key.clone());
        let mut certs: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&self.cert).filter_map(Result::ok).collect();
        let (1, Some(cert)) = (certs.len(), certs.pop()) else {
            return Err(AuthorityError::Certificates { path, found: certs.len() });
        };
        let bad_key = || AuthorityError::Key { path: key_path.clone() };
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| bad_key())?;
        let key = provider.key_provider.load_private_key(key).map_err(|_| bad_key())?;
        let signer = key.choose_scheme(&SIGNATURES.map(|(scheme, _)| scheme)).ok_or_else(bad_key)?;
        let algorithm = SIGNATURES.iter().find(|(scheme, _)| *scheme == signer.scheme()).map(|(_, id)| *id).ok_or_else(bad_key)?;
        if CertifiedKey::new(vec![cert.clone()], key).keys_match().is_err() {
            return Err(AuthorityError::Strangers { cert: path, key: key_path });
        }
        let Ok((_, parsed)) = X509Certificate::from_der(&cert) else { return Err(AuthorityError::Certificate { path }) };
        let may_sign = parsed.key_usage().is_ok_and(|usage| usage.is_none_or(|usage| usage.value.key_cert_sign()));
        if !parsed.is_ca() || !may_sign {
            return Err(AuthorityError::Leaf { path });
        }
        let key_id = parsed.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
        Ok(Current {
            files: self.digest(),
            name: parsed.subject().as_raw().to_vec(),
            key_id,
            not_after: parsed.validity().not_after.timestamp(),
            signer,
            algorithm,
        })
    }
}
