//! From the first byte of a client to an open session on both sides, one file for each protocol.
//!
//! INVARIANT: what was not encrypted is never read as if it had been (CVE-2021-23214 and its kind), and a session
//! begins with one account.

mod mysql;
mod postgres;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use weir_wire::Refusal;

use super::leg::Leg;
use super::{End, SessionEngine, Shared};
use crate::cancel::{CancelTarget, WeirKey};
use crate::identity::Login;
use crate::route::Route;

pub(super) use mysql::Mysql;
pub(super) use postgres::Postgres;

/// What the start-up led to.
pub(super) enum Opened<E> {
    /// An open session.
    Session(Box<Open<E>>),
    /// The connection has served its purpose: a cancel request.
    Done,
}

/// An authenticated session, before its first statement.
pub(super) struct Open<E> {
    /// The upstream leg.
    pub(super) upstream: Leg,
    /// The protocol's state.
    pub(super) engine: E,
    /// What the client proved.
    pub(super) login: Login,
    /// The database; empty where the client named none.
    pub(super) database: String,
    /// What the client calls itself; empty when it does not.
    pub(super) application: String,
    /// What the client asked for.
    pub(super) parameters: Vec<(String, String)>,
    /// Settings that the server reported, or that the start-up implies.
    pub(super) settings: Vec<(String, String)>,
    /// What the client is sent once it is known who opened the session.
    pub(super) welcome: Vec<u8>,
    /// Cancel key that the client was given.
    pub(super) key: Option<WeirKey>,
    /// How to cancel what this session runs.
    pub(super) cancel: CancelTarget,
    /// The account behind the role that Weir took on for the session, and that is not to be left; `None`: it took on none.
    pub(super) holder: Option<Arc<str>>,
}

/// What a protocol does before there is a session.
pub(super) trait Protocol {
    /// What carries the session then.
    type Engine: SessionEngine;

    /// Serves the start-up. Not cancel safe: on a time-out the connection is over.
    ///
    /// # Errors
    /// Why the connection ends; a refusal is still to be told to the client.
    async fn open(
        &mut self,
        shared: &Shared,
        route: &Route,
        peer: SocketAddr,
        client: &mut Leg,
    ) -> Result<Opened<Self::Engine>, End>;

    /// Serves a request to become somebody else, which is what the client's leg begins with. Not cancel safe.
    ///
    /// # Errors
    /// As [`open`](Protocol::open).
    async fn change_user(
        &mut self,
        _shared: &Shared,
        _route: &Route,
        _peer: SocketAddr,
        _client: &mut Leg,
        _upstream: Leg,
    ) -> Result<Box<Open<Self::Engine>>, End> {
        Err(End::Refused(Refusal::new("0A000", "this protocol has no change of user", "connect again")))
    }

    /// Appends the error that ends a start-up.
    fn put_refusal(&mut self, refusal: &Refusal, to_client: &mut Vec<u8>);
}

/// The end of a connection whose server cannot be reached.
fn unreachable(route: &Route, error: &io::Error) -> End {
    tracing::warn!(upstream = %route.upstream.name, %error, "upstream cannot be reached");
    End::Refused(Refusal::new(
        "08001",
        format!("the database server behind weir (`{}`) cannot be reached", route.upstream.name),
        "try again later; the operator finds the reason in weir's log",
    ))
}

/// A handshake that failed: the client has been told by an alert, and the operator should be able to find out why.
fn no_handshake(error: &io::Error) -> End {
    tracing::info!(%error, "TLS handshake with a client failed");
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(reason)) => End::Refused(Refusal::new(
            "28000",
            format!("the client's certificate is not accepted: {reason}"),
            "show one that an authority in client_ca has signed",
        )),
        _ => End::ClientGone,
    }
}
