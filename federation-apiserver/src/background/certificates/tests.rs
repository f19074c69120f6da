//! What is signed is read back by other libraries' eyes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use federation_api::{credential, keys};
use futures::StreamExt as _;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose, SignatureAlgorithm};
use serde_json::json;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::authority::{Authority, AuthorityError, SignError};
use super::life::Expired;
use super::signers::{Side, Uses};
use crate::config::SigningConfig;
use crate::registry::certificates::request::{Subject, alternative_names, parse};
use crate::registry::certificates::{CLIENT_SIGNER, GROUP, PLURAL};
use crate::server::Server;
use crate::storage::store::{ListOptions, ReadAt, WatchFrom, WatchOptions};
use crate::{Config, Profile};

/// Of `openssl req`: three organizations, all kinds of alternative names, and a wish to be an authority.
const REQUEST: &str = "-----BEGIN CERTIFICATE REQUEST-----
MIIBljCCATsCAQAwVDEQMA4GA1UECgwHaG9iYml0czEVMBMGA1UECgwMcmluZy1i
ZWFyZXJzMRkwFwYDVQQKDBBmcmllbmRzIG9mIGVsdmVzMQ4wDAYDVQQDDAVmcm9k
bzBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABKkgTeCxOkRN5QwTs4h8Y/cckXDb
LrtzoEZXv1js4Jt0TtOYfxS7yQ5QXqKpRT+fqFMDA92z8L15LN22AHobtv6ggYQw
gYEGCSqGSIb3DQEJDjF0MHIwUgYDVR0RBEswSYIMYmFnZW5kLnNoaXJlhwTGEgAH
hxD9AAAAAAAAAAAAAAAAAAAHgQtmcm9kb0BzaGlyZYYUc3BpZmZlOi8vc2hpcmUv
ZnJvZG8wCwYDVR0PBAQDAgIEMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwID
SQAwRgIhAIACsorWXSViv8yMdgJR8MzAG/ulFzQa8OIcKsDjUYzmAiEAx/vgFkSb
UsYbtsI3fVsu4zl5j9k+JxSVwSvW/lyAFhg=
-----END CERTIFICATE REQUEST-----
";

const BOTH: Uses = Uses { side: Side::Client, digital_signature: true, key_encipherment: true };

fn pem(text: &str) -> Vec<u8> {
    Pem::iter_from_buffer(text.as_bytes()).next().unwrap().unwrap().contents
}

fn config(dir: &Path) -> SigningConfig {
    SigningConfig { cert: dir.join("ca.crt"), key: dir.join("ca.key"), longest: Duration::from_secs(365 * 24 * 3600) }
}

/// An authority in a directory; its certificate.
fn authority(dir: &Path, kind: &'static SignatureAlgorithm, change: impl Fn(&mut CertificateParams)) -> String {
    let key = KeyPair::generate_for(kind).unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, "the shire's");
    change(&mut params);
    let cert = params.self_signed(&key).unwrap().pem();
    std::fs::write(dir.join("ca.crt"), &cert).unwrap();
    std::fs::write(dir.join("ca.key"), key.serialize_pem()).unwrap();
    cert
}

fn sign(authority: &Authority, uses: Uses, now: i64) -> Result<Vec<u8>, SignError> {
    let der = pem(REQUEST);
    let request = parse(&der).unwrap();
    let names = alternative_names(&request).unwrap();
    authority.sign(&request, &names, uses, Some(3600), now).map(|text| pem(&text))
}

