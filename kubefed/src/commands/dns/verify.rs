//! `kubefed dns verify`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dns_providers::{Data, DnsName, Kind, RecordSet};
use futures::StreamExt;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, RecordType};
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;

use super::ask::ask;
use super::reach::Publisher;
use super::servers::{self, Server};
use super::told::row;
use super::wanted::{Seen, Wanted};
use crate::cli::{DnsVerifyArgs, QueryArgs};
use crate::commands::Session;
use crate::error::{EXIT_FOUND, EXIT_OK, Failure};

/// What a server says about a name.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Checked {
    pub(super) server: String,
    pub(super) name: DnsName,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) wanted: Vec<String>,
    pub(super) answer: Vec<String>,
    /// `ok`, `missing` (it says that there is no such record), `wrong` (it has other values), or `failed` (it says that it
    /// cannot answer, or nothing).
    pub(super) state: &'static str,
    /// The response code, or why there is none.
    pub(super) said: String,
}

/// What all servers say about all names.
#[derive(Debug, Default)]
pub(super) struct Verified {
    pub(super) checked: Vec<Checked>,
    /// Servers that do not answer at all, and why; they are not asked for names.
    pub(super) silent: Vec<(Server, String)>,
}

impl Verified {
    pub(super) fn is_well(&self) -> bool {
        self.silent.is_empty() && self.checked.iter().all(|one| one.state == "ok")
    }
}

pub(super) async fn run(session: &Session, args: &DnsVerifyArgs) -> Result<u8, Failure> {
    let publisher = Publisher::find(session, &args.zone).await?;
    let (tree, zone) = publisher.place().await?;
    let federation = session.federation(&publisher.federation).await?;
    let Wanted { mut sets, mut untold, .. } = Seen::read(&federation).await?.wanted(&tree).await;
    let fits = |wanted: &Option<String>, is: &String| wanted.as_ref().is_none_or(|wanted| wanted == is);
    sets.retain(|name, _| tree.service_of(name).is_some_and(|s| fits(&args.service, &s.name) && fits(&args.namespace, &s.namespace)));
    untold.retain(|service, _| fits(&args.service, &service.name) && fits(&args.namespace, &service.namespace));
    if let (true, true, Some(service)) = (sets.is_empty(), untold.is_empty(), &args.service) {
        return Err(Failure::new(format!("there are no names of a Service {service} in federation \"{}\"", publisher.federation))
            .hint(format!("kubefed dns check {service} tells why a Service has none")));
    }
    let servers = servers::find(&args.query.servers, &zone, &publisher.nameservers, args.query.query_timeout).await?;
    let limit = args.zone.host.timeout;
    let Ok(found) = timeout(limit, verify(&servers, &zone, &sets, &args.query)).await else {
        return Err(Failure::timed_out(format!(
            "asking {} servers for {} names took more than {} s",
            servers.len(),
            sets.len(),
            limit.as_secs()
        ))
        .hint("name one server with --name-server, or one Service, or give a longer --timeout"));
    };
    match args.output {
        Some(format) => {
            let silent: Vec<_> = found.silent.iter().map(|(server, why)| json!({"server": server.to_string(), "reason": why})).collect();
            let not_asked: Vec<_> =
                untold.iter().map(|(service, reason)| json!({"service": service.to_string(), "reason": reason})).collect();
            let value = json!({"zone": zone, "federation": publisher.federation, "answers": found.checked, "silent": silent, "notAsked": not_asked});
            session.printer.value(&value, format)?;
        }
        None => print(session, &found, &servers),
    }
    for (service, reason) in &untold {
        session.printer.warn(&format!("names of Service {service} were not asked for: {reason}"));
    }
    Ok(if found.is_well() && untold.is_empty() { EXIT_OK } else { EXIT_FOUND })
}

/// Asks every server for every name, so many questions at a time.
pub(super) async fn verify(servers: &[Server], zone: &DnsName, sets: &BTreeMap<DnsName, Vec<RecordSet>>, query: &QueryArgs) -> Verified {
    let mut out = Verified::default();
    let mut questions: Vec<(Server, &DnsName, &Vec<RecordSet>, Kind)> = Vec::new();
    let looks = servers.iter().map(|server| async move { (server, ask(server.address, zone, RecordType::SOA, query.query_timeout).await) });
    for (server, look) in futures::future::join_all(looks).await {
        match look {
            Err(why) => out.silent.push((server.clone(), why.to_string())),
            Ok(_) => questions.extend(sets.iter().flat_map(|(name, sets)| kinds(sets).map(move |kind| (server.clone(), name, sets, kind)))),
        }
    }
    let one = |(server, name, sets, kind): (Server, &DnsName, &Vec<RecordSet>, Kind)| {
        let limit: Duration = query.query_timeout;
        let (name, sets) = (name.clone(), sets.clone());
        async move {
            // An alias is told with either question.
            let asked = if kind == Kind::Aaaa { RecordType::AAAA } else { RecordType::A };
            let answer = ask(server.address, &name, asked, limit).await.map_err(|why| why.to_string());
            checked(&server, &name, &sets, kind, answer)
        }
    };
    let parallel = usize::from(query.parallel.max(1));
    out.checked = futures::stream::iter(questions).map(one).buffer_unordered(parallel).collect().await;
    out.checked.sort_by(|a, b| (&a.server, &a.name, &a.kind).cmp(&(&b.server, &b.name, &b.kind)));
    out
}

