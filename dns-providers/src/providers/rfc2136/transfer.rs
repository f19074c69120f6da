//! A zone from the records of a transfer, whole (AXFR, RFC 5936) or what has changed since (IXFR, RFC 1995). Pure.

use hickory_proto::rr::{RData, Record};
use thiserror::Error as ThisError;

use super::view::View;

/// Most records of a transfer: several times the 210,000 that 10,000 Services in 3 clusters make.
const MAX_RECORDS: usize = 1_000_000;

/// Why records are no transfer. What was read is then nothing, never a smaller zone.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ThisError)]
pub(super) enum Broken {
    #[error("a transfer does not begin with the zone's SOA")]
    Begin,
    #[error("a transfer ends with another serial than it began with")]
    End,
    #[error("a zone has no name server, so it is not all of it")]
    Empty,
    #[error("changes do not fit the zone as it was")]
    Misfit,
    #[error("a zone has more than {MAX_RECORDS} records")]
    TooLarge,
}

/// A transfer that is under way.
pub(super) struct Transfer {
    view: View,
    /// The zone was asked for as it differs from `view`.
    is_since: bool,
    /// Serial of the zone when it is there.
    to: u32,
    step: Step,
    records: usize,
    /// A name server was among them, which every zone has (RFC 1034 4.2.1).
    served: bool,
}

#[derive(Clone, Copy)]
enum Step {
    First,
    Second,
    Whole,
    Remove,
    /// Until the serial.
    Add(u32),
    Done,
}

impl Transfer {
    pub(super) fn whole() -> Self {
        Self::of(View::default(), false)
    }

    /// What has changed since a zone was as it is in `view`; a server may answer with all of it.
    pub(super) fn since(view: View) -> Self {
        Self::of(view, true)
    }

    fn of(view: View, is_since: bool) -> Self {
        Transfer { view, is_since, to: 0, step: Step::First, records: 0, served: false }
    }

    /// Takes the next record in. Whether it was the last.
    pub(super) fn take(&mut self, record: Record) -> Result<bool, Broken> {
        self.records += 1;
        if self.records > MAX_RECORDS {
            return Err(Broken::TooLarge);
        }
        let serial = if let RData::SOA(soa) = &record.data { Some(soa.serial) } else { None };
        self.served |= matches!(record.data, RData::NS(_));
        self.step = match (self.step, serial) {
            (Step::First, Some(serial)) => self.begin(serial)?,
            (Step::First, None) => return Err(Broken::Begin),
            (Step::Second, Some(serial)) if self.is_since && serial == self.view.serial => Step::Remove,
            (Step::Second, _) => {
                self.view = View::default();
                self.whole_record(record, serial)?
            }
            (Step::Whole, _) => self.whole_record(record, serial)?,
            (Step::Remove, Some(serial)) => Step::Add(serial),
            (Step::Remove, None) => {
                if !self.view.remove(record) {
                    return Err(Broken::Misfit);
                }
                Step::Remove
            }
            (Step::Add(until), None) => {
                self.view.add(record);
                Step::Add(until)
            }
            (Step::Add(until), Some(serial)) if serial == until => {
                if until == self.to {
                    Step::Done
                } else {
                    Step::Remove
                }
            }
            (Step::Add(_), Some(_)) | (Step::Done, _) => return Err(Broken::End),
        };
        Ok(matches!(self.step, Step::Done))
    }

    fn begin(&mut self, serial: u32) -> Result<Step, Broken> {
        self.to = serial;
        if self.is_since && serial == self.view.serial {
            return Ok(Step::Done);
        }
        // A server that has an older zone has no changes to it: that SOA is all of its answer.
        if self.is_since && !is_later(serial, self.view.serial) {
            return Err(Broken::Misfit);
        }
        Ok(Step::Second)
    }

    fn whole_record(&mut self, record: Record, serial: Option<u32>) -> Result<Step, Broken> {
        match serial {
            None => self.view.add(record),
            Some(serial) if serial == self.to && !self.served => return Err(Broken::Empty),
            Some(serial) if serial == self.to => return Ok(Step::Done),
            Some(_) => return Err(Broken::End),
        }
        Ok(Step::Whole)
    }

    /// The zone, once the last record was taken in.
    pub(super) fn view(mut self) -> View {
        self.view.serial = self.to;
        self.view
    }
}

