//! Real DNS questions.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// NOERROR, NXDOMAIN …
    pub code: ResponseCode,
    /// Targets of CNAME records, in order.
    pub aliases: Vec<String>,
    /// Addresses, sorted.
    pub addresses: Vec<IpAddr>,
}

/// Asks one server for the A records of a name, by UDP.
pub fn ask(server: SocketAddr, name: &str) -> Result<Answer> {
    let mut query = Message::new(4711, MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(Name::from_ascii(name)?, RecordType::A));
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.send_to(&query.to_vec()?, server).with_context(|| format!("asking {server}"))?;
    let mut buffer = [0; 4096];
    let size = socket.recv(&mut buffer).with_context(|| format!("waiting for an answer of {server}"))?;
    let message = Message::from_vec(&buffer[..size])?;
    ensure!(message.metadata.id == 4711, "an answer to another question");
    let mut answer = Answer { code: message.metadata.response_code, aliases: vec![], addresses: vec![] };
    for record in &message.answers {
        match &record.data {
            RData::A(a) => answer.addresses.push(IpAddr::V4(a.0)),
            RData::AAAA(a) => answer.addresses.push(IpAddr::V6(a.0)),
            RData::CNAME(name) => answer.aliases.push(name.0.to_ascii()),
            _ => {}
        }
    }
    answer.addresses.sort();
    Ok(answer)
}
