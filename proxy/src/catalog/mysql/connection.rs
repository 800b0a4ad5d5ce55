//! Weir's own connection to a MySQL or MariaDB: short, read-only, and wary of what answers.
//!
//! What must never happen here: a file of this machine in answer to a query; more memory than is named for what a server
//! sends; a connection in use again whose answer was not read to its end.

use weir_wire::mysql::error::{EOF, OK, OkPacket, STATUS_MORE_RESULTS};
use weir_wire::mysql::greeting::{Flavour, Greeting};
use weir_wire::mysql::packet::Fields;

use super::channel::{Channel, Failure, refused};
use super::login;
use crate::catalog::account::{Account, CONNECT_TIMEOUT};
use crate::monitor::carried::Held;

/// COM_QUERY.
const QUERY: u8 = 0x03;
/// First byte of a request for a file of the client's.
const LOCAL_INFILE: u8 = 0xFB;
/// An EOF packet has at most so many bytes; a row that begins with the same byte has 16 MiB.
const EOF_BYTES_MAX: usize = 5;
/// Rows that one question may have for an answer. Past this the catalog counts as unreadable: a snapshot with parts
/// missing would call what it lacks unknown, but cost memory without end.
const ROWS_MAX: usize = 4_000_000;
/// More columns than anything that is asked for has.
const COLUMNS_MAX: u64 = 64;
/// Oldest servers whose catalog has what is asked for.
const VERSION_MIN_MYSQL: u32 = 80_013;
const VERSION_MIN_MARIADB: u32 = 101_100;
/// Nothing that is asked takes as long, seconds.
const STATEMENT_SECS_MAX: u32 = 15;

/// An open connection; closes when dropped.
pub(crate) struct Connection {
    channel: Channel,
    /// For as long as it is open.
    _held: Option<Held>,
    /// An answer was not read to its end, or never can be.
    unfinished: bool,
    /// Version as a number: 90704 for 9.7.4.
    pub(super) version: u32,
    /// Which product.
    pub(super) flavour: Flavour,
}

/// A row of text values.
pub(crate) struct Row<'b> {
    values: Vec<Option<&'b [u8]>>,
}

impl Connection {
    /// Logs in.
    pub(crate) async fn open(account: &Account) -> Result<Connection, String> {
        let (socket, held) = account.socket().await?;
        let (channel, greeting) = tokio::time::timeout(CONNECT_TIMEOUT, login::log_in(account, socket))
            .await
            .map_err(|_| format!("the login of `{}` takes too long", account.user()))??;
        if let Some(held) = &held {
            held.numbered(u64::from(greeting.thread_id));
        }
        let mut connection =
            Connection { channel, _held: held, unfinished: false, version: 0, flavour: Flavour::MySql };
        tokio::time::timeout(CONNECT_TIMEOUT, connection.prepare(greeting))
            .await
            .map_err(|_| format!("the session of `{}` takes too long to prepare", account.user()))??;
        Ok(connection)
    }

    /// Asks the server what it is, since a greeting comes before TLS, and makes the session one that only reads.
    async fn prepare(&mut self, greeting: Greeting) -> Result<(), String> {
        self.run("set names utf8mb4").await?;
        let version = self.rows("select version()", |row| Ok(row.name(0)?.as_bytes().to_vec())).await?;
        let told = Greeting { version: version.into_iter().next().unwrap_or_default(), ..greeting };
        self.flavour = told.flavour();
        self.version = told.version_number().unwrap_or_default();
        let (oldest, bounds) = match self.flavour {
            Flavour::MySql => {
                let limit = STATEMENT_SECS_MAX * 1000;
                (VERSION_MIN_MYSQL, format!("max_execution_time = {limit}, information_schema_stats_expiry = 0"))
            }
            Flavour::MariaDb => (VERSION_MIN_MARIADB, format!("max_statement_time = {STATEMENT_SECS_MAX}")),
        };
        if self.version < oldest {
            return Err(format!(
                "the server's version is `{}`, and weir reads the catalog of MySQL 8.0.13 and later and of MariaDB 10.11 \
                 and later",
                crate::catalog::account::words(&String::from_utf8_lossy(&told.version))
            ));
        }
        self.run(&format!("set session sql_mode = '', sql_quote_show_create = 1, lock_wait_timeout = 5, {bounds}"))
            .await?;
        self.run("set session transaction read only").await?;
        Ok(())
    }

    /// Whether it is of no more use.
    pub(crate) fn is_closed(&self) -> bool {
        self.unfinished
    }

    /// Ends what another session runs, and leaves that session open.
    pub(super) async fn kill_query(&mut self, thread: u64) -> Result<(), Failure> {
        self.run(&format!("kill query {thread}")).await
    }

