//! The content of the zones and the answers from it: pure.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::batch::NameChanges;
use crate::{Change, Data, DnsName, Kind, RecordSet, Rejected};

/// Longest chain of aliases that is followed.
const MAX_CHAIN: usize = 8;

/// One zone: immutable once it is published, so a query sees it whole.
#[derive(Clone, Debug)]
pub(super) struct ZoneData {
    pub(super) name: DnsName,
    pub(super) serial: u32,
    /// Whether the federation has published yet, now or before the restart. Until then a name that is not
    /// here is not known to be missing, and to say so would be remembered by resolvers.
    pub(super) known: bool,
    /// What the federation published.
    pub(super) sets: BTreeMap<DnsName, BTreeMap<Kind, RecordSet>>,
    apex: Name,
    soa: Record,
    /// Everything that is answered, in canonical order: names below a name follow it.
    names: BTreeMap<Name, Vec<Record>>,
    /// Names of our own that no change may touch: the apex and the name servers.
    reserved: BTreeSet<DnsName>,
}

/// What is known of a zone besides its records.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) ttl: u32,
    pub(super) nameservers: Vec<(DnsName, Vec<std::net::IpAddr>)>,
}

/// An answer, ready to be encoded.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) code: ResponseCode,
    pub(super) answers: Vec<Record>,
    /// The SOA of a negative answer.
    pub(super) soa: Option<Record>,
    pub(super) additionals: Vec<Record>,
}

impl ZoneData {
    /// Builds a zone. Sets that cannot be encoded or break a rule are left out and reported.
    pub(super) fn build(name: &DnsName, serial: u32, frame: &Frame, sets: impl IntoIterator<Item = RecordSet>) -> (Self, Vec<Rejected>) {
        let mut rejected = Vec::new();
        let apex = to_name(name).unwrap_or_else(Name::root);
        let ns: Vec<(DnsName, Name, &[std::net::IpAddr])> =
            frame.nameservers.iter().filter_map(|(n, ips)| Some((n.clone(), to_name(n)?, ips.as_slice()))).collect();
        let primary = ns.first().map_or_else(|| apex.clone(), |(_, name, _)| name.clone());
        let mail = Name::from_ascii("hostmaster").and_then(|host| host.append_domain(&apex)).unwrap_or_else(|_| apex.clone());
        let rdata = SOA::new(primary, mail, serial, 7200, 1800, 86_400, frame.ttl);
        let soa = Record::from_rdata(apex.clone(), frame.ttl, RData::SOA(rdata));
        let mut names: BTreeMap<Name, Vec<Record>> = BTreeMap::new();
        let mut reserved = BTreeSet::from([name.clone()]);
        names.entry(apex.clone()).or_default().push(soa.clone());
        for (text, server, ips) in &ns {
            let record = Record::from_rdata(apex.clone(), frame.ttl, RData::NS(NS(server.clone())));
            names.entry(apex.clone()).or_default().push(record);
            if text.is_within(name) {
                reserved.insert(text.clone());
                let glue = ips.iter().map(|ip| Record::from_rdata(server.clone(), frame.ttl, RData::from(*ip)));
                names.entry(server.clone()).or_default().extend(glue);
            }
        }
        let mut zone = ZoneData { name: name.clone(), serial, known: false, sets: BTreeMap::new(), apex, soa, names, reserved };
        for set in sets {
            if let Err(reason) = zone.insert(&set) {
                rejected.push(Rejected { name: set.name, reason });
            }
        }
        (zone, rejected)
    }

    fn insert(&mut self, set: &RecordSet) -> Result<(), String> {
        if !set.name.is_within(&self.name) {
            return Err(format!("the name is not below the zone {}", self.name));
        }
        if self.reserved.contains(&set.name) {
            return Err("the name belongs to the zone itself".to_owned());
        }
        let here = self.sets.entry(set.name.clone()).or_default();
        let alias = set.data.kind() == Kind::Cname;
        if here.keys().any(|kind| (*kind == Kind::Cname) != alias) {
            return Err("an alias excludes every other record of its name".to_owned());
        }
        let owner = to_name(&set.name).ok_or("the name cannot be encoded")?;
        let records: Vec<Record> = match &set.data {
            Data::A(ips) => ips.iter().map(|ip| RData::A(A(*ip))).collect::<Vec<_>>(),
            Data::Aaaa(ips) => ips.iter().map(|ip| RData::AAAA(AAAA(*ip))).collect(),
            Data::Cname(target) => vec![RData::CNAME(CNAME(to_name(target).ok_or("the alias cannot be encoded")?))],
        }
        .into_iter()
        .map(|data| Record::from_rdata(owner.clone(), set.ttl, data))
        .collect();
        here.insert(set.data.kind(), set.clone());
        let kind = record_type(set.data.kind());
        let held = self.names.entry(owner).or_default();
        held.retain(|record| record.record_type() != kind);
        held.extend(records);
        Ok(())
    }

