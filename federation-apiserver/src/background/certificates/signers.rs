//! What Kubernetes' signers certify, and for what use: the rules of kube-controller-manager's. Pure.

use std::collections::BTreeSet;

use x509_parser::extensions::GeneralName;

use crate::registry::certificates::request::Subject;
use crate::registry::certificates::{CLIENT_SIGNER, KUBELET_CLIENT_SIGNER, KUBELET_SERVING_SIGNER, NODE_USER, NODES};

const DIGITAL_SIGNATURE: &str = "digital signature";
const KEY_ENCIPHERMENT: &str = "key encipherment";
const CLIENT_AUTH: &str = "client auth";
const SERVER_AUTH: &str = "server auth";

/// A signer that the server knows the rules of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Signer {
    /// Of clients of the API server.
    Client,
    /// Of nodes as such clients.
    KubeletClient,
    /// Of what nodes serve.
    KubeletServing,
}

/// Which side of a connection a certificate is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    Client,
    Server,
}

/// What a certificate may be used for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Uses {
    pub(super) side: Side,
    pub(super) digital_signature: bool,
    pub(super) key_encipherment: bool,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) subject: &'a Subject,
    pub(super) names: &'a [&'a GeneralName<'a>],
    pub(super) usages: &'a BTreeSet<&'a str>,
}

/// Why a signer does not sign, whoever approved.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the subject's organization has to be {NODES}, and no other")]
    Organization,
    #[error("the subject's common name has to begin with {NODE_USER}")]
    CommonName,
    #[error("{0} among the subject alternative names are not allowed")]
    Names(&'static str),
    #[error("at least one DNS name or IP address is needed among the subject alternative names")]
    NoNames,
    #[error("{0} is a name or address of the API server itself")]
    Own(String),
    #[error("usage {0:?} is not allowed")]
    Usage(String),
    #[error("usage {0:?} is missing")]
    Missing(&'static str),
}

impl Signer {
    /// The signer of a name; `None` for signers of others.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            CLIENT_SIGNER => Self::Client,
            KUBELET_CLIENT_SIGNER => Self::KubeletClient,
            KUBELET_SERVING_SIGNER => Self::KubeletServing,
            _ => return None,
        })
    }

    /// For what a certificate is made, if it may be made.
    pub(super) fn check(self, asked: Asked<'_>) -> Result<Uses, Refusal> {
        let (side, needed): (_, &[&str]) = match self {
            Self::Client => (Side::Client, &[CLIENT_AUTH]),
            Self::KubeletClient => (Side::Client, &[CLIENT_AUTH, DIGITAL_SIGNATURE]),
            Self::KubeletServing => (Side::Server, &[SERVER_AUTH, DIGITAL_SIGNATURE]),
        };
        match self {
            Self::Client => {}
            Self::KubeletClient => {
                node(asked.subject)?;
                names(asked.names, &["DNS names", "IP addresses", "mail addresses", "URIs"])?;
            }
            Self::KubeletServing => {
                node(asked.subject)?;
                names(asked.names, &["mail addresses", "URIs"])?;
                if !asked.names.iter().any(|name| matches!(name, GeneralName::DNSName(_) | GeneralName::IPAddress(_))) {
                    return Err(Refusal::NoNames);
                }
            }
        }
        if let Some(missing) = needed.iter().find(|usage| !asked.usages.contains(**usage)) {
            return Err(Refusal::Missing(missing));
        }
        let optional = |usage: &str| matches!(usage, DIGITAL_SIGNATURE | KEY_ENCIPHERMENT);
        match asked.usages.iter().find(|usage| !needed.contains(usage) && !optional(usage)) {
            Some(other) => Err(Refusal::Usage((*other).to_owned())),
            None => Ok(Uses {
                side,
                digital_signature: asked.usages.contains(DIGITAL_SIGNATURE),
                key_encipherment: asked.usages.contains(KEY_ENCIPHERMENT),
            }),
        }
    }
}

fn node(subject: &Subject) -> Result<(), Refusal> {
    if subject.groups != [NODES] {
        return Err(Refusal::Organization);
    }
    if subject.name.starts_with(NODE_USER) { Ok(()) } else { Err(Refusal::CommonName) }
}

