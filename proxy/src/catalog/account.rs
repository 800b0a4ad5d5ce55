//! An account of Weir's own on an upstream, and the socket that every login begins with.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use weir_policy::relation::Engine;
use weir_wire::mysql::handshake::Greeting;
use zeroize::Zeroizing;

use crate::config::{OwnAccount, Upstream};
use crate::monitor::APPLICATION as MONITOR_APPLICATION;
use crate::monitor::carried::{Carried, Held};
use crate::route::{UpstreamTls, tune};
use crate::tls;

/// A server that does not answer in this time is down for the catalog.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest text of a server's in a message of Weir's, characters.
const WORDS_CHARACTERS_MAX: usize = 500;

/// Where to connect and as whom.
pub(crate) struct Account {
    /// Name of the upstream.
    pub(crate) upstream: String,
    /// What it speaks.
    pub(crate) engine: Engine,
    /// `host:port`.
    pub(super) address: String,
    /// TLS, verified, unless it is off.
    pub(super) tls: Option<UpstreamTls>,
    /// What the client is called towards the server.
    pub(super) application: &'static str,
    own: OwnAccount,
    /// Where its connections are listed, when the server is watched.
    carried: Option<Arc<Carried>>,
    /// What the server last greeted anybody of Weir's with (MySQL).
    greeted: Mutex<Option<Greeting>>,
}

/// Whether the other end is known to be the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leg {
    /// Nobody vouches for it.
    Open,
    /// By its certificate.
    Verified,
}

impl Account {
    /// The account for an upstream's catalog, as configured.
    ///
    /// # Errors
    /// Roots of trust that cannot be read, in words for the operator.
    pub(super) fn for_catalog(upstream: &Upstream, carried: Option<Arc<Carried>>) -> Result<Account, String> {
        Account::new(upstream, "weir catalog", upstream.catalog.clone(), carried)
    }

    /// The account that looks at an upstream's sessions, as configured.
    ///
    /// # Errors
    /// As for the catalog's.
    pub(crate) fn for_monitor(upstream: &Upstream, own: &OwnAccount, held: Arc<Carried>) -> Result<Account, String> {
        Account::new(upstream, MONITOR_APPLICATION, own.clone(), Some(held))
    }

    fn new(
        upstream: &Upstream,
        application: &'static str,
        own: OwnAccount,
        carried: Option<Arc<Carried>>,
    ) -> Result<Account, String> {
        Ok(Account {
            upstream: upstream.name.clone(),
            engine: upstream.engine,
            address: upstream.address.clone(),
            tls: tls::client(&upstream.tls, upstream.engine)?,
            application,
            own,
            carried,
            greeted: Mutex::default(),
        })
    }

    pub(crate) fn user(&self) -> &str {
        &self.own.user
    }

    /// Read each time, so that a changed password needs no restart.
    pub(super) fn password(&self) -> Result<Option<Zeroizing<String>>, String> {
        self.own.password.read()
    }

    pub(super) fn refresh(&self) -> Duration {
        self.own.refresh
    }

    /// What the server greets with; nothing of it is a secret but the nonce, which is spent.
    pub(super) fn greeting(&self) -> Option<Greeting> {
        self.greeted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The server greeted somebody.
    pub(super) fn greeted(&self, greeting: &Greeting) {
        *self.greeted.lock().unwrap_or_else(PoisonError::into_inner) = Some(greeting.clone());
    }

    /// Opens a socket, without TLS yet; what comes with it is to live as long as it is open.
    pub(super) async fn socket(&self) -> Result<(TcpStream, Option<Held>), String> {
        let at = &self.address;
        let socket = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(at))
            .await
            .map_err(|_| format!("`{at}` does not answer"))?
            .map_err(|error| format!("`{at}` cannot be reached: {error}"))?;
        tune(&socket).map_err(|error| format!("`{at}`: {error}"))?;
        let held = self.carried.as_ref().zip(socket.local_addr().ok()).map(|(carried, local)| carried.hold(local));
        Ok((socket, held))
    }
}

/// A server's words, fit for a log and a terminal.
pub(crate) fn words(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .take(WORDS_CHARACTERS_MAX)
        .collect()
}