    /// The zone after a batch. All changes of a name happen or none.
    pub(super) fn apply(&self, frame: &Frame, serial: u32, batch: &[NameChanges<'_>]) -> (Self, Vec<Rejected>) {
        let mut sets = self.sets.clone();
        let mut rejected = Vec::new();
        for NameChanges { name, changes } in batch {
            let name = *name;
            let mut here = sets.get(name).cloned().unwrap_or_default();
            for change in changes {
                if let Change::Delete { kind, .. } = change {
                    here.remove(kind);
                }
            }
            for change in changes {
                if let Change::Upsert(set) = change {
                    here.insert(set.data.kind(), set.clone());
                }
            }
            // Tried alone, so that one bad name costs only itself.
            let (_, refused) = ZoneData::build(&self.name, serial, frame, here.values().cloned());
            if refused.is_empty() {
                if here.is_empty() { drop(sets.remove(name)) } else { drop(sets.insert(name.clone(), here)) }
            } else {
                rejected.extend(refused);
            }
        }
        let all = sets.into_values().flat_map(BTreeMap::into_values);
        let (mut zone, more) = ZoneData::build(&self.name, serial, frame, all);
        zone.known = true;
        rejected.extend(more);
        rejected.dedup_by(|a, b| a.name == b.name);
        (zone, rejected)
    }

    /// Whether a name is this zone's to answer.
    pub(super) fn serves(&self, name: &Name) -> bool {
        self.apex.zone_of(name)
    }

    /// How many labels the zone's name has; of nested zones the longest answers.
    pub(super) fn depth(&self) -> u8 {
        self.apex.num_labels()
    }

    /// Answers a query for a name of this zone, following aliases as far as they lie in it. `turn`
    /// rotates the addresses, so that clients that take the first are spread.
    pub(super) fn answer(&self, name: &Name, kind: RecordType, turn: usize) -> Answer {
        let mut answers: Vec<Record> = Vec::new();
        // The first owner name keeps the letter case of the question (draft-vixie-dnsext-dns0x20).
        let mut at = name.clone();
        for _ in 0..MAX_CHAIN {
            let Some(records) = self.names.get(&at) else {
                if !self.known {
                    return Answer { code: ResponseCode::ServFail, answers: Vec::new(), soa: None, additionals: Vec::new() };
                }
                let code = if self.has_below(&at) { ResponseCode::NoError } else { ResponseCode::NXDomain };
                return self.negative(code, answers);
            };
            let mut found: Vec<Record> = records.iter().filter(|r| r.record_type() == kind).cloned().collect();
            if kind == RecordType::ANY {
                // One set is a full answer to ANY (RFC 8482), and too little to be of use to an attacker.
                let first = records.first().map(Record::record_type);
                found = records.iter().filter(|r| Some(r.record_type()) == first).cloned().collect();
            }
            if !found.is_empty() {
                let by = turn % found.len();
                found.rotate_left(by);
                found.iter_mut().for_each(|record| record.name = at.clone());
                let additionals = self.glue(&found);
                answers.extend(found);
                return Answer { code: ResponseCode::NoError, answers, soa: None, additionals };
            }
            let Some(alias) = records.iter().find(|r| r.record_type() == RecordType::CNAME) else {
                return self.negative(ResponseCode::NoError, answers);
            };
            let mut alias = alias.clone();
            alias.name = at;
            let RData::CNAME(target) = &alias.data else { return self.negative(ResponseCode::ServFail, answers) };
            at = target.0.clone();
            let looped = answers.iter().any(|before| before.name == at) || alias.name == at;
            answers.push(alias);
            if looped || !self.serves(&at) {
                return Answer { code: ResponseCode::NoError, answers, soa: None, additionals: Vec::new() };
            }
        }
        Answer { code: ResponseCode::NoError, answers, soa: None, additionals: Vec::new() }
    }

    fn negative(&self, code: ResponseCode, answers: Vec<Record>) -> Answer {
        Answer { code, answers, soa: Some(self.soa.clone()), additionals: Vec::new() }
    }

    /// Whether a name without records has names below it: then it exists, with no data (RFC 8020).
    fn has_below(&self, name: &Name) -> bool {
        let next = self.names.range((Bound::Excluded(name.clone()), Bound::Unbounded)).next();
        next.is_some_and(|(next, _)| name.zone_of(next))
    }

    fn glue(&self, answers: &[Record]) -> Vec<Record> {
        let servers = answers.iter().filter_map(|record| match &record.data {
            RData::NS(server) => self.names.get(&server.0),
            _ => None,
        });
        servers.flatten().filter(|r| matches!(r.record_type(), RecordType::A | RecordType::AAAA)).cloned().collect()
    }
}

fn to_name(name: &DnsName) -> Option<Name> {
    Name::from_ascii(name.as_str()).ok()
}

fn record_type(kind: Kind) -> RecordType {
    match kind {
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
        Kind::Cname => RecordType::CNAME,
    }
}

#[cfg(test)]
mod tests {
    use crate::batch::group;
    use crate::capabilities::ANY;