/// Whether a serial comes after another (RFC 1982: they wrap around).
fn is_later(serial: u32, than: u32) -> bool {
    serial != than && serial.wrapping_sub(than) < 1 << 31
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{A, NS, SOA};
    use hickory_proto::rr::{Name, RecordType};

    use super::*;
    use crate::DnsName;

    fn soa(serial: u32) -> Record {
        let name = Name::from_ascii("example.com.").unwrap();
        Record::from_rdata(name.clone(), 60, RData::SOA(SOA::new(name.clone(), name, serial, 1, 1, 1, 1)))
    }

    fn a(at: &str, ip: u8) -> Record {
        Record::from_rdata(Name::from_ascii(at).unwrap(), 60, RData::A(A::new(192, 0, 2, ip)))
    }

    fn ns() -> Record {
        let name = Name::from_ascii("example.com.").unwrap();
        Record::from_rdata(name.clone(), 60, RData::NS(NS(name)))
    }

    fn run(mut transfer: Transfer, records: Vec<Record>) -> Result<Option<View>, Broken> {
        let count = records.len();
        for (nth, record) in records.into_iter().enumerate() {
            if transfer.take(record)? {
                assert_eq!(nth + 1, count, "it ends with the last record");
                return Ok(Some(transfer.view()));
            }
        }
        Ok(None)
    }

    fn zone(serial: u32, records: &[(&str, u8)]) -> View {
        let mut all = vec![soa(serial), ns()];
        all.extend(records.iter().map(|(at, ip)| a(at, *ip)));
        all.push(soa(serial));
        run(Transfer::whole(), all).unwrap().unwrap()
    }

    #[test]
    fn a_whole_zone_ends_with_the_soa_it_began_with() {
        let view = zone(7, &[("w.example.com.", 1), ("w.example.com.", 2)]);
        assert_eq!(view.serial, 7);
        assert_eq!(view.at(&DnsName::parse("w.example.com").unwrap()).set(RecordType::A).unwrap().values.len(), 2);
        assert_eq!(run(Transfer::whole(), vec![soa(7), a("w.example.com.", 1)]), Ok(None), "a cut transfer is none");
        assert_eq!(run(Transfer::whole(), vec![a("w.example.com.", 1)]), Err(Broken::Begin));
        assert_eq!(run(Transfer::whole(), vec![soa(7), a("w.example.com.", 1), soa(8)]), Err(Broken::End));
        for empty in [vec![soa(7), soa(7)], vec![soa(7), a("w.example.com.", 1), soa(7)]] {
            assert_eq!(run(Transfer::whole(), empty), Err(Broken::Empty), "no zone is without a name server");
        }
        assert_eq!(run(Transfer::since(view), vec![soa(8), soa(8)]), Err(Broken::Empty));
    }

    #[test]
    fn changes_are_taken_in_one_after_another_over_the_end_of_serials() {
        let before = || zone(u32::MAX, &[("w.example.com.", 1), ("x.example.com.", 9)]);
        let (last, one) = (soa(u32::MAX), soa(0));
        let changes =
            vec![soa(1), last, a("w.example.com.", 1), one.clone(), a("w.example.com.", 2), one, soa(1), a("v.example.com.", 3), soa(1)];
        let after = zone(1, &[("w.example.com.", 2), ("x.example.com.", 9), ("v.example.com.", 3)]);
        assert_eq!(run(Transfer::since(before()), changes), Ok(Some(after)));
        let foreign = vec![soa(1), soa(u32::MAX), a("w.example.com.", 7), soa(1), soa(1)];
        assert_eq!(run(Transfer::since(before()), foreign), Err(Broken::Misfit), "it removes what is not there");
    }

    #[test]
    fn a_server_may_answer_with_nothing_or_with_everything() {
        let before = || zone(7, &[("w.example.com.", 1)]);
        assert_eq!(run(Transfer::since(before()), vec![soa(7)]), Ok(Some(before())));
        assert_eq!(run(Transfer::since(before()), vec![soa(6)]), Err(Broken::Misfit), "a zone of before");
        let whole = vec![soa(9), ns(), a("v.example.com.", 2), soa(9)];
        assert_eq!(run(Transfer::since(before()), whole), Ok(Some(zone(9, &[("v.example.com.", 2)]))));
    }
}
