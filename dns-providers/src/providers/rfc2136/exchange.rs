//! Signed messages to a server and back, over one TCP connection.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::TSigner;
use hickory_proto::rr::rdata::tsig::{TSIG, TsigError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Error;

use super::config::Config;
use super::name::NAME;
use super::signature::Chain;
use super::tls::Tls;

/// Longest wait for a connection, its TLS with it.
const CONNECT: Duration = Duration::from_secs(3);
/// Longest wait for one message, sent or received.
const MESSAGE: Duration = Duration::from_secs(10);

/// TCP, or TLS over it.
trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// Most bytes of the answers to one request: several times what a zone of ours has.
const MAX_ANSWER: usize = 256 << 20;

/// A connection to one server.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    /// Bytes of answers to the last request.
    received: usize,
    at: String,
    key: TSigner,
}

/// What became of a request.
pub(super) enum Failure {
    /// It was sent and no proper answer came: nobody knows whether it took effect.
    Unknown(Error),
    /// A prerequisite did not hold (RFC 2136 2.4), so it took no effect.
    Conflict(Error),
    /// It took no effect.
    Refused(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let (Failure::Unknown(error) | Failure::Conflict(error) | Failure::Refused(error)) = failure;
        error
    }
}

impl Connection {
    /// Connects to the first server of the list that accepts.
    pub(super) async fn open(config: &Config) -> Result<Self, Error> {
        let (servers, mut failed) = (&config.servers, Vec::new());
        for at in servers {
            match timeout(CONNECT, connect(at, config.tls.as_ref())).await {
                Ok(Ok(stream)) => return Ok(Connection { stream, received: 0, at: at.clone(), key: config.key.signer() }),
                Ok(Err(e)) => failed.push(format!("{at}: {e}")),
                Err(_) => failed.push(format!("{at}: no connection within {CONNECT:?}")),
            }
        }
        Err(Error::Unavailable { provider: NAME, at: servers.join(","), message: failed.join("; ") })
    }

    /// Sends a request that one message answers.
    pub(super) async fn request(&mut self, message: Message) -> Result<Message, Failure> {
        let mut chain = self.send(message).await?;
        self.receive(&mut chain).await
    }

    /// Signs and sends a message.
    pub(super) async fn send(&mut self, mut message: Message) -> Result<Chain, Failure> {
        let refused = |message: &str| Failure::Refused(self.unavailable(message));
        let encoded = message.finalize(&self.key, now()).and_then(|_| message.to_vec());
        let bytes = encoded.map_err(|e| refused(&format!("a message could not be encoded: {e}")))?;
        let chain = Chain::of(&self.key, &message).ok_or_else(|| refused("a message could not be signed"))?;
        let size = u16::try_from(bytes.len()).map_err(|_| refused("a message is longer than 65535 bytes"))?;
        self.received = 0;
        let framed = [size.to_be_bytes().as_slice(), &bytes].concat();
        let written = async {
            self.stream.write_all(&framed).await?;
            self.stream.flush().await
        };
        match timeout(MESSAGE, written).await {
            Ok(Ok(())) => Ok(chain),
            Ok(Err(e)) => Err(self.unknown(&format!("the connection broke: {e}"))),
            Err(_) => Err(self.unknown(&format!("a message was not taken within {MESSAGE:?}"))),
        }
    }

