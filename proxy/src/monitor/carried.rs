//! Which connections Weir itself holds open to one server, sessions and its own accounts alike.
//!
//! What must never happen here: a connection of Weir's that is forgotten while the server may still list it, which
//! would be a false alarm; or one that is remembered so loosely that somebody else's passes for it.
//!
//! A connection is known by the number that the server gave it (PostgreSQL's process, MySQL's thread), which no address
//! translation on the way changes, and by the local address of its socket, which is known before there is a number.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a closed connection is remembered: a server lists what it has not noticed to be over, and may take several
/// looks to notice.
const CLOSED_KEPT: Duration = Duration::from_secs(600);
/// Closed connections that are remembered at once, oldest forgotten first: a hundred a second for ten minutes.
const CLOSED_MAX: usize = 65_536;
/// How far the ages that a server tells may be off: it counts from the accept, in its own scheduling.
const AGE_SLACK: Duration = Duration::from_secs(2);

/// The connections to one server.
#[derive(Default)]
pub struct Carried {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    next: u64,
    open: HashMap<u64, Connection>,
    closed: VecDeque<(Connection, Instant)>,
    /// That got a number, since the start: whose login came through.
    begun: u64,
}

#[derive(Clone, Copy)]
struct Connection {
    local: SocketAddr,
    number: Option<u64>,
}

/// An open connection to the server; dropping it says that it is closed.
pub struct Held {
    carried: Arc<Carried>,
    token: u64,
}

/// A connection as the server lists it.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The server's number of it.
    pub number: u64,
    /// Where it comes from, as the server sees it.
    pub from: Option<SocketAddr>,
    /// How long it has been there; `None` where the server does not say, and gives no number twice.
    pub age: Option<Duration>,
}

impl Carried {
    /// A connection was opened from this local address.
    pub fn hold(self: &Arc<Self>, local: SocketAddr) -> Held {
        let mut table = self.table();
        let token = table.next;
        table.next += 1;
        table.open.insert(token, Connection { local: canonical(local), number: None });
        Held { carried: Arc::clone(self), token }
    }

    /// Connections whose login came through since the start.
    pub fn begun(&self) -> u64 {
        self.table().begun
    }

    /// Those of `seen` that are not Weir's. `at` is when the server listed them.
    pub fn strangers<T>(&self, seen: Vec<T>, at: Instant, view: impl Fn(&T) -> Seen) -> Vec<T> {
        let table = self.table();
        let numbers: HashMap<u64, ()> =
            table.open.values().filter_map(|connection| Some((connection.number?, ()))).collect();
        let addresses: HashMap<SocketAddr, ()> = table.open.values().map(|held| (held.local, ())).collect();
        let mut closed: HashMap<Key, Instant> = HashMap::new();
        for (connection, until) in &table.closed {
            // Later ones are behind: the last that had a number or an address stands.
            closed.insert(Key::Address(connection.local), *until);
            if let Some(number) = connection.number {
                closed.insert(Key::Number(number), *until);
            }
        }
        drop(table);
        let is_ours = |seen: Seen| {
            let from = seen.from.map(canonical);
            if numbers.contains_key(&seen.number) || from.is_some_and(|from| addresses.contains_key(&from)) {
                return true;
            }
            // A number or a port may belong to somebody else by now: then it began after Weir's was closed.
            let began_before = |until: &Instant| match seen.age {
                Some(age) => at.checked_sub(age).is_none_or(|began| began <= *until + AGE_SLACK),
                None => true,
            };
            let by_number = closed.get(&Key::Number(seen.number)).is_some_and(began_before);
            // Without an age only the number says that it is the same connection.
            by_number
                || (seen.age.is_some()
                    && from.and_then(|from| closed.get(&Key::Address(from))).is_some_and(began_before))
        };
        seen.into_iter().filter(|listed| !is_ours(view(listed))).collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Every change is whole before the lock is released.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self, token: u64, now: Instant) {
        let mut table = self.table();
        let Some(connection) = table.open.remove(&token) else { return };
        table.closed.push_back((connection, now));
        while table.closed.len() > CLOSED_MAX
            || table.closed.front().is_some_and(|(_, until)| now.saturating_duration_since(*until) > CLOSED_KEPT)
        {
            table.closed.pop_front();
        }
    }
}

#[derive(PartialEq, Eq, Hash)]
enum Key {
    Number(u64),
    Address(SocketAddr),
}

impl Held {
    /// The server has said under which number it knows this connection.
    pub fn numbered(&self, number: u64) {
        let mut table = self.carried.table();
        let Some(connection) = table.open.get_mut(&self.token) else { return };
        if connection.number.replace(number).is_none() {
            table.begun += 1;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.carried.close(self.token, Instant::now());
    }
}

/// IPv4 as itself, however it was written, and without what only this machine understands of an IPv6 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn seen(number: u64, from: &str, age_secs: Option<u64>) -> Seen {
        Seen { number, from: Some(address(from)), age: age_secs.map(Duration::from_secs) }
    }

    fn strangers(carried: &Carried, listed: Vec<Seen>, at: Instant) -> Vec<u64> {
        carried.strangers(listed, at, |seen| *seen).into_iter().map(|seen| seen.number).collect()
    }

    #[test]
    fn open_connections_are_known_by_number_or_address() {
        let carried = Arc::new(Carried::default());
        let plain = carried.hold(address("10.0.0.5:40000"));
        let translated = carried.hold(address("192.168.1.2:50000"));
        translated.numbered(77);
        let now = Instant::now();
        let listed = vec![
            seen(1, "10.0.0.5:40000", Some(5)),
            seen(2, "[::ffff:10.0.0.5]:40000", Some(5)),
            seen(77, "203.0.113.9:1234", Some(5)),
            seen(3, "10.0.0.5:40001", Some(5)),
            seen(4, "10.0.0.6:40000", Some(5)),
        ];
        assert_eq!(strangers(&carried, listed, now), [3, 4]);
        assert_eq!(carried.begun(), 1);
        drop((plain, translated));
    }

    #[test]
    fn a_closed_one_is_known_until_somebody_else_has_its_number_or_port() {
        let carried = Arc::new(Carried::default());
        let held = carried.hold(address("10.0.0.5:40000"));
        held.numbered(77);
        drop(held);
        let later = Instant::now() + Duration::from_secs(60);
        // Still listed a minute later: it began before it was closed.
        assert!(strangers(&carried, vec![seen(77, "10.0.0.5:40000", Some(90))], later).is_empty());
        // The same number and port, began half a minute after the closing.
        assert_eq!(strangers(&carried, vec![seen(77, "10.0.0.5:40000", Some(30))], later), [77]);
        // A server that gives no number twice, and does not tell ages.
        assert!(strangers(&carried, vec![seen(77, "10.0.0.5:40000", None)], later).is_empty());
        assert_eq!(strangers(&carried, vec![seen(78, "10.0.0.5:40000", None)], later), [78]);
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let carried = Arc::new(Carried::default());
        for port in 0..CLOSED_MAX + 10 {
            let held = carried.hold(address("10.0.0.5:1"));
            held.numbered(u64::try_from(port).unwrap());
        }
        assert_eq!(carried.table().closed.len(), CLOSED_MAX);
        assert!(carried.table().open.is_empty());
        let old = carried.hold(address("10.0.0.5:2"));
        let token = old.token;
        carried.close(token, Instant::now() + CLOSED_KEPT + Duration::from_secs(10));
        assert_eq!(carried.table().closed.len(), 1, "what is too old is forgotten with the next");
    }
}