#[test]
fn issue10_what_is_signed_says_what_was_asked_and_no_more() {
    let request = pem(REQUEST);
    let subject = Subject::of(&parse(&request).unwrap()).unwrap();
    assert_eq!(
        (subject.name.as_str(), subject.groups.as_slice()),
        ("frodo", &["hobbits", "ring-bearers", "friends of elves"].map(String::from)[..])
    );
    let kinds = [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519, &rcgen::PKCS_RSA_SHA256];
    let dir = tempfile::tempdir().unwrap();
    // Before and after the year from which on times are written otherwise.
    for (kind, now) in kinds.into_iter().zip([1_800_000_000, 2_600_000_000, 1_800_000_000, 1_800_000_000]) {
        let ca = pem(&authority(dir.path(), kind, |_| {}));
        let ca = X509Certificate::from_der(&ca).unwrap().1;
        let authority = Authority::load(config(dir.path())).unwrap();
        let der = sign(&authority, BOTH, now).unwrap();
        let (rest, cert) = X509Certificate::from_der(&der).unwrap();
        assert!(rest.is_empty());
        if *kind != rcgen::PKCS_ED25519 {
            cert.verify_signature(Some(ca.public_key())).unwrap();
        }
        assert_eq!((cert.issuer(), cert.version), (ca.subject(), x509_parser::x509::X509Version::V3));
        assert_eq!(cert.subject().to_string(), "O=hobbits, O=ring-bearers, O=friends of elves, CN=frodo");
        assert_eq!(cert.public_key().raw, parse(&request).unwrap().certification_request_info.subject_pki.raw);
        assert_eq!((cert.validity().not_before.timestamp(), cert.validity().not_after.timestamp()), (now - 300, now + 3600));
        assert!(!cert.is_ca() && cert.basic_constraints().unwrap().unwrap().critical);
        let usage = cert.key_usage().unwrap().unwrap();
        assert!(usage.critical && usage.value.digital_signature() && usage.value.key_encipherment() && !usage.value.key_cert_sign());
        let purpose = cert.extended_key_usage().unwrap().unwrap().value;
        assert!(purpose.client_auth && !purpose.server_auth && !purpose.any);
        let names = &cert.subject_alternative_name().unwrap().unwrap().value.general_names;
        let fd00 = [&[0xfd][..], &[0; 14], &[7]].concat();
        let wanted = [
            GeneralName::DNSName("bagend.shire"),
            GeneralName::IPAddress(&[198, 18, 0, 7]),
            GeneralName::IPAddress(&fd00),
            GeneralName::RFC822Name("frodo@shire"),
            GeneralName::URI("spiffe://shire/frodo"),
        ];
        assert_eq!(names.as_slice(), wanted);
        let again = sign(&authority, Uses { side: Side::Server, digital_signature: false, key_encipherment: false }, now).unwrap();
        let again = X509Certificate::from_der(&again).unwrap().1;
        assert!(again.key_usage().unwrap().is_none() && again.extended_key_usage().unwrap().unwrap().value.server_auth);
        let (one, other) = (cert.raw_serial(), again.raw_serial());
        assert!(one != other && one[..6] == other[..6] && one[..6] == (now * 1000).to_be_bytes()[2..], "a serial begins with its time");
    }
}

#[test]
fn issue10_files_that_are_no_authority_are_refused_and_the_last_good_one_stays() {
    let dir = tempfile::tempdir().unwrap();
    let load =
        || Authority::load(config(dir.path())).map(drop).map_err(|e| e.to_string().replace(&dir.path().display().to_string(), "DIR"));
    assert!(load().unwrap_err().starts_with("cannot read DIR/ca.crt: "));
    let first = authority(dir.path(), &rcgen::PKCS_ECDSA_P256_SHA256, |_| {});
    let good = Authority::load(config(dir.path())).unwrap();
    let cases: [(&dyn Fn(), &str); 5] = [
        (&|| drop(std::fs::write(dir.path().join("ca.crt"), format!("{first}{first}"))), "exactly one certificate in PEM"),
        (&|| drop(std::fs::write(dir.path().join("ca.crt"), "nonsense")), "exactly one certificate in PEM"),
        (&|| drop(std::fs::write(dir.path().join("ca.key"), "nonsense")), "no private key in PEM can be read"),
        (&|| drop(authority(dir.path(), &rcgen::PKCS_ECDSA_P256_SHA256, |p| p.is_ca = IsCa::ExplicitNoCa)), "is not that of an authority"),
        (
            &|| drop(authority(dir.path(), &rcgen::PKCS_ECDSA_P256_SHA256, |p| p.key_usages = vec![KeyUsagePurpose::DigitalSignature])),
            "is not that of an authority",
        ),
    ];
    for (spoil, why) in cases {
        authority(dir.path(), &rcgen::PKCS_ECDSA_P256_SHA256, |_| {});
        spoil();
        let said = load().unwrap_err();
        assert!(said.contains(why), "{said}");
        assert!(good.reload().is_err());
    }
    authority(dir.path(), &rcgen::PKCS_ECDSA_P256_SHA256, |_| {});
    std::fs::write(dir.path().join("ca.crt"), &first).unwrap();
    assert!(matches!(good.reload(), Err(AuthorityError::Strangers { .. })));
    let issuer = |authority: &Authority| {
        let der = sign(authority, BOTH, 1_800_000_000).unwrap();
        X509Certificate::from_der(&der).unwrap().1.issuer().to_string()
    };
    assert_eq!(issuer(&good), "CN=the shire's");
    authority(dir.path(), &rcgen::PKCS_ECDSA_P256_SHA256, |p| p.distinguished_name.push(DnType::CommonName, "the new one"));
    good.reload().unwrap();
    assert_eq!(issuer(&good), "CN=the new one");
}

