//! From the bytes of a query to the bytes of its answer: pure.

use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, RecordType};

use super::zone::{Answer, ZoneData};

/// Largest UDP answer: passes every common link without fragments (DNS flag day 2020).
const MAX_UDP: u16 = 1232;
/// Largest UDP answer to who does not say what it can take (RFC 1035 4.2.1).
const PLAIN_UDP: u16 = 512;
/// Bytes of a message's header.
const HEADER: usize = 12;
/// Records beside the question of a query: EDNS, a signature.
const MOST_ADDITIONALS: u16 = 4;
/// Answers of one message, by TCP too: more do not fit into its 65535 bytes for certain.
const MOST_ANSWERS: usize = 2000;

/// How a query came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Over {
    /// By UDP.
    Udp,
    /// By UDP, from somewhere that got too many answers: it is sent to TCP, where nobody can pose as another.
    UdpSlipped,
    /// By TCP.
    Tcp,
}

/// The answer to a query; nothing to what deserves none, answers above all.
pub(super) fn respond(zones: &[ZoneData], query: &[u8], over: Over, turn: usize) -> Option<Vec<u8>> {
    // Looked at before anything is decoded: counts decide how much room the decoder makes.
    let header: &[u8; HEADER] = query.get(..HEADER)?.try_into().ok()?;
    let [id_high, id_low, flags, _, questions_high, questions_low, ..] = *header;
    if flags & 0x80 != 0 {
        return None;
    }
    let (id, op_code) = (u16::from_be_bytes([id_high, id_low]), OpCode::from_u8((flags >> 3) & 0x0f));
    let refuse = |code| Message::error_msg(id, op_code, code).to_vec().ok();
    if op_code != OpCode::Query {
        return refuse(ResponseCode::NotImp);
    }
    let (answers, authorities, additionals) = (&header[6..8], &header[8..10], u16::from_be_bytes([header[10], header[11]]));
    // One question, with at most a few records of the transport beside it (RFC 9619).
    if (questions_high, questions_low) != (0, 1) || answers != [0, 0] || authorities != [0, 0] || additionals > MOST_ADDITIONALS {
        return refuse(ResponseCode::FormErr);
    }
    let Ok(query) = Message::from_vec(query) else { return refuse(ResponseCode::FormErr) };
    let message = message(zones, query, over, turn)?;
    let most = match (over, &message.edns) {
        (Over::Tcp, _) => usize::from(u16::MAX),
        (_, Some(edns)) => edns.max_payload().into(),
        (_, None) => PLAIN_UDP.into(),
    };
    fit(message, most).ok()
}

fn message(zones: &[ZoneData], query: Message, over: Over, turn: usize) -> Option<Message> {
    let question = query.queries.first()?;
    let kind = question.query_type();
    let zone = zones.iter().filter(|zone| zone.serves(question.name())).max_by_key(|zone| zone.depth());
    let refuse = |code| Answer { code, answers: Vec::new(), soa: None, additionals: Vec::new() };
    let answer = match zone {
        _ if query.edns.as_ref().is_some_and(|edns| edns.version() > 0) => refuse(ResponseCode::BADVERS),
        _ if question.query_class() != DNSClass::IN => refuse(ResponseCode::Refused),
        _ if matches!(kind, RecordType::AXFR | RecordType::IXFR) => refuse(ResponseCode::Refused),
        None => refuse(ResponseCode::Refused),
        Some(_) if over == Over::UdpSlipped => refuse(ResponseCode::NoError),
        Some(zone) => zone.answer(question.name(), kind, turn),
    };
    let mut message = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
    message.metadata = Metadata::response_from_request(&query.metadata);
    message.metadata.response_code = answer.code;
    message.metadata.authoritative = matches!(answer.code, ResponseCode::NoError | ResponseCode::NXDomain);
    message.metadata.truncation = over == Over::UdpSlipped;
    message.edns = query.edns.map(|asked| {
        let mut own = Edns::new();
        own.set_version(0).set_max_payload(asked.max_payload().clamp(PLAIN_UDP, MAX_UDP));
        own
    });
    message.queries = query.queries;
    message.answers = answer.answers;
    message.authorities = answer.soa.into_iter().collect();
    message.additionals = answer.additionals;
    Some(message)
}

/// Encodes a message into at most `most` bytes: first what is only a courtesy goes, then whole answers from the end,
/// and the reader is told.
fn fit(mut message: Message, most: usize) -> Result<Vec<u8>, ProtoError> {
    if message.answers.len() > MOST_ANSWERS {
        message.answers.truncate(MOST_ANSWERS);
        message.metadata.truncation = true;
    }
    let whole = message.to_vec()?;
    if whole.len() <= most {
        return Ok(whole);
    }
    message.additionals.clear();
    let bare = message.to_vec()?;
    if bare.len() <= most {
        return Ok(bare);
    }
    message.metadata.truncation = true;
    let answers = std::mem::take(&mut message.answers);
    let mut with = |count: usize| {
        message.answers = answers.get(..count).unwrap_or_default().to_vec();
        message.to_vec()
    };
    let (mut fits, mut exceeds) = (0, answers.len());
    while fits + 1 < exceeds {
        let middle = fits.midpoint(exceeds);
        if with(middle)?.len() <= most { fits = middle } else { exceeds = middle }
    }
    with(fits)
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
