//! The self-signed certificate made when none is given.

use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType};

use crate::config::ConfigError;

/// Certificate and key as PEM.
pub(super) struct Pem {
    /// Certificate.
    pub(super) cert: String,
    /// Private key.
    pub(super) key: String,
}

/// Makes a certificate for `localhost`, the in-cluster names and `addresses`; valid for a year from yesterday.
///
/// # Errors
/// When the crypto library refuses, which is a defect.
pub(super) fn self_signed(addresses: &[IpAddr]) -> Result<Pem, rcgen::Error> {
    let key = KeyPair::generate()?;
    let names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "federation-apiserver"];
    let mut params = CertificateParams::new(names.map(String::from).to_vec())?;
    params.subject_alt_names.extend(addresses.iter().map(|ip| SanType::IpAddress(*ip)));
    params.distinguished_name.push(DnType::CommonName, "federation-apiserver");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = std::time::SystemTime::now();
    params.not_before = (now - std::time::Duration::from_secs(86_400)).into();
    params.not_after = (now + std::time::Duration::from_secs(365 * 86_400)).into();
    let cert = params.self_signed(&key)?;
    Ok(Pem { cert: cert.pem(), key: key.serialize_pem() })
}

/// `apiserver.crt` and `apiserver.key` in `dir`: used when both are there, made when both are missing.
///
/// # Errors
/// When the directory cannot be written to, or only one of the two is there.
pub(super) fn in_directory(dir: &Path, addresses: &[IpAddr]) -> Result<(PathBuf, PathBuf), ConfigError> {
    let (cert, key) = (dir.join("apiserver.crt"), dir.join("apiserver.key"));
    match (cert.exists(), key.exists()) {
        (true, true) => return Ok((cert, key)),
        (false, false) => {}
        _ => {
            return Err(ConfigError::new(
                format!("--cert-dir: only one of apiserver.crt and apiserver.key is in {}", dir.display()),
                "remove it to have both made anew, or put the other one there",
            ));
        }
    }
    let write = || -> std::io::Result<()> {
        let pem = self_signed(addresses).map_err(std::io::Error::other)?;
        std::fs::create_dir_all(dir)?;
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key)?;
        file.write_all(pem.key.as_bytes())?;
        std::fs::write(&cert, pem.cert)
    };
    write().map_err(|e| {
        ConfigError::new(
            format!("--cert-dir: cannot write a certificate to {}: {e}", dir.display()),
            "choose a directory that can be written to, or give --tls-cert-file and --tls-private-key-file",
        )
    })?;
    Ok((cert, key))
}
