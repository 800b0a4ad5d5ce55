//! Wrong passwords: who tries again too soon is refused without a look at what they sent.
//!
//! Three counts are kept: of an account from one address, of an address, and of an account from anywhere. The first is
//! strict. The others are wide, since a whole office may stand behind an address, and since strangers could lock a person
//! out by trying their account; where the account has lately logged in from, the last one does not hold.
//!
//! INVARIANT: memory is bounded whoever tries what, and an account that does not exist is treated as one that does.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use moka::sync::Cache;

/// Counts that are kept of each kind: an entry has some hundred bytes.
const ENTRIES_MAX: u64 = 50_000;
/// Without a new try, a count is forgotten after this time.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15 * 60);
/// Longest wait.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// First wait; it doubles with each further wrong password.
const WAIT_MIN: Duration = Duration::from_secs(1);
/// Wrong passwords of an account from one address before the first wait: people mistype.
const FREE_PAIR: u32 = 5;
/// Wrong passwords from one address before the first wait.
const FREE_ADDRESS: u32 = 100;
/// Wrong passwords of an account from anywhere before the first wait.
const FREE_ACCOUNT: u32 = 100;

/// A count of wrong passwords.
#[derive(Clone, Debug, Default)]
struct Count {
    wrong: u32,
    until: Option<Instant>,
    /// The right password came from here, and no wrong one has used up its free tries since.
    is_trusted: bool,
}

type Counts<K> = Cache<K, Arc<Mutex<Count>>>;

/// Hash of an account's name: names are as long as a client likes.
type AccountKey = [u8; 16];

/// What is known of wrong passwords.
pub struct Backoff {
    pairs: Counts<(AccountKey, IpAddr)>,
    addresses: Counts<IpAddr>,
    accounts: Counts<AccountKey>,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff { pairs: counts(), addresses: counts(), accounts: counts() }
    }
}

fn counts<K: std::hash::Hash + Eq + Send + Sync + 'static>() -> Counts<K> {
    Cache::builder().max_capacity(ENTRIES_MAX).time_to_idle(FORGOTTEN_AFTER).build()
}

impl Backoff {
    /// Whether a password may be looked at now.
    ///
    /// # Errors
    /// How long to wait.
    pub fn may_try(&self, account: &str, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let (account, address) = (key(account), place(address));
        let pair = self.pairs.get(&(account, address)).map(|count| read(&count)).unwrap_or_default();
        let other = self.addresses.get(&address).map(|count| read(&count)).unwrap_or_default();
        let anywhere = self.accounts.get(&account).map(|count| read(&count)).unwrap_or_default();
        let anywhere = anywhere.until.filter(|_| !pair.is_trusted);
        let until = [pair.until, other.until, anywhere].into_iter().flatten().max();
        match until.map(|until| until.saturating_duration_since(now)) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => Ok(()),
        }
    }

    /// A password was wrong.
    pub fn wrong(&self, account: &str, address: IpAddr, now: Instant) {
        let (account, address) = (key(account), place(address));
        for (count, free) in [
            (self.pairs.get_with((account, address), Arc::default), FREE_PAIR),
            (self.addresses.get_with(address, Arc::default), FREE_ADDRESS),
            (self.accounts.get_with(account, Arc::default), FREE_ACCOUNT),
        ] {
            let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
            count.wrong = count.wrong.saturating_add(1);
            if let Some(beyond) = count.wrong.checked_sub(free) {
                count.is_trusted = false;
                let wait = WAIT_MIN.saturating_mul(2_u32.saturating_pow(beyond)).min(WAIT_MAX);
                count.until = now.checked_add(wait);
            }
        }
    }

    /// A password was right.
    pub fn right(&self, account: &str, address: IpAddr) {
        let pair = self.pairs.get_with((key(account), place(address)), Arc::default);
        *pair.lock().unwrap_or_else(PoisonError::into_inner) = Count { is_trusted: true, ..Count::default() };
    }
}

fn read(count: &Mutex<Count>) -> Count {
    count.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn key(account: &str) -> AccountKey {
    let hash = digest::digest(&digest::SHA256, account.as_bytes());
    let mut key = AccountKey::default();
    for (to, from) in key.iter_mut().zip(hash.as_ref()) {
        *to = *from;
    }
    key
}

/// Who has one address of IPv6 has its whole network.
fn place(address: IpAddr) -> IpAddr {
    const NETWORK: u128 = u128::MAX << 64;
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & NETWORK)),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));

    fn elsewhere(number: u32) -> IpAddr {
        IpAddr::from((0x0a01_0000 + number).to_be_bytes())
    }

    #[test]
    fn waits_double_and_the_right_password_ends_them() {
        let backoff = Backoff::default();
        let now = Instant::now();
        for _ in 1..FREE_PAIR {
            backoff.wrong("alice", HERE, now);
            assert_eq!(backoff.may_try("alice", HERE, now), Ok(()));
        }
        let mut at = now;
        for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
            backoff.wrong("alice", HERE, at);
            assert_eq!(backoff.may_try("alice", HERE, at), Err(Duration::from_secs(expected)));
            at += Duration::from_secs(expected);
            assert_eq!(backoff.may_try("alice", HERE, at), Ok(()));
        }
        assert_eq!(backoff.may_try("bob", HERE, now), Ok(()), "another account of the same office");
        assert_eq!(backoff.may_try("alice", elsewhere(1), now), Ok(()));
        backoff.wrong("alice", HERE, at);
        backoff.right("alice", HERE);
        assert_eq!(backoff.may_try("alice", HERE, at), Ok(()));
    }

    #[test]
    fn many_accounts_from_one_address_are_slowed_down() {
        let backoff = Backoff::default();
        let now = Instant::now();
        for number in 0..FREE_ADDRESS {
            assert_eq!(backoff.may_try("alice", HERE, now), Ok(()), "{number}");
            backoff.wrong(&format!("account{number}"), HERE, now);
        }
        assert!(backoff.may_try("alice", HERE, now).is_err());
        assert_eq!(backoff.may_try("alice", elsewhere(1), now), Ok(()));
    }

    #[test]
    fn strangers_do_not_lock_out_whoever_was_here_before() {
        let backoff = Backoff::default();
        let now = Instant::now();
        backoff.right("alice", HERE);
        for number in 0..FREE_ACCOUNT {
            backoff.wrong("alice", elsewhere(number), now);
        }
        assert!(backoff.may_try("alice", elsewhere(FREE_ACCOUNT), now).is_err());
        assert_eq!(backoff.may_try("alice", HERE, now), Ok(()));
    }

    #[test]
    fn a_network_of_ipv6_is_one_place() {
        let place = |text: &str| place(text.parse().unwrap());
        assert_eq!(place("2001:db8::1"), place("2001:db8::ffff:1"));
        assert_ne!(place("2001:db8::1"), place("2001:db8:0:1::1"));
        assert_eq!(place("::ffff:10.0.0.7"), HERE);
    }
}
