//! PostgreSQL's side of the client, over `tokio-postgres`.

use std::pin::pin;

use futures_util::TryStreamExt;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use super::{Door, LIMIT, Reading, Refusal, limited};
use crate::failure::{Context, Failure};

/// One open session.
#[derive(Debug)]
pub(crate) struct Session {
    client: Client,
    connection: JoinHandle<()>,
}

impl Session {
    /// Logs in.
    pub(crate) async fn open(door: &Door, account: &str, database: &str) -> Result<Session, Failure> {
        let mut config = Config::new();
        config.host(door.address.ip().to_string()).port(door.address.port());
        config.user(account).password(&door.password).dbname(database).application_name("support desk");
        let login = async { config.connect(NoTls).await.map_err(|error| Failure::new(told(&error))) };
        let (client, connection) = limited(login).await.context(format_args!("{account} cannot log in"))?;
        // Its end shows in the statements, each of which fails then.
        let connection = tokio::spawn(async move { drop(connection.await) });
        Ok(Session { client, connection })
    }

    /// Runs one statement in the simple protocol.
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
                reading.refusal = Some(refusal(&error)?);
            }
            Ok(reading)
        })
        .await
    }

    /// Runs one statement with a parameter in the extended protocol.
    pub(crate) async fn prepared(&self, sql: &str, parameter: i64) -> Result<Reading, Failure> {
        limited(async {
            let mut reading = Reading::default();
            let ended = async {
                let mut stream = pin!(self.client.query_raw(sql, [&parameter]).await?);
                while stream.try_next().await?.is_some() {
                    reading.rows += 1;
                }
                Ok(())
            };
            let ended: Result<(), tokio_postgres::Error> = ended.await;
            if let Err(error) = ended {
                reading.refusal = Some(refusal(&error)?);
            }
            Ok(reading)
        })
        .await
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

/// The server's word in an error of the library.
///
/// # Errors
/// When there is none: the connection broke, which no statement should cause.
fn refusal(error: &tokio_postgres::Error) -> Result<Refusal, Failure> {
    let db = error.as_db_error().ok_or_else(|| Failure::new(told(error)))?;
    Ok(Refusal {
        number: None,
        sqlstate: db.code().code().to_owned(),
        message: db.message().to_owned(),
        detail: db.detail().map(str::to_owned),
        hint: db.hint().map(str::to_owned),
    })
}

/// An error with its causes: the library's own text ends at "db error".
fn told(error: &tokio_postgres::Error) -> String {
    use std::error::Error;
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
