//! Room for connections. Anybody can open one, so those who have not said who they are make room for
//! newer ones, as in the embedded DNS server; nobody can keep others out by that alone.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// Connections that are open at a time; one network has half of them at most.
const PLACES: usize = 8192;
/// Of them for this machine itself, so that it can always be asked here what is wrong.
const OWN: usize = 64;

/// Places for connections.
#[derive(Debug)]
pub(super) struct Room {
    places: usize,
    own: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    /// The oldest first.
    all: BTreeMap<u64, Guest>,
    by: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Guest {
    network: IpAddr,
    known: Known,
    leave: CancellationToken,
}

/// Whether the other end of a connection has said who it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Known(Arc<AtomicBool>);

impl Known {
    /// It has.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A place for a connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    nth: u64,
    /// To be told who is there.
    pub(super) known: Known,
    /// Cancelled when the connection has to make room.
    pub(super) leave: CancellationToken,
}

impl Room {
    /// With all its places free.
    pub(super) fn new() -> Arc<Self> {
        Self::of(PLACES, OWN)
    }

    fn of(places: usize, own: usize) -> Arc<Self> {
        Arc::new(Self { places, own, open: Mutex::default() })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from that address, and whether the oldest stranger was sent away for it. There
    /// is none where all others have said who they are.
    pub(super) fn enter(self: &Arc<Self>, from: IpAddr) -> Option<(Place, bool)> {
        let network = network(from);
        let ours = network.is_loopback();
        let mut open = self.open();
        let places = if ours { self.places } else { self.places - self.own };
        let share_is_full = open.by.get(&network).is_some_and(|n| *n >= self.places.div_ceil(2));
        let full = share_is_full || open.all.len() >= places;
        if full {
            let may_go = |guest: &Guest| if share_is_full { guest.network == network } else { ours || !guest.network.is_loopback() };
            let oldest = open.all.iter().find(|(_, guest)| !guest.known.get() && may_go(guest)).map(|(nth, _)| *nth)?;
            if let Some(guest) = open.remove(oldest) {
                guest.leave.cancel();
            }
        }
        let place = Place { room: Arc::clone(self), nth: open.next, known: Known::default(), leave: CancellationToken::new() };
        open.next += 1;
        *open.by.entry(network).or_default() += 1;
        open.all.insert(place.nth, Guest { network, known: place.known.clone(), leave: place.leave.clone() });
        Some((place, full))
    }
}

impl Open {
    fn remove(&mut self, nth: u64) -> Option<Guest> {
        let guest = self.all.remove(&nth)?;
        if let Some(n) = self.by.get_mut(&guest.network) {
            *n -= 1;
            if *n == 0 {
                self.by.remove(&guest.network);
            }
        }
        Some(guest)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.open().remove(self.nth);
    }
}

/// What counts as one: a client has a whole /64 of IPv6.
fn network(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(room: &Arc<Room>, from: &str) -> Option<Place> {
        room.enter(from.parse().unwrap()).map(|(place, _)| place)
    }

    #[test]
    fn d33_strangers_make_room_and_a_network_has_half_of_it() {
        let room = Room::of(8, 1);
        let mut strangers: Vec<Place> = (1..=4).map(|n| enter(&room, &format!("2001:db8::{n}")).unwrap()).collect();
        strangers.extend((1..=3).map(|n| enter(&room, &format!("192.0.2.{n}")).unwrap()));
        let gone = |all: &[Place]| all.iter().map(|place| place.leave.is_cancelled()).collect::<Vec<_>>();
        assert_eq!(gone(&strangers), [false; 7]);
        // A /64 is one network: it pushes out its own only.
        let fifth = enter(&room, "2001:db8::5").unwrap();
        assert_eq!(gone(&strangers), [true, false, false, false, false, false, false]);
        // Another one pushes out the oldest of all.
        let probe = enter(&room, "198.51.100.1").unwrap();
        assert_eq!(gone(&strangers), [true, true, false, false, false, false, false]);
        assert!(!fifth.leave.is_cancelled() && !probe.leave.is_cancelled());
        // The machine itself has a place without sending anybody away.
        let (own, made_room) = room.enter("127.0.0.1".parse().unwrap()).unwrap();
        assert!(!made_room && strangers[2..].iter().all(|place| !place.leave.is_cancelled()));
        drop((strangers, fifth, probe, own));
        assert!(room.open().all.is_empty() && room.open().by.is_empty());
    }

    #[test]
    fn d33_who_has_said_who_he_is_stays() {
        let room = Room::of(4, 0);
        let from = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"];
        let users: Vec<Place> = from.iter().map(|ip| enter(&room, ip).unwrap()).collect();
        users.iter().for_each(|user| user.known.set());
        assert!(enter(&room, "198.51.100.1").is_none());
        drop(users);
        assert!(enter(&room, "198.51.100.1").is_some());
    }
}
