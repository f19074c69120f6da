//! Reading a zone and writing to it, over one connection that is opened when it is needed.

use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::time::timeout;

use crate::batch::{self, LeftAlone};
use crate::{DnsName, Error, Rejected};

use super::config::Config;
use super::exchange::{Connection, Failure};
use super::name::NAME;
use super::plan::{self, Step};
use super::transfer::Transfer;
use super::value::wire;
use super::view::View;

/// How often a batch is planned anew: others write the same names, or an answer was lost.
const ATTEMPTS: usize = 4;
/// Longest time one reading of a zone takes.
const READ: Duration = Duration::from_secs(60);
/// So many names refused one by one, and none taken, mean that all would be.
const MAX_REFUSED: usize = 4;
/// Most messages that a batch is divided into beyond those its size asks for.
const MAX_DIVISIONS: usize = 1000;

/// Why a name is given up that is not as wanted after all attempts.
const IGNORED: &str = "the server accepts the change and does not make it, or others keep writing the name";

/// One zone of a server, for a while.
pub(super) struct Session<'a> {
    config: &'a Config,
    zone: &'a DnsName,
    name: Name,
    connection: Option<Connection>,
}

/// What came of the messages of a batch.
#[derive(Default)]
struct Sent {
    /// Something was not as it had been read.
    conflict: bool,
    /// Of one nobody knows what came of it; those after it were not sent.
    unknown: Option<Error>,
}

impl<'a> Session<'a> {
    pub(super) fn new(config: &'a Config, zone: &'a DnsName) -> Self {
        Session { config, zone, name: wire(zone), connection: None }
    }

    /// The zone as it is now, from what is known of it.
    pub(super) async fn view(&mut self, known: Option<View>) -> Result<View, Error> {
        let at = self.config.servers.join(",");
        let message = format!("reading {} took more than {READ:?}", self.zone);
        timeout(READ, self.look(known)).await.map_err(|_| Error::Unavailable { provider: NAME, at, message })?
    }

    async fn look(&mut self, known: Option<View>) -> Result<View, Error> {
        if let Some(view) = known {
            if self.serial().await? == view.serial {
                return Ok(view);
            }
            match self.transfer(ask_since(&self.name, view.serial), Transfer::since(view)).await {
                Ok(view) => return Ok(view),
                // Not every server has the changes, and those it has may not fit: all of the zone is always right.
                Err(error) => tracing::debug!(zone = %self.zone, %error, "the changes of the zone could not be read"),
            }
            self.connection = None;
        }
        self.transfer(ask(&self.name, RecordType::AXFR), Transfer::whole()).await
    }

    async fn connection(&mut self) -> Result<&mut Connection, Error> {
        let open = match self.connection.take() {
            Some(open) => open,
            None => Connection::open(self.config).await?,
        };
        Ok(self.connection.insert(open))
    }

    async fn serial(&mut self) -> Result<u32, Error> {
        let (question, zone) = (ask(&self.name, RecordType::SOA), self.zone);
        let connection = self.connection().await?;
        let answer = connection.request(question).await?;
        let soa = answer.answers.iter().find_map(|r| if let RData::SOA(soa) = &r.data { Some(soa.serial) } else { None });
        soa.ok_or_else(|| connection.unavailable(&format!("the server has no zone {zone}")))
    }

    /// Reads until the transfer ends. What does not end as it should is an error, never a smaller zone.
    async fn transfer(&mut self, question: Message, mut transfer: Transfer) -> Result<View, Error> {
        let zone = self.zone;
        let connection = self.connection().await?;
        let mut chain = connection.send(question).await?;
        loop {
            let message = connection.receive(&mut chain).await?;
            let broken = |why: &dyn std::fmt::Display| connection.unavailable(&format!("reading {zone}: {why}"));
            let mut records = message.answers.into_iter().peekable();
            if records.peek().is_none() {
                return Err(broken(&"a message is empty"));
            }
            while let Some(record) = records.next() {
                if !transfer.take(record).map_err(|e| broken(&e))? {
                    continue;
                }
                return match records.next().is_none() && chain.proven() {
                    true => Ok(transfer.view()),
                    false => Err(broken(&"the last message has no signature, or more than the zone")),
                };
            }
        }
    }

