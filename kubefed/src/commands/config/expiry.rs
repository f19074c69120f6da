//! When certificates and tokens end.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

const DAY: i64 = 24 * 3600;

/// Why a text has no certificates.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("it has no certificate in PEM")]
    None,
    #[error("it is no PEM: {0}")]
    Pem(rustls::pki_types::pem::Error),
    #[error("it is no certificate: {0}")]
    Certificate(String),
}

/// The ends of the certificates in PEM, in their order.
///
/// # Errors
/// That there is none, or what cannot be read.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<Timestamp>, Unusable> {
    let mut ends = Vec::new();
    for der in CertificateDer::pem_slice_iter(pem) {
        let der = der.map_err(Unusable::Pem)?;
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).map_err(|e| Unusable::Certificate(e.to_string()))?;
        let end = certificate.validity().not_after.timestamp();
        ends.push(Timestamp::from_second(end).unwrap_or(if end < 0 { Timestamp::MIN } else { Timestamp::MAX }));
    }
    if ends.is_empty() { Err(Unusable::None) } else { Ok(ends) }
}

/// The end of a JSON web token that says one (RFC 7519, `exp`); its signature is not looked at.
pub(super) fn token(text: &str) -> Option<Timestamp> {
    let mut parts = text.trim().split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?).ok()?;
    let end = claims.get("exp")?;
    let seconds = end.as_i64().or_else(|| end.as_f64().and_then(|seconds| i64::try_from(seconds as i128).ok()))?;
    Timestamp::from_second(seconds).ok()
}

/// Whole days from now to an end; negative after it.
pub(super) fn days(end: Timestamp, now: Timestamp) -> i64 {
    (end.as_second() - now.as_second()).div_euclid(DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_certificates_say_when_they_end() {
        let jwt = |claims: &str| format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(token(&jwt(r#"{"exp":1800000000}"#)).map(Timestamp::as_second), Some(1_800_000_000));
        assert_eq!(token(&jwt(r#"{"exp":1800000000.5}"#)).map(Timestamp::as_second), Some(1_800_000_000));
        for none in ["opaque", "a.b.c", &jwt("{}"), &jwt(r#"{"exp":"soon"}"#), &jwt(r#"{"exp":1e300}"#)] {
            assert_eq!(token(none), None, "{none}");
        }
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = rcgen::CertificateParams::new(["gondor".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
        assert_eq!(certificates(format!("{pem}{pem}").as_bytes()).unwrap().len(), 2);
        for wrong in ["", "text", &key.serialize_pem(), "-----BEGIN CERTIFICATE-----\naGk=\n-----END CERTIFICATE-----\n"] {
            assert!(certificates(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        assert_eq!((days(at(86_400), at(1)), days(at(0), at(1)), days(at(86_401), at(1))), (0, -1, 1));
    }
}
