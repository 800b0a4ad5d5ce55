//! Weir's own account on an upstream, and the socket that every login begins with.

use std::time::Duration;

use tokio::net::TcpStream;
use weir_policy::relation::Engine;
use zeroize::Zeroizing;

use crate::config::{CatalogAccount, Upstream};
use crate::route::{UpstreamTls, tune};
use crate::tls;

/// A server that does not answer in this time is down for the catalog.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest text of a server's in a message of Weir's, characters.
const WORDS_CHARACTERS_MAX: usize = 500;

/// Where to connect and as whom.
pub(super) struct Account {
    /// Name of the upstream.
    pub(super) upstream: String,
    /// What it speaks.
    pub(super) engine: Engine,
    /// `host:port`.
    pub(super) address: String,
    /// TLS, verified, unless it is off.
    pub(super) tls: Option<UpstreamTls>,
    catalog: CatalogAccount,
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
    /// The account of an upstream, as configured.
    ///
    /// # Errors
    /// Roots of trust that cannot be read, in words for the operator.
    pub(super) fn new(upstream: &Upstream) -> Result<Account, String> {
        Ok(Account {
            upstream: upstream.name.clone(),
            engine: upstream.engine,
            address: upstream.address.clone(),
            tls: tls::client(&upstream.tls, upstream.engine)?,
            catalog: upstream.catalog.clone(),
        })
    }

    pub(super) fn user(&self) -> &str {
        &self.catalog.user
    }

    /// Read each time, so that a changed password needs no restart.
    pub(super) fn password(&self) -> Result<Option<Zeroizing<String>>, String> {
        self.catalog.password.read()
    }

    pub(super) fn refresh(&self) -> Duration {
        self.catalog.refresh
    }

    /// Opens a socket, without TLS yet.
    pub(super) async fn socket(&self) -> Result<TcpStream, String> {
        let at = &self.address;
        let socket = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(at))
            .await
            .map_err(|_| format!("`{at}` does not answer"))?
            .map_err(|error| format!("`{at}` cannot be reached: {error}"))?;
        tune(&socket).map_err(|error| format!("`{at}`: {error}"))?;
        Ok(socket)
    }
}

/// A server's words, fit for a log and a terminal.
pub(super) fn words(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .take(WORDS_CHARACTERS_MAX)
        .collect()
}
