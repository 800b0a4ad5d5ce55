//! A client like any other: what it received is counted here, as the rows arrive, and nowhere else.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use futures_util::TryStreamExt;
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::failure::{Context, Failure};

/// How long one statement or login may take: far above what is needed, so that a hang is told as one.
const LIMIT: Duration = Duration::from_secs(60);

/// Where to knock, and with what.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    /// Address of Weir, or of the server where Weir is left out.
    pub(crate) address: SocketAddr,
    /// Password of every account.
    pub(crate) password: String,
}

/// One open session.
#[derive(Debug)]
pub(crate) struct Session {
    client: Client,
    connection: JoinHandle<()>,
}

/// What came back for one statement.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Rows that arrived.
    pub(crate) rows: u64,
    /// Values of the column `id`, where there is one.
    pub(crate) ids: Vec<i64>,
    /// The error that ended it, if one did.
    pub(crate) refusal: Option<Refusal>,
}

/// An error from the other side.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// Its code.
    pub(crate) sqlstate: String,
    /// What it says.
    pub(crate) message: String,
    /// More of it.
    pub(crate) detail: Option<String>,
    /// What to do.
    pub(crate) hint: Option<String>,
}

impl Session {
    /// Logs in to the support database.
    pub(crate) async fn open(door: &Door, account: &str) -> Result<Session, Failure> {
        Session::open_as(door, account, "support", "support desk").await
    }

    /// Logs in to a database under an application's name.
    pub(crate) async fn open_as(
        door: &Door,
        account: &str,
        database: &str,
        application: &str,
    ) -> Result<Session, Failure> {
        let mut config = Config::new();
        config.host(door.address.ip().to_string()).port(door.address.port());
        config.user(account).password(&door.password).dbname(database).application_name(application);
        let login = async { config.connect(NoTls).await.map_err(|error| Failure::new(told(&error))) };
        let (client, connection) = limited(login).await.context(format_args!("{account} cannot log in"))?;
        // Its end shows in the statements, each of which fails then.
        let connection = tokio::spawn(async move { drop(connection.await) });
        Ok(Session { client, connection })
    }

    /// Runs one statement in the simple protocol, as psql does.
    pub(crate) async fn simple(&self, sql: &str) -> Result<Reading, Failure> {
        limited(async {
            let mut reading = Reading::default();
            let ended = async {
                let mut stream = pin!(self.client.simple_query_raw(sql).await?);
                while let Some(message) = stream.try_next().await? {
                    if let SimpleQueryMessage::Row(row) = message {
                        reading.rows += 1;
                        let id = row.try_get("id").ok().flatten().and_then(|text| text.parse::<i64>().ok());
                        reading.ids.extend(id);
                    }
                }
                Ok(())
            };
            let ended: Result<(), tokio_postgres::Error> = ended.await;
            if let Err(error) = ended {
                reading.refusal = Some(Refusal::of(&error)?);
            }
            Ok(reading)
        })
        .await
    }

    /// Runs one statement with parameters in the extended protocol, as drivers do.
    pub(crate) async fn extended(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Reading, Failure> {
        limited(async {
            let mut reading = Reading::default();
            let ended = async {
                let mut stream = pin!(self.client.query_raw(sql, parameters.iter().copied()).await?);
                while let Some(row) = stream.try_next().await? {
                    reading.rows += 1;
                    reading.ids.extend(row.try_get::<_, i64>("id").ok());
                }
                Ok(())
            };
            let ended: Result<(), tokio_postgres::Error> = ended.await;
            if let Err(error) = ended {
                reading.refusal = Some(Refusal::of(&error)?);
            }
            Ok(reading)
        })
        .await
    }

    /// Whether the session still answers a statement that touches nothing.
    pub(crate) async fn is_usable(&self) -> bool {
        self.simple("select 1").await.is_ok_and(|reading| reading.rows == 1 && reading.refusal.is_none())
    }

    /// The connection's end of the library, for what this module has no word for.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Says goodbye and waits until the socket is closed.
    pub(crate) async fn close(self) {
        drop(self.client);
        let _ = tokio::time::timeout(LIMIT, self.connection).await;
    }
}

impl Refusal {
    /// The server's word in an error of the library.
    ///
    /// # Errors
    /// When there is none: the connection broke, which no statement should cause.
    fn of(error: &tokio_postgres::Error) -> Result<Refusal, Failure> {
        let db = error.as_db_error().ok_or_else(|| Failure::new(told(error)))?;
        Ok(Refusal {
            sqlstate: db.code().code().to_owned(),
            message: db.message().to_owned(),
            detail: db.detail().map(str::to_owned),
            hint: db.hint().map(str::to_owned),
        })
    }

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

/// An error with its causes: the library's own text ends at "db error".
fn told(error: &tokio_postgres::Error) -> String {
    use std::error::Error;
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::Refusal;

    fn refusal(message: &str, detail: Option<&str>) -> Refusal {
        Refusal { sqlstate: "42501".into(), message: message.into(), detail: detail.map(str::to_owned), hint: None }
    }

    #[test]
    fn a_reference_is_found_wherever_it_stands() {
        assert_eq!(refusal("no more (reference W-7F3K-9Q2M).", None).reference(), Some("W-7F3K-9Q2M"));
        assert_eq!(refusal("no more", Some("Reference: W-1.")).reference(), Some("W-1"));
        assert_eq!(refusal("W- is not one, nor is raW-1", None).reference(), None);
    }
}
