//! `federation/v1beta1` Credential: a certificate or token that the federation issued, or that was revoked.

use serde::{Deserialize, Serialize};

/// Kind.
pub const KIND: &str = "Credential";
/// Plural resource.
pub const PLURAL: &str = "credentials";
/// What names of certificates begin with; their serial number follows.
const CERTIFICATE: &str = "certificate-";
/// What names of tokens begin with; their id (`jti`) follows.
const TOKEN: &str = "token-";
/// Digits of the longest serial number (RFC 5280, 4.1.2.2: twenty bytes).
const LONGEST_SERIAL: usize = 40;

/// What a credential is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Type {
    /// A client certificate.
    #[default]
    Certificate,
    /// The token of a service account.
    Token,
}

/// What is known of a credential from its beginning. It never changes.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CredentialSpec {
    /// What it is.
    #[serde(rename = "type")]
    pub type_: Type,
    /// Whom it stands for; empty when that is not known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Groups it gives.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// SHA-256 of the certificate, in hexadecimal digits.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
    /// Who asked for it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issued_by: String,
    /// From when it holds, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// Until when it holds, RFC 3339; `None` when that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<String>,
}

/// What became of it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CredentialStatus {
    /// That it was revoked, which is never taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revocation>,
    /// When it was used last; `None` when it never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used: Option<LastUse>,
}

/// When a credential was used last, a minute late at most.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct LastUse {
    /// When, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// IP address of who showed it, as the API server saw it: that of a proxy where there is one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
}

/// That a credential was revoked.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Revocation {
    /// When, RFC 3339; the API server says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A text that is no serial number.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a serial number is 1 to 40 hexadecimal digits, which colons may separate")]
pub struct InvalidSerial;

/// Name of the object of the certificate with that serial number, big-endian.
pub fn of_serial(serial: &[u8]) -> String {
    let digits: String = serial.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{CERTIFICATE}{}", without_zeros(&digits))
}

/// Name of the object of the token with that id (`jti`).
pub fn of_token(id: &str) -> String {
    format!("{TOKEN}{id}")
}

/// Name of the object of the certificate with the serial number in a text, as openssl and browsers write it.
///
/// # Errors
/// It is none.
pub fn of_serial_text(text: &str) -> Result<String, InvalidSerial> {
    let digits: String = text.chars().filter(|c| *c != ':').collect::<String>().to_ascii_lowercase();
    let good = digits.bytes().all(|c| c.is_ascii_hexdigit()) && (1..=LONGEST_SERIAL).contains(&digits.len());
    if good { Ok(format!("{CERTIFICATE}{}", without_zeros(&digits))) } else { Err(InvalidSerial) }
}

/// Whether an object of that type can have that name.
pub fn is_name(name: &str, type_: Type) -> bool {
    match type_ {
        Type::Certificate => name.strip_prefix(CERTIFICATE).is_some_and(|digits| of_serial_text(digits).is_ok_and(|made| made == name)),
        Type::Token => name.strip_prefix(TOKEN).is_some_and(|id| !id.is_empty()),
    }
}

fn without_zeros(digits: &str) -> &str {
    match digits.trim_start_matches('0') {
        "" => "0",
        rest => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issue10_a_serial_number_has_one_name_however_it_is_written() {
        let name = of_serial(&[0x00, 0x0a, 0xbc]);
        assert_eq!(name, "certificate-abc");
        for text in ["0abc", "ABC", "00:0A:BC", "abc"] {
            assert_eq!(of_serial_text(text), Ok(name.clone()), "{text}");
        }
        for text in ["", ":", "xyz", "0x12", "-1", &"1".repeat(41)] {
            assert_eq!(of_serial_text(text), Err(InvalidSerial), "{text}");
        }
        assert!(is_name(&name, Type::Certificate) && !is_name(&name, Type::Token));
        assert!(!is_name("certificate-0abc", Type::Certificate) && !is_name("certificate-ABC", Type::Certificate));
        assert!(is_name(&of_token("6f1c"), Type::Token) && !is_name("token-", Type::Token));
    }
}
