//! A connection to either kind of server, as the keeper uses it.

use super::account::Account;
use super::content::Content;
use super::{mysql, postgres};
use weir_policy::relation::Engine;

/// An open connection; closes when dropped.
pub(super) enum Source {
    /// To one database of a PostgreSQL.
    Postgres(postgres::Connection),
    /// To a MySQL or MariaDB.
    Mysql(mysql::Connection),
}

impl Source {
    /// Logs in.
    pub(super) async fn open(account: &Account, database: &str) -> Result<Source, String> {
        match account.engine {
            Engine::Postgres => postgres::Connection::open(account, database).await.map(Source::Postgres),
            Engine::Mysql => mysql::Connection::open(account).await.map(Source::Mysql),
        }
    }

    /// Whether it is of no more use.
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Source::Postgres(connection) => connection.is_closed(),
            Source::Mysql(connection) => connection.is_closed(),
        }
    }

    /// A text that changes whenever anything but estimates has changed of what [`load`](Source::load) reads.
    pub(super) async fn fingerprint(&mut self) -> Result<String, String> {
        match self {
            Source::Postgres(connection) => postgres::fingerprint(connection).await,
            Source::Mysql(connection) => mysql::fingerprint(connection).await,
        }
    }

    /// Reads everything.
    pub(super) async fn load(&mut self, database: &str) -> Result<Content, String> {
        match self {
            Source::Postgres(connection) => postgres::load(connection, database).await,
            Source::Mysql(connection) => mysql::load(connection).await,
        }
    }
}
