//! Keys that tokens of service accounts are signed with and verified by, in PEM files.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::error::ConfigError;

/// Keys in one file, at most.
const MOST: usize = 100;

/// A file of keys that cannot be used. Nothing secret is in the message.
#[derive(Debug, Error)]
pub(crate) enum KeyError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no private key.
    #[error("{path}: no private key in PEM can be read")]
    Private {
        /// The file.
        path: PathBuf,
    },
    /// There is no public key either.
    #[error("{path}: no public or private key in PEM can be read")]
    Public {
        /// The file.
        path: PathBuf,
    },
    /// It is of another kind.
    #[error("{path}: the key's kind is not known: it has to be RSA of at least 2048 bits, or ECDSA on P-256 or P-384")]
    Kind {
        /// The file.
        path: PathBuf,
    },
    /// It is in an older form.
    #[error("{path}: an ECDSA key has to be in PKCS#8: openssl pkcs8 -topk8 -nocrypt -in {path}")]
    Form {
        /// The file.
        path: PathBuf,
    },
}

impl From<KeyError> for ConfigError {
    fn from(e: KeyError) -> Self {
        Self::new(e.to_string(), "name PEM files with --service-account-signing-key-file and --service-account-key-file")
    }
}

/// What signs.
pub(super) struct Signing {
    pub(super) id: String,
    pub(super) algorithm: Algorithm,
    pub(super) key: EncodingKey,
}

/// What verifies.
pub(super) struct Verifying {
    pub(super) id: String,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
    /// The key as others are told it (RFC 7517).
    pub(super) told: Value,
}

/// The key that signs, and the one that verifies what it signed.
pub(super) fn signing(path: &Path, pem: &[u8]) -> Result<(Signing, Verifying), KeyError> {
    let named = || path.to_owned();
    let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| KeyError::Private { path: named() })?;
    let verifying = of_private(path, &der)?;
    let key = match (&der, verifying.algorithm) {
        (PrivateKeyDer::Pkcs1(key), Algorithm::RS256) => EncodingKey::from_rsa_der(key.secret_pkcs1_der()),
        (PrivateKeyDer::Pkcs8(key), Algorithm::RS256) => {
            EncodingKey::from_rsa_der(&unwrapped(key.secret_pkcs8_der()).ok_or_else(|| KeyError::Private { path: named() })?)
        }
        (PrivateKeyDer::Pkcs8(key), _) => EncodingKey::from_ec_der(key.secret_pkcs8_der()),
        _ => return Err(KeyError::Form { path: named() }),
    };
    Ok((Signing { id: verifying.id.clone(), algorithm: verifying.algorithm, key }, verifying))
}

/// The keys of a file that verify: public ones, or the public part of a private one.
pub(super) fn verifying(path: &Path, pem: &[u8]) -> Result<Vec<Verifying>, KeyError> {
    let public: Vec<_> = SubjectPublicKeyInfoDer::pem_slice_iter(pem).take(MOST).filter_map(Result::ok).collect();
    if public.is_empty() {
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| KeyError::Public { path: path.to_owned() })?;
        return Ok(vec![of_private(path, &der)?]);
    }
    public.iter().map(|der| of_public(der).ok_or_else(|| KeyError::Kind { path: path.to_owned() })).collect()
}

/// Reads a file of keys.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, KeyError> {
    std::fs::read(path).map_err(|source| KeyError::Read { path: path.to_owned(), source })
}

fn of_private(path: &Path, der: &PrivateKeyDer<'_>) -> Result<Verifying, KeyError> {
    let kind = || KeyError::Kind { path: path.to_owned() };
    let key = aws_lc_rs::default_provider().key_provider.load_private_key(der.clone_key()).map_err(|_| kind())?;
    key.public_key().and_then(|public| of_public(&public)).ok_or_else(kind)
}

