//! DNS over TLS towards the server (RFC 7858, and RFC 9103 for transfers).

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::{Error, Ini};

use super::name::NAME;

/// How the server's certificate is checked.
pub(super) struct Tls {
    connector: TlsConnector,
    /// Whose certificate it must be, where that is not the host connected to.
    name: Option<ServerName<'static>>,
}

impl Tls {
    /// Reads what the configuration says of TLS, and the authority's file; none where it names none.
    pub(super) fn read(ini: &Ini) -> Result<Option<Self>, Error> {
        let name = ini.parsed("tls-server-name", |text| ServerName::try_from(text.to_owned()))?;
        let Some(file) = ini.get("tls-ca-file").filter(|entry| !entry.value.is_empty()) else {
            return match name {
                None => Ok(None),
                Some(_) => Err(config(
                    "tls-server-name is given without tls-ca-file",
                    "name the PEM file of the authority of the server's certificate",
                )),
            };
        };
        let path = ini.path().parent().unwrap_or(Path::new("")).join(&file.value);
        let unusable = |why: &dyn std::fmt::Display| {
            let hint = "name a readable PEM file with the authority of the server's certificate; a relative path begins at the \
                        configuration's own directory";
            config(&format!("tls-ca-file: {}: {why}", path.display()), hint)
        };
        let pem = std::fs::read(&path).map_err(|e| unusable(&e))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            roots.add(certificate.map_err(|e| unusable(&e))?).map_err(|e| unusable(&e))?;
        }
        if roots.is_empty() {
            return Err(unusable(&"it has no certificate"));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // Transfers want 1.3 (RFC 9103 7).
        let builder =
            ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]).map_err(|e| unusable(&e))?;
        let mut client = builder.with_root_certificates(roots).with_no_client_auth();
        client.alpn_protocols = vec![b"dot".to_vec()];
        Ok(Some(Tls { connector: TlsConnector::from(Arc::new(client)), name }))
    }

    /// Makes a connection to `at` (`host:port`) one with TLS.
    pub(super) async fn connect(&self, at: &str, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let host = at.rsplit_once(':').map_or(at, |(host, _)| host).trim_start_matches('[').trim_end_matches(']');
        let name = match &self.name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?,
        };
        self.connector.connect(name, stream).await
    }
}

fn config(message: &str, hint: &str) -> Error {
    Error::Config { provider: NAME, message: message.to_owned(), hint: hint.to_owned() }
}
