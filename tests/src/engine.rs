//! What a behaviour that is the same for both protocols is tested with: one client, one kind of answer.
//!
//! A test that takes an [`Engine`] is written once and listed for both by [`for_both_engines!`]. What only one protocol
//! has is tested with its own client ([`crate::raw::Raw`], [`crate::mysql::raw::Raw`]).

use std::net::SocketAddr;

use crate::mysql;
use crate::mysql::server::MySql;
use crate::policies::{DENIED, DENIED_MYSQL};
use crate::postgres::Postgres;
use crate::raw;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    MySql,
}

/// Lists each function of an [`Engine`] as a test of either protocol.
#[macro_export]
macro_rules! for_both_engines {
    ($($name:ident),+ $(,)?) => {
        mod postgres {
            $(#[test] fn $name() { super::$name($crate::engine::Engine::Postgres); })+
        }
        mod mysql {
            $(#[test] fn $name() { super::$name($crate::engine::Engine::MySql); })+
        }
    };
}

/// A running server of either kind.
pub trait Server {
    /// What it speaks.
    fn engine(&self) -> Engine;
    /// Where it listens.
    fn address(&self) -> SocketAddr;
    /// A new database with the fixture in it.
    fn database(&self, prefix: &str) -> String;
    /// Runs a script in a database, as the one who may everything; it must work.
    fn script(&self, database: &str, script: &str) -> String;
    /// One value of one row, directly as the one who may everything.
    fn value(&self, database: &str, sql: &str) -> String;
    /// How many statements with this mark it is running for others.
    fn running(&self, mark: &str) -> usize;
    /// Adds customers after the fixture's, up to this number, in the fixture's manner.
    fn more_customers(&self, database: &str, up_to: u64);
    /// Ends the connection that runs a statement with this mark; `hard`, in the way that hurts most: the process.
    fn end_connection(&self, mark: &str, hard: bool);
}

impl Server for Postgres {
    fn engine(&self) -> Engine {
        Engine::Postgres
    }

    fn address(&self) -> SocketAddr {
        Postgres::address(self)
    }

    fn database(&self, prefix: &str) -> String {
        Postgres::database(self, prefix)
    }

    fn script(&self, database: &str, script: &str) -> String {
        self.psql(database, script)
    }

    fn value(&self, database: &str, sql: &str) -> String {
        Postgres::value(self, database, sql)
    }

    fn running(&self, mark: &str) -> usize {
        let sql = format!(
            "select pid from pg_stat_activity where state = 'active' and query like '%{mark}%' \
             and pid <> pg_backend_pid()"
        );
        self.superuser("support").query(&sql).rows()
    }

    fn more_customers(&self, database: &str, up_to: u64) {
        Postgres::more_customers(self, database, up_to);
    }

    fn end_connection(&self, mark: &str, hard: bool) {
        let of = format!("from pg_stat_activity where query like '%{mark}%' and pid <> pg_backend_pid()");
        if hard {
            let pid = self.value("support", &format!("select pid {of}"));
            crate::process::signal(pid.parse().expect("a number"), "KILL");
        } else {
            self.value("support", &format!("select pg_terminate_backend(pid) {of}"));
        }
    }
}

impl Server for MySql {
    fn engine(&self) -> Engine {
        Engine::MySql
    }

    fn address(&self) -> SocketAddr {
        MySql::address(self)
    }

    fn database(&self, prefix: &str) -> String {
        MySql::database(self, prefix)
    }

    fn script(&self, database: &str, script: &str) -> String {
        MySql::script(self, database, script)
    }

    fn value(&self, database: &str, sql: &str) -> String {
        MySql::value(self, database, sql)
    }

    fn running(&self, mark: &str) -> usize {
        MySql::running(self, mark)
    }

    fn more_customers(&self, database: &str, up_to: u64) {
        MySql::more_customers(self, database, up_to);
    }

    fn end_connection(&self, mark: &str, hard: bool) {
        if hard {
            crate::process::signal(self.pid(), "KILL");
        } else {
            let of = format!("where info like '%{mark}%' and id <> connection_id()");
            let id = self.value("", &format!("select id from information_schema.processlist {of}"));
            self.administrator("").query(&format!("kill {id}")).fine();
        }
    }
}

impl Engine {
    /// The server of this kind that all tests of this process share.
    pub fn server(self) -> &'static dyn Server {
        match self {
            Engine::Postgres => Postgres::shared(),
            Engine::MySql => MySql::shared(),
        }
    }

    /// A server of one's own, for tests that hurt it.
    pub fn own_server(self) -> Box<dyn Server> {
        match self {
            Engine::Postgres => Box::new(Postgres::start()),
            Engine::MySql => Box::new(MySql::start()),
        }
    }

    /// An expression that takes so many seconds.
    pub fn sleep(self, seconds: &str) -> String {
        match self {
            Engine::Postgres => format!("pg_sleep({seconds})"),
            Engine::MySql => format!("sleep({seconds})"),
        }
    }
}

/// A session in either protocol.
#[derive(Debug)]
pub enum Client {
    /// PostgreSQL's.
    Postgres(raw::Raw),
    /// MySQL's.
    MySql(mysql::raw::Raw),
}

impl Client {
    /// Logs in with the password that all test accounts share.
    #[track_caller]
    pub fn login(engine: Engine, address: SocketAddr, user: &str, database: &str) -> Client {
        match engine {
            Engine::Postgres => Client::Postgres(raw::Raw::login(address, user, database)),
            Engine::MySql => Client::MySql(mysql::raw::Raw::login(address, user, database)),
        }
    }

    /// Logs in; the error is what the other side said, or why it said no more.
    pub fn try_login(
        engine: Engine,
        address: SocketAddr,
        user: &str,
        database: &str,
        password: &str,
    ) -> Result<Client, Answer> {
        let lost = |end: String| Answer { rows: Vec::new(), error: None, lost: Some(end) };
        match engine {
            Engine::Postgres => {
                let fields = [("user", user), ("database", database)];
                raw::Raw::try_login(address, &fields, password).map(Client::Postgres).map_err(|failure| match failure {
                    raw::Failure::Server(error) => Answer { error: Some(error.into()), ..Answer::nothing() },
                    other => lost(format!("{other:?}")),
                })
            }
            Engine::MySql => {
                let login = mysql::raw::Login::new(user, database).password(password);
                mysql::raw::Raw::try_login(address, &login).map(Client::MySql).map_err(|failure| match failure {
                    mysql::reply::Failure::Server(error) => Answer { error: Some(error.into()), ..Answer::nothing() },
                    other => lost(format!("{other:?}")),
                })
            }
        }
    }

    /// A statement as text.
    pub fn query(&mut self, sql: &str) -> Answer {
        match self {
            Client::Postgres(client) => client.query(sql).into(),
            Client::MySql(client) => client.query(sql).into(),
        }
    }

    /// A prepared statement with text parameters, which stand as `?` in it.
    pub fn prepared(&mut self, sql: &str, parameters: &[&str]) -> Answer {
        match self {
            Client::Postgres(client) => client.extended(&numbered(sql), parameters).into(),
            Client::MySql(client) => client.extended(sql, parameters).into(),
        }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        match self {
            Client::Postgres(client) => client.send(bytes),
            Client::MySql(client) => client.send(bytes),
        }
    }

    /// Says that this is the end, and waits for nothing.
    pub fn send_goodbye(&mut self) {
        match self {
            Client::Postgres(client) => client.send(&crate::frames::terminate()),
            Client::MySql(client) => client.send(&mysql::packets::quit()),
        }
    }

    /// Prepares a statement and has it run, and waits for no row of it.
    pub fn send_prepared(&mut self, sql: &str) {
        match self {
            Client::Postgres(client) => {
                client.send(&[crate::frames::extended(sql, &[]), crate::frames::sync()].concat());
            }
            Client::MySql(client) => {
                let prepared = client.prepare(sql).unwrap_or_else(|failure| panic!("{sql}: {failure:?}"));
                client.send(&mysql::packets::execute(prepared.id, 0, &[]));
            }
        }
    }

    /// Sends a statement and waits for nothing.
    pub fn send_query(&mut self, sql: &str) {
        match self {
            Client::Postgres(client) => client.send(&crate::frames::query(sql)),
            Client::MySql(client) => client.send(&mysql::packets::query(sql)),
        }
    }

    /// Waits until at least so much of an answer has come, or nothing more will.
    pub fn await_bytes(&mut self, count: usize) {
        match self {
            Client::Postgres(client) => client.await_bytes(count),
            Client::MySql(client) => client.await_bytes(count),
        }
    }

    /// Everything that comes for one statement.
    pub fn answer(&mut self) -> Answer {
        match self {
            Client::Postgres(client) => client.until_ready().into(),
            Client::MySql(client) => client.text_reply().into(),
        }
    }

    /// Panics unless statements of both kinds work.
    #[track_caller]
    pub fn assert_usable(&mut self) {
        assert_eq!(self.query("select 'usable'").fine().column(), ["usable"]);
        let text = match self {
            Client::Postgres(_) => "select ?::text",
            Client::MySql(_) => "select ?",
        };
        assert_eq!(self.prepared(text, &["usable too"]).fine().column(), ["usable too"]);
    }

    /// Orderly end; waits until the other side closes.
    pub fn goodbye(self) {
        match self {
            Client::Postgres(client) => client.goodbye(),
            Client::MySql(client) => client.goodbye(),
        }
    }

    /// Disappears without a word.
    pub fn vanish(self) {
        match self {
            Client::Postgres(client) => client.vanish(),
            Client::MySql(client) => client.vanish(),
        }
    }
}

/// `?` as PostgreSQL counts them.
fn numbered(sql: &str) -> String {
    let mut parts = sql.split('?');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (number, part) in parts.enumerate() {
        text.push_str(&format!("${}", number + 1));
        text.push_str(part);
    }
    text
}

/// What came for one statement.
pub struct Answer {
    /// Rows of all results as text; NULL is `<null>`.
    pub rows: Vec<Vec<String>>,
    /// The error that ended it.
    pub error: Option<Refused>,
    /// Why nothing more came.
    pub lost: Option<String>,
}

/// An error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Number and SQLSTATE where the protocol has both.
    pub code: String,
    /// All that it says.
    pub message: String,
    /// Whether it is how policy says no.
    pub denied: bool,
}

