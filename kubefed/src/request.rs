//! A key, and a request for a certificate with it (PKCS#10, RFC 2986). rcgen makes the key; its own requests keep only one
//! organization, and a user may be in many groups.

use pem::{EncodeConfig, LineEnding, Pem};
use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};
use yasna::models::ObjectIdentifier;
use yasna::{DERWriterSeq, Tag};

/// What stands in a certificate's subject as user.
const COMMON_NAME: [u64; 4] = [2, 5, 4, 3];
/// What stands in it as group.
const ORGANIZATION: [u64; 4] = [2, 5, 4, 10];
/// ECDSA with SHA-256, which rcgen's keys sign with.
const SIGNATURE: [u64; 7] = [1, 2, 840, 10045, 4, 3, 2];

/// A key and a request, both PEM.
pub struct Request {
    /// The private key.
    pub key: String,
    /// The request.
    pub request: String,
}

impl Request {
    /// Makes a key on P-256, and asks for a certificate for a user in groups.
    ///
    /// # Errors
    /// The cryptography library has no randomness.
    pub fn new(user: &str, groups: &[String]) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let info = yasna::construct_der(|writer| {
            writer.write_sequence(|seq| {
                seq.next().write_u8(0);
                seq.next().write_sequence(|seq| {
                    groups.iter().for_each(|group| name(seq, &ORGANIZATION, group));
                    name(seq, &COMMON_NAME, user);
                });
                seq.next().write_der(&key.subject_public_key_info());
                seq.next().write_tagged_implicit(Tag::context(0), |writer| writer.write_set(|_| {}));
            });
        });
        let signature = key.sign(&info)?;
        let der = yasna::construct_der(|writer| {
            writer.write_sequence(|seq| {
                seq.next().write_der(&info);
                seq.next().write_sequence(|seq| seq.next().write_oid(&ObjectIdentifier::from_slice(&SIGNATURE)));
                seq.next().write_bitvec_bytes(&signature, signature.len() * 8);
            });
        });
        let unix = EncodeConfig::new().set_line_ending(LineEnding::LF);
        Ok(Self { key: key.serialize_pem(), request: pem::encode_config(&Pem::new("CERTIFICATE REQUEST", der), unix) })
    }
}

/// One attribute of a subject, each in a set of its own.
fn name(seq: &mut DERWriterSeq<'_>, kind: &[u64], value: &str) {
    seq.next().write_set(|set| {
        set.next().write_sequence(|seq| {
            seq.next().write_oid(&ObjectIdentifier::from_slice(kind));
            seq.next().write_utf8_string(value);
        });
    });
}

#[cfg(test)]
mod tests {
    use x509_parser::certification_request::X509CertificationRequest;
    use x509_parser::prelude::FromDer as _;

    use super::*;

    #[test]
    fn issue10_a_request_holds_every_group_and_its_key_signed_it() {
        let groups = ["ring-bearers", "hobbits", "Mellon"].map(String::from);
        let made = Request::new("fródo", &groups).unwrap();
        let der = pem::parse(&made.request).unwrap();
        let (rest, request) = X509CertificationRequest::from_der(der.contents()).unwrap();
        assert!(rest.is_empty() && der.tag() == "CERTIFICATE REQUEST");
        let subject = &request.certification_request_info.subject;
        assert_eq!(subject.iter_organization().map(|o| o.as_str().unwrap()).collect::<Vec<_>>(), groups);
        assert_eq!(subject.iter_common_name().next().unwrap().as_str().unwrap(), "fródo");
        let key = KeyPair::from_pem(&made.key).unwrap();
        assert_eq!(request.certification_request_info.subject_pki.raw, key.subject_public_key_info());
        request.verify_signature().unwrap();
    }
}
