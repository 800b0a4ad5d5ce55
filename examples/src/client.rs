//! A client like any other: what it received is counted here, as the rows arrive, and nowhere else.
//!
//! Every scene is written once and plays on either engine; how each is spoken to is in a file of its own.

pub(crate) mod mysql;
pub(crate) mod postgres;

use std::net::SocketAddr;
use std::time::Duration;

use crate::failure::Failure;

/// How long one statement or login may take: far above what is needed, so that a hang is told as one.
const LIMIT: Duration = Duration::from_secs(60);

/// What is spoken at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
}

/// Where to knock, and with what.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    /// What is spoken there.
    pub(crate) engine: Engine,
    /// Address of Weir, or of the server where Weir is left out.
    pub(crate) address: SocketAddr,
    /// Password of every account.
    pub(crate) password: String,
}

/// One open session.
#[derive(Debug)]
pub(crate) enum Session {
    /// With PostgreSQL.
    Postgres(postgres::Session),
    /// With MariaDB.
    Mysql(mysql::Session),
}

/// What came back for one statement.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Rows that arrived.
    pub(crate) rows: u64,
    /// Values of the column `id`, where there is one and the answer came as text.
    pub(crate) ids: Vec<i64>,
    /// The error that ended it, if one did.
    pub(crate) refusal: Option<Refusal>,
}

/// An error from the other side.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// Its number, which MySQL has beside the SQLSTATE.
    pub(crate) number: Option<u16>,
    /// Its SQLSTATE.
    pub(crate) sqlstate: String,
    /// What it says.
    pub(crate) message: String,
    /// More of it.
    pub(crate) detail: Option<String>,
    /// What to do.
    pub(crate) hint: Option<String>,
}

impl Engine {
    /// The server that the demonstration starts for it.
    pub(crate) fn server(self) -> &'static str {
        match self {
            Engine::Postgres => "PostgreSQL",
            Engine::Mysql => "MariaDB",
        }
    }
}

impl Door {
    /// What stands before a statement at this door, as the server's own client shows it.
    pub(crate) fn prompt(&self, account: &str) -> String {
        match self.engine {
            Engine::Postgres => format!("{account}=>"),
            Engine::Mysql => format!("{account}@MariaDB>"),
        }
    }
}

impl Session {
    /// Logs in to the support database.
    pub(crate) async fn open(door: &Door, account: &str) -> Result<Session, Failure> {
        Ok(match door.engine {
            Engine::Postgres => Session::Postgres(postgres::Session::open(door, account, "support").await?),
            Engine::Mysql => Session::Mysql(mysql::Session::open(door, account, "support").await?),
        })
    }

    /// Runs one statement as text, as psql and mariadb do.
    pub(crate) async fn simple(&mut self, sql: &str) -> Result<Reading, Failure> {
        match self {
            Session::Postgres(session) => session.simple(sql).await,
            Session::Mysql(session) => session.simple(sql).await,
        }
    }

    /// Prepares a statement with one parameter, `$1` in its text, and runs it, as drivers do.
    pub(crate) async fn prepared(&mut self, sql: &str, parameter: i64) -> Result<Reading, Failure> {
        match self {
            Session::Postgres(session) => session.prepared(sql, parameter).await,
            Session::Mysql(session) => session.prepared(&sql.replace("$1", "?"), parameter).await,
        }
    }

    /// Whether the session still answers a statement that touches nothing.
    pub(crate) async fn is_usable(&mut self) -> bool {
        self.simple("select 1").await.is_ok_and(|reading| reading.rows == 1 && reading.refusal.is_none())
    }

    /// Says goodbye and waits until the socket is closed.
    pub(crate) async fn close(self) {
        match self {
            Session::Postgres(session) => session.close().await,
            Session::Mysql(session) => session.close().await,
        }
    }
}

impl Refusal {
    /// The reference that an analyst can look up: `W-` and groups of letters and digits, wherever the error has it.
    pub(crate) fn reference(&self) -> Option<&str> {
        let texts = [Some(self.message.as_str()), self.detail.as_deref(), self.hint.as_deref()];
        texts.into_iter().flatten().find_map(|text| {
            text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                .find(|word| word.starts_with("W-") && word.len() > "W-".len())
        })
    }
}

/// Bounds what waits for the other side.
async fn limited<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match tokio::time::timeout(LIMIT, work).await {
        Ok(result) => result,
        Err(_) => Err(Failure::new(format!("no answer within {LIMIT:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::Refusal;

    fn refusal(message: &str, detail: Option<&str>) -> Refusal {
        let (message, detail) = (message.into(), detail.map(str::to_owned));
        Refusal { number: None, sqlstate: "42501".into(), message, detail, hint: None }
    }

    #[test]
    fn a_reference_is_found_wherever_it_stands() {
        assert_eq!(refusal("no more (reference W-7F3K-9Q2M).", None).reference(), Some("W-7F3K-9Q2M"));
        assert_eq!(refusal("no more", Some("Reference: W-1.")).reference(), Some("W-1"));
        assert_eq!(refusal("W- is not one, nor is raW-1", None).reference(), None);
    }
}
