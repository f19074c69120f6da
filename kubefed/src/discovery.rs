//! How a client that trusts nobody yet gets to know a server's authority, as kubeadm does it: a document that everybody can
//! read, signed with each token, and hashes of the authority's public key, which the client got together with its token. Pure.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use federation_api::bootstrap::Token;
use federation_client::{Kubeconfig, Source};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use pem::{EncodeConfig, LineEnding, Pem};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// Key of the document: a kubeconfig with a cluster alone.
pub const KUBECONFIG: &str = "kubeconfig";
/// Key prefix of its signatures; the token's id follows.
pub const SIGNATURE_PREFIX: &str = "jws-kubeconfig-";
/// What a hash begins with.
const SHA256: &str = "sha256:";

/// What is signed: a token's secret part, HMAC by SHA-256.
const ALGORITHM: Algorithm = Algorithm::HS256;

/// The document as objects of kind ConfigMap hold it.
pub type Document = BTreeMap<String, String>;

/// The hash of an authority's public key: SHA-256 over its `SubjectPublicKeyInfo` in DER.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Pin([u8; 32]);

/// A text that is no hash of a public key.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the hash of an authority's public key is sha256: and 64 hexadecimal digits")]
pub struct InvalidPin;

/// Why a document is not trusted.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum Untrusted {
    /// It has no signature of this token.
    #[error("the server's cluster-info is not signed with token {0}")]
    Unsigned(String),
    /// Somebody wrote it who does not know the token.
    #[error("the server's cluster-info was written by somebody who does not know token {0}")]
    Forged(String),
    /// It names no authority that can be read.
    #[error("the server's cluster-info has no authority that can be read")]
    Unreadable,
    /// None of its authorities is pinned. Their hashes.
    #[error("the server's authority is another: none of {} is a hash that was given", spelled(.0))]
    Other(Vec<Pin>),
}

impl Pin {
    /// The hash of a certificate's key.
    ///
    /// # Errors
    /// It is no certificate.
    pub fn of(der: &CertificateDer<'_>) -> Result<Self, Untrusted> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).map_err(|_| Untrusted::Unreadable)?;
        Ok(Self(Sha256::digest(certificate.public_key().raw).into()))
    }
}

impl FromStr for Pin {
    type Err = InvalidPin;

    fn from_str(text: &str) -> Result<Self, InvalidPin> {
        let digits = text.strip_prefix(SHA256).filter(|digits| digits.len() == 64).ok_or(InvalidPin)?;
        let mut hash = [0; 32];
        for (byte, digits) in hash.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let digit = |at: usize| char::from(digits[at]).to_digit(16).and_then(|d| u8::try_from(d).ok()).ok_or(InvalidPin);
            *byte = digit(0)? * 16 + digit(1)?;
        }
        Ok(Self(hash))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHA256)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn spelled(pins: &[Pin]) -> String {
    pins.iter().fold(String::new(), |mut all, pin| {
        let _ = write!(all, "{}{pin}", if all.is_empty() { "" } else { ", " });
        all
    })
}

/// Hashes of authorities in PEM, in their order.
///
/// # Errors
/// What is no certificate, or that there is none.
pub fn pins(authorities: &[u8]) -> Result<Vec<Pin>, Untrusted> {
    let all: Vec<Pin> = certificates(authorities)?.iter().map(Pin::of).collect::<Result<_, _>>()?;
    if all.is_empty() { Err(Untrusted::Unreadable) } else { Ok(all) }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Untrusted> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| Untrusted::Unreadable)
}

/// The first part of a signature, as kubeadm writes it: it compares the text.
fn header(token: &Token) -> String {
    URL_SAFE_NO_PAD.encode(format!("{{\"alg\":\"HS256\",\"kid\":\"{}\"}}", token.id()))
}

fn signed(token: &Token, kubeconfig: &str) -> String {
    format!("{}.{}", header(token), URL_SAFE_NO_PAD.encode(kubeconfig))
}

/// The signature of a document: a JSON web signature (RFC 7515) without what it signs in the middle.
///
/// # Errors
/// Those of the cryptography library.
pub fn sign(kubeconfig: &str, token: &Token) -> Result<String, jsonwebtoken::errors::Error> {
    let key = EncodingKey::from_secret(token.secret().as_bytes());
    let signature = jsonwebtoken::crypto::sign(signed(token, kubeconfig).as_bytes(), &key, ALGORITHM)?;
    Ok(format!("{}..{signature}", header(token)))
}