/// By its SubjectPublicKeyInfo. The id is Kubernetes': a digest of that.
fn of_public(der: &[u8]) -> Option<Verifying> {
    let (_, info) = SubjectPublicKeyInfo::from_der(der).ok()?;
    let bits = &info.subject_public_key.data;
    let id = URL_SAFE_NO_PAD.encode(Sha256::digest(der));
    let (algorithm, name, key, parameters) = match info.parsed().ok()? {
        PublicKey::RSA(key) if key.key_size() >= 2048 => {
            let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(&bytes[bytes.iter().take_while(|byte| **byte == 0).count()..]);
            let parameters = json!({"kty": "RSA", "n": number(key.modulus), "e": number(key.exponent)});
            (Algorithm::RS256, "RS256", DecodingKey::from_rsa_der(bits), parameters)
        }
        PublicKey::EC(point) if point.key_size() == 256 => {
            (Algorithm::ES256, "ES256", DecodingKey::from_ec_der(bits), coordinates("P-256", point.data(), 32)?)
        }
        PublicKey::EC(point) if point.key_size() == 384 => {
            (Algorithm::ES384, "ES384", DecodingKey::from_ec_der(bits), coordinates("P-384", point.data(), 48)?)
        }
        _ => return None,
    };
    let mut told = json!({"use": "sig", "kid": id, "alg": name});
    if let (Some(told), Value::Object(parameters)) = (told.as_object_mut(), parameters) {
        told.extend(parameters);
    }
    Some(Verifying { id, algorithm, key, told })
}

/// An uncompressed point (SEC 1, 2.3.3) as RFC 7518 tells it.
fn coordinates(curve: &str, point: &[u8], size: usize) -> Option<Value> {
    let (x, y) = point.strip_prefix(&[4]).filter(|both| both.len() == 2 * size)?.split_at(size);
    Some(json!({"kty": "EC", "crv": curve, "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)}))
}

/// The key inside PKCS#8 (RFC 5208).
fn unwrapped(pkcs8: &[u8]) -> Option<Vec<u8>> {
    yasna::parse_der(pkcs8, |reader| {
        reader.read_sequence(|seq| {
            seq.next().read_u8()?;
            seq.next().read_der()?;
            let key = seq.next().read_bytes()?;
            seq.read_optional(|attributes| attributes.read_der())?;
            Ok(key)
        })
    })
    .ok()
}

#[cfg(test)]
mod tests {
    use rcgen::KeyPair;

    use super::*;

    #[test]
    fn issue10_keys_of_each_kind_sign_and_verify() {
        let file = Path::new("sa.key");
        for (kind, algorithm, parameters) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, Algorithm::ES256, &["crv", "x", "y"][..]),
            (&rcgen::PKCS_ECDSA_P384_SHA384, Algorithm::ES384, &["crv", "x", "y"]),
            (&rcgen::PKCS_RSA_SHA256, Algorithm::RS256, &["n", "e"]),
        ] {
            let pair = KeyPair::generate_for(kind).unwrap();
            let (signing, own) = signing(file, pair.serialize_pem().as_bytes()).unwrap();
            let public = verifying(file, pair.public_key_pem().as_bytes()).unwrap();
            assert_eq!((public.len(), &public[0].id, &own.id, signing.algorithm), (1, &signing.id, &signing.id, algorithm));
            let text = jsonwebtoken::encode(&jsonwebtoken::Header::new(algorithm), &"claims", &signing.key);
            let text = text.unwrap();
            let (message, signature) = text.rsplit_once('.').unwrap();
            // Who is told the key verifies with nothing else.
            let told: jsonwebtoken::jwk::Jwk = serde_json::from_value(public[0].told.clone()).unwrap();
            for key in [&public[0].key, &DecodingKey::from_jwk(&told).unwrap()] {
                assert!(jsonwebtoken::crypto::verify(signature, message.as_bytes(), key, algorithm).unwrap());
            }
            let told = &public[0].told;
            assert!(parameters.iter().all(|name| told[name].is_string()) && told["kid"] == *signing.id, "{told}");
            assert!(told.get("d").is_none(), "the private part stays here");
        }
        let nonsense = b"nonsense";
        assert!(matches!(signing(file, nonsense), Err(KeyError::Private { .. })));
        assert!(matches!(verifying(file, nonsense), Err(KeyError::Public { .. })));
        let other = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
        assert!(matches!(signing(file, other.as_bytes()), Err(KeyError::Kind { .. })));
    }
}
