//! When certificates and tokens end.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

const DAY: i64 = 24 * 3600;

/// From when to when something is good; [`Timestamp::MAX`] where it has no end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Period {
    pub(crate) begin: Timestamp,
    pub(crate) end: Timestamp,
}

/// Why a text has no certificates.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("it has no certificate in PEM")]
    None,
    #[error("it is no PEM: {0}")]
    Pem(rustls::pki_types::pem::Error),
    #[error("it is no certificate: {0}")]
    Certificate(String),
}

/// The periods of the certificates in PEM, in their order. Those that end in the year 9999 have no end (RFC 5280 4.1.2.5).
///
/// # Errors
/// That there is none, or what cannot be read.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<Period>, Unusable> {
    let mut periods = Vec::new();
    for der in CertificateDer::pem_slice_iter(pem) {
        let der = der.map_err(Unusable::Pem)?;
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).map_err(|e| Unusable::Certificate(e.to_string()))?;
        let at = |second: i64| Timestamp::from_second(second).unwrap_or(if second < 0 { Timestamp::MIN } else { Timestamp::MAX });
        let validity = certificate.validity();
        periods.push(Period { begin: at(validity.not_before.timestamp()), end: at(validity.not_after.timestamp()) });
    }
    if periods.is_empty() { Err(Unusable::None) } else { Ok(periods) }
}

/// The period of a JSON web token that says its end (RFC 7519, `nbf` and `exp`); its signature is not looked at.
pub(crate) fn token(text: &str) -> Option<Period> {
    let mut parts = text.trim().split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?).ok()?;
    let at = |claim: &str| {
        let told = claims.get(claim)?;
        let seconds = told.as_i64().or_else(|| told.as_f64().and_then(|seconds| i64::try_from(seconds as i128).ok()))?;
        Timestamp::from_second(seconds).ok()
    };
    Some(Period { begin: at("nbf").unwrap_or(Timestamp::UNIX_EPOCH), end: at("exp")? })
}

/// Whole days from now to an end; negative after it.
pub(crate) fn days(end: Timestamp, now: Timestamp) -> i64 {
    (end.as_second() - now.as_second()).div_euclid(DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_certificates_say_when_they_end() {
        let jwt = |claims: &str| format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(token(&jwt(r#"{"exp":1800000000}"#)).map(|period| period.end.as_second()), Some(1_800_000_000));
        assert_eq!(token(&jwt(r#"{"exp":1800000000.5}"#)).map(|period| period.end.as_second()), Some(1_800_000_000));
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
