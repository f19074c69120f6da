//! The federation's own authority and the certificates it signs: ECDSA P-256, checked and reused when `init` runs again.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use federation_api::keys;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;

use crate::error::Failure;
use crate::render::credentials::Pair;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long an authority is good for.
pub const CA_VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How long the certificates it signs are good for.
pub const LEAF_VALIDITY: Duration = Duration::from_secs(365 * 24 * 3600);
/// A certificate with less time left than this is renewed when `init` runs again.
pub const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Certificates are valid from a little earlier, because clocks differ.
const CLOCK_SKEW: Duration = Duration::from_secs(300);
/// Common name of the administrator.
pub const ADMIN: &str = "admin";
/// Group that may do everything.
pub const MASTERS: &str = "system:masters";

/// What to do about an authority that is not whole.
pub const RESTORE: &str =
    "put back the secret's ca.crt and ca.key, or delete the secret and run init again: every client then needs new credentials";

/// The certificates of one federation.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Found {
    /// The authority.
    pub ca: Option<Pair>,
    /// The API server's.
    pub server: Option<Pair>,
    /// The controller manager's.
    pub controller_manager: Option<Pair>,
    /// The administrator's.
    pub admin: Option<Pair>,
}

/// A complete set.
pub struct Issued {
    /// The authority.
    pub ca: Pair,
    /// The API server's.
    pub server: Pair,
    /// The controller manager's.
    pub controller_manager: Pair,
    /// The administrator's.
    pub admin: Pair,
}

/// What the certificates are for.
pub struct Wanted<'a> {
    /// Common name of the authority.
    pub federation: &'a str,
    /// DNS names the API server answers to.
    pub names: &'a [String],
    /// Addresses it answers at.
    pub ips: &'a [IpAddr],
}

/// Keeps what is still good, issues the rest.
///
/// # Errors
/// When the authority that was found cannot be used, or a name cannot go into a certificate.
pub fn ensure(wanted: &Wanted<'_>, found: Found, now: SystemTime) -> Result<Issued, Failure> {
    let ca = match found.ca {
        Some(ca) => usable_authority(ca, now)?,
        None => authority(wanted.federation, now)?,
    };
    // Good is what is good now, and for a while longer.
    let checks = [Checker::new(&ca, now)?, Checker::new(&ca, now + RENEW_BEFORE)?];
    let server = match found.server.filter(|p| checks.iter().all(|check| check.server(p, wanted))) {
        Some(pair) => pair,
        None => server(&ca, wanted, now)?,
    };
    let client = |found: Option<Pair>, name: &str, groups: &[&str]| match found.filter(|p| checks.iter().all(|check| check.client(p, name)))
    {
        Some(pair) => Ok(pair),
        None => client(&ca, name, groups, now),
    };
    let controller_manager = client(found.controller_manager, keys::CONTROLLER_MANAGER_USER, &[])?;
    let admin = client(found.admin, ADMIN, &[MASTERS])?;
    Ok(Issued { ca, server, controller_manager, admin })
}

fn params(common_name: &str, groups: &[&str], now: SystemTime, validity: Duration) -> CertificateParams {
    let mut name = DistinguishedName::new();
    for group in groups {
        name.push(DnType::OrganizationName, *group);
    }
    name.push(DnType::CommonName, common_name);
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + validity).into();
    params.use_authority_key_identifier_extension = true;
    params
}

fn broken(e: impl std::fmt::Display) -> Failure {
    Failure::new(format!("making a certificate: {e}"))
}

/// A key that signs tokens, with its public part instead of a certificate.
///
/// # Errors
/// The cryptography library makes no key.
pub fn key() -> Result<Pair, Failure> {
    let key = KeyPair::generate().map_err(broken)?;
    Ok(Pair { cert: key.public_key_pem(), key: key.serialize_pem() })
}

fn authority(federation: &str, now: SystemTime) -> Result<Pair, Failure> {
    let key = KeyPair::generate().map_err(broken)?;
    let mut params = params(federation, &[], now, CA_VALIDITY);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
    let cert = params.self_signed(&key).map_err(broken)?;
    Ok(Pair { cert: cert.pem(), key: key.serialize_pem() })
}

