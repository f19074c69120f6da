//! The DER of a certificate (RFC 5280). rcgen writes certificates elsewhere; it keeps only one organization of a subject,
//! and a user may be in many groups. So subject and key are those of the request, byte for byte. Pure.

use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;
use yasna::models::{GeneralizedTime, ObjectIdentifier, UTCTime};
use yasna::{DERWriter, DERWriterSeq, Tag};

use super::life::Life;
use super::signers::{Side, Uses};

/// Bytes of a serial number: RFC 5280 has room for twenty.
const SERIAL: usize = 16;
/// How many of them say when it was made.
const SERIAL_TIME: usize = 6;

/// Versions are counted from 0.
const V3: u8 = 2;
/// The year from which on times need four digits for it.
const GENERALIZED: i32 = 2050;

/// Arcs of extensions, below 2.5.29.
const KEY_USAGE: u64 = 15;
const ALTERNATIVE_NAME: u64 = 17;
const BASIC_CONSTRAINTS: u64 = 19;
const AUTHORITY_KEY_ID: u64 = 35;
const EXTENDED_KEY_USAGE: u64 = 37;

/// A certificate that is no authority's.
pub(super) struct Leaf<'a> {
    pub(super) serial: [u8; SERIAL],
    /// DER of the authority's subject.
    pub(super) issuer: &'a [u8],
    /// Identifier of the authority's key, where it has one.
    pub(super) issuer_key: Option<&'a [u8]>,
    pub(super) life: Life,
    /// DER.
    pub(super) subject: &'a [u8],
    /// DER of the subject's public key and its kind.
    pub(super) key: &'a [u8],
    /// Alternative names. Kinds that kube-controller-manager does not know are left out, as it does.
    pub(super) names: &'a [&'a GeneralName<'a>],
    pub(super) uses: Uses,
}

/// A serial number that still lacks its [`random`] part: a time goes first, so that certificates made before some moment
/// are known by their numbers alone. `now` is in seconds since the epoch.
pub(super) fn serial(now: i64) -> [u8; SERIAL] {
    let mut serial = [0; SERIAL];
    let milliseconds = now.saturating_mul(1000).to_be_bytes();
    serial[..SERIAL_TIME].copy_from_slice(&milliseconds[milliseconds.len() - SERIAL_TIME..]);
    serial
}

/// The part of a serial number that nobody can guess.
pub(super) fn random(serial: &mut [u8; SERIAL]) -> &mut [u8] {
    &mut serial[SERIAL_TIME..]
}

/// A signed certificate. `algorithm` is the content of an AlgorithmIdentifier.
pub(super) fn certificate(signed: &[u8], algorithm: &[u8], signature: &[u8]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|seq| {
            seq.next().write_der(signed);
            seq.next().write_sequence(|seq| seq.next().write_der(algorithm));
            seq.next().write_bitvec_bytes(signature, signature.len() * 8);
        });
    })
}

/// As PEM.
pub(super) fn pem(der: Vec<u8>) -> String {
    pem::encode_config(&pem::Pem::new("CERTIFICATE", der), pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF))
}

impl Leaf<'_> {
    /// What the authority signs.
    pub(super) fn to_be_signed(&self, algorithm: &[u8]) -> Vec<u8> {
        yasna::construct_der(|writer| {
            writer.write_sequence(|seq| {
                seq.next().write_tagged(Tag::context(0), |writer| writer.write_u8(V3));
                seq.next().write_bigint_bytes(&self.serial, true);
                seq.next().write_sequence(|seq| seq.next().write_der(algorithm));
                seq.next().write_der(self.issuer);
                seq.next().write_sequence(|seq| {
                    time(seq.next(), self.life.not_before);
                    time(seq.next(), self.life.not_after);
                });
                seq.next().write_der(self.subject);
                seq.next().write_der(self.key);
                seq.next().write_tagged(Tag::context(3), |writer| writer.write_sequence(|seq| self.extensions(seq)));
            });
        })
    }

    fn extensions(&self, seq: &mut DERWriterSeq<'_>) {
        let Uses { side, digital_signature, key_encipherment } = self.uses;
        if digital_signature || key_encipherment {
            let bits = [u8::from(digital_signature) << 7 | u8::from(key_encipherment) << 5];
            let used = if key_encipherment { 3 } else { 1 };
            extension(seq, KEY_USAGE, true, |writer| writer.write_bitvec_bytes(&bits, used));
        }
        let purpose = match side {
            Side::Server => 1,
            Side::Client => 2,
        };
        let purpose = ObjectIdentifier::from_slice(&[1, 3, 6, 1, 5, 5, 7, 3, purpose]);
        extension(seq, EXTENDED_KEY_USAGE, false, |writer| writer.write_sequence(|seq| seq.next().write_oid(&purpose)));
        extension(seq, BASIC_CONSTRAINTS, true, |writer| writer.write_sequence(|_| {}));
        if let Some(id) = self.issuer_key {
            extension(seq, AUTHORITY_KEY_ID, false, |writer| {
                writer.write_sequence(|seq| seq.next().write_tagged_implicit(Tag::context(0), |writer| writer.write_bytes(id)));
            });
        }
        let names: Vec<(u64, &[u8])> = self.names.iter().filter_map(|name| alternative(name)).collect();
        if !names.is_empty() {
            // The DER of an empty subject is two bytes.
            extension(seq, ALTERNATIVE_NAME, self.subject.len() <= 2, |writer| {
                writer.write_sequence(|seq| {
                    for (tag, value) in &names {
                        seq.next().write_tagged_implicit(Tag::context(*tag), |writer| writer.write_bytes(value));
                    }
                });
            });
        }
    }
}

/// Tag and value of an alternative name.
fn alternative<'a>(name: &GeneralName<'a>) -> Option<(u64, &'a [u8])> {
    Some(match name {
        GeneralName::RFC822Name(text) => (1, text.as_bytes()),
        GeneralName::DNSName(text) => (2, text.as_bytes()),
        GeneralName::URI(text) => (6, text.as_bytes()),
        GeneralName::IPAddress(bytes) => (7, bytes),
        _ => return None,
    })
}

fn extension(seq: &mut DERWriterSeq<'_>, arc: u64, critical: bool, value: impl FnOnce(DERWriter<'_>)) {
    seq.next().write_sequence(|seq| {
        seq.next().write_oid(&ObjectIdentifier::from_slice(&[2, 5, 29, arc]));
        if critical {
            seq.next().write_bool(true);
        }
        seq.next().write_bytes(&yasna::construct_der(value));
    });
}

/// A time in the form that its year asks for (RFC 5280, 4.1.2.5). Beyond what can be written it is the last moment of the
/// year 9999, which stands there for no end.
fn time(writer: DERWriter<'_>, seconds: i64) {
    const LAST: i64 = 253_402_300_799;
    let at = OffsetDateTime::from_unix_timestamp(seconds.clamp(0, LAST)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    if at.year() < GENERALIZED {
        writer.write_utctime(&UTCTime::from_datetime(at));
    } else {
        writer.write_generalized_time(&GeneralizedTime::from_datetime(at));
    }
}
