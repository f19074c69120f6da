//! From a batch of changes and what is there to etcd transactions: pure.

use std::collections::{BTreeMap, BTreeSet};

use etcd_client::{Compare, CompareOp, TxnOp};

use crate::batch::NameChanges;
use crate::{Change, DnsName, Kind, Rejected};

use super::skydns::{Record, directory, encode};

/// Most operations etcd takes in one transaction by default.
pub(super) const MAX_OPS: usize = 128;

/// A key that is there: its record, unless it is something else, and when it last changed.
pub(super) struct Present {
    pub(super) record: Option<Record>,
    pub(super) revision: i64,
}

/// Operations that happen together, each guarded: nobody else touched the key since it was read.
#[derive(Default)]
pub(super) struct Transaction<'a> {
    pub(super) names: BTreeSet<&'a DnsName>,
    pub(super) guards: Vec<Compare>,
    pub(super) ops: Vec<TxnOp>,
}

/// What to send, and what cannot be done.
#[derive(Default)]
pub(super) struct Planned<'a> {
    pub(super) transactions: Vec<Transaction<'a>>,
    pub(super) rejected: Vec<Rejected>,
}

/// Plans the transactions for some names.
pub(super) fn plan<'a>(todo: &[&NameChanges<'a>], present: &BTreeMap<String, Present>, owner: &str) -> Planned<'a> {
    let mut planned = Planned::default();
    for group in todo {
        match steps(group, present, owner) {
            Ok(steps) => pack(&mut planned.transactions, group.name, steps),
            Err(reason) => planned.rejected.push(Rejected { name: group.name.clone(), reason }),
        }
    }
    planned
}

/// The guarded operations for one name, puts before deletes.
fn steps(group: &NameChanges<'_>, present: &BTreeMap<String, Present>, owner: &str) -> Result<Vec<(Compare, TxnOp)>, String> {
    let here = directory(group.name);
    let at_name = || present.iter().filter(|(key, _)| key.strip_prefix(&here).is_some_and(|hash| !hash.contains('/')));
    let touched: BTreeSet<Kind> = group.changes.iter().map(|c| c.kind()).collect();
    let stays = |key: &str| present.get(key).and_then(|p| p.record.as_ref()).is_some_and(|r| !touched.contains(&kind(r)));
    let mut wanted: BTreeMap<String, Record> = BTreeMap::new();
    for change in &group.changes {
        if let Change::Upsert(set) = change {
            encode(&mut wanted, set, owner, stays);
        }
    }
    if !wanted.is_empty() {
        let foreign = at_name().find(|(_, p)| p.record.as_ref().is_none_or(|r| r.owner != owner));
        if let Some((key, present)) = foreign {
            let holder = present.record.as_ref().map(|r| r.owner.as_str()).filter(|o| !o.is_empty());
            let holder = holder.map(|o| format!("federation {o}")).unwrap_or_else(|| "someone else".to_owned());
            return Err(format!("key {key} belongs to {holder}; it is left alone"));
        }
    }
    let mut steps = Vec::new();
    for (key, record) in &wanted {
        let guard = match present.get(key) {
            Some(p) if p.record.as_ref() == Some(record) => continue,
            Some(p) => Compare::mod_revision(key.as_str(), CompareOp::Equal, p.revision),
            None => Compare::create_revision(key.as_str(), CompareOp::Equal, 0),
        };
        let value = serde_json::to_vec(record).map_err(|e| e.to_string())?;
        steps.push((guard, TxnOp::put(key.as_str(), value, None)));
    }
    for (key, p) in at_name() {
        let ours = p.record.as_ref().is_some_and(|r| r.owner == owner && touched.contains(&kind(r)));
        if ours && !wanted.contains_key(key) {
            steps.push((Compare::mod_revision(key.as_str(), CompareOp::Equal, p.revision), TxnOp::delete(key.as_str(), None)));
        }
    }
    Ok(steps)
}

fn kind(record: &Record) -> Kind {
    match record.host.parse() {
        Ok(std::net::IpAddr::V4(_)) => Kind::A,
        Ok(std::net::IpAddr::V6(_)) => Kind::Aaaa,
        Err(_) => Kind::Cname,
    }
}

/// Adds the steps of a name to the last transaction with room for all of them, or opens another.
/// Only a name with more steps than one transaction takes is itself divided.
fn pack<'a>(into: &mut Vec<Transaction<'a>>, name: &'a DnsName, steps: Vec<(Compare, TxnOp)>) {
    if steps.is_empty() {
        return;
    }
    if into.last().is_none_or(|last| last.ops.len() + steps.len() > MAX_OPS) {
        into.push(Transaction::default());
    }
    for (guard, op) in steps {
        if into.last().is_some_and(|last| last.ops.len() == MAX_OPS) {
            into.push(Transaction::default());
        }
        if let Some(last) = into.last_mut() {
            last.names.insert(name);
            last.guards.push(guard);
            last.ops.push(op);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::group;
    use crate::capabilities::ANY;
    use crate::{Data, RecordSet};

    fn name(text: &str) -> DnsName {
        DnsName::parse(text).unwrap()
    }

    fn a(at: &str, ips: impl IntoIterator<Item = u32>) -> Change {
        Change::Upsert(RecordSet { name: name(at), ttl: 180, data: Data::A(ips.into_iter().map(Into::into).collect()) })
    }

    #[test]
    fn a_batch_is_one_transaction_until_it_holds_128_operations() {
        let batch: Vec<Change> = (0..64).map(|i| a(&format!("n{i}.example.com"), [1, 2])).collect();
        let (grouped, rejected) = group(&batch, &name("example.com"), &ANY);
        assert!(rejected.is_empty());
        let todo: Vec<_> = grouped.iter().collect();
        let planned = plan(&todo, &BTreeMap::new(), "f");
        assert_eq!(planned.transactions.iter().map(|t| t.ops.len()).collect::<Vec<_>>(), [128]);
        let more: Vec<Change> = batch.into_iter().chain([a("z.example.com", 0..300)]).collect();
        let (grouped, _) = group(&more, &name("example.com"), &ANY);
        let todo: Vec<_> = grouped.iter().collect();
        let planned = plan(&todo, &BTreeMap::new(), "f");
        assert_eq!(planned.transactions.iter().map(|t| t.ops.len()).collect::<Vec<_>>(), [128, 128, 128, 44]);
    }
}