fn sign(ca: &Pair, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> Result<Pair, Failure> {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    let ca_key = KeyPair::from_pem(&ca.key).map_err(broken)?;
    let issuer = Issuer::from_ca_cert_pem(&ca.cert, ca_key).map_err(broken)?;
    let key = KeyPair::generate().map_err(broken)?;
    let cert = params.signed_by(&key, &issuer).map_err(broken)?;
    Ok(Pair { cert: cert.pem(), key: key.serialize_pem() })
}

fn server(ca: &Pair, wanted: &Wanted<'_>, now: SystemTime) -> Result<Pair, Failure> {
    let mut params = params("federation-apiserver", &[], now, LEAF_VALIDITY);
    for name in wanted.names {
        params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into().map_err(broken)?));
    }
    params.subject_alt_names.extend(wanted.ips.iter().copied().map(SanType::IpAddress));
    sign(ca, params, ExtendedKeyUsagePurpose::ServerAuth)
}

fn client(ca: &Pair, name: &str, groups: &[&str], now: SystemTime) -> Result<Pair, Failure> {
    sign(ca, params(name, groups, now, LEAF_VALIDITY), ExtendedKeyUsagePurpose::ClientAuth)
}

/// A client certificate for a user, in one group at most, by an authority whose key is at hand; it never outlives the authority.
/// Of several certificates the first is the authority's. Its key may be RSA, ECDSA or Ed25519, in PKCS#8, PKCS#1 or SEC1.
///
/// # Errors
/// The authority is none, has ended, or the key is another's.
pub fn component(ca: &Pair, user: &str, group: Option<&str>, validity: Duration, now: SystemTime) -> Result<Pair, Failure> {
    let bad = |why: &str, hint: &str| Failure::usage(format!("the authority cannot sign: {why}")).hint(hint);
    let other = "name the authority's certificate with --certificate-authority and its key, in PEM and not encrypted, with --ca-key";
    let der = CertificateDer::from_pem_slice(ca.cert.as_bytes()).map_err(|e| bad(&e.to_string(), other))?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|e| bad(&e.to_string(), other))?;
    if !parsed.is_ca() {
        return Err(bad("its certificate is no authority's", other));
    }
    let end = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(end);
    if end <= now {
        return Err(bad("it has expired", "nobody takes what it signs: make a new authority"));
    }
    // What is wrong with a key is not told in the library's words, which may show some of it.
    let key = PrivateKeyDer::from_pem_slice(ca.key.as_bytes()).map_err(|_| bad("its key cannot be read", other))?;
    let key = aws_lc_rs::default_provider().key_provider.load_private_key(key).map_err(|_| bad("its key cannot be read", other))?;
    CertifiedKey::new(vec![der.clone()], key).keys_match().map_err(|_| bad("the key is not that of the certificate", other))?;
    let first = Pair { cert: pem::encode(&pem::Pem::new("CERTIFICATE", der.to_vec())), key: ca.key.clone() };
    let groups: Vec<&str> = group.into_iter().collect();
    let mut params = params(user, &groups, now, DAY);
    params.not_after = now.checked_add(validity).map_or(end, |wanted| wanted.min(end)).into();
    sign(&first, params, ExtendedKeyUsagePurpose::ClientAuth)
}

/// An authority that can sign for another year, or why not.
fn usable_authority(ca: Pair, now: SystemTime) -> Result<Pair, Failure> {
    let bad = |why: String| Failure::new(format!("the federation's authority cannot be used: {why}")).hint(RESTORE);
    let key = KeyPair::from_pem(&ca.key).map_err(|e| bad(format!("its key is unreadable ({e})")))?;
    Issuer::from_ca_cert_pem(&ca.cert, key).map_err(|e| bad(format!("its certificate is unreadable ({e})")))?;
    let der = CertificateDer::from_pem_slice(ca.cert.as_bytes()).map_err(|e| bad(e.to_string()))?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|e| bad(e.to_string()))?;
    let left = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
    if SystemTime::UNIX_EPOCH + Duration::from_secs(left) <= now {
        return Err(bad("it has expired".to_owned()));
    }
    Ok(ca)
}

