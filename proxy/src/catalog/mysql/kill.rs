//! Ending what a session runs on a MySQL server: KILL QUERY with its number, over Weir's own account.
//! <https://dev.mysql.com/doc/refman/9.0/en/kill.html>, <https://mariadb.com/kb/en/kill/>
//!
//! One connection for each server serves a burst of them, and is gone soon after.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use weir_wire::mysql::greeting::Flavour;

use super::channel::Failure;
use super::connection::Connection;
use crate::catalog::account::Account;

/// Time for one, a login included. Somebody waits for it.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long the connection stays after the last one.
const LINGER: Duration = Duration::from_secs(10);
/// ER_NO_SUCH_THREAD: the session has ended, and with it what it ran.
const NO_SUCH_THREAD: u16 = 1094;
/// ER_KILL_DENIED_ERROR and ER_SPECIFIC_ACCESS_DENIED_ERROR.
const DENIED: [u16; 2] = [1095, 1227];

/// What ends statements on one server.
pub(in crate::catalog) struct Killer {
    account: Arc<Account>,
    /// With the time at which it is closed.
    kept: Mutex<Option<(Connection, Instant)>>,
}

impl Killer {
    pub(in crate::catalog) fn new(account: Arc<Account>) -> Arc<Killer> {
        Arc::new(Killer { account, kept: Mutex::new(None) })
    }

    /// Ends what the session of this number runs now, and returns when the server has been told, so that it cannot hit
    /// a later statement. A session that is no more is no failure.
    ///
    /// Cancel safe: a connection whose answer was not awaited is given up.
    pub(in crate::catalog) async fn kill_query(self: &Arc<Self>, thread: u64) -> Result<(), String> {
        tokio::time::timeout(TIMEOUT, self.ask(thread))
            .await
            .map_err(|_| format!("`{}` was not told within {} s", self.account.address, TIMEOUT.as_secs()))?
    }

    async fn ask(self: &Arc<Self>, thread: u64) -> Result<(), String> {
        let mut kept = self.kept.lock().await;
        // One that was kept may have died meanwhile, which is no failure yet.
        if let Some((mut connection, _)) = kept.take()
            && let answer = connection.kill_query(thread).await
            && !connection.is_closed()
        {
            let told = self.told(answer, connection.flavour);
            *kept = Some((connection, Instant::now() + LINGER));
            return told;
        }
        let mut connection = Connection::open(&self.account).await?;
        let told = self.told(connection.kill_query(thread).await, connection.flavour);
        if !connection.is_closed() {
            *kept = Some((connection, Instant::now() + LINGER));
            tokio::spawn(close(Arc::downgrade(self)));
        }
        told
    }

    fn told(&self, answer: Result<(), Failure>, flavour: Flavour) -> Result<(), String> {
        match answer {
            Err(Failure::Server { errno: NO_SUCH_THREAD, .. }) | Ok(()) => Ok(()),
            Err(Failure::Server { errno, told }) if DENIED.contains(&errno) => {
                let privilege = match flavour {
                    Flavour::MySql => "CONNECTION_ADMIN",
                    Flavour::MariaDb => "CONNECTION ADMIN",
                };
                let user = self.account.user();
                // MySQL guards those that have SYSTEM_USER from everybody who has not.
                let system = if flavour == Flavour::MySql && errno == DENIED[1] { ", SYSTEM_USER" } else { "" };
                Err(format!(
                    "`{user}` may not end statements of others: {told}; run GRANT {privilege}{system} ON *.* TO '{user}'"
                ))
            }
            Err(failure) => Err(failure.into()),
        }
    }
}

/// Closes the connection once nobody has needed it for long.
async fn close(killer: Weak<Killer>) {
    loop {
        let Some(killer) = killer.upgrade() else { return };
        let mut kept = killer.kept.lock().await;
        let Some(end) = kept.as_ref().map(|(_, end)| *end) else { return };
        if end <= Instant::now() {
            *kept = None;
            return;
        }
        drop(kept);
        drop(killer);
        tokio::time::sleep_until(end.into()).await;
    }
}
