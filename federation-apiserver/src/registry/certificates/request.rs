//! The PKCS#10 request inside a CertificateSigningRequest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::x509::AttributeTypeAndValue;

/// Why a request's PEM is no request that its key has signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BadRequest {
    #[error("PEM block type must be CERTIFICATE REQUEST")]
    Pem,
    #[error("the PEM block holds no PKCS#10 certificate request")]
    Der,
    #[error("the subject has a common name or organization that is no UTF-8, printable or IA5 string")]
    Subject,
    #[error("a subject alternative name in it cannot be read")]
    AlternativeName,
    #[error("the signature is not that of the request's key, or of a kind that is not known: use RSA, ECDSA P-256 or P-384, or Ed25519")]
    Signature,
}

/// The DER of the request in an object.
pub(crate) fn der(object: &Value) -> Result<Vec<u8>, BadRequest> {
    let pem = STANDARD.decode(object["spec"]["request"].as_str().unwrap_or_default()).map_err(|_| BadRequest::Pem)?;
    let block = Pem::iter_from_buffer(&pem).next().and_then(Result::ok).ok_or(BadRequest::Pem)?;
    if block.label == "CERTIFICATE REQUEST" { Ok(block.contents) } else { Err(BadRequest::Pem) }
}

/// Reads a request.
pub(crate) fn parse(der: &[u8]) -> Result<X509CertificationRequest<'_>, BadRequest> {
    match X509CertificationRequest::from_der(der) {
        Ok(([], request)) => Ok(request),
        _ => Err(BadRequest::Der),
    }
}

/// Whether the request in an object can be read and was signed by its own key.
pub(super) fn check(object: &Value) -> Result<(), BadRequest> {
    let der = der(object)?;
    let request = parse(&der)?;
    Subject::of(&request)?;
    alternative_names(&request)?;
    request.verify_signature().map_err(|_| BadRequest::Signature)
}

/// Who a certificate would be about, as the server's own authentication reads it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Subject {
    /// The last common name; empty without one.
    pub(crate) name: String,
    /// The organizations.
    pub(crate) groups: Vec<String>,
}

impl Subject {
    /// # Errors
    /// A name of a kind that other programs might read differently.
    pub(crate) fn of(request: &X509CertificationRequest<'_>) -> Result<Self, BadRequest> {
        let subject = &request.certification_request_info.subject;
        let text = |value: &AttributeTypeAndValue<'_>| value.as_str().map(str::to_owned).map_err(|_| BadRequest::Subject);
        let names: Vec<String> = subject.iter_common_name().map(text).collect::<Result<_, _>>()?;
        let groups = subject.iter_organization().map(text).collect::<Result<_, _>>()?;
        Ok(Self { name: names.into_iter().next_back().unwrap_or_default(), groups })
    }
}

/// The names it asks for besides its subject.
///
/// # Errors
/// One of them cannot be read.
pub(crate) fn alternative_names<'a>(request: &'a X509CertificationRequest<'_>) -> Result<Vec<&'a GeneralName<'a>>, BadRequest> {
    let mut names = Vec::new();
    for attribute in request.certification_request_info.iter_attributes() {
        let ParsedCriAttribute::ExtensionRequest(asked) = attribute.parsed_attribute() else { continue };
        for extension in &asked.extensions {
            match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(alternative) => names.extend(&alternative.general_names),
                ParsedExtension::ParseError { .. } => return Err(BadRequest::AlternativeName),
                _ => {}
            }
        }
    }
    let broken = |name: &&GeneralName<'_>| match name {
        GeneralName::Invalid(..) => true,
        GeneralName::IPAddress(bytes) => !matches!(bytes.len(), 4 | 16),
        _ => false,
    };
    if names.iter().any(broken) { Err(BadRequest::AlternativeName) } else { Ok(names) }
}