    use super::*;

    fn name(text: &str) -> DnsName {
        DnsName::parse(text).unwrap()
    }

    fn set(at: &str, data: Data) -> RecordSet {
        RecordSet { name: name(at), ttl: 180, data }
    }

    fn frame() -> Frame {
        Frame { ttl: 30, nameservers: vec![(name("ns.dns.example.com"), vec!["192.0.2.53".parse().unwrap()])] }
    }

    fn zone(sets: impl IntoIterator<Item = RecordSet>) -> ZoneData {
        let (zone, rejected) = ZoneData::build(&name("example.com"), 1, &frame(), sets);
        assert_eq!(rejected, []);
        ZoneData { known: true, ..zone }
    }

    fn ask(zone: &ZoneData, at: &str, kind: RecordType) -> (ResponseCode, Vec<String>, bool) {
        let answer = zone.answer(&Name::from_ascii(at).unwrap(), kind, 0);
        (answer.code, answer.answers.iter().map(|r| format!("{} {}", r.name, r.data)).collect(), answer.soa.is_some())
    }

    fn a(ips: &[&str]) -> Data {
        Data::A(ips.iter().map(|ip| ip.parse().unwrap()).collect())
    }

    #[test]
    fn aliases_are_followed_and_nodata_differs_from_nxdomain() {
        let zone = zone([
            set("s.z.r.example.com", Data::Cname(name("s.r.example.com"))),
            set("s.r.example.com", a(&["192.0.2.1"])),
            set("lost.example.com", Data::Cname(name("nowhere.example.com"))),
            set("out.example.com", Data::Cname(name("www.example.net"))),
            set("x.example.com", Data::Cname(name("y.example.com"))),
            set("y.example.com", Data::Cname(name("x.example.com"))),
        ]);
        use ResponseCode::{NXDomain, NoError};
        let chain = vec!["S.z.r.example.com. s.r.example.com.".to_owned(), "s.r.example.com. 192.0.2.1".to_owned()];
        assert_eq!(ask(&zone, "S.z.r.example.com.", RecordType::A), (NoError, chain, false));
        assert!(ask(&zone, "s.z.r.example.com.", RecordType::AAAA).2, "no AAAA: alias and SOA");
        assert_eq!(ask(&zone, "s.z.r.example.com.", RecordType::CNAME).1.len(), 1);
        assert_eq!(ask(&zone, "s.r.example.com.", RecordType::AAAA), (NoError, vec![], true));
        assert_eq!(ask(&zone, "z.r.example.com.", RecordType::A), (NoError, vec![], true), "empty non-terminal");
        assert_eq!(ask(&zone, "none.example.com.", RecordType::A), (NXDomain, vec![], true));
        assert_eq!(ask(&zone, "lost.example.com.", RecordType::A).0, NXDomain);
        assert_eq!(ask(&zone, "out.example.com.", RecordType::A), (NoError, vec!["out.example.com. www.example.net.".to_owned()], false));
        assert_eq!(ask(&zone, "x.example.com.", RecordType::A).1.len(), 2, "a loop ends");
        assert_eq!(ask(&zone, "example.com.", RecordType::NS).1, ["example.com. ns.dns.example.com."]);
        assert_eq!(ask(&zone, "ns.dns.example.com.", RecordType::A).1, ["ns.dns.example.com. 192.0.2.53"]);
    }

    #[test]
    fn a_bad_name_costs_only_itself() {
        let before = zone([set("s.example.com", a(&["192.0.2.1"]))]);
        let batch = [
            Change::Upsert(set("s.example.com", Data::Cname(name("t.example.com")))),
            Change::Upsert(set("t.example.com", a(&["192.0.2.2"]))),
            Change::Upsert(set("www.example.net", a(&["192.0.2.3"]))),
            Change::Upsert(set("ns.dns.example.com", a(&["192.0.2.4"]))),
        ];
        let (by_name, mut rejected) = group(&batch, &before.name, &ANY);
        let (after, refused) = before.apply(&frame(), 2, &by_name);
        rejected.extend(refused);
        rejected.sort_by(|a, b| a.name.cmp(&b.name));
        let refused: Vec<&str> = rejected.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(refused, ["ns.dns.example.com.", "s.example.com.", "www.example.net."]);
        assert_eq!(ask(&after, "s.example.com.", RecordType::A).1, ["s.example.com. 192.0.2.1"]);
        assert_eq!(ask(&after, "t.example.com.", RecordType::A).1, ["t.example.com. 192.0.2.2"]);
        let change = [Change::Delete { name: name("s.example.com"), kind: Kind::A }, batch[0].clone()];
        let (after, rejected) = after.apply(&frame(), 3, &group(&change, &before.name, &ANY).0);
        assert_eq!(rejected, []);
        assert_eq!(ask(&after, "s.example.com.", RecordType::A).1.len(), 2, "address became alias in one step");
    }
}
