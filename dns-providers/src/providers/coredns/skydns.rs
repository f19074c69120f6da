//! SkyDNS records in etcd, as CoreDNS's etcd plugin reads them and Federation v1 wrote them.
//!
//! One key a value: `/skydns/<labels of the name, reversed>/<FNV-1a of the value, lower hex>`. Where two values of a name
//! have the same hash, the second takes that of the value with a `+` behind it.
//! CoreDNS ignores JSON fields it does not know, so the mark of ownership travels inside the record: it
//! cannot be lost, and cannot outlive it. `group` is the record's own name: a query also reads the keys
//! below the name asked for, and the group keeps those of other names out of the answer.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{Data, DnsName, Held, Owner, RecordSet};

/// Where CoreDNS looks unless told otherwise.
pub(super) const PREFIX: &str = "/skydns/";

/// The value of a key; only what we need of it. Fields of others stay out of our records.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Record {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) host: String,
    #[serde(default)]
    pub(super) ttl: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) group: String,
    /// Name of the federation that wrote it; ignored by CoreDNS.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) owner: String,
}

/// The directory of a name, with a final slash.
pub(super) fn directory(name: &DnsName) -> String {
    let mut key = PREFIX.to_owned();
    for label in name.labels().rev() {
        key.push_str(label);
        key.push('/');
    }
    key
}

/// The name a key belongs to; `None` for keys that are no record of a name.
pub(super) fn name_of(key: &str) -> Option<DnsName> {
    let (path, _hash) = key.strip_prefix(PREFIX)?.rsplit_once('/')?;
    let labels: Vec<&str> = path.split('/').rev().collect();
    DnsName::parse(&labels.join(".")).ok()
}

/// Adds the keys and values of a record set; `is_held` says which keys belong to other values that stay.
pub(super) fn encode(all: &mut BTreeMap<String, Record>, set: &RecordSet, owner: &str, is_held: impl Fn(&str) -> bool) {
    let directory = directory(&set.name);
    for host in set.data.values() {
        let mut hashed = host.clone().into_bytes();
        let key = loop {
            let key = format!("{directory}{:x}", fnv1a(&hashed));
            if !all.contains_key(&key) && !is_held(&key) {
                break key;
            }
            hashed.push(b'+');
        };
        all.insert(key, Record { host, ttl: set.ttl, group: set.name.to_string(), owner: owner.to_owned() });
    }
}

/// Puts records together into sets. Records of one name that differ in owner, type, TTL or alias are
/// different sets, so that nothing that CoreDNS would answer is hidden from the comparison.
pub(super) fn decode<'a>(records: impl Iterator<Item = (DnsName, &'a Record)>, owner: &str) -> Vec<Held> {
    let mut sets: BTreeMap<(DnsName, Owner, u32, u8, String), Data> = BTreeMap::new();
    for (name, record) in records {
        let owner = Owner::by_mark(Some(&record.owner), owner);
        let key = |kind, alias: &str| (name.clone(), owner.clone(), record.ttl, kind, alias.to_owned());
        match record.host.parse::<IpAddr>() {
            Ok(IpAddr::V4(ip)) => match sets.entry(key(0, "")).or_insert_with(|| Data::A([ip].into())) {
                Data::A(set) => drop(set.insert(ip)),
                _ => continue,
            },
            Ok(IpAddr::V6(ip)) => match sets.entry(key(1, "")).or_insert_with(|| Data::Aaaa([ip].into())) {
                Data::Aaaa(set) => drop(set.insert(ip)),
                _ => continue,
            },
            Err(_) => {
                if let Ok(target) = DnsName::parse(&record.host) {
                    sets.insert(key(2, target.as_str()), Data::Cname(target.clone()));
                }
            }
        }
    }
    sets.into_iter().map(|((name, owner, ttl, ..), data)| Held { set: RecordSet { name, ttl, data }, owner }).collect()
}