    /// Makes the zone as the changes want it and reads back what came of it: a server may pass over in silence what it
    /// does not like, and others write too.
    /// `plan` says what must be sent for a name; nothing where it is as wanted.
    pub(super) async fn write<G: Sync>(
        &mut self,
        known: Option<View>,
        changes: &[G],
        name: impl Fn(&G) -> &DnsName + Sync,
        plan: impl Fn(&G, &View) -> Result<Option<Step>, LeftAlone> + Sync,
        rejected: &mut Vec<Rejected>,
    ) -> Result<View, Error> {
        // What is known may be old: the server compares it with what is.
        let mut view = match known {
            Some(view) => view,
            None => self.view(None).await?,
        };
        let mut todo: Vec<&G> = changes.iter().collect();
        let (mut divisions, mut unknown) = (0, None);
        for attempt in 0..=ATTEMPTS {
            let steps = batch::left(&mut todo, rejected, |group| name(group), |group| plan(group, &view));
            if steps.is_empty() {
                break;
            }
            if attempt == ATTEMPTS {
                if let Some(error) = unknown {
                    return Err(error);
                }
                rejected.extend(steps.into_iter().map(|step| Rejected { name: step.name, reason: IGNORED.to_owned() }));
                break;
            }
            let refused = rejected.len();
            let sent = self.send(steps, attempt > 0, &mut divisions, rejected).await?;
            todo.retain(|group| !rejected[refused..].iter().any(|r| r.name == *name(group)));
            let before = view.serial;
            view = self.view(Some(view)).await?;
            if sent.conflict && view.serial == before {
                // Somebody wrote, and the serial does not tell.
                view = self.view(None).await?;
            }
            unknown = sent.unknown;
        }
        Ok(view)
    }

    /// Sends messages one after another. A message that is refused is halved until the name is found that it is refused
    /// for; one that conflicts too, if it did before.
    async fn send(&mut self, steps: Vec<Step>, again: bool, divisions: &mut usize, rejected: &mut Vec<Rejected>) -> Result<Sent, Error> {
        let (mut sent, mut taken, mut refused) = (Sent::default(), false, 0);
        let mut packs = plan::pack(steps);
        packs.reverse();
        while let Some(mut pack) = packs.pop() {
            let message = plan::message(&self.name, &pack);
            let divide = match self.connection().await?.request(message).await {
                Ok(_) => {
                    taken = true;
                    false
                }
                Err(Failure::Unknown(error)) => {
                    self.connection = None;
                    sent.unknown = Some(error);
                    return Ok(sent);
                }
                Err(Failure::Conflict(_)) => {
                    sent.conflict = true;
                    again && pack.len() > 1
                }
                Err(Failure::Refused(error)) => {
                    refused += usize::from(pack.len() == 1);
                    if *divisions >= MAX_DIVISIONS || (!taken && refused >= MAX_REFUSED) {
                        return Err(error);
                    }
                    if let [one] = pack.as_slice() {
                        rejected.push(Rejected { name: one.name.clone(), reason: reason(error) });
                    }
                    pack.len() > 1
                }
            };
            if divide && *divisions < MAX_DIVISIONS {
                *divisions += 1;
                let second = pack.split_off(pack.len() / 2);
                packs.extend([second, pack]);
            }
        }
        Ok(sent)
    }
}

/// Why the server refuses a name.
fn reason(error: Error) -> String {
    let hint = error.hint();
    let told = match error {
        Error::Unavailable { message, .. } | Error::Refused { message, .. } => message,
        other => other.to_string(),
    };
    [Some(told), hint].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn ask(zone: &Name, kind: RecordType) -> Message {
    let mut message = Message::new(fastrand::u16(..), MessageType::Query, OpCode::Query);
    message.add_query(Query::query(zone.clone(), kind));
    message
}

/// The question for what has changed since a serial (RFC 1995 3).
fn ask_since(zone: &Name, serial: u32) -> Message {
    let mut message = ask(zone, RecordType::IXFR);
    let soa = SOA::new(Name::root(), Name::root(), serial, 0, 0, 0, 0);
    message.add_authority(Record::from_rdata(zone.clone(), 0, RData::SOA(soa)));
    message
}