/// The first name of a kind that is forbidden.
fn names(names: &[&GeneralName<'_>], forbidden: &[&'static str]) -> Result<(), Refusal> {
    let kinds = names.iter().filter_map(|name| {
        Some(match name {
            GeneralName::DNSName(_) => "DNS names",
            GeneralName::IPAddress(_) => "IP addresses",
            GeneralName::RFC822Name(_) => "mail addresses",
            GeneralName::URI(_) => "URIs",
            _ => return None,
        })
    });
    kinds.into_iter().find(|kind| forbidden.contains(kind)).map_or(Ok(()), |kind| Err(Refusal::Names(kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(signer: Signer, name: &str, groups: &[&str], names: &[GeneralName<'_>], usages: &[&str]) -> Result<Uses, Refusal> {
        let subject = Subject { name: name.into(), groups: groups.iter().map(|g| (*g).to_owned()).collect() };
        let names: Vec<&GeneralName<'_>> = names.iter().collect();
        signer.check(Asked { subject: &subject, names: &names, usages: &usages.iter().copied().collect() })
    }

    #[test]
    fn issue10_each_signer_certifies_what_it_is_for() {
        const NODE: &str = "system:node:bagend";
        let (dns, ip) = (GeneralName::DNSName("bagend"), GeneralName::IPAddress(&[198, 18, 0, 1]));
        let (mail, uri) = (GeneralName::RFC822Name("frodo@shire"), GeneralName::URI("spiffe://shire/frodo"));
        let uses = |side, digital_signature, key_encipherment| Ok(Uses { side, digital_signature, key_encipherment });
        let client = |usages: &[&str]| check(Signer::Client, "frodo", &["hobbits", "ring-bearers"], &[], usages);
        assert_eq!(client(&["client auth"]), uses(Side::Client, false, false));
        assert_eq!(client(&["key encipherment", "client auth", "digital signature"]), uses(Side::Client, true, true));
        assert_eq!(client(&["digital signature"]), Err(Refusal::Missing("client auth")));
        assert_eq!(client(&["client auth", "server auth"]), Err(Refusal::Usage("server auth".into())));
        assert_eq!(client(&["client auth", "cert sign"]), Err(Refusal::Usage("cert sign".into())));

        let kubelet = ["digital signature", "client auth"];
        let node = |name, groups: &[&str], names: &[GeneralName<'_>]| check(Signer::KubeletClient, name, groups, names, &kubelet);
        assert_eq!(node(NODE, &[NODES], &[]), uses(Side::Client, true, false));
        assert_eq!(node("frodo", &[NODES], &[]), Err(Refusal::CommonName));
        for groups in [&[][..], &["hobbits"], &[NODES, "system:masters"]] {
            assert_eq!(node(NODE, groups, &[]), Err(Refusal::Organization));
        }
        for (name, kind) in
            [(dns.clone(), "DNS names"), (ip.clone(), "IP addresses"), (mail.clone(), "mail addresses"), (uri.clone(), "URIs")]
        {
            assert_eq!(node(NODE, &[NODES], &[name]), Err(Refusal::Names(kind)));
        }
        assert_eq!(check(Signer::KubeletClient, NODE, &[NODES], &[], &["client auth"]), Err(Refusal::Missing("digital signature")));

        let serving = ["digital signature", "key encipherment", "server auth"];
        let serve = |names: &[GeneralName<'_>]| check(Signer::KubeletServing, NODE, &[NODES], names, &serving);
        assert_eq!(serve(&[dns.clone(), ip]), uses(Side::Server, true, true));
        assert_eq!(serve(&[]), Err(Refusal::NoNames));
        assert_eq!(serve(&[dns.clone(), mail]), Err(Refusal::Names("mail addresses")));
        assert_eq!(serve(&[dns.clone(), uri]), Err(Refusal::Names("URIs")));
        assert_eq!(check(Signer::KubeletServing, "bagend", &[NODES], std::slice::from_ref(&dns), &serving), Err(Refusal::CommonName));
        assert_eq!(check(Signer::KubeletServing, NODE, &[NODES], &[dns], &kubelet), Err(Refusal::Missing("server auth")));
    }
}