/// FNV-1a, 32 bit.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DnsName {
        DnsName::parse(text).unwrap()
    }

    fn encode(set: &RecordSet, owner: &str) -> BTreeMap<String, Record> {
        let mut all = BTreeMap::new();
        super::encode(&mut all, set, owner, |_| false);
        all
    }

    #[test]
    fn d40_values_with_the_same_hash_do_not_overwrite_each_other() {
        let mut seen = BTreeMap::new();
        let addresses = (0..u32::MAX).map(|n| std::net::Ipv4Addr::from(0x0a00_0000 + n));
        let (one, other) = addresses.into_iter().find_map(|ip| Some((seen.insert(fnv1a(ip.to_string().as_bytes()), ip)?, ip))).unwrap();
        let set = RecordSet { name: name("a.example.com"), ttl: 30, data: Data::A([one, other].into()) };
        let records = encode(&set, "mine");
        assert_eq!(records.len(), 2, "{one} and {other}");
        let held = decode(records.iter().map(|(key, record)| (name_of(key).unwrap(), record)), "mine");
        assert!(held.len() == 1 && held[0].set == set, "{held:?}");
        // The other family's record of the name, whose key is the same by chance, stays.
        let (first, _) = records.first_key_value().unwrap();
        let mut beside = BTreeMap::new();
        super::encode(&mut beside, &set, "mine", |key| key == first);
        assert!(beside.len() == 2 && !beside.contains_key(first));
    }

    /// Keys and values seen in the etcd of a running Federation v1, plus the owner.
    #[test]
    fn keys_and_values_are_v1s() {
        let global = name("nginx.demo.fellowship.svc.example.com.");
        let set = RecordSet {
            name: global.clone(),
            ttl: 180,
            data: Data::A(["198.51.100.1".parse().unwrap(), "198.51.200.1".parse().unwrap()].into()),
        };
        let encoded = encode(&set, "fellowship");
        let keys: Vec<&str> = encoded.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            ["/skydns/com/example/svc/fellowship/demo/nginx/32965df3", "/skydns/com/example/svc/fellowship/demo/nginx/c8f419e2"]
        );
        assert_eq!(
            serde_json::to_string(&encoded[keys[0]]).unwrap(),
            r#"{"host":"198.51.100.1","ttl":180,"group":"nginx.demo.fellowship.svc.example.com.","owner":"fellowship"}"#
        );
        let zone = name("nginx.demo.fellowship.svc.foozone.fooregion.example.com.");
        let region = name("nginx.demo.fellowship.svc.fooregion.example.com.");
        let alias = encode(&RecordSet { name: zone, ttl: 180, data: Data::Cname(region) }, "fellowship");
        assert!(alias.contains_key("/skydns/com/example/fooregion/foozone/svc/fellowship/demo/nginx/d0794cf4"), "{alias:?}");
        assert_eq!(format!("{:x}", fnv1a(global.as_str().as_bytes())), "7f2cd9e6");
    }

    #[test]
    fn what_was_encoded_decodes_to_the_same_set_and_others_records_stay_apart() {
        let set = RecordSet { name: name("a.example.com"), ttl: 30, data: Data::Aaaa(["2001:db8::1".parse().unwrap()].into()) };
        let mut records = encode(&set, "mine");
        let foreign = Record { host: "2001:db8::2".to_owned(), ttl: 30, ..Record::default() };
        records.insert("/skydns/com/example/a/x".to_owned(), foreign);
        records.insert("/skydns/com/example/a/txt".to_owned(), Record::default());
        let held = decode(records.iter().map(|(key, record)| (name_of(key).unwrap(), record)), "mine");
        assert_eq!(held.len(), 2);
        assert!(held.iter().any(|h| h.owned() && h.set == set));
        assert!(held.iter().any(|h| !h.owned()));
    }

    #[test]
    fn keys_that_are_no_records_have_no_name() {
        assert_eq!(name_of("/skydns/com/example/a/1"), Some(name("a.example.com")));
        assert_eq!(name_of("/skydns/a"), None);
        assert_eq!(name_of("/other/com/example/a"), None);
        assert_eq!(name_of("/skydns//a"), None);
    }
}
