//! uids, digests and versions as small as they can be kept: there is one of each for every object in every member.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// A uid: 16 bytes as Kubernetes makes them, or whatever else a server calls one.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Uid {
    /// A UUID as RFC 9562 writes it, in lower case.
    Uuid([u8; 16]),
    /// Anything else; empty for none.
    Other(Box<str>),
}

/// Where the dashes of a UUID are.
const DASHES: [usize; 4] = [8, 13, 18, 23];

impl Uid {
    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Other(text) if text.is_empty())
    }
}

/// The bytes of a UUID in the one spelling that [`Uid`] gives back.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let text = text.as_bytes();
    if text.len() != 36 || !DASHES.iter().all(|at| text[*at] == b'-') {
        return None;
    }
    let mut digits = text.iter().enumerate().filter(|(at, _)| !DASHES.contains(at)).map(|(_, digit)| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    });
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        *byte = digits.next()?? << 4 | digits.next()??;
    }
    Some(bytes)
}

impl Default for Uid {
    fn default() -> Self {
        Self::Other(Box::default())
    }
}

impl From<&str> for Uid {
    fn from(text: &str) -> Self {
        uuid(text).map_or_else(|| Self::Other(text.into()), Self::Uuid)
    }
}

impl PartialEq<str> for Uid {
    fn eq(&self, text: &str) -> bool {
        match self {
            Self::Uuid(bytes) => uuid(text).as_ref() == Some(bytes),
            Self::Other(own) => **own == *text,
        }
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(text) => f.write_str(text),
            Self::Uuid(bytes) => {
                for (n, byte) in bytes.iter().enumerate() {
                    let dash = if [4, 6, 8, 10].contains(&n) { "-" } else { "" };
                    write!(f, "{dash}{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The first eight bytes of a SHA-256; records and annotations have it as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Digest(u64);

impl Digest {
    /// Of some bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut first = [0; 8];
        first.copy_from_slice(&Sha256::digest(bytes)[..8]);
        Self(u64::from_be_bytes(first))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl From<&str> for Digest {
    /// What is no digest is none.
    fn from(text: &str) -> Self {
        Self(u64::from_str_radix(text, 16).unwrap_or_default())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() { Ok(()) } else { write!(f, "{:016x}", self.0) }
    }
}

/// A resourceVersion. Versions are compared only where they are numbers, as all API servers make them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Version {
    Number(u64),
    /// Anything else; empty for none.
    Other(Box<str>),
}

impl Version {
    /// The version as a number.
    pub(crate) fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Other(_) => None,
        }
    }
}

impl Default for Version {
    fn default() -> Self {
        Self::Other(Box::default())
    }
}

impl From<&str> for Version {
    fn from(text: &str) -> Self {
        // Another spelling of the number is another version: it is given back as it was.
        let number = text.parse().ok().filter(|_| text == "0" || !text.starts_with(['0', '+']));
        number.map_or_else(|| Self::Other(text.into()), Self::Number)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn issue8_whatever_a_server_says_is_given_back_as_it_was(
            text in "\\PC*|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9A-F-]{36}|[+0]?[0-9]{1,22}"
        ) {
            let uid = Uid::from(&*text);
            prop_assert_eq!(uid.to_string(), text.as_str());
            prop_assert!(uid == *text);
            prop_assert_eq!(Version::from(&*text).to_string(), text.as_str());
        }

        #[test]
        fn issue8_a_digest_is_what_records_and_annotations_say(bytes: Vec<u8>) {
            let digest = Digest::of(&bytes);
            let text: String = Sha256::digest(&bytes).iter().take(8).map(|b| format!("{b:02x}")).collect();
            prop_assert_eq!(digest.to_string(), text.as_str());
            prop_assert_eq!(Digest::from(&*text), digest);
        }
    }

    #[test]
    fn issue8_they_are_small() {
        let uid = Uid::from("01234567-89ab-cdef-0123-456789abcdef");
        assert!(matches!(uid, Uid::Uuid(_)) && uid != *"01234567-89AB-cdef-0123-456789abcdef");
        assert_eq!((size_of::<Uid>(), size_of::<Digest>(), size_of::<Version>()), (24, 8, 16));
    }
}