/// The authorities of a document that are pinned, in PEM, if somebody wrote it who knows the token. Both have to be right:
/// every holder of the token could sign another document.
///
/// # Errors
/// Why it is not trusted.
pub fn authorities(document: &Document, token: &Token, pinned: &[Pin]) -> Result<String, Untrusted> {
    let kubeconfig = document.get(KUBECONFIG).ok_or(Untrusted::Unreadable)?;
    let signature = document.get(&format!("{SIGNATURE_PREFIX}{}", token.id()));
    let signature = signature.ok_or_else(|| Untrusted::Unsigned(token.id().to_owned()))?;
    let forged = || Untrusted::Forged(token.id().to_owned());
    let signature = signature.strip_prefix(&format!("{}..", header(token))).ok_or_else(forged)?;
    let key = DecodingKey::from_secret(token.secret().as_bytes());
    let genuine = jsonwebtoken::crypto::verify(signature, signed(token, kubeconfig).as_bytes(), &key, ALGORITHM);
    if !genuine.unwrap_or(false) {
        return Err(forged());
    }
    let config = Kubeconfig::read(kubeconfig.as_bytes(), Source::Secret("cluster-info")).map_err(|_| Untrusted::Unreadable)?;
    let cluster = config.clusters.into_values().next().ok_or(Untrusted::Unreadable)?;
    let all = certificates(&cluster.certificate_authority_data)?;
    let found = pins(&cluster.certificate_authority_data)?;
    let unix = EncodeConfig::new().set_line_ending(LineEnding::LF);
    let trusted = all.iter().zip(&found).filter(|(_, pin)| pinned.contains(pin));
    let trusted: String = trusted.map(|(der, _)| pem::encode_config(&Pem::new("CERTIFICATE", der.to_vec()), unix)).collect();
    if trusted.is_empty() { Err(Untrusted::Other(found)) } else { Ok(trusted) }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn token() -> Token {
        "abcdef.0123456789abcdef".parse().unwrap()
    }

    fn certificate() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::new(["gondor".to_owned()]).unwrap().self_signed(&key).unwrap().pem()
    }

    fn document(authorities: &str) -> Document {
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: ''\n  cluster: {{server: 'https://gondor', certificate-authority-data: {}}}\n",
            STANDARD.encode(authorities)
        );
        let signature = sign(&kubeconfig, &token()).unwrap();
        [(KUBECONFIG.to_owned(), kubeconfig), (format!("{SIGNATURE_PREFIX}abcdef"), signature)].into()
    }

    /// By openssl: the key's hash, and the signature of a document.
    #[test]
    fn issue10_hashes_and_signatures_are_those_of_kubeadm() {
        let openssl = |line: &str, input: &str| {
            let mut shell = std::process::Command::new("sh");
            let mut child =
                shell.args(["-c", line]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
            String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
        };
        let pem = certificate();
        let hash = openssl("openssl x509 -pubkey -noout | openssl pkey -pubin -outform DER | sha256sum | cut -d' ' -f1", &pem);
        let pin = pins(pem.as_bytes()).unwrap()[0];
        assert_eq!(pin.to_string(), format!("sha256:{hash}"));
        assert_eq!(format!("sha256:{}", hash.to_uppercase()).parse(), Ok(pin));

        let signature = sign("kubeconfig", &token()).unwrap();
        let (head, tail) = signature.split_once("..").unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(head).unwrap(), br#"{"alg":"HS256","kid":"abcdef"}"#);
        let line = "openssl dgst -sha256 -hmac 0123456789abcdef -binary | base64 | tr '+/' '-_' | tr -d '='";
        assert_eq!(openssl(line, &format!("{head}.{}", URL_SAFE_NO_PAD.encode("kubeconfig"))), tail);
    }

    #[test]
    fn issue10_an_authority_is_trusted_when_signature_and_hash_are_right() {
        let (ours, theirs) = (certificate(), certificate());
        let pin = |pem: &str| pins(pem.as_bytes()).unwrap()[0];
        let good = document(&format!("{theirs}{ours}"));
        let trusted = authorities(&good, &token(), &[pin(&ours)]).unwrap();
        assert_eq!(pins(trusted.as_bytes()).unwrap(), [pin(&ours)], "and no other with it");
        let other = Untrusted::Other(vec![pin(&theirs)]);
        assert_eq!(authorities(&document(&theirs), &token(), &[pin(&ours)]), Err(other));

        let changed = |key: &str, change: &dyn Fn(&str) -> String| {
            let mut document = good.clone();
            let text = change(&document[key]);
            document.insert(key.to_owned(), text);
            authorities(&document, &token(), &[pin(&ours)])
        };
        let signature = format!("{SIGNATURE_PREFIX}abcdef");
        let forged = Err(Untrusted::Forged("abcdef".to_owned()));
        assert_eq!(changed(KUBECONFIG, &|text| text.replace("gondor", "mordor")), forged);
        assert_eq!(changed(&signature, &|_| String::new()), forged);
        assert_eq!(changed(&signature, &|text| text.split("..").next().unwrap().to_owned() + ".."), forged);
        assert_eq!(changed(&signature, &|text| text[..text.len() - 2].to_owned()), forged);
        // What says of itself that it is not signed.
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"abcdef"}"#);
        assert_eq!(changed(&signature, &|_| format!("{none}..")), forged);
        let wrong: Token = "abcdef.0123456789abcdeg".parse().unwrap();
        assert_eq!(authorities(&good, &wrong, &[pin(&ours)]), forged);
        let unsigned = Err(Untrusted::Unsigned("fedcba".to_owned()));
        assert_eq!(authorities(&good, &"fedcba.0123456789abcdef".parse().unwrap(), &[pin(&ours)]), unsigned);
        for text in ["", "no certificate", "-----BEGIN CERTIFICATE-----\naGk=\n-----END CERTIFICATE-----\n"] {
            assert_eq!(authorities(&document(text), &token(), &[pin(&ours)]), Err(Untrusted::Unreadable), "{text}");
        }
        assert_eq!(authorities(&Document::new(), &token(), &[pin(&ours)]), Err(Untrusted::Unreadable));
    }

    #[test]
    fn issue10_what_is_no_hash_is_refused() {
        let good = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(good.parse::<Pin>().unwrap().to_string(), good);
        for bad in [
            "",
            "sha256:",
            &good[7..],
            &good[..70],
            &format!("{good}0"),
            &good.replace("0a", "+a"),
            &format!("sha256:{}", "é".repeat(32)),
            &good.replace("256", "512"),
        ] {
            assert_eq!(bad.parse::<Pin>(), Err(InvalidPin), "{bad}");
        }
    }
}
