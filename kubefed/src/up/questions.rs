//! Real DNS questions to the embedded server.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::net::UdpSocket;

const PATIENCE: Duration = Duration::from_secs(2);

/// The addresses of a name, sorted, and the aliases on the way.
pub(crate) async fn resolve(server: SocketAddr, name: &str) -> Result<(Vec<IpAddr>, Vec<String>)> {
    let mut question = Message::new(1, MessageType::Query, OpCode::Query);
    question.add_query(Query::query(Name::from_ascii(name)?, RecordType::A));
    let socket = UdpSocket::bind(("127.0.0.1", 0)).await?;
    socket.send_to(&question.to_vec()?, server).await?;
    let mut buffer = [0; 4096];
    let size = tokio::time::timeout(PATIENCE, socket.recv(&mut buffer)).await.with_context(|| format!("no answer from {server}"))??;
    let answer = Message::from_vec(&buffer[..size])?;
    let mut addresses: Vec<IpAddr> = vec![];
    let mut aliases = vec![];
    for record in &answer.answers {
        match &record.data {
            RData::A(a) => addresses.push(a.0.into()),
            RData::CNAME(target) => aliases.push(target.0.to_ascii()),
            _ => {}
        }
    }
    addresses.sort();
    Ok((addresses, aliases))
}
