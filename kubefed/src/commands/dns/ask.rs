//! Questions to name servers: by UDP, by TCP where the answer is cut, each within a time.

use std::net::SocketAddr;
use std::time::Duration;

use dns_providers::DnsName;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Largest answer by UDP that is asked for (RFC 9715).
const PAYLOAD: u16 = 1232;
/// Some servers send more than they were asked for.
const BUFFER: usize = 4096;
/// Datagrams get lost.
const TRIES: u32 = 2;

/// Why there is no answer.
#[derive(Debug, Error)]
pub(super) enum Unanswered {
    /// Nothing came in time.
    #[error("no answer in {} s", .0.as_secs_f32())]
    Silent(Duration),
    /// The network says why not.
    #[error("{0}")]
    Network(#[from] std::io::Error),
    /// What came is no answer to the question.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
}

/// What one server says about a name and type. `limit` is for each try.
///
/// # Errors
/// There is no answer. One that says no is an answer.
pub(super) async fn ask(server: SocketAddr, name: &DnsName, kind: RecordType, limit: Duration) -> Result<Message, Unanswered> {
    let question = question(name, kind)?;
    let mut last = Unanswered::Silent(limit);
    for _ in 0..TRIES {
        match timeout(limit, by_udp(server, &question)).await {
            Ok(Ok(answer)) if answer.metadata.truncation => {
                return match timeout(limit, by_tcp(server, &question)).await {
                    Ok(answer) => answer,
                    Err(_) => Err(Unanswered::Silent(limit)),
                };
            }
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => last = error,
            Err(_) => last = Unanswered::Silent(limit),
        }
    }
    Err(last)
}

fn question(name: &DnsName, kind: RecordType) -> Result<Message, Unanswered> {
    let [high, low, ..] = uuid::Uuid::new_v4().into_bytes();
    let mut message = Message::new(u16::from_be_bytes([high, low]), MessageType::Query, OpCode::Query);
    let name = Name::from_ascii(name.as_str()).map_err(|e| Unanswered::Unreadable(e.to_string()))?;
    message.add_query(Query::query(name, kind));
    // Of a server that resolves for others the whole answer is wanted; one that has the zone does not mind.
    message.metadata.recursion_desired = true;
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD);
    message.edns = Some(edns);
    Ok(message)
}

async fn by_udp(server: SocketAddr, question: &Message) -> Result<Message, Unanswered> {
    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await?;
    // From nobody else datagrams are taken.
    socket.connect(server).await?;
    socket.send(&encoded(question)?).await?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let size = socket.recv(&mut buffer).await?;
        // What is none, or answers another question, may be forged: the answer may come yet.
        if let Ok(answer) = Message::from_vec(&buffer[..size])
            && answers(&answer, question)
        {
            return Ok(answer);
        }
    }
}

async fn by_tcp(server: SocketAddr, question: &Message) -> Result<Message, Unanswered> {
    let bytes = encoded(question)?;
    let size = u16::try_from(bytes.len()).map_err(|e| Unanswered::Unreadable(e.to_string()))?;
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(&[size.to_be_bytes().as_slice(), &bytes].concat()).await?;
    let mut answer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer).await?;
    let answer = Message::from_vec(&answer).map_err(|e| Unanswered::Unreadable(e.to_string()))?;
    if answers(&answer, question) { Ok(answer) } else { Err(Unanswered::Unreadable("it answers another question".to_owned())) }
}

fn encoded(message: &Message) -> Result<Vec<u8>, Unanswered> {
    message.to_vec().map_err(|e| Unanswered::Unreadable(e.to_string()))
}

fn answers(answer: &Message, question: &Message) -> bool {
    // Some servers answer what they refuse without the question.
    let same = answer.queries == question.queries || (answer.queries.is_empty() && answer.metadata.response_code != ResponseCode::NoError);
    answer.metadata.id == question.metadata.id && answer.metadata.message_type == MessageType::Response && same
}
