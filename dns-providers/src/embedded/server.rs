//! The server: from a query to the zones and back.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use hickory_proto::op::{Edns, MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, Record, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};
use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::net::xfer::Protocol;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use tokio::net::{TcpListener, UdpSocket};

use crate::Error;

use super::zone::{Answer, ZoneData};

/// Largest UDP answer: passes every common link without fragments (DNS flag day 2020).
const MAX_UDP: u16 = 1232;
/// Bytes of a message's header.
const HEADER: u16 = 12;
/// Bytes of an OPT record without options.
const OPT: u16 = 11;
/// A TCP connection without a query for so long is closed.
const TCP_IDLE: Duration = Duration::from_secs(10);
/// Answers queued for one TCP connection.
const TCP_QUEUE: usize = 64;

/// The zones as they are answered now.
pub(super) type Zones = Arc<ArcSwap<Vec<ZoneData>>>;

/// Binds one address by UDP and TCP with the same port.
pub(super) async fn bind(listen: SocketAddr) -> Result<(UdpSocket, TcpListener, SocketAddr), Error> {
    let failed = |what: &str, at: SocketAddr| {
        let what = format!("cannot answer DNS at {at} ({what})");
        move |source| Error::Io { what, source }
    };
    // A free TCP port may be taken for UDP; with port 0 another pair is tried.
    let mut tries = if listen.port() == 0 { 16 } else { 1 };
    loop {
        tries -= 1;
        let tcp = TcpListener::bind(listen).await.map_err(failed("TCP", listen))?;
        let at = tcp.local_addr().map_err(failed("TCP", listen))?;
        match UdpSocket::bind(at).await {
            Ok(udp) => return Ok((udp, tcp, at)),
            Err(_) if tries > 0 => {}
            Err(error) => return Err(failed("UDP", at)(error)),
        }
    }
}

/// Starts to answer.
pub(super) fn serve(zones: Zones, sockets: Vec<(UdpSocket, TcpListener)>) -> Server<Handler> {
    let mut server = Server::new(Handler { zones, turn: AtomicUsize::new(0) });
    for (udp, tcp) in sockets {
        server.register_socket(udp);
        server.register_listener(tcp, TCP_IDLE, TCP_QUEUE);
    }
    server
}

/// The addresses a name server has when it listens at `at`: none if it listens on all of them.
pub(super) fn own_address(at: SocketAddr) -> Option<IpAddr> {
    Some(at.ip()).filter(|ip| !ip.is_unspecified())
}

/// How many answers fit beside the OPT record, which must not be the one that is cut off (RFC 6891 7).
fn fitting(request: &Request, answers: &[Record], limit: u16) -> usize {
    // The question is copied into the answer as it came; names of answers are not compressed against it.
    let question = u16::try_from(request.queries.as_bytes().len()).unwrap_or(u16::MAX);
    let mut buffer = Vec::new();
    let mut encoder = BinEncoder::new(&mut buffer);
    encoder.set_max_size(limit.saturating_sub(HEADER + OPT).saturating_sub(question));
    answers.iter().position(|record| record.emit(&mut encoder).is_err()).unwrap_or(answers.len())
}

pub(super) struct Handler {
    zones: Zones,
    turn: AtomicUsize,
}

impl Handler {
    fn answer(&self, request: &Request) -> Answer {
        let refuse = |code| Answer { code, answers: Vec::new(), soa: None, additionals: Vec::new() };
        if request.metadata.message_type != MessageType::Query {
            return refuse(ResponseCode::FormErr);
        }
        if request.metadata.op_code != OpCode::Query {
            return refuse(ResponseCode::NotImp);
        }
        let Ok(info) = request.request_info() else { return refuse(ResponseCode::FormErr) };
        let query = info.query.original();
        let kind = query.query_type();
        if query.query_class() != DNSClass::IN || matches!(kind, RecordType::AXFR | RecordType::IXFR) {
            return refuse(ResponseCode::Refused);
        }
        let zones = self.zones.load();
        let zone = zones.iter().filter(|zone| zone.serves(query.name())).max_by_key(|zone| zone.depth());
        match zone {
            Some(zone) => zone.answer(query.name(), kind, self.turn.fetch_add(1, Ordering::Relaxed)),
            None => refuse(ResponseCode::Refused),
        }
    }
}

#[async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut to: R) -> ResponseInfo {
        let mut answer = self.answer(request);
        let mut edns = None;
        if let Some(asked) = &request.edns {
            let mut own = Edns::new();
            own.set_version(0).set_max_payload(asked.max_payload().clamp(512, MAX_UDP));
            if asked.version() > 0 {
                answer = Answer { code: ResponseCode::BADVERS, answers: Vec::new(), soa: None, additionals: Vec::new() };
            }
            own.set_rcode_high(answer.code.high());
            edns = Some(own);
        }
        let mut metadata = Metadata::response_from_request(&request.metadata);
        if let (Some(edns), Protocol::Udp) = (&edns, request.protocol()) {
            let fitting = fitting(request, &answer.answers, edns.max_payload());
            metadata.truncation = fitting < answer.answers.len();
            answer.answers.truncate(fitting);
        }
        metadata.response_code = answer.code;
        metadata.authoritative = matches!(answer.code, ResponseCode::NoError | ResponseCode::NXDomain);
        let mut builder = MessageResponseBuilder::from_message_request(request);
        if let Some(edns) = &edns {
            builder.edns(edns);
        }
        let response = builder.build(metadata, &answer.answers, [], &answer.soa, &answer.additionals);
        match to.send_response(response).await {
            Ok(info) => info,
            Err(error) => {
                tracing::debug!(%error, client = %request.src(), "a DNS answer was not sent");
                let mut metadata = Metadata::response_from_request(&request.metadata);
                metadata.response_code = ResponseCode::ServFail;
                hickory_proto::op::Header { metadata, counts: hickory_proto::op::HeaderCounts::default() }.into()
            }
        }
    }
}