/// Verifies leaves as a TLS peer would.
struct Checker {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
    at: UnixTime,
}

impl Checker {
    fn new(ca: &Pair, at: SystemTime) -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.cert.as_bytes()).map_err(broken)?).map_err(broken)?;
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(DAY);
        Ok(Self { roots: Arc::new(roots), provider: Arc::new(aws_lc_rs::default_provider()), at: UnixTime::since_unix_epoch(since) })
    }

    fn leaf(&self, pair: &Pair) -> Option<CertificateDer<'static>> {
        let cert = CertificateDer::from_pem_slice(pair.cert.as_bytes()).ok()?;
        let key = self.provider.key_provider.load_private_key(PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).ok()?).ok()?;
        CertifiedKey::new(vec![cert.clone()], key).keys_match().ok()?;
        Some(cert)
    }

    fn server(&self, pair: &Pair, wanted: &Wanted<'_>) -> bool {
        let verifier = WebPkiServerVerifier::builder_with_provider(self.roots.clone(), self.provider.clone()).build();
        let (Some(cert), Ok(verifier)) = (self.leaf(pair), verifier) else { return false };
        let answers = |name: ServerName<'_>| verifier.verify_server_cert(&cert, &[], &name, &[], self.at).is_ok();
        // A wildcard is tried with a name it stands for.
        let example = |name: &String| name.strip_prefix("*.").map_or_else(|| name.clone(), |rest| format!("any.{rest}"));
        wanted.names.iter().map(example).all(|n| ServerName::try_from(n).is_ok_and(&answers))
            && wanted.ips.iter().all(|ip| answers(ServerName::from(*ip)))
    }

    fn client(&self, pair: &Pair, name: &str) -> bool {
        let verifier = WebPkiClientVerifier::builder_with_provider(self.roots.clone(), self.provider.clone()).build();
        let (Some(cert), Ok(verifier)) = (self.leaf(pair), verifier) else { return false };
        verifier.verify_client_cert(&cert, &[], self.at).is_ok() && common_name(&cert).as_deref() == Some(name)
    }
}

/// Whether a certificate is an administrator's.
pub fn is_administrator(cert: &str) -> bool {
    CertificateDer::from_pem_slice(cert.as_bytes()).is_ok_and(|der| common_name(&der).as_deref() == Some(ADMIN))
}

/// Whether a serving certificate is the authority's, has its key and is valid at a time.
pub fn serves(ca: &Pair, server: &Pair, at: SystemTime) -> bool {
    let (Ok(check), Ok((names, ips))) = (Checker::new(ca, at), answers_to(&server.cert)) else { return false };
    check.server(server, &Wanted { federation: "", names: &names, ips: &ips })
}

/// Whether a client certificate of this common name is the authority's, has its key and is valid at a time.
pub fn identifies(ca: &Pair, client: &Pair, name: &str, at: SystemTime) -> bool {
    Checker::new(ca, at).is_ok_and(|check| check.client(client, name))
}

/// Names and addresses a serving certificate is for.
///
/// # Errors
/// Why it cannot be read.
pub fn answers_to(cert: &str) -> Result<(Vec<String>, Vec<IpAddr>), Failure> {
    let der = CertificateDer::from_pem_slice(cert.as_bytes()).map_err(unreadable)?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(unreadable)?;
    let extension = parsed.subject_alternative_name().map_err(unreadable)?;
    let (mut names, mut ips) = (Vec::new(), Vec::new());
    for name in extension.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::DNSName(name) => names.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => ips.extend(address(bytes)),
            _ => {}
        }
    }
    Ok((names, ips))
}

fn unreadable(e: impl std::fmt::Display) -> Failure {
    Failure::new(format!("the API server's certificate cannot be read: {e}"))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
}