    /// The next answer, its signature checked.
    ///
    /// # Errors
    /// None came, it is not the server's, or its code is another than NOERROR.
    pub(super) async fn receive(&mut self, chain: &mut Chain) -> Result<Message, Failure> {
        let bytes = match timeout(MESSAGE, self.frame()).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(e)) => return Err(self.unknown(&format!("the connection broke: {e}"))),
            Err(_) => return Err(self.unknown(&format!("no answer within {MESSAGE:?}"))),
        };
        self.received += bytes.len();
        if self.received > MAX_ANSWER {
            return Err(self.unknown(&format!("an answer is longer than {MAX_ANSWER} bytes")));
        }
        let decoded = Message::from_vec(&bytes);
        let message = decoded.map_err(|e| self.unknown(&format!("an answer cannot be read: {e}")))?;
        let code = message.metadata.response_code;
        // What a server says of the key (RFC 8945 5.2) it cannot sign with that key.
        if let Some(signature) = message.signature.as_deref()
            && let Some(error) = signature.data.error
        {
            return Err(Failure::Refused(self.key_refused(error, &signature.data)));
        }
        if let Err(what) = chain.check(&bytes, &message, now()) {
            // Some servers sign no refusal. Nothing is lost by believing it.
            let unsigned = message.signature.is_none() && code != ResponseCode::NoError;
            return Err(if unsigned { self.judged(code) } else { self.unknown(&format!("an answer is not to be trusted: {what}")) });
        }
        if code == ResponseCode::NoError { Ok(message) } else { Err(self.judged(code)) }
    }

    async fn frame(&mut self) -> std::io::Result<Vec<u8>> {
        let size = self.stream.read_u16().await?;
        let mut bytes = vec![0; size.into()];
        self.stream.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    fn key_refused(&self, error: TsigError, signature: &TSIG) -> Error {
        let name = self.key.signer_name();
        let (message, hint) = match error {
            TsigError::BadKey => (
                format!("the server does not know the key {name}, or not with its algorithm (BADKEY)"),
                "compare name and algorithm of the TSIG key with the server's; with Knot, the key may also lack the right",
            ),
            TsigError::BadSig => {
                (format!("the secret of the key {name} is not the server's (BADSIG)"), "compare the TSIG secret with the server's")
            }
            TsigError::BadTime => (
                format!("the clocks differ by more than {} s (BADTIME{})", self.key.fudge(), clock_of_server(signature)),
                "set the clocks of both machines by NTP",
            ),
            other => (format!("the server refused the signature ({other:?})"), "compare the TSIG key with the server's"),
        };
        Error::Refused { provider: NAME, at: self.at.clone(), message, hint: hint.to_owned() }
    }

    /// What a code other than NOERROR means.
    fn judged(&self, code: ResponseCode) -> Failure {
        let hint = match code {
            ResponseCode::NXRRSet | ResponseCode::YXRRSet | ResponseCode::NXDomain | ResponseCode::YXDomain => {
                return Failure::Conflict(self.unavailable(&format!("the zone is not as it was read ({code})")));
            }
            ResponseCode::Refused => "grant the TSIG key transfer and update of the zone and of these names and types",
            ResponseCode::NotAuth => "the server has no such zone, or does not take this TSIG key: compare both with the server's",
            ResponseCode::NotZone => "a name lies outside the zone as the server has it: compare zones with the server's",
            ResponseCode::NotImp => "the server takes no such request: name a primary in server",
            ResponseCode::ServFail => {
                return Failure::Refused(self.unavailable("the server failed (SERVFAIL); its log tells why"));
            }
            _ => return Failure::Refused(self.unavailable(&format!("the server answered {code}"))),
        };
        let message = format!("the server answered {}", word(code));
        Failure::Refused(Error::Refused { provider: NAME, at: self.at.clone(), message, hint: hint.to_owned() })
    }

    fn unknown(&self, message: &str) -> Failure {
        Failure::Unknown(self.unavailable(message))
    }

    pub(super) fn unavailable(&self, message: &str) -> Error {
        Error::Unavailable { provider: NAME, at: self.at.clone(), message: message.to_owned() }
    }
}

async fn connect(at: &str, tls: Option<&Tls>) -> std::io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(at).await?;
    // Messages are written whole; nothing is gained by holding them back.
    let _ = stream.set_nodelay(true);
    Ok(match tls {
        Some(tls) => Box::new(tls.connect(at, stream).await?),
        None => Box::new(stream),
    })
}

/// The words operators know from logs.
fn word(code: ResponseCode) -> &'static str {
    match code {
        ResponseCode::Refused => "REFUSED",
        ResponseCode::NotAuth => "NOTAUTH",
        ResponseCode::NotZone => "NOTZONE",
        ResponseCode::NotImp => "NOTIMP",
        _ => "an error",
    }
}

/// The time of a server that finds ours wrong (RFC 8945 5.2.3).
fn clock_of_server(signature: &TSIG) -> String {
    if signature.other.len() != 6 {
        return String::new();
    }
    let server = signature.other.iter().fold(0_u64, |time, byte| (time << 8) | u64::from(*byte));
    format!(": the server's is at {server}, ours at {} seconds since 1970", now())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
