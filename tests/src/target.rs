//! Against what a test runs: the server itself, or a Weir in front of it.
//!
//! A test that compares takes its expectation from [`Target::Direct`] and demands the same of [`Target::Weir`].
//! `WEIR_TEST_TARGET=direct` leaves Weir out, to try the tests themselves: comparisons must pass then, and
//! everything that expects a refusal or a cut must fail.

use std::net::SocketAddr;

use crate::engine::Server;
use crate::weir::{Weir, WeirOptions};

/// What stands at the address that clients connect to.
#[derive(Debug)]
pub enum Target {
    /// The server itself.
    Direct(SocketAddr),
    /// Weir in front of it.
    Weir(Box<Weir>),
}

impl Target {
    /// Weir with these options in front of a server; the server itself under `WEIR_TEST_TARGET=direct`.
    pub fn front(server: &dyn Server, options: &WeirOptions) -> Target {
        match direct_only() {
            true => Target::Direct(server.address()),
            false => Target::Weir(Box::new(Weir::start_for(&[(server.engine(), server.address())], options))),
        }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        match self {
            Target::Direct(address) => *address,
            Target::Weir(weir) => weir.address(),
        }
    }

    /// The Weir; panics when there is none, which is how a test that needs its log fails without it.
    pub fn weir(&self) -> &Weir {
        match self {
            Target::Weir(weir) => weir,
            Target::Direct(_) => panic!("this test needs Weir, and WEIR_TEST_TARGET=direct leaves it out"),
        }
    }
}

/// Whether this run leaves Weir out.
pub fn direct_only() -> bool {
    std::env::var("WEIR_TEST_TARGET").is_ok_and(|target| target == "direct")
}
