//! What failures of Route 53 mean.

use std::error::Error as StdError;
use std::time::Duration;

use aws_sdk_route53::config::http::HttpResponse;
use aws_sdk_route53::error::{ProvideErrorMetadata, SdkError};

use crate::Error;

use super::name::NAME;

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Too much was asked lately, by whomever in the account, or a change before is not done: nothing happened.
    Throttled(String),
    /// There is no answer to have; nothing happened.
    Away(String),
    /// Of a change nobody knows whether it happened.
    Unknown(String),
    /// Something in it is not as it has to be, nothing happened: what of it, in words.
    Invalid(Vec<String>),
    /// There is no such zone.
    NoZone(String),
    /// A person has to change something, with the code: rights, keys, the clock.
    Denied(String, &'static str),
}

const THROTTLED: &[&str] = &[
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "SlowDown",
    "PriorRequestNotComplete",
];
const KEYS: &[&str] = &[
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "OptInRequired",
];
const CLOCK: &[&str] = &["RequestExpired", "RequestTimeTooSkewed", "InvalidSignatureException"];

const RIGHTS: &str = "grant the role or user route53:ChangeResourceRecordSets and route53:ListResourceRecordSets on the zone, see \
                      docs/dns-route53.md";
const SOURCES: &str = "credentials come from credentials-file, the environment, a profile, a web identity token (IRSA), Pod Identity or the \
                       machine's metadata, see docs/dns-route53.md";
const TIME: &str = "compare this machine's clock with the time; AWS takes requests that are at most 5 minutes old";

impl Failure {
    /// What an error of the SDK means; `messages` are those of a batch that is invalid.
    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>, messages: Option<Vec<String>>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        match error {
            SdkError::ServiceError(answer) => {
                let (code, status) = (error.code().unwrap_or_default(), answer.raw().status().as_u16());
                let told = match error.message() {
                    Some(message) => format!("{code}: {message}"),
                    None => format!("{code} (HTTP {status})"),
                };
                match code {
                    _ if THROTTLED.contains(&code) || status == 429 => Failure::Throttled(told),
                    _ if KEYS.contains(&code) => Failure::Denied(told, SOURCES),
                    _ if CLOCK.contains(&code) => Failure::Denied(told, TIME),
                    "NoSuchHostedZone" => Failure::NoZone(told),
                    "InvalidChangeBatch" | "InvalidInput" => Failure::Invalid(messages.unwrap_or_else(|| vec![told])),
                    "" if messages.is_some() => Failure::Invalid(messages.unwrap_or_default()),
                    _ if status >= 500 => Failure::Unknown(told),
                    _ => Failure::Denied(told, RIGHTS),
                }
            }
            SdkError::TimeoutError(_) | SdkError::ResponseError(_) => Failure::Unknown(chain(error)),
            // Of what is none of these nothing is known but that it was not the network: nothing could be signed.
            SdkError::DispatchFailure(why) if !why.is_other() || why.as_other().is_some() => Failure::Unknown(chain(error)),
            _ => Failure::Denied(chain(error), SOURCES),
        }
    }

    /// Whether other credentials might help.
    pub(super) fn is_about_credentials(&self) -> bool {
        matches!(self, Failure::Denied(..))
    }

    /// Whether everything is as it is known to be.
    pub(super) fn leaves_no_doubt(&self) -> bool {
        matches!(self, Failure::Throttled(_))
    }

    /// As those outside know it.
    pub(super) fn error(self, at: String, after: Duration) -> Error {
        let provider = NAME;
        match self {
            Failure::Throttled(message) => Error::Throttled { provider, at, message, after },
            Failure::Away(message) | Failure::Unknown(message) => Error::Unavailable { provider, at, message },
            Failure::Invalid(messages) => Error::Unavailable { provider, at, message: messages.join("; ") },
            Failure::NoZone(message) => {
                let hint = "the zone is gone, or the credentials are another account's";
                Error::Refused { provider, at, message, hint: hint.to_owned() }
            }
            Failure::Denied(message, hint) => Error::Refused { provider, at, message, hint: hint.to_owned() },
        }
    }
}

/// The messages of an invalid batch in the form that has no frame as other errors have, so that the SDK does not know it.
pub(super) fn unframed(body: &[u8]) -> Option<Vec<String>> {
    let (_, inside) = std::str::from_utf8(body).ok()?.split_once("<InvalidChangeBatch")?;
    let messages = inside.split("<Message>").skip(1).filter_map(|rest| rest.split_once("</Message>"));
    Some(messages.map(|(message, _)| message.to_owned()).collect())
}

/// The error with its causes.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(why) = cause {
        let text = why.to_string();
        if !told.ends_with(&text) {
            told = format!("{told}: {text}");
        }
        cause = why.source();
    }
    told
}
