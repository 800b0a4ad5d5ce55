//! What a server says of the sessions that it serves, and of how many began.
//! <https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW>,
//! <https://dev.mysql.com/doc/refman/9.0/en/show-processlist.html>, <https://mariadb.com/kb/en/show-processlist/>
//!
//! What must never happen here: a list that is short because the account may not see more, taken for all there is.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use weir_policy::relation::Engine;

use super::carried::Seen;
use crate::catalog::account::{Account, words};
use crate::catalog::{mysql, postgres};

/// Oldest PostgreSQL that counts the sessions of a database.
const COUNTS_SESSIONS: i32 = 140_000;

/// A session as the server lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The server's number of it.
    pub number: u64,
    /// The account.
    pub account: String,
    /// The database that it is connected to; empty where there is none.
    pub database: String,
    /// What the client calls itself; empty where it does not, or the server does not keep it.
    pub application: String,
    /// Address, where the server tells one.
    pub address: Option<IpAddr>,
    /// Port of the client.
    pub port: Option<u16>,
    /// Address or name of the client's host as the server writes it; empty for a socket file.
    pub host: String,
    /// Whether it came over the server's socket file.
    pub is_local: bool,
    /// How long it has been there.
    pub age: Option<Duration>,
}

/// One look at a server.
pub(super) struct Look {
    /// When the list was asked for.
    pub at: Instant,
    /// Sessions of clients, the one that asks left out.
    pub sessions: Vec<Listed>,
    /// Sessions that began since the server counts, by its own account, where it keeps one that holds only sessions.
    pub began: Option<u64>,
}

/// A connection of the monitor's.
pub(super) enum Watch {
    /// To a PostgreSQL.
    Postgres(postgres::Connection),
    /// To a MySQL or MariaDB.
    Mysql(mysql::Connection),
}

impl Listed {
    /// What tells whether it is Weir's.
    pub fn seen(&self) -> Seen {
        let from = self.address.and_then(|address| Some(SocketAddr::new(address, self.port?)));
        // MySQL's greeting has room for 32 bits of it.
        Seen { number: self.number & u64::from(u32::MAX), from, age: self.age }
    }

    /// Where it comes from, in words.
    pub fn place(&self) -> String {
        if self.is_local { "the server's own machine (socket file)".to_owned() } else { words(&self.host) }
    }
}

impl Watch {
    /// Logs in and makes sure that the account may see everybody's sessions.
    ///
    /// # Errors
    /// Why not, in words for the operator, with the right that is missing.
    pub(super) async fn open(account: &Account, database: &str) -> Result<Watch, String> {
        match account.engine {
            Engine::Postgres => {
                let connection = postgres::Connection::open(account, database).await?;
                let may = "select pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'usage')";
                let row = connection.client.query_one(may, &[]).await.map_err(|error| postgres::told(&error))?;
                if !row.try_get::<_, bool>(0).map_err(|error| postgres::told(&error))? {
                    let user = account.user();
                    return Err(format!("`{user}` may not see sessions of others; run GRANT pg_monitor TO \"{user}\""));
                }
                Ok(Watch::Postgres(connection))
            }
            Engine::Mysql => {
                let mut connection = mysql::Connection::open(account).await?;
                // Without the right the list is only shorter; this table needs the same right and says so.
                let may = "select 1 from information_schema.innodb_trx limit 1";
                let seen = connection.rows(may, |_| Ok(())).await.map(|_: Vec<()>| ());
                seen.map_err(|failure| {
                    let (user, told) = (account.user(), String::from(failure));
                    format!("`{user}` may not see sessions of others: {told}; run GRANT PROCESS ON *.* TO '{user}'")
                })?;
                Ok(Watch::Mysql(connection))
            }
        }
    }

    /// Whether it is of no more use.
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Watch::Postgres(connection) => connection.is_closed(),
            Watch::Mysql(connection) => connection.is_closed(),
        }
    }

    /// Looks once.
    ///
    /// # Errors
    /// Why it could not, in words for the operator.
    pub(super) async fn look(&mut self) -> Result<Look, String> {
        match self {
            Watch::Postgres(connection) => look_at_postgres(connection).await,
            Watch::Mysql(connection) => look_at_mysql(connection).await,
        }
    }
}

