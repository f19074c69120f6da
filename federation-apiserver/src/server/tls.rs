//! TLS 1.2 and newer with optional client certificates; files are read again when they change.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use daemon::logs::{Said, Sparing};
use jiff::Timestamp;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::Error::NoItemsFound;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::certificate;
use crate::auth::authn::Peer;
use crate::config::{Config, TlsConfig};
use crate::error::ConfigError;

/// How often certificate files are looked at for changes.
const RELOAD_EVERY: Duration = Duration::from_secs(5);

/// Gathers the crypto library's first randomness, which takes some 50 ms of one core; to be called beside other work
/// of a start.
pub(crate) fn warm_up() {
    // Whoever needs it later is told when it fails.
    let _ = aws_lc_rs::default_provider().secure_random.fill(&mut [0]);
}

/// What handshakes use now.
#[derive(Debug)]
pub(super) struct Current {
    /// For the acceptor.
    pub(super) config: Arc<ServerConfig>,
    /// Checks client certificates against the client CA after the handshake.
    verifier: Verifier,
    /// Seconds since the epoch at which an authority expires or begins to hold.
    good_until: i64,
}

/// The authorities of client certificates.
#[derive(Debug)]
enum Verifier {
    /// There are none, so no certificate proves anything.
    None,
    /// None of them holds at this time, so every certificate is refused.
    Expired,
    /// Those that hold at this time.
    Of(Arc<dyn ClientCertVerifier>),
}

impl Current {
    /// What the peer's certificate proves. One whose chain does not lead to the client CA does not end
    /// the connection: the request may still carry a token.
    pub(super) fn peer(&self, chain: Option<&[CertificateDer<'static>]>) -> Peer {
        let Some((first, rest)) = chain.and_then(<[_]>::split_first) else { return Peer::Nobody };
        let verifier = match &self.verifier {
            Verifier::None => return Peer::Nobody,
            Verifier::Expired => return Peer::Refused,
            Verifier::Of(verifier) => verifier,
        };
        match verifier.verify_client_cert(first, rest, UnixTime::now()) {
            Ok(_) => Peer::from_der(first),
            Err(e) => {
                // Told now and then, for strangers can cause it as often as they like.
                static SAID: Sparing = Sparing::new(Duration::from_secs(10));
                if let Some(others) = SAID.now() {
                    tracing::info!(others, "client certificate refused: {e}");
                }
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
    /// Told when that is another one.
    changed: watch::Sender<()>,
    certificate_pem: ArcSwap<Vec<u8>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("client_ca", &self.client_ca).finish_non_exhaustive()
    }
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
        let current = material.build(Timestamp::now().as_second())?;
        Ok(Self {
            source,
            client_ca,
            current: ArcSwap::from_pointee(current),
            changed: watch::Sender::new(()),
            certificate_pem: ArcSwap::from_pointee(material.cert),
        })
    }

    /// What a new connection uses.
    pub(super) fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// Told when [`Tls::current`] is another one.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The serving certificate as PEM.
    pub(super) fn certificate_pem(&self) -> Vec<u8> {
        self.certificate_pem.load().as_ref().clone()
    }

    /// Follows the files for ever. Bad ones are reported once and the last good ones stay.
    pub(super) async fn follow_files(self: Arc<Self>) {
        let mut seen = Material::read(&self.source, self.client_ca.as_deref()).map(|m| m.digest()).unwrap_or_default();
        let said = Said::default();
        loop {
            tokio::time::sleep(RELOAD_EVERY).await;
            match self.take_over(&mut seen, Timestamp::now().as_second()) {
                Ok(()) => drop(said.recovers()),
                Err(e) if said.changes(&e.message) => {
                    tracing::error!("certificates not reloaded, the last good ones stay: {}", e.message);
                }
                Err(_) => {}
            }
        }
    }

    /// Takes over what changed since `seen`, in the files or by the time it is.
    pub(super) fn take_over(&self, seen: &mut [u8; 32], now: i64) -> Result<(), ConfigError> {
        let material = Material::read(&self.source, self.client_ca.as_deref())?;
        let digest = material.digest();
        if digest != *seen || now >= self.current.load().good_until {
            self.current.store(Arc::new(material.build(now)?));
            self.changed.send_replace(());
            self.certificate_pem.store(Arc::new(material.cert));
            *seen = digest;
            tracing::info!("certificates reloaded");
        }
        Ok(())
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

    /// For use at `now`, in seconds since the epoch: an authority that does not hold then is none.
    fn build(&self, now: i64) -> Result<Current, ConfigError> {
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
        let (mut verifier, mut good_until) = (Verifier::None, i64::MAX);
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                for cert in certificates(pem).map_err(|e| bad(ca_name, &e))? {
                    // The library takes an authority for good whatever its dates say.
                    let (from, to) = validity(&cert).ok_or_else(|| bad(ca_name, &"a certificate in it cannot be read"))?;
                    good_until = [from, to + 1].into_iter().filter(|at| *at > now).fold(good_until, i64::min);
                    let mut alone = RootCertStore::empty();
                    alone.add(cert).map_err(|e| bad(ca_name, &e))?;
                    if from <= now && now <= to {
                        roots.extend(alone.roots);
                    } else {
                        tracing::error!("{ca_name}: an authority in it has expired or does not hold yet; its certificates are refused");
                    }
                }
                if roots.is_empty() {
                    verifier = Verifier::Expired;
                    builder.with_no_client_auth()
                } else {
                    let strict =
                        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().map_err(|e| bad(ca_name, &e))?;
                    verifier = Verifier::Of(Arc::clone(&strict));
                    builder.with_client_cert_verifier(Arc::new(Asking(strict)))
                }
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|e| bad(&format!("{cert_name} and {key_name}"), &e))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Current { config: Arc::new(config), verifier, good_until })
    }
}

/// From when to when a certificate holds, in seconds since the epoch.
fn validity(cert: &CertificateDer<'_>) -> Option<(i64, i64)> {
    let (_, cert) = X509Certificate::from_der(cert).ok()?;
    Some((cert.validity().not_before.timestamp(), cert.validity().not_after.timestamp()))
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
