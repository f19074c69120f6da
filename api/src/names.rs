//! Name rules, checked before anything is written.

use thiserror::Error;

/// A name that breaks its rule: says which rule and gives an example that fits.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("invalid {what} \"{name}\": {rule}, for example \"{example}\"")]
pub struct InvalidName {
    /// What was being named, for example `cluster name`.
    pub what: &'static str,
    /// The name as given.
    pub name: String,
    /// The rule in words.
    pub rule: &'static str,
    /// A name that fits.
    pub example: &'static str,
}

const RFC1035_LABEL: &str = "must be an RFC 1035 label: at most 63 characters, lower-case letters, digits and '-', \
     starting with a letter and ending with a letter or digit";
const RFC1123_LABEL: &str = "must be an RFC 1123 label: at most 63 characters, lower-case letters, digits and '-', \
     starting and ending with a letter or digit";
const RFC1123_SUBDOMAIN: &str = "must be an RFC 1123 subdomain: at most 253 characters, lower-case letters, digits, '-' and '.', \
     each part starting and ending with a letter or digit";
const DNS_ZONE: &str = "must be a DNS zone name: labels of at most 63 letters, digits and '-' separated by dots, at most 253 characters";

/// Whether `s` is an RFC 1123 label: `[a-z0-9]([-a-z0-9]*[a-z0-9])?`, at most 63 bytes.
pub fn is_rfc1123_label(s: &str) -> bool {
    let b = s.as_bytes();
    let alnum = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    !b.is_empty() && b.len() <= 63 && alnum(b[0]) && alnum(b[b.len() - 1]) && b.iter().all(|&c| alnum(c) || c == b'-')
}

/// Whether `s` is an RFC 1035 label: an RFC 1123 label that starts with a letter.
pub fn is_rfc1035_label(s: &str) -> bool {
    is_rfc1123_label(s) && s.as_bytes()[0].is_ascii_lowercase()
}

/// Whether `s` is an RFC 1123 subdomain: RFC 1123 labels of any length separated by dots, at most 253 bytes.
pub fn is_rfc1123_subdomain(s: &str) -> bool {
    let alnum = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let part = |p: &str| {
        let b = p.as_bytes();
        !b.is_empty() && alnum(b[0]) && alnum(b[b.len() - 1]) && b.iter().all(|&c| alnum(c) || c == b'-')
    };
    s.len() <= 253 && s.split('.').all(part)
}

fn check(ok: bool, what: &'static str, name: &str, rule: &'static str, example: &'static str) -> Result<(), InvalidName> {
    if ok { Ok(()) } else { Err(InvalidName { what, name: name.to_owned(), rule, example }) }
}

/// Cluster names are RFC 1035 labels.
pub fn cluster_name(name: &str) -> Result<(), InvalidName> {
    check(is_rfc1035_label(name), "cluster name", name, RFC1035_LABEL, "gondor")
}

/// Federation names become a label of every DNS name, so they are RFC 1035 labels.
pub fn federation_name(name: &str) -> Result<(), InvalidName> {
    check(is_rfc1035_label(name), "federation name", name, RFC1035_LABEL, "fellowship")
}

/// Namespaces are RFC 1123 labels: other than a cluster's, their names may start with a digit.
pub fn namespace_name(name: &str) -> Result<(), InvalidName> {
    check(is_rfc1123_label(name), "namespace", name, RFC1123_LABEL, "federation-system")
}

/// Secret names are RFC 1123 subdomains, so `11kingdom` is fine.
pub fn secret_name(name: &str) -> Result<(), InvalidName> {
    check(is_rfc1123_subdomain(name), "secret name", name, RFC1123_SUBDOMAIN, "11kingdom")
}

/// DNS zone names, with or without the trailing dot.
pub fn zone_name(name: &str) -> Result<(), InvalidName> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    let label = |l: &str| is_rfc1123_label(&l.to_ascii_lowercase());
    check(bare.len() <= 253 && bare.split('.').all(label), "DNS zone name", name, DNS_ZONE, "example.com.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_names_start_with_a_letter() {
        assert!(cluster_name("gondor").is_ok());
        for bad in ["", "11kingdom", "Gondor", "gondor_needs", "gondor-", "-gondor", "a.b", &"a".repeat(64)] {
            assert!(cluster_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn secret_names_may_start_with_a_digit_and_have_dots() {
        for good in ["11kingdom", "a.b.c", "federation-dns-provider.conf"] {
            assert!(secret_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a..b", ".a", "a.", "A", "a_b"] {
            assert!(secret_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn namespaces_may_start_with_a_digit_but_have_no_dots() {
        for good in ["federation-system", "9walkers"] {
            assert!(namespace_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a.b", "Shire", "-a", "a-", &"a".repeat(64)] {
            let message = namespace_name(bad).unwrap_err().to_string();
            assert!(
                message.contains("must be an RFC 1123 label") && message.contains("starting and ending with a letter or digit"),
                "{message}"
            );
        }
    }

    #[test]
    fn zones_may_end_with_a_dot() {
        for good in ["example.com.", "example.com", "internal"] {
            assert!(zone_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "example..com", "exa_mple.com", "-a.com"] {
            assert!(zone_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_error_names_the_rule_and_an_example() {
        let message = cluster_name("Gondor").unwrap_err().to_string();
        assert!(message.starts_with("invalid cluster name \"Gondor\": must be an RFC 1035 label"), "{message}");
        assert!(message.ends_with("for example \"gondor\""), "{message}");
    }
}
