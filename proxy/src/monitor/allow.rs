//! Who may reach a server past Weir: replicas, backups, the host's own jobs.

use std::net::IpAddr;

use weir_policy::rule::Network;

use super::listed::Listed;

/// Where an allowed session may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// From the server's own machine, over its socket file.
    Local,
    /// From these addresses.
    Network(Network),
    /// From the host of this name, on a MySQL server that resolves names.
    Host(String),
}

/// Sessions that are meant to bypass Weir: all that is said must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The account.
    pub account: Option<String>,
    /// The place.
    pub place: Option<Place>,
}

impl Place {
    /// `local`, an address, a network, or the name of a host; `None` for what is none of them.
    pub fn read(text: &str) -> Option<Place> {
        if text.eq_ignore_ascii_case("local") {
            return Some(Place::Local);
        }
        if let Some(network) = Network::parse(text) {
            return Some(Place::Network(network));
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        // What begins with a digit and holds only digits and dots is an address with a mistake in it.
        let is_numeric = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        (!text.is_empty() && !is_numeric && text.bytes().all(is_name)).then(|| Place::Host(text.to_ascii_lowercase()))
    }

    fn holds(&self, session: &Listed) -> bool {
        let address = |address: IpAddr, network: &Network| network.holds(address);
        match self {
            Place::Local => session.is_local,
            Place::Network(network) => session.address.is_some_and(|from| address(from.to_canonical(), network)),
            Place::Host(name) => !session.is_local && session.host.eq_ignore_ascii_case(name),
        }
    }
}

impl Allowed {
    /// Whether this session is meant to be there.
    pub fn covers(&self, session: &Listed) -> bool {
        self.account.as_ref().is_none_or(|account| *account == session.account)
            && self.place.as_ref().is_none_or(|place| place.holds(session))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(account: &str, host: &str, is_local: bool) -> Listed {
        Listed {
            account: account.to_owned(),
            host: host.to_owned(),
            address: host.parse().ok(),
            is_local,
            ..Listed::default()
        }
    }

    #[test]
    fn all_that_is_said_must_hold() {
        let place = |text| Place::read(text).unwrap();
        let replica = Allowed { account: Some("repl".to_owned()), place: Some(place("10.0.1.0/24")) };
        assert!(replica.covers(&from("repl", "10.0.1.7", false)));
        assert!(!replica.covers(&from("repl", "10.0.2.7", false)));
        assert!(!replica.covers(&from("alice", "10.0.1.7", false)));
        assert!(!replica.covers(&from("repl", "", true)), "a socket file is no address");
        let local = Allowed { account: None, place: Some(place("local")) };
        assert!(local.covers(&from("anybody", "", true)) && !local.covers(&from("anybody", "127.0.0.1", false)));
        let named = Allowed { account: None, place: Some(place("Backup.corp")) };
        assert!(named.covers(&from("x", "backup.CORP", false)) && !named.covers(&from("x", "backup.corp.evil", false)));
        let account = Allowed { account: Some("backup".to_owned()), place: None };
        assert!(account.covers(&from("backup", "203.0.113.1", false)));
    }

    #[test]
    fn a_mistake_in_an_address_is_no_host() {
        for wrong in ["", "10.0.0", "10.0.0.0/33", "10.0.0.1:5432", "a b", "%"] {
            assert_eq!(Place::read(wrong), None, "{wrong}");
        }
        assert_eq!(Place::read("LOCAL"), Some(Place::Local));
        assert!(matches!(Place::read("10.0.0.1"), Some(Place::Network(_))));
        assert!(matches!(Place::read("fd00::/8"), Some(Place::Network(_))));
        assert!(matches!(Place::read("db-admin-1"), Some(Place::Host(_))));
    }
}
