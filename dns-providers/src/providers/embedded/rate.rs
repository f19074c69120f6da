//! How many answers go to one network by UDP: the source of a query may be forged, and then they hit somebody who
//! never asked.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Instant;

/// Networks told apart. More share slots by chance, and so their allowance: memory is bounded, not the attacker.
const SLOTS: usize = 16_384;
/// A network is this many leading bits of its addresses: what one customer of a provider has.
const V4_BITS: u32 = 24;
const V6_BITS: u32 = 56;

/// What to do with a query.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pass {
    /// Answer it.
    Answer,
    /// Say that TCP is needed: no larger than the query, and who really asked gets through.
    Slip,
    /// Say nothing.
    Drop,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    left: f64,
    at: Instant,
    /// Refusals so far; every second one slips.
    refused: u8,
}

/// Answers by source.
#[derive(Debug)]
pub(super) struct Rate {
    /// Answers a second and network; the same number may come at once.
    per_second: f64,
    slots: Vec<Slot>,
    key: RandomState,
}

impl Rate {
    /// `per_second` answers to each network; 0 is no limit.
    pub(super) fn new(per_second: u32, now: Instant) -> Self {
        let slots = if per_second == 0 { 0 } else { SLOTS };
        let slot = Slot { left: per_second.into(), at: now, refused: 0 };
        Self { per_second: per_second.into(), slots: vec![slot; slots], key: RandomState::new() }
    }

    /// Counts a query from `source`. This machine's own are not counted: nobody else can send them.
    pub(super) fn take(&mut self, source: IpAddr, now: Instant) -> Pass {
        let source = source.to_canonical();
        if self.slots.is_empty() || source.is_loopback() {
            return Pass::Answer;
        }
        let network = match source {
            IpAddr::V4(ip) => u128::from(ip.to_bits() >> (32 - V4_BITS)),
            IpAddr::V6(ip) => 1 << 127 | ip.to_bits() >> (128 - V6_BITS),
        };
        let index = usize::try_from(self.key.hash_one(network) % SLOTS as u64).unwrap_or_default();
        let Some(slot) = self.slots.get_mut(index) else { return Pass::Answer };
        let earned = now.saturating_duration_since(slot.at).as_secs_f64() * self.per_second;
        *slot = Slot { left: (slot.left + earned).min(self.per_second), at: now, ..*slot };
        if slot.left >= 1.0 {
            slot.left -= 1.0;
            return Pass::Answer;
        }
        slot.refused = slot.refused.wrapping_add(1);
        if slot.refused % 2 == 0 { Pass::Slip } else { Pass::Drop }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn d19_a_network_gets_so_many_answers_and_others_are_not_concerned() {
        let now = Instant::now();
        let mut rate = Rate::new(100, now);
        let mut ask = |source: &str, at: Instant| rate.take(source.parse().unwrap(), at);
        let flood: Vec<Pass> = (0..300).map(|n| ask(&format!("192.0.2.{}", n % 250), now)).collect();
        let count = |what| flood.iter().filter(|p| **p == what).count();
        assert_eq!((count(Pass::Answer), count(Pass::Slip), count(Pass::Drop)), (100, 100, 100));
        assert_eq!((ask("2001:db8::1", now), ask("198.51.100.1", now)), (Pass::Answer, Pass::Answer));
        assert_ne!(ask("::ffff:192.0.2.9", now), Pass::Answer, "the same network in other clothes");
        let later = now + Duration::from_millis(500);
        assert_eq!((0..100).filter(|_| ask("192.0.2.1", later) == Pass::Answer).count(), 50);
    }

    #[test]
    fn d19_this_machine_and_who_has_no_limit_are_never_refused() {
        let now = Instant::now();
        let (mut rate, mut none) = (Rate::new(1, now), Rate::new(0, now));
        let (local, far) = ("127.0.0.1".parse().unwrap(), "192.0.2.1".parse().unwrap());
        assert!((0..100).all(|_| rate.take(local, now) == Pass::Answer && none.take(far, now) == Pass::Answer));
    }
}
