use hickory_proto::op::Query;
use hickory_proto::rr::Name;
use proptest::prelude::*;

use super::super::zone::Frame;
use super::*;
use crate::{Data, DnsName, RecordSet};

fn name(text: &str) -> DnsName {
    DnsName::parse(text).unwrap()
}

/// A zone with one name of so many addresses and an alias to it.
fn zone(addresses: u32) -> Vec<ZoneData> {
    let frame = Frame { ttl: 30, nameservers: vec![(name("ns.dns.example.com"), vec!["192.0.2.53".parse().unwrap()])] };
    let ips = (0..addresses).map(|n| (0x0a00_0000 + n).into()).collect();
    let long = "a-service-with-a-long-name.a-namespace-with-a-long-name.federation.svc.zone.region.example.com";
    let sets = [
        RecordSet { name: name("big.example.com"), ttl: 180, data: Data::A(ips) },
        RecordSet { name: name(long), ttl: 180, data: Data::Cname(name("big.example.com")) },
    ];
    let (mut zone, rejected) = ZoneData::build(&name("example.com"), 1, &frame, sets);
    assert_eq!(rejected, []);
    zone.known = true;
    vec![zone]
}

fn query(at: &str, edns: Option<u16>) -> Vec<u8> {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(at).unwrap(), RecordType::A));
    message.edns = edns.map(|size| {
        let mut own = Edns::new();
        own.set_max_payload(size);
        own
    });
    message.to_vec().unwrap()
}

/// Length and content of an answer; panics where anything follows its last record.
fn parsed(answer: &[u8]) -> (usize, Message) {
    let message = Message::from_vec(answer).unwrap();
    assert_eq!(message.to_vec().unwrap().len(), answer.len(), "nothing stands behind the last record");
    (answer.len(), message)
}

proptest! {
    #[test]
    fn issue7_case_44_an_answer_ends_with_a_whole_record_at_every_size(addresses in 0_u32..150, edns in proptest::option::of(0_u16..5000)) {
        let zones = zone(addresses);
        for at in ["big.example.com.", "a-service-with-a-long-name.a-namespace-with-a-long-name.federation.svc.zone.region.example.com."] {
            let (size, answer) = parsed(&respond(&zones, &query(at, edns), Over::Udp, 1).unwrap());
            let most = edns.map_or(512, |size| size.clamp(512, 1232));
            prop_assert!(size <= usize::from(most), "{size} bytes");
            let (_, whole) = parsed(&respond(&zones, &query(at, edns), Over::Tcp, 1).unwrap());
            prop_assert!(!whole.metadata.truncation);
            prop_assert_eq!(answer.metadata.truncation, answer.answers.len() < whole.answers.len());
            prop_assert_eq!(answer.edns.map(|e| e.max_payload()), edns.map(|_| most));
        }
    }

    #[test]
    fn no_packet_is_too_strange(mut packet in proptest::collection::vec(any::<u8>(), 0..80), good in any::<bool>()) {
        if good && packet.len() >= 12 {
            packet.splice(2..12, [0, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
        }
        if let Some(answer) = respond(&zone(3), &packet, Over::Udp, 0) {
            parsed(&answer);
        }
    }
}

#[test]
fn an_answer_of_tcp_is_bounded_too() {
    let (size, answer) = parsed(&respond(&zone(5000), &query("big.example.com.", None), Over::Tcp, 0).unwrap());
    assert!(size <= 65_535 && answer.metadata.truncation && answer.answers.len() == MOST_ANSWERS);
}

#[test]
fn d19_who_slips_is_sent_to_tcp_with_no_more_than_the_question() {
    let query = query("big.example.com.", Some(1232));
    let (size, answer) = parsed(&respond(&zone(50), &query, Over::UdpSlipped, 0).unwrap());
    assert!(answer.metadata.truncation && answer.answers.is_empty());
    assert_eq!((size, answer.metadata.response_code), (query.len(), ResponseCode::NoError));
}

#[test]
fn what_is_no_query_gets_no_answer_or_a_short_one() {
    let zones = zone(1);
    let code = |packet: &[u8]| respond(&zones, packet, Over::Udp, 0).map(|a| parsed(&a).1.metadata.response_code);
    let good = query("big.example.com.", None);
    let changed = |at: usize, byte: u8| {
        let mut packet = good.clone();
        packet[at] = byte;
        packet
    };
    assert_eq!(code(&good), Some(ResponseCode::NoError));
    assert_eq!(code(&changed(2, 0x80)), None, "an answer: two servers must not talk for ever");
    assert_eq!(code(&good[..11]), None);
    assert_eq!(code(&changed(2, 0x20)), Some(ResponseCode::NotImp));
    for (at, byte) in [(4, 0xff), (5, 0), (5, 2), (7, 1), (9, 1), (10, 0xff), (11, 5)] {
        assert_eq!(code(&changed(at, byte)), Some(ResponseCode::FormErr), "{at}");
    }
    assert_eq!(code(&good[..good.len() - 3]), Some(ResponseCode::FormErr));
}
