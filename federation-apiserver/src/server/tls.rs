//! TLS 1.2 and newer with optional client certificates; files are read again when they change.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::Error::NoItemsFound;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};
use sha2::{Digest, Sha256};

use super::certificate;
use crate::auth::authn::Peer;
use crate::config::{Config, ConfigError, TlsConfig};

/// How often certificate files are looked at for changes.
const RELOAD_EVERY: Duration = Duration::from_secs(5);

/// Gathers the crypto library's first randomness, which takes some 50 ms of one core; to be called beside other work
/// of a start.
pub(crate) fn warm_up() {
    // Whoever needs it later is told when it fails.
    let _ = aws_lc_rs::default_provider().secure_random.fill(&mut [0]);
}

/// What handshakes use now.
pub(super) struct Current {
    /// For the acceptor.
    pub(super) config: Arc<ServerConfig>,
    /// Checks client certificates against the client CA after the handshake.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
}

impl Current {
    /// What the peer's certificate proves. One whose chain does not lead to the client CA does not end
    /// the connection: the request may still carry a token.
    pub(super) fn peer(&self, chain: Option<&[CertificateDer<'static>]>) -> Peer {
        let (Some(verifier), Some((first, rest))) = (&self.verifier, chain.and_then(<[_]>::split_first)) else { return Peer::Nobody };
        match verifier.verify_client_cert(first, rest, UnixTime::now()) {
            Ok(_) => Peer::from_der(first),
            Err(e) => {
                tracing::info!("client certificate refused: {e}");
                Peer::Refused
            }
        }
    }
}

enum Source {
    Files { cert: PathBuf, key: PathBuf },
    Memory(certificate::Pem),
}

/// Certificates of the listener.
pub(super) struct Tls {
    source: Source,
    client_ca: Option<PathBuf>,
    current: ArcSwap<Current>,
    certificate_pem: ArcSwap<Vec<u8>>,
}

impl Tls {
    /// Reads (or makes) the certificates.
    pub(super) fn load(config: &Config) -> Result<Self, ConfigError> {
        let source = match &config.tls {
            TlsConfig::Files { cert, key } => Source::Files { cert: cert.clone(), key: key.clone() },
            TlsConfig::SelfSigned { dir } => {
                let (cert, key) = certificate::in_directory(dir, &addresses(config))?;
                Source::Files { cert, key }
            }
            TlsConfig::Ephemeral => Source::Memory(certificate::self_signed(&addresses(config)).map_err(|e| {
                ConfigError::new(format!("cannot make a self-signed certificate: {e}"), "give --tls-cert-file and --tls-private-key-file")
            })?),
        };
        let client_ca = config.client_ca_file.clone();
        let material = Material::read(&source, client_ca.as_deref())?;
        let current = material.build()?;
        Ok(Self { source, client_ca, current: ArcSwap::from_pointee(current), certificate_pem: ArcSwap::from_pointee(material.cert) })
    }

    /// What a new connection uses.
    pub(super) fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// The serving certificate as PEM.
    pub(super) fn certificate_pem(&self) -> Vec<u8> {
        self.certificate_pem.load().as_ref().clone()
    }

    /// Follows the files for ever. Bad ones are reported once and the last good ones stay.
    pub(super) async fn follow_files(self: Arc<Self>) {
        let read = || Material::read(&self.source, self.client_ca.as_deref());
        let mut seen = read().map(|m| m.digest()).unwrap_or_default();
        let mut said = String::new();
        loop {
            tokio::time::sleep(RELOAD_EVERY).await;
            let outcome = read().and_then(|material| {
                let digest = material.digest();
                if digest != seen {
                    self.current.store(Arc::new(material.build()?));
                    self.certificate_pem.store(Arc::new(material.cert));
                    seen = digest;
                    tracing::info!("certificates reloaded");
                }
                Ok(())
            });
            let problem = outcome.err().map(|e| e.message).unwrap_or_default();
            if !problem.is_empty() && problem != said {
                tracing::error!("certificates not reloaded, the last good ones stay: {problem}");
            }
            said = problem;
        }
    }
}

/// Addresses a self-signed certificate is good for.
fn addresses(config: &Config) -> Vec<IpAddr> {
    let mut all = vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1u16])];
    all.extend(config.advertise_address);
    if !config.bind.ip().is_unspecified() {
        all.push(config.bind.ip());
    }
    all.sort();
    all.dedup();
    all
}

/// The files' contents.
struct Material {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
    names: [String; 3],
}

impl Material {
    fn read(source: &Source, client_ca: Option<&Path>) -> Result<Self, ConfigError> {
        let read = |path: &Path| {
            std::fs::read(path)
                .map_err(|e| ConfigError::new(format!("cannot read {}: {e}", path.display()), "check the path and its permissions"))
        };
        let ca_name = client_ca.map(|p| p.display().to_string()).unwrap_or_default();
        let client_ca = client_ca.map(read).transpose()?;
        Ok(match source {
            Source::Files { cert, key } => Self {
                names: [cert.display().to_string(), key.display().to_string(), ca_name],
                cert: read(cert)?,
                key: read(key)?,
                client_ca,
            },
            Source::Memory(pem) => Self {
                names: ["the self-signed certificate".into(), "its key".into(), ca_name],
                cert: pem.cert.clone().into_bytes(),
                key: pem.key.clone().into_bytes(),
                client_ca,
            },
        })
    }

    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [&self.cert, &self.key, self.client_ca.as_ref().unwrap_or(&Vec::new())] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    fn build(&self) -> Result<Current, ConfigError> {
        let [cert_name, key_name, ca_name] = &self.names;
        let bad = |file: &str, why: &dyn std::fmt::Display| {
            ConfigError::new(format!("{file}: {why}"), "the file must be PEM; certificate and key must belong together")
        };
        let chain = certificates(&self.cert).map_err(|e| bad(cert_name, &e))?;
        let key = private_key(&self.key).map_err(|e| bad(key_name, &e))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| bad(cert_name, &e))?;
        let mut verifier = None;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                for cert in certificates(pem).map_err(|e| bad(ca_name, &e))? {
                    roots.add(cert).map_err(|e| bad(ca_name, &e))?;
                }
                let strict =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().map_err(|e| bad(ca_name, &e))?;
                verifier = Some(Arc::clone(&strict));
                builder.with_client_cert_verifier(Arc::new(Asking(strict)))
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|e| bad(&format!("{cert_name} and {key_name}"), &e))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Current { config: Arc::new(config), verifier })
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(list) if list.is_empty() => Err("no certificate in it".into()),
        Ok(list) => Ok(list),
        Err(e) => Err(e.to_string()),
    }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|e| match e {
        NoItemsFound => "no private key in it".into(),
        e => e.to_string(),
    })
}

/// Asks for a client certificate and checks that the peer has its key; whose it is, is decided after
/// the handshake, so that a stranger's certificate gets an HTTP 401 and not a broken connection.
#[derive(Debug)]
struct Asking(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Asking {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(m, c, d)
    }

    fn verify_tls13_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(m, c, d)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