fn common_name(der: &CertificateDer<'_>) -> Option<String> {
    let (_, cert) = x509_parser::parse_x509_certificate(der).ok()?;
    cert.subject().iter_common_name().next()?.as_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted<'a>(names: &'a [String], ips: &'a [IpAddr]) -> Wanted<'a> {
        Wanted { federation: "fellowship", names, ips }
    }

    fn again(i: &Issued) -> Found {
        Found {
            ca: Some(i.ca.clone()),
            server: Some(i.server.clone()),
            controller_manager: Some(i.controller_manager.clone()),
            admin: Some(i.admin.clone()),
        }
    }

    fn names() -> Vec<String> {
        vec!["fellowship-federation-apiserver".into(), "fellowship-federation-apiserver.federation-system.svc.cluster.local".into()]
    }

    #[test]
    fn good_certificates_are_kept_and_verify() {
        let (names, ips, now) = (names(), vec!["198.18.0.11".parse().unwrap(), "fd00::1".parse().unwrap()], SystemTime::now());
        let first = ensure(&wanted(&names, &ips), Found::default(), now).unwrap();
        let check = Checker::new(&first.ca, now + RENEW_BEFORE).unwrap();
        assert!(check.server(&first.server, &wanted(&names, &ips)));
        assert!(check.client(&first.controller_manager, "federation-controller-manager"));
        assert!(check.client(&first.admin, "admin"));
        assert!(!check.client(&first.admin, "federation-controller-manager"), "the name is part of the check");
        assert!(!check.client(&first.server, "federation-apiserver"), "a serving certificate is no client's");
        let second = ensure(&wanted(&names, &ips), again(&first), now).unwrap();
        assert!(again(&second) == again(&first), "nothing changed, so nothing was issued");
    }

    #[test]
    fn the_admin_is_in_the_masters_group() {
        let issued = ensure(&wanted(&names(), &[]), Found::default(), SystemTime::now()).unwrap();
        let der = CertificateDer::from_pem_slice(issued.admin.cert.as_bytes()).unwrap();
        let (_, cert) = x509_parser::parse_x509_certificate(&der).unwrap();
        assert_eq!(cert.subject().to_string(), "O=system:masters, CN=admin");
    }

    #[test]
    fn a_missing_address_re_issues_only_the_servers() {
        let (names, now) = (names(), SystemTime::now());
        let first = ensure(&wanted(&names, &[]), Found::default(), now).unwrap();
        let ips = ["198.18.0.11".parse().unwrap()];
        let second = ensure(&wanted(&names, &ips), again(&first), now).unwrap();
        assert!(first.ca == second.ca && first.admin == second.admin && first.controller_manager == second.controller_manager);
        assert!(first.server != second.server);
    }

    #[test]
    fn leaves_are_renewed_before_they_end_and_the_authority_is_kept() {
        let (names, now) = (names(), SystemTime::now());
        let first = ensure(&wanted(&names, &[]), Found::default(), now).unwrap();
        let late = now + LEAF_VALIDITY - RENEW_BEFORE + DAY;
        let second = ensure(&wanted(&names, &[]), again(&first), late).unwrap();
        assert!(first.ca == second.ca);
        assert!(first.server != second.server && first.admin != second.admin && first.controller_manager != second.controller_manager);
    }

    #[test]
    fn another_authority_makes_everything_new() {
        let (names, now) = (names(), SystemTime::now());
        let first = ensure(&wanted(&names, &[]), Found::default(), now).unwrap();
        let second = ensure(&wanted(&names, &[]), Found { ca: None, ..again(&first) }, now).unwrap();
        assert!(first.ca != second.ca && first.admin != second.admin && first.server != second.server);
    }

    #[test]
    fn an_authority_that_cannot_be_used_is_an_error_not_a_new_one() {
        let (names, now) = (names(), SystemTime::now());
        let first = ensure(&wanted(&names, &[]), Found::default(), now).unwrap();
        let torn = Found { ca: Some(Pair { cert: first.ca.cert.clone(), key: "torn".into() }), ..Found::default() };
        let failure = ensure(&wanted(&names, &[]), torn, now).err().unwrap();
        assert!(failure.message.starts_with("the federation's authority cannot be used: its key is unreadable"), "{failure}");
        let failure = ensure(&wanted(&names, &[]), again(&first), now + CA_VALIDITY + DAY).err().unwrap();
        assert!(failure.message.ends_with("it has expired"), "{failure}");
    }
}
