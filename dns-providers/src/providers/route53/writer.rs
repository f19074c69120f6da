//! Writes a batch: in requests as large as they may be, each guarded by what is known.

use crate::batch::{self, LeftAlone};
use crate::{DnsName, Rejected};

use super::api::{Api, PAGE};
use super::failure::Failure;
use super::plan::{self, Step};
use super::reader;
use super::view::View;

/// How often a name is planned anew: somebody else keeps writing it, or answers are lost.
const ATTEMPTS: usize = 4;
/// So many names refused one by one, and none taken between them, mean that what is known is no longer so, or that all would
/// be refused, as in a zone that is full.
const MAX_REFUSED: usize = 16;
/// Why a name is given up that is not as wanted after all attempts.
const OFTEN: &str = "others keep writing the name, or answers are lost again and again";

/// One zone while a batch is written.
pub(super) struct Writer<'a> {
    pub(super) api: &'a Api,
    pub(super) id: &'a str,
    /// What is known of the zone; kept as it becomes.
    pub(super) view: &'a mut View,
}

/// What came of the requests of one round.
#[derive(Default)]
struct Sent {
    /// Names whose request was refused alone, each with the reason.
    refused: Vec<(Step, String)>,
    /// Of these nobody knows what came of them, and why.
    unknown: Option<(Vec<DnsName>, Failure)>,
    /// Too many were refused in a row, the last for this: of those behind them only what deletes was tried, as far as it was
    /// taken.
    stopped: Option<String>,
    /// Something was deleted after that.
    made_room: bool,
}

impl Writer<'_> {
    /// Makes all names as the changes want them.
    ///
    /// # Errors
    /// Some may be made, and of some nobody may know. The same again is safe.
    /// `plan` says what must be asked for a name; nothing where it is as wanted.
    pub(super) async fn write<G: Send + Sync>(
        &mut self,
        mut todo: Vec<G>,
        name: impl Fn(&G) -> &DnsName + Send + Sync,
        plan: impl Fn(&G, &View) -> Result<Option<Step>, LeftAlone> + Send + Sync,
        rejected: &mut Vec<Rejected>,
    ) -> Result<(), Failure> {
        let (mut refused, mut stopped): (Vec<(Step, String)>, Option<String>) = (Vec::new(), None);
        for _ in 0..ATTEMPTS {
            let mut steps = batch::left(&mut todo, rejected, &name, |group| plan(group, self.view));
            // What is refused though everything is as it was known is refused for itself.
            for (step, reason) in refused {
                if steps.contains(&step) {
                    steps.retain(|one| *one != step);
                    todo.retain(|group| *name(group) != step.name);
                    rejected.push(Rejected { name: step.name, reason });
                }
            }
            if steps.is_empty() {
                return Ok(());
            }
            let sent = self.send(steps).await?;
            if let Some((names, failure)) = sent.unknown {
                self.read(&names).await.map_err(|_| failure)?;
            }
            let names: Vec<DnsName> = sent.refused.iter().map(|(step, _)| step.name.clone()).collect();
            self.read(&names).await?;
            // Where room was made they may be taken now.
            refused = if sent.made_room { Vec::new() } else { sent.refused };
            stopped = sent.stopped.or(stopped);
        }
        let reason = stopped.map_or_else(
            || OFTEN.to_owned(),
            |why| format!("it was not tried again: {MAX_REFUSED} names in a row were refused, the last for: {why}"),
        );
        let left = batch::left(&mut todo, rejected, &name, |group| plan(group, self.view));
        rejected.extend(left.into_iter().map(|step| Rejected { name: step.name, reason: reason.clone() }));
        Ok(())
    }

    /// Sends requests one after another. One that is refused is divided until the names are found that it is refused for.
    async fn send(&mut self, steps: Vec<Step>) -> Result<Sent, Failure> {
        let (mut sent, mut in_a_row) = (Sent::default(), 0);
        let mut packs = plan::pack(steps);
        packs.reverse();
        while let Some(pack) = packs.pop() {
            match self.api.change(self.id, &pack).await {
                Ok(()) => {
                    in_a_row = 0;
                    sent.made_room |= sent.stopped.is_some();
                    pack.into_iter().for_each(|step| self.view.put(&step.name, step.after));
                }
                Err(Failure::Invalid(messages)) => match <[Step; 1]>::try_from(pack) {
                    Ok([one]) => {
                        let why = messages.join("; ");
                        in_a_row += 1;
                        if in_a_row == MAX_REFUSED {
                            let is_first = sent.stopped.is_none();
                            let makes_room = |step: &Step| is_first && step.items.iter().all(|item| !item.create);
                            packs = plan::pack(packs.into_iter().rev().flatten().filter(makes_room).collect());
                            packs.reverse();
                            in_a_row = 0;
                            sent.stopped = Some(why.clone());
                        }
                        sent.refused.push((one, why));
                    }
                    Err(pack) => {
                        let [first, second] = plan::divide(pack, &messages);
                        packs.extend([second, first]);
                    }
                },
                Err(failure @ Failure::Unknown(_)) => {
                    sent.unknown = Some((pack.into_iter().map(|step| step.name).collect(), failure));
                    return Ok(sent);
                }
                Err(other) => return Err(other),
            }
        }
        Ok(sent)
    }

    /// Reads names anew; all that is known where that takes fewer requests.
    async fn read(&mut self, names: &[DnsName]) -> Result<(), Failure> {
        if 2 * names.len() > 1 + 2 * self.view.len() / usize::from(PAGE) {
            *self.view = reader::below(self.api, self.id, &self.view.under.clone()).await?;
            return Ok(());
        }
        for name in names {
            let node = reader::at(self.api, self.id, name).await?;
            self.view.put(name, node);
        }
        Ok(())
    }
}
