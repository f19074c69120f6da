//! Fully qualified DNS names.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest name in text form, without the final dot (RFC 1035 2.3.4: 255 octets on the wire).
const MAX_NAME: usize = 253;
/// Longest label (RFC 1035 2.3.4).
const MAX_LABEL: usize = 63;

/// A fully qualified name: lower case, ends with a dot, every label valid in a host name or beginning with `_`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct DnsName(Arc<str>);

/// A text that is no DNS name.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("\"{name}\" is no DNS name: {rule}")]
pub struct InvalidDnsName {
    /// The text as given.
    pub name: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

impl DnsName {
    /// Parses a name, with or without the final dot. Letters are lowered.
    ///
    /// # Errors
    /// The first rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidDnsName> {
        let invalid = |rule| Err(InvalidDnsName { name: text.to_owned(), rule });
        let bare = text.strip_suffix('.').unwrap_or(text);
        if bare.is_empty() {
            return invalid("it is empty");
        }
        if bare.len() > MAX_NAME {
            return invalid("it is longer than 253 characters");
        }
        for label in bare.split('.') {
            let bytes = label.as_bytes();
            let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
                return invalid("a label is empty");
            };
            if bytes.len() > MAX_LABEL {
                return invalid("a label is longer than 63 characters");
            }
            if !bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
                return invalid("a label has a character other than letters, digits, '-' and '_'");
            }
            if *first == b'-' || *last == b'-' {
                return invalid("a label begins or ends with '-'");
            }
        }
        Ok(DnsName(format!("{}.", bare.to_ascii_lowercase()).into()))
    }

    /// The name with its final dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The labels from left to right.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.trim_end_matches('.').split('.')
    }

    /// The name without its first label; none for one of a single label.
    pub fn parent(&self) -> Option<DnsName> {
        let (_, rest) = self.0.split_once('.')?;
        (!rest.is_empty()).then(|| DnsName(rest.into()))
    }

    /// Whether the name is `other` or lies below it.
    pub fn is_within(&self, other: &DnsName) -> bool {
        match self.0.len().checked_sub(other.0.len()) {
            Some(0) => self == other,
            Some(cut) => self.0.ends_with(&*other.0) && self.0.as_bytes()[cut - 1] == b'.',
            None => false,
        }
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for DnsName {
    type Error = InvalidDnsName;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<DnsName> for String {
    fn from(name: DnsName) -> Self {
        name.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lowered_and_dotted_and_bad_ones_say_which_rule() {
        assert_eq!(DnsName::parse("Nginx.Example.COM").unwrap().as_str(), "nginx.example.com.");
        for (text, rule) in
            [("", "empty"), (".", "empty"), ("a..b", "label is empty"), ("a b.c", "character"), ("-a.b", "'-'"), (&"x".repeat(64), "63")]
        {
            let error = DnsName::parse(text).unwrap_err();
            assert!(error.rule.contains(rule), "{text}: {error}");
        }
        assert!(DnsName::parse(&["abcdefgh"; 29].join(".")).unwrap_err().rule.contains("253"));
    }

    #[test]
    fn within_respects_label_borders() {
        let name = |t| DnsName::parse(t).unwrap();
        assert!(name("a.example.com").is_within(&name("example.com")));
        assert!(name("example.com").is_within(&name("example.com")));
        assert!(!name("anexample.com").is_within(&name("example.com")));
        assert!(!name("com").is_within(&name("example.com")));
        assert_eq!(name("a.example.com").parent(), Some(name("example.com")));
        assert_eq!(name("com").parent(), None);
    }
}
