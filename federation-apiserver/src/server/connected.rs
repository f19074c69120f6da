//! The other end of a connection, and who it is now.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;

use super::room::Known;
use super::tls::{Current, Tls};
use crate::auth::authn::Peer;
use crate::auth::authn::proof::Proof;
use crate::auth::authn::used::{Use, Used};

/// The chain is looked at again after so many seconds, because one of its certificates may have expired.
const LOOK_AGAIN: i64 = 10;
/// So many seconds may pass before a use of the same certificate is noted again.
const NOTED_EVERY: i64 = 10;

/// What the certificate of a connection proves is decided for each request, as in kube-apiserver: the
/// authorities may have changed since the handshake, and certificates expire. The verdict is kept for as
/// long as it holds.
#[derive(Debug, Default)]
pub(super) struct Connected {
    address: Option<SocketAddr>,
    certificate: Option<(Arc<Tls>, Vec<CertificateDer<'static>>)>,
    verdict: ArcSwapOption<Verdict>,
    known: Known,
    /// When it was noted last that its certificate is used, in seconds since the epoch.
    noted: AtomicI64,
}

#[derive(Debug)]
struct Verdict {
    by: Arc<Current>,
    until: i64,
    peer: Arc<Peer>,
}

impl Connected {
    /// From that address, with the chain it showed.
    pub(super) fn new(address: SocketAddr, tls: Arc<Tls>, chain: Option<&[CertificateDer<'static>]>) -> Self {
        let certificate = chain.filter(|chain| !chain.is_empty()).map(|chain| (tls, chain.to_vec()));
        Self { address: Some(address), certificate, verdict: ArcSwapOption::empty(), known: Known::default(), noted: AtomicI64::default() }
    }

    /// `known` is told when it proves who it is.
    pub(super) fn telling(self, known: Known) -> Self {
        Self { known, ..self }
    }

    /// It proved who it is.
    pub(super) fn proved(&self) {
        self.known.set();
    }

    /// Notes that what it showed was used. Of its certificate that is said once in a while.
    pub(super) fn used(&self, used: &Used, proof: &Proof, peer: &Peer) {
        let at = Timestamp::now().as_second();
        if let Proof::Certificate = proof
            && self.noted.swap(at / NOTED_EVERY, Ordering::Relaxed) == at / NOTED_EVERY
        {
            return;
        }
        proof.note(used, peer, Use { at, from: self.address() });
    }

    /// Where it is.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.address.map(|address| address.ip().to_canonical())
    }

    /// Told when the authorities change; `None` where they decide nothing.
    pub(super) fn changes(&self) -> Option<watch::Receiver<()>> {
        self.certificate.as_ref().map(|(tls, _)| tls.changes())
    }

    /// Who it is now.
    pub(super) fn peer(&self) -> Arc<Peer> {
        let Some((tls, chain)) = &self.certificate else { return Arc::default() };
        let (current, now) = (tls.current(), Timestamp::now().as_second());
        if let Some(verdict) = &*self.verdict.load()
            && Arc::ptr_eq(&verdict.by, &current)
            && now < verdict.until
        {
            return Arc::clone(&verdict.peer);
        }
        let peer = Arc::new(current.peer(Some(chain)));
        self.verdict.store(Some(Arc::new(Verdict { by: current, until: now + LOOK_AGAIN, peer: Arc::clone(&peer) })));
        peer
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

    use super::*;
    use crate::{Config, Profile};

    /// An authority that holds until that year, as PEM, and a client certificate of it.
    fn identity(until: i32) -> (String, CertificateDer<'static>) {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.not_before = rcgen::date_time_ymd(2000, 1, 1);
        ca.not_after = rcgen::date_time_ymd(until, 1, 1);
        let pem = ca.self_signed(&ca_key).unwrap().pem();
        let key = KeyPair::generate().unwrap();
        let mut client = CertificateParams::new(Vec::new()).unwrap();
        client.distinguished_name.push(DnType::CommonName, "sam");
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let cert = client.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
        (pem, cert.der().clone())
    }

    fn listener(ca: &Path) -> Arc<Tls> {
        let config = Config { client_ca_file: Some(ca.to_owned()), ..Config::in_memory(Profile::Federation) };
        Arc::new(Tls::load(&config).unwrap())
    }

    #[test]
    fn d31_an_open_connection_is_judged_by_the_authorities_of_now() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.crt");
        let ((ca, cert), (other, _)) = (identity(4000), identity(4000));
        std::fs::write(&file, &ca).unwrap();
        let tls = listener(&file);
        let connected = Connected::new("192.0.2.1:1".parse().unwrap(), Arc::clone(&tls), Some(&[cert]));
        assert!(matches!(*connected.peer(), Peer::Known(_)));
        assert!(Arc::ptr_eq(&connected.peer(), &connected.peer()), "the verdict is kept as long as it holds");
        let (mut seen, now) = ([0; 32], Timestamp::now().as_second());
        std::fs::write(&file, other).unwrap();
        tls.take_over(&mut seen, now).unwrap();
        assert_eq!(*connected.peer(), Peer::Refused);
        std::fs::write(&file, ca).unwrap();
        tls.take_over(&mut seen, now).unwrap();
        assert!(matches!(*connected.peer(), Peer::Known(_)));
    }

    #[test]
    fn d31_an_expired_authority_vouches_for_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.crt");
        let ((ca, cert), (good, another)) = (identity(2001), identity(4000));
        std::fs::write(&file, &ca).unwrap();
        let tls = listener(&file);
        let who = |cert: &CertificateDer<'static>| {
            Connected::new("192.0.2.1:1".parse().unwrap(), Arc::clone(&tls), Some(std::slice::from_ref(cert))).peer()
        };
        assert_eq!(*who(&cert), Peer::Refused);
        std::fs::write(&file, format!("{ca}{good}")).unwrap();
        tls.take_over(&mut [0; 32], Timestamp::now().as_second()).unwrap();
        assert_eq!(*who(&cert), Peer::Refused);
        assert!(matches!(*who(&another), Peer::Known(_)));
    }

    #[test]
    fn d31_an_authority_that_expires_while_the_server_runs_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.crt");
        let (ca, cert) = identity(3000);
        std::fs::write(&file, ca).unwrap();
        let tls = listener(&file);
        let connected = Connected::new("192.0.2.1:1".parse().unwrap(), Arc::clone(&tls), Some(&[cert]));
        let mut seen = [0; 32];
        tls.take_over(&mut seen, Timestamp::now().as_second()).unwrap();
        assert!(matches!(*connected.peer(), Peer::Known(_)));
        // The year 3000 has come, and the file is the same.
        tls.take_over(&mut seen, 32_503_680_001).unwrap();
        assert_eq!(*connected.peer(), Peer::Refused);
    }
}