/// Workers of the server have types of their own: what runs in parallel for a session is no session.
async fn look_at_postgres(connection: &postgres::Connection) -> Result<Look, String> {
    let at = Instant::now();
    let sql = "select a.pid::int8, coalesce(a.usename::text, ''), coalesce(a.datname::text, ''), \
               coalesce(a.application_name, ''), host(a.client_addr), a.client_port::int8, \
               (extract(epoch from clock_timestamp() - a.backend_start) * 1000)::int8 \
               from pg_catalog.pg_stat_activity a \
               where a.backend_type in ('client backend', 'walsender') and a.pid <> pg_catalog.pg_backend_pid() \
               and a.usename is not null and a.state is distinct from 'starting'";
    let rows = connection.client.query(sql, &[]).await.map_err(|error| postgres::told(&error))?;
    let mut sessions = Vec::with_capacity(rows.len());
    for row in &rows {
        sessions.push(listed(row).map_err(|error| postgres::told(&error))?);
    }
    let began = match connection.version >= COUNTS_SESSIONS {
        true => {
            let sql = "select coalesce(sum(sessions), 0)::int8 from pg_catalog.pg_stat_database";
            let row = connection.client.query_one(sql, &[]).await.map_err(|error| postgres::told(&error))?;
            let began: i64 = row.try_get(0).map_err(|error| postgres::told(&error))?;
            u64::try_from(began).ok()
        }
        false => None,
    };
    Ok(Look { at, sessions, began })
}

fn listed(row: &tokio_postgres::Row) -> Result<Listed, tokio_postgres::Error> {
    let host: Option<&str> = row.try_get(4)?;
    let age: Option<i64> = row.try_get(6)?;
    Ok(Listed {
        number: u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or_default(),
        account: row.try_get(1)?,
        database: row.try_get(2)?,
        application: row.try_get(3)?,
        address: host.and_then(|host| host.parse().ok()),
        port: row.try_get::<_, Option<i64>>(5)?.and_then(|port| u16::try_from(port).ok()),
        host: host.unwrap_or_default().to_owned(),
        is_local: host.is_none(),
        age: age.map(|age| Duration::from_millis(u64::try_from(age).unwrap_or_default())),
    })
}

/// The server's list has no beginning of a session, and its numbers are not given twice.
async fn look_at_mysql(connection: &mut mysql::Connection) -> Result<Look, String> {
    let at = Instant::now();
    let own = connection.rows("select connection_id()", |row| row.number::<u64>(0)).await;
    let own = own.map_err(String::from)?.into_iter().next().flatten();
    let listed = |row: &mysql::Row<'_>| {
        let number = row.number::<u64>(0)?.unwrap_or_default();
        let command = row.text(4).unwrap_or_default();
        let (account, host) = (row.text(1).unwrap_or_default(), row.text(2).unwrap_or_default());
        Ok(process(number, account, &host, row.text(3).unwrap_or_default(), &command))
    };
    let found = connection.rows("show processlist", listed).await.map_err(String::from)?;
    let sessions = found.into_iter().flatten().filter(|session| Some(session.number) != own).collect();
    Ok(Look { at, sessions, began: None })
}

/// A line of the list, unless it is no session of a client: threads of the server have no host, run as daemons or stay
/// in `Connect`, where no statement of a client is run; who has not logged in yet has no account.
fn process(number: u64, account: String, host: &str, database: String, command: &str) -> Option<Listed> {
    if host.is_empty() || command == "Connect" || command == "Daemon" || account == "unauthenticated user" {
        return None;
    }
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => (name, port.parse().ok()),
        _ => (host, None),
    };
    Some(Listed {
        number,
        account,
        database,
        application: String::new(),
        address: name.trim_matches(['[', ']']).parse().ok(),
        port,
        host: name.to_owned(),
        is_local: port.is_none() && host == "localhost",
        age: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_list_says_where_a_session_comes_from() {
        let line =
            |account: &str, host: &str, command: &str| process(7, account.to_owned(), host, "shop".to_owned(), command);
        let remote = line("alice", "10.0.0.7:41234", "Sleep").unwrap();
        assert_eq!(remote.seen().from, Some("10.0.0.7:41234".parse().unwrap()));
        assert!(!remote.is_local && remote.place() == "10.0.0.7");
        let named = line("alice", "desk-7.corp:41234", "Query").unwrap();
        assert_eq!((named.host.as_str(), named.address, named.port), ("desk-7.corp", None, Some(41234)));
        assert!(line("root", "localhost", "Sleep").unwrap().is_local);
        assert!(!line("root", "localhost:4000", "Sleep").unwrap().is_local, "resolved loopback");
        let six = line("alice", "fd00::7:41234", "Sleep").unwrap();
        assert_eq!((six.address, six.port), (Some("fd00::7".parse().unwrap()), Some(41234)));
        for none in [
            line("system user", "", "Daemon"),
            line("event_scheduler", "localhost", "Daemon"),
            line("unauthenticated user", "10.0.0.9:1", "Connect"),
            line("app", "localhost", "Connect"),
        ] {
            assert_eq!(none, None);
        }
        assert!(line("repl", "10.0.0.8:4000", "Binlog Dump").is_some(), "a replica is to be allowed by name");
    }
}
