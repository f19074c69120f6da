//! The self-signed certificate made when none is given.

use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType};

use crate::error::ConfigError;

/// Common name of a certificate we made.
const COMMON_NAME: &str = "federation-apiserver";
const DAY: Duration = Duration::from_secs(86_400);
const VALID: Duration = Duration::from_secs(365 * 86_400);
/// A certificate of ours with less time left is not worth starting with.
const RENEWED_BEFORE: Duration = Duration::from_secs(30 * 86_400);

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
    params.distinguished_name.push(DnType::CommonName, COMMON_NAME);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = SystemTime::now();
    params.not_before = (now - DAY).into();
    params.not_after = (now + VALID).into();
    let cert = params.self_signed(&key)?;
    Ok(Pem { cert: cert.pem(), key: key.serialize_pem() })
}

/// `apiserver.crt` and `apiserver.key` in `dir`: used when both are there, made when both are missing (or empty), and
/// made anew when they are ours and have (nearly) expired. What an earlier process was making when it was stopped is
/// made ready.
///
/// # Errors
/// When the directory cannot be written to, or only one of the two is there.
pub(super) fn in_directory(dir: &Path, addresses: &[IpAddr]) -> Result<(PathBuf, PathBuf), ConfigError> {
    in_directory_at(dir, addresses, SystemTime::now())
}

fn in_directory_at(dir: &Path, addresses: &[IpAddr], now: SystemTime) -> Result<(PathBuf, PathBuf), ConfigError> {
    let (cert, key) = (dir.join("apiserver.crt"), dir.join("apiserver.key"));
    let not_written = |e: std::io::Error| {
        ConfigError::new(
            format!("--cert-dir: cannot write a certificate to {}: {e}", dir.display()),
            "choose a directory that can be written to, or give --tls-cert-file and --tls-private-key-file",
        )
    };
    // An empty file holds nothing that could be lost.
    let there = |path: &Path| std::fs::metadata(path).is_ok_and(|m| m.len() > 0);
    match (there(&cert), there(&key)) {
        (true, true) if !std::fs::read(&cert).is_ok_and(|pem| is_ours_and_expires(&pem, now)) => return Ok((cert, key)),
        (true, true) => tracing::warn!("{} has expired or will within 30 days: made anew", cert.display()),
        (false, false) => {}
        (false, true) if belong_together(&new(&cert), &key) => {
            std::fs::rename(new(&cert), &cert).map_err(not_written)?;
            return Ok((cert, key));
        }
        (has_cert, _) => {
            let (has, lacks) = if has_cert { ("apiserver.crt", "apiserver.key") } else { ("apiserver.key", "apiserver.crt") };
            return Err(ConfigError::new(
                format!("--cert-dir: {} has {has}, but {lacks} is missing or empty", dir.display()),
                format!("remove {has} to have both made anew, or put {lacks} there"),
            ));
        }
    }
    let write = || -> std::io::Result<()> {
        let pem = self_signed(addresses).map_err(std::io::Error::other)?;
        std::fs::create_dir_all(dir)?;
        prepare(&key, &pem.key, 0o600)?;
        prepare(&cert, &pem.cert, 0o644)?;
        // The certificate goes last: if we stop before it, the next start finds it prepared, or an old one still too old.
        std::fs::rename(new(&key), &key)?;
        std::fs::rename(new(&cert), &cert)
    };
    write().map_err(not_written)?;
    Ok((cert, key))
}

/// Where a file is prepared.
fn new(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

/// Writes what will replace a file, so that it is never there in part, nor readable by others than `mode` says.
fn prepare(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let path = new(path);
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Whether a file holds the certificate of the key in another.
fn belong_together(cert: &Path, key: &Path) -> bool {
    let (Ok(cert), Ok(key)) = (std::fs::read(cert), std::fs::read_to_string(key)) else { return false };
    let (Ok((_, pem)), Ok(key)) = (x509_parser::pem::parse_x509_pem(&cert), KeyPair::from_pem(&key)) else { return false };
    pem.parse_x509().is_ok_and(|cert| cert.public_key().raw == key.subject_public_key_info())
}

/// Whether a certificate is one [`self_signed`] made and has less than [`RENEWED_BEFORE`] left. What others put there
/// is theirs to renew.
fn is_ours_and_expires(pem: &[u8], now: SystemTime) -> bool {
    let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(pem) else { return false };
    let Ok(cert) = pem.parse_x509() else { return false };
    let named = cert.subject().iter_common_name().any(|cn| cn.as_str().is_ok_and(|cn| cn == COMMON_NAME));
    let limit = (now + RENEWED_BEFORE).duration_since(UNIX_EPOCH).map_or(i64::MAX, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX));
    named && cert.subject() == cert.issuer() && cert.validity().not_after.timestamp() < limit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(dir: &Path) -> [Vec<u8>; 2] {
        ["apiserver.crt", "apiserver.key"].map(|name| std::fs::read(dir.join(name)).unwrap())
    }

    #[test]
    fn a_pair_of_ours_is_kept_until_it_nearly_expires() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        in_directory_at(dir.path(), &[], now).unwrap();
        let first = read(dir.path());
        in_directory_at(dir.path(), &[], now + 330 * DAY).unwrap();
        assert_eq!(read(dir.path()), first, "35 days are left");
        for later in [340, 400] {
            let before = read(dir.path());
            in_directory_at(dir.path(), &[], now + later * DAY).unwrap();
            let after = read(dir.path());
            assert!(after[0] != before[0] && after[1] != before[1], "both are new after {later} days");
        }
        assert!(belong_together(&dir.path().join("apiserver.crt"), &dir.path().join("apiserver.key")));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left behind");
    }

    #[test]
    fn a_pair_of_somebody_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "theirs");
        let key = KeyPair::generate().unwrap();
        std::fs::write(dir.path().join("apiserver.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(dir.path().join("apiserver.key"), key.serialize_pem()).unwrap();
        let before = read(dir.path());
        in_directory_at(dir.path(), &[], SystemTime::now() + 365 * 10_000 * DAY).unwrap();
        assert_eq!(read(dir.path()), before);
    }
    #[test]
    fn a_pair_that_was_being_written_is_finished_and_half_a_pair_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("apiserver.crt"), dir.path().join("apiserver.key"));
        let open = || in_directory_at(dir.path(), &[], SystemTime::now());
        for name in [&cert, &key] {
            std::fs::write(name, "").unwrap();
        }
        open().unwrap();
        let made = read(dir.path());
        assert!(belong_together(&cert, &key), "empty files are made anew");

        std::fs::rename(&cert, new(&cert)).unwrap();
        open().unwrap();
        assert_eq!(read(dir.path()), made, "stopped between the two");

        for (lost, left) in [(&cert, &key), (&key, &cert)] {
            let text = std::fs::read(lost).unwrap();
            // As after a power failure, beside what was prepared for another key.
            std::fs::write(lost, "").unwrap();
            std::fs::write(new(&cert), self_signed(&[]).unwrap().cert).unwrap();
            let e = open().unwrap_err();
            let [lost_name, left_name] = [lost, left].map(|p| p.file_name().unwrap().to_str().unwrap());
            assert!(e.message.ends_with(&format!(" has {left_name}, but {lost_name} is missing or empty")), "{e}");
            assert!(e.hint.contains(left_name), "{}", e.hint);
            std::fs::write(lost, text).unwrap();
            assert_eq!(read(dir.path()), made, "nothing is overwritten");
        }
    }
}