/// The types that are asked for: both families of addresses, also the one that should have none.
fn kinds(sets: &[RecordSet]) -> impl Iterator<Item = Kind> + use<> {
    let alias = sets.iter().any(|set| set.data.kind() == Kind::Cname);
    let all: &'static [Kind] = if alias { &[Kind::Cname] } else { &[Kind::A, Kind::Aaaa] };
    all.iter().copied()
}

fn checked(server: &Server, name: &DnsName, sets: &[RecordSet], kind: Kind, answer: Result<Message, String>) -> Checked {
    let wanted: BTreeSet<String> = sets.iter().filter(|set| set.data.kind() == kind).flat_map(|set| Data::values(&set.data)).collect();
    let (values, state, said) = match answer {
        Err(why) => (BTreeSet::new(), "failed", why),
        Ok(answer) => {
            let values = values(&answer, name, kind);
            let code = answer.metadata.response_code;
            let state = match code {
                ResponseCode::NoError | ResponseCode::NXDomain if values == wanted => "ok",
                ResponseCode::NoError | ResponseCode::NXDomain if values.is_empty() => "missing",
                ResponseCode::NoError | ResponseCode::NXDomain => "wrong",
                _ => "failed",
            };
            (values, state, code.to_string())
        }
    };
    let (wanted, answer) = (wanted.into_iter().collect(), values.into_iter().collect());
    Checked { server: server.to_string(), name: name.clone(), kind: kind.to_string(), wanted, answer, state, said }
}

/// The values of a name itself: what an alias leads to is another name's.
fn values(answer: &Message, name: &DnsName, kind: Kind) -> BTreeSet<String> {
    let here = answer.answers.iter().filter(|record| DnsName::parse(&record.name.to_ascii()).as_ref() == Ok(name));
    let value = |data: &RData| match (kind, data) {
        (Kind::A, RData::A(ip)) => Some(ip.0.to_string()),
        (Kind::Aaaa, RData::AAAA(ip)) => Some(ip.0.to_string()),
        (Kind::Cname, RData::CNAME(to)) => DnsName::parse(&to.0.to_ascii()).ok().map(|to| to.to_string()),
        // Where an address is wanted, an alias is a wrong answer and no missing one.
        (_, RData::CNAME(to)) => Some(format!("CNAME {}", to.0)),
        (Kind::Cname, RData::A(ip)) => Some(format!("A {ip}")),
        _ => None,
    };
    here.filter_map(|record| value(&record.data)).collect()
}

fn print(session: &Session, found: &Verified, servers: &[Server]) {
    let printer = &session.printer;
    let none = |values: &[String]| if values.is_empty() { "<none>".to_owned() } else { values.join(",") };
    let rows: Vec<Vec<String>> = found
        .checked
        .iter()
        .filter(|one| one.state != "ok")
        .map(|one| {
            let Checked { server, name, kind, wanted, answer, state, said } = one;
            vec![server.clone(), (*state).to_owned(), name.to_string(), kind.clone(), none(wanted), none(answer), said.clone()]
        })
        .collect();
    let differ = !rows.is_empty();
    if differ {
        let head = row(&["SERVER", "STATE", "NAME", "TYPE", "WANTED", "ANSWER", "SAID"]);
        printer.table(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    }
    for server in servers {
        let of = server.to_string();
        match found.silent.iter().find(|(silent, _)| silent == server) {
            Some((_, why)) => printer.warn(&format!(
                "name server {of} does not answer: {why}; see whether it runs and can be reached from here, by UDP and TCP"
            )),
            None => {
                let mut names: BTreeMap<&DnsName, bool> = BTreeMap::new();
                for one in found.checked.iter().filter(|one| one.server == of) {
                    *names.entry(&one.name).or_insert(true) &= one.state == "ok";
                }
                let well = names.values().filter(|ok| **ok).count();
                printer.data(&format!("name server {of} answers {well} of {} names as wanted", names.len()));
            }
        }
    }
    if differ {
        printer.note("Where kubefed dns diff finds no difference, the server has an older zone, or answers from a cache that forgets within the TTL of 180 s.");
    }
}
