//! Names and addresses of the API server itself, which nobody else may have a certificate for: whoever trusts the authority
//! would take him for the API server.

use std::net::IpAddr;
use std::path::PathBuf;

use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

use crate::config::{Config, TlsConfig};

/// Names that clusters give their API server.
const NAMES: [&str; 5] =
    ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];

/// Where it is said what the server answers to.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    /// PEM of the serving certificate.
    certificate: Option<PathBuf>,
    addresses: Vec<IpAddr>,
}

impl Own {
    /// Of a server with that configuration.
    pub(crate) fn of(config: &Config) -> Self {
        let certificate = match &config.tls {
            TlsConfig::Files { cert, .. } => Some(cert.clone()),
            TlsConfig::SelfSigned { dir } => Some(dir.join("apiserver.crt")),
            TlsConfig::Ephemeral => None,
        };
        let bound = Some(config.bind.ip()).filter(|ip| !ip.is_unspecified());
        Self { certificate, addresses: config.advertise_address.into_iter().chain(bound).collect() }
    }

    /// The first of these that the server answers to, by its certificate as it is now.
    pub(super) fn among(&self, asked: &[&GeneralName<'_>]) -> Option<String> {
        let pem = self.certificate.as_ref().and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
        let block = Pem::iter_from_buffer(&pem).next().and_then(Result::ok);
        let served = block.as_ref().and_then(|block| block.parse_x509().ok());
        let names = served.as_ref().and_then(|cert| cert.subject_alternative_name().ok().flatten());
        let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
        asked.iter().find_map(|name| match name {
            GeneralName::DNSName(text) => {
                let same = |other: &str| covers(other, text) || covers(text, other);
                let ours = NAMES.iter().any(|other| same(other))
                    || names.iter().any(|other| matches!(other, GeneralName::DNSName(other) if same(other)));
                ours.then(|| (*text).to_owned())
            }
            GeneralName::IPAddress(bytes) => {
                let ip = address(bytes)?;
                let ours = ip.is_loopback()
                    || self.addresses.contains(&ip)
                    || names.iter().any(|other| matches!(other, GeneralName::IPAddress(other) if other == bytes));
                ours.then(|| ip.to_string())
            }
            _ => None,
        })
    }
}

/// Whether a name of a certificate is good for a host: they are the same, or its first label stands for any.
fn covers(name: &str, host: &str) -> bool {
    let (name, host) = (name.trim_end_matches('.'), host.trim_end_matches('.'));
    if name.eq_ignore_ascii_case(host) {
        return true;
    }
    let Some(domain) = name.strip_prefix("*.") else { return false };
    host.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(domain))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok().map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::Profile;

    #[test]
    fn issue10_nobody_else_is_certified_to_be_the_api_server() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
        let names = ["federation.example.com", "*.gate.example.com", "198.18.0.7"].map(String::from).to_vec();
        let served = CertificateParams::new(names).unwrap().self_signed(&KeyPair::generate().unwrap()).unwrap();
        std::fs::write(&cert, served.pem()).unwrap();
        let config = Config {
            tls: TlsConfig::Files { cert, key },
            advertise_address: Some("198.18.0.8".parse().unwrap()),
            ..Config::in_memory(Profile::Federation)
        };
        let own = Own::of(&config);
        let dns = |name| own.among(&[&GeneralName::DNSName("bagend"), &GeneralName::DNSName(name)]);
        for name in [
            "federation.example.com",
            "FEDERATION.example.com.",
            "*.example.com",
            "west.gate.example.com",
            "localhost",
            "kubernetes.default.svc",
        ] {
            assert_eq!(dns(name), Some(name.to_owned()));
        }
        assert_eq!(dns("rivendell.example.com"), None);
        let ip = |bytes: &[u8]| own.among(&[&GeneralName::IPAddress(bytes)]);
        for bytes in [[198, 18, 0, 7], [198, 18, 0, 8], [127, 0, 0, 1], [127, 3, 2, 1]] {
            assert_eq!(ip(&bytes), Some(IpAddr::from(bytes).to_string()));
        }
        assert_eq!(ip(&[198, 18, 0, 9]), None);
        let mapped: Vec<u8> = [[0; 10].as_slice(), &[255, 255, 198, 18, 0, 8]].concat();
        assert_eq!(ip(&mapped), Some("198.18.0.8".to_owned()));
    }
}