/// Rows are counted and not shown: a failing test is to be read by a person.
impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("rows", &self.rows.len())
            .field("first", &self.rows.first())
            .field("error", &self.error)
            .field("lost", &self.lost)
            .finish()
    }
}

impl Answer {
    fn nothing() -> Answer {
        Answer { rows: Vec::new(), error: None, lost: None }
    }

    /// Whether it ended because nothing came for long.
    pub fn silent(&self) -> bool {
        self.lost.as_deref() == Some("Silent")
    }

    /// First column of each row.
    pub fn column(&self) -> Vec<String> {
        self.rows.iter().filter_map(|row| row.first().cloned()).collect()
    }

    /// Panics when it holds an error or did not end; returns itself.
    #[track_caller]
    pub fn fine(self) -> Answer {
        assert!(self.error.is_none() && self.lost.is_none(), "an untroubled answer expected: {self:?}");
        self
    }

    /// The error; panics when there is none.
    #[track_caller]
    pub fn error(&self) -> Refused {
        self.error.clone().unwrap_or_else(|| panic!("an error expected in {self:?}"))
    }
}

impl From<raw::ServerError> for Refused {
    fn from(error: raw::ServerError) -> Refused {
        Refused {
            denied: error.sqlstate == DENIED,
            message: [error.message, error.detail, error.hint].join(" "),
            code: error.sqlstate,
        }
    }
}

impl From<mysql::reply::ServerError> for Refused {
    fn from(error: mysql::reply::ServerError) -> Refused {
        Refused {
            denied: (error.code, error.sqlstate.as_str()) == DENIED_MYSQL,
            code: format!("{}/{}", error.code, error.sqlstate),
            message: error.message,
        }
    }
}

impl From<raw::Reply> for Answer {
    fn from(reply: raw::Reply) -> Answer {
        let error = reply.errors().into_iter().next().map(Refused::from);
        Answer { rows: reply.texts(), error, lost: reply.end.map(|end| format!("{end:?}")) }
    }
}

impl From<mysql::reply::Reply> for Answer {
    fn from(reply: mysql::reply::Reply) -> Answer {
        let error = reply.error.clone().map(Refused::from);
        Answer { rows: reply.texts(), error, lost: reply.end.map(|end| format!("{end:?}")) }
    }
}