    /// Runs a statement without rows.
    pub(super) async fn run(&mut self, sql: &str) -> Result<(), Failure> {
        self.rows(sql, |_| Ok(())).await.map(drop)
    }

    /// The rows of an answer, made into what is kept of them one by one.
    ///
    /// A failure to make one ends the connection. Not cancel safe: a connection whose question was dropped is closed.
    pub(crate) async fn rows<T>(
        &mut self,
        sql: &str,
        make: impl FnMut(&Row<'_>) -> Result<T, String>,
    ) -> Result<Vec<T>, Failure> {
        if self.unfinished {
            return Err(Failure::broken("the connection was given up"));
        }
        self.unfinished = true;
        let answer = self.ask(sql, make).await;
        self.unfinished = matches!(answer, Err(Failure::Broken(_)));
        answer
    }

    async fn ask<T>(
        &mut self,
        sql: &str,
        mut make: impl FnMut(&Row<'_>) -> Result<T, String>,
    ) -> Result<Vec<T>, Failure> {
        let mut command = vec![QUERY];
        command.extend_from_slice(sql.as_bytes());
        self.channel.command(&command).await?;
        let mut made = Vec::new();
        let columns = {
            let head = self.channel.receive().await?;
            if let Some(failure) = refused(&head) {
                return Err(failure);
            }
            match head.first() {
                Some(&OK) => return ended(&head).map(|()| made),
                Some(&LOCAL_INFILE) => {
                    return Err(Failure::broken("the server asked for a file of this machine in answer to a query"));
                }
                _ => Fields::new(&head).lenenc().filter(|columns| (1..=COLUMNS_MAX).contains(columns)),
            }
        };
        let Some(columns) = columns else {
            return Err(Failure::broken("the server's answer has no number of columns that was asked for"));
        };
        for _ in 0..columns {
            self.channel.receive().await?;
        }
        if !is_eof(&self.channel.receive().await?) {
            return Err(Failure::broken("the server's columns do not end where they should"));
        }
        loop {
            let payload = self.channel.receive().await?;
            if let Some(failure) = refused(&payload) {
                return Err(failure);
            }
            if is_eof(&payload) {
                return ended(&payload).map(|()| made);
            }
            if made.len() >= ROWS_MAX {
                return Err(Failure::broken(format!("the catalog has more than {ROWS_MAX} rows of one kind")));
            }
            let Some(row) = Row::read(&payload, columns) else {
                return Err(Failure::broken("the server sent a row that cannot be read"));
            };
            made.push(make(&row).map_err(Failure::Broken)?);
        }
    }
}

impl<'b> Row<'b> {
    fn read(payload: &'b [u8], columns: u64) -> Option<Row<'b>> {
        let mut fields = Fields::new(payload);
        let values = (0..columns).map(|_| fields.lenenc_value()).collect::<Option<Vec<_>>>()?;
        fields.is_done().then_some(Row { values })
    }

    fn value(&self, place: usize) -> Option<&'b [u8]> {
        self.values.get(place).copied().flatten()
    }

    /// A name, exactly.
    pub(crate) fn name(&self, place: usize) -> Result<&'b str, String> {
        let bytes = self.value(place).ok_or_else(|| format!("column {place} of the catalog is NULL"))?;
        std::str::from_utf8(bytes).map_err(|_| format!("column {place} of the catalog is not UTF-8"))
    }

    /// A text, as far as it can be read; `None` for NULL.
    pub(crate) fn text(&self, place: usize) -> Option<String> {
        self.value(place).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// A number; `None` for NULL.
    pub(crate) fn number<T: std::str::FromStr>(&self, place: usize) -> Result<Option<T>, String> {
        let Some(bytes) = self.value(place) else { return Ok(None) };
        let number = std::str::from_utf8(bytes).ok().and_then(|digits| digits.parse().ok());
        number.map(Some).ok_or_else(|| format!("column {place} of the catalog is not the number it should be"))
    }
}

fn is_eof(payload: &[u8]) -> bool {
    payload.first() == Some(&EOF) && payload.len() <= EOF_BYTES_MAX
}

/// The end of an answer, of which there must be one.
fn ended(payload: &[u8]) -> Result<(), Failure> {
    let status = match payload {
        [EOF, _, _, low, high] => Some(u16::from_le_bytes([*low, *high])),
        _ => OkPacket::read(payload, login::CAPABILITIES).map(|ok| ok.status),
    };
    match status {
        Some(status) if status & STATUS_MORE_RESULTS == 0 => Ok(()),
        Some(_) => Err(Failure::broken("the server gave more answers than it was asked for")),
        None => Err(Failure::broken("the server's answer has no end that can be read")),
    }
}