#[test]
fn issue10_an_authority_that_has_expired_signs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    authority(dir.path(), &rcgen::PKCS_ECDSA_P256_SHA256, |p| p.not_after = rcgen::date_time_ymd(2027, 1, 1));
    let authority = Authority::load(config(dir.path())).unwrap();
    let end = 1_798_761_600;
    let der = sign(&authority, BOTH, end - 60).unwrap();
    assert_eq!(X509Certificate::from_der(&der).unwrap().1.validity().not_after.timestamp(), end);
    assert!(matches!(sign(&authority, BOTH, end), Err(SignError::Expired(Expired))));
}

#[tokio::test]
async fn issue10_of_several_replicas_one_signs() {
    let dir = tempfile::tempdir().unwrap();
    authority(dir.path(), &rcgen::PKCS_ECDSA_P256_SHA256, |_| {});
    let server = Server::start(Config::in_memory(Profile::Federation)).await.unwrap();
    server.wait_ready(Duration::from_secs(60)).await.unwrap();
    let signs = Arc::new(Authority::load(config(dir.path())).unwrap());
    let own = super::own::Own::of(&crate::Config::in_memory(crate::Profile::Federation));
    let replicas: Vec<_> =
        (0..4).map(|_| tokio::spawn(super::run(Arc::clone(server.api()), Some(Arc::clone(&signs)), own.clone()))).collect();
    let entry = server.api().registry.find(GROUP, "v1", PLURAL).unwrap();
    let options = WatchOptions { from: WatchFrom::Latest, bookmarks: false, send_initial_events: None };
    let mut events = entry.store().watch(None, options, None).await.unwrap();
    const MANY: usize = 20;
    for n in 0..MANY {
        let spec = json!({"request": STANDARD.encode(REQUEST), "signerName": CLIENT_SIGNER, "usages": ["client auth"]});
        let status = json!({"conditions": [{"type": "Approved", "status": "True"}]});
        let object = json!({"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
            "metadata": {"name": n.to_string(), "uid": n.to_string()}, "spec": spec, "status": status});
        entry.store().create(None, &n.to_string(), &object).await.unwrap();
    }
    let mut seen = Vec::new();
    while seen.iter().filter(|(_, issued)| *issued).count() < MANY {
        let event = tokio::time::timeout(Duration::from_secs(30), events.next()).await.unwrap().unwrap();
        let object = event.object().unwrap().value().unwrap();
        seen.push((object["metadata"]["name"].clone(), object["status"]["certificate"].is_string()));
    }
    // Of those that nobody has, nothing stays.
    let credentials = server.api().registry.find(keys::GROUP, keys::VERSION, credential::PLURAL).unwrap();
    let all = ListOptions { at: ReadAt::Latest, limit: 0, continue_token: None };
    let alone = async {
        while credentials.store().list(None, &all, None).await.unwrap().items.len() != MANY {
            // A store in memory answers at once, and who strikes them out runs on this thread too.
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), alone).await.unwrap();
    for replica in replicas {
        replica.abort();
        assert!(replica.await.unwrap_err().is_cancelled(), "none of them failed");
    }
    entry.store().create(None, "last", &json!({"metadata": {"name": "last", "uid": "last"}})).await.unwrap();
    let event = tokio::time::timeout(Duration::from_secs(30), events.next()).await.unwrap().unwrap();
    assert_eq!((seen.len(), event.object().unwrap().head.name()), (2 * MANY, "last"), "each was created and signed, and nothing else");
}
