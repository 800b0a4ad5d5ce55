//! A PostgreSQL client that does only what it is told, message by message, and keeps every reply as it came.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::fixture::PASSWORD;
use crate::frames::{self, Message};
use crate::scram::Scram;

/// How long a reply may take before the test fails: longer than any honest wait here, so that a hang is a failure
/// with a name and not a stuck run.
const REPLY: Duration = Duration::from_secs(30);

/// Largest message that a test accepts from the other side.
const MESSAGE_MAX: usize = 64 << 20;

/// What carries the bytes.
#[derive(Debug)]
enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    fn socket(&self) -> &TcpStream {
        match self {
            Wire::Plain(socket) => socket,
            Wire::Tls(stream) => &stream.sock,
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(socket) => socket.read(buffer),
            Wire::Tls(stream) => stream.read(buffer),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Wire::Plain(socket) => socket.write_all(bytes),
            Wire::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }
}

/// A connection.
#[derive(Debug)]
pub struct Raw {
    wire: Wire,
    buffer: Vec<u8>,
    /// What the server reported with ParameterStatus.
    pub parameters: BTreeMap<String, String>,
    /// Process number and secret from BackendKeyData.
    pub key: Option<(i32, Vec<u8>)>,
}

impl Raw {
    /// Opens a connection and sends nothing.
    pub fn connect(address: SocketAddr) -> Raw {
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("cannot reach {address}: {error}"));
        Raw::over(stream)
    }

    /// Logs in with the password that all test accounts share.
    pub fn login(address: SocketAddr, user: &str, database: &str) -> Raw {
        Raw::try_login(address, &[("user", user), ("database", database)], PASSWORD)
            .unwrap_or_else(|error| panic!("login of {user}: {error:?}"))
    }

    /// Logs in with exactly these start-up fields; the error is what the server said, or why the connection ended.
    pub fn try_login(address: SocketAddr, fields: &[(&str, &str)], password: &str) -> Result<Raw, Failure> {
        let mut raw = Raw::over(TcpStream::connect(address)?);
        raw.send(&frames::startup(fields));
        raw.authenticate(password)?;
        Ok(raw)
    }

    fn over(stream: TcpStream) -> Raw {
        stream.set_nodelay(true).expect("socket option");
        stream.set_read_timeout(Some(REPLY)).expect("socket option");
        stream.set_write_timeout(Some(REPLY)).expect("socket option");
        Raw { wire: Wire::Plain(stream), buffer: Vec::new(), parameters: BTreeMap::new(), key: None }
    }

    /// Opens a connection, asks for TLS and puts it on; the server must bear `name`.
    pub fn connect_tls(address: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> io::Result<Raw> {
        let mut raw = Raw::connect(address);
        raw.send(&frames::ssl_request());
        match raw.receive_byte() {
            Ok(b'S') => raw.secure(config, name).map(|()| raw),
            other => Err(io::Error::other(format!("asked for TLS, and the answer is {other:?}"))),
        }
    }

    /// Puts TLS on a plain connection, asked for or not. The error is what the handshake ended with.
    pub fn secure(&mut self, config: &Arc<ClientConfig>, name: &str) -> io::Result<()> {
        let Wire::Plain(socket) = &self.wire else { panic!("TLS is on already") };
        let mut socket = socket.try_clone()?;
        let name = ServerName::try_from(name.to_owned()).expect("a server's name");
        let mut connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        connection.complete_io(&mut socket)?;
        self.wire = Wire::Tls(Box::new(StreamOwned::new(connection, socket)));
        Ok(())
    }

    /// What was agreed on, when TLS is on.
    pub fn tls(&self) -> Option<&ClientConnection> {
        match &self.wire {
            Wire::Plain(_) => None,
            Wire::Tls(stream) => Some(&stream.conn),
        }
    }

    /// Answers the server's authentication requests until it is ready for queries.
    pub fn authenticate(&mut self, password: &str) -> Result<(), Failure> {
        let mut scram = Scram::new(password);
        loop {
            let message = self.receive()?;
            let body = &message.body;
            match message.tag {
                b'R' => {
                    let kind = i32::from_be_bytes(body[..4].try_into().expect("four bytes"));
                    let text = String::from_utf8_lossy(&body[4..]).into_owned();
                    match kind {
                        0 => {}
                        3 => self.send(&frames::frame(b'p', &[password.as_bytes(), b"\0"].concat())),
                        10 => {
                            assert!(text.split('\0').any(|name| name == "SCRAM-SHA-256"), "mechanisms {text}");
                            let first = scram.first();
                            let mut reply = b"SCRAM-SHA-256\0".to_vec();
                            reply.extend_from_slice(&i32::try_from(first.len()).expect("small").to_be_bytes());
                            reply.extend_from_slice(first.as_bytes());
                            self.send(&frames::frame(b'p', &reply));
                        }
                        11 => {
                            let last = scram.last(&text).map_err(Failure::Broken)?;
                            self.send(&frames::frame(b'p', last.as_bytes()));
                        }
                        12 if scram.server_is_genuine(&text) => {}
                        _ => return Err(Failure::Broken(format!("authentication request {kind} {text}"))),
                    }
                }
                b'E' => return Err(Failure::Server(ServerError::read(body))),
                b'Z' => return Ok(()),
                _ => self.note(&message),
            }
        }
    }

    /// Sends bytes as they are. A peer that has closed is told by the next read, which is where tests look.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.wire.write_all(bytes);
    }

    /// Sends bytes, telling whether the connection took them.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.write_all(bytes)
    }

    /// The next message; an error when the connection ends or nothing comes for long.
    pub fn receive(&mut self) -> Result<Message, Failure> {
        loop {
            if self.buffer.len() >= 5 {
                let length = u32::from_be_bytes(self.buffer[1..5].try_into().expect("four bytes")) as usize;
                if !(4..=MESSAGE_MAX).contains(&length) {
                    return Err(Failure::Broken(format!("length {length} of `{}`", self.buffer[..5].escape_ascii())));
                }
                if self.buffer.len() > length {
                    let message = Message { tag: self.buffer[0], body: self.buffer[5..=length].to_vec() };
                    self.buffer.drain(..=length);
                    self.note(&message);
                    return Ok(message);
                }
            }
            self.fill()?;
        }
    }

    /// Waits until at least so many bytes have come that nobody has read, or nothing more will.
    pub fn await_bytes(&mut self, count: usize) {
        while self.buffer.len() < count && self.fill().is_ok() {}
    }

    fn fill(&mut self) -> Result<(), Failure> {
        let mut chunk = [0_u8; 65_536];
        match self.wire.read(&mut chunk)? {
            0 => Err(Failure::Closed),
            count => {
                self.buffer.extend_from_slice(&chunk[..count]);
                Ok(())
            }
        }
    }

    /// One raw byte, as SSLRequest and GSSENCRequest are answered.
    pub fn receive_byte(&mut self) -> Result<u8, Failure> {
        while self.buffer.is_empty() {
            self.fill()?;
        }
        Ok(self.buffer.remove(0))
    }

    /// Everything up to and including ReadyForQuery, or what came before the connection ended.
    pub fn until_ready(&mut self) -> Reply {
        self.until(|message| message.tag == b'Z')
    }

    /// Everything up to and including the first message that `last` names.
    pub fn until(&mut self, last: impl Fn(&Message) -> bool) -> Reply {
        let mut messages = Vec::new();
        loop {
            match self.receive() {
                Ok(message) => {
                    let done = last(&message);
                    messages.push(message);
                    if done {
                        return Reply { messages, end: None };
                    }
                }
                Err(failure) => return Reply { messages, end: Some(failure) },
            }
        }
    }

    /// Sends bytes and reads up to ReadyForQuery.
    pub fn ask(&mut self, bytes: &[u8]) -> Reply {
        self.send(bytes);
        self.until_ready()
    }

    /// A simple query and its whole reply.
    pub fn query(&mut self, sql: &str) -> Reply {
        self.ask(&frames::query(sql))
    }

    /// Parse, Bind, Describe, Execute, Sync with the unnamed statement and text parameters.
    pub fn extended(&mut self, sql: &str, parameters: &[&str]) -> Reply {
        self.ask(
            &[
                frames::parse("", sql),
                frames::bind("", "", parameters, 0),
                frames::describe(b'P', ""),
                frames::execute("", 0),
                frames::sync(),
            ]
            .concat(),
        )
    }

    /// Ends the session as a good client does, and waits until the other side has closed.
    pub fn goodbye(mut self) {
        self.send(&frames::terminate());
        while self.receive().is_ok() {}
    }

    /// Tells the other side that nothing more will come; replies are still read.
    pub fn close_sending(&mut self) {
        let _ = self.wire.socket().shutdown(Shutdown::Write);
    }

    /// Vanishes: closes the socket with no word. Unread replies make the kernel send a reset.
    pub fn vanish(self) {
        let _ = self.wire.socket().shutdown(Shutdown::Both);
    }

    /// The local address, as the server sees it.
    pub fn local(&self) -> SocketAddr {
        self.wire.socket().local_addr().expect("a connected socket")
    }

    /// Bounds the wait for one read; for tests that expect silence.
    pub fn patience(&mut self, limit: Duration) {
        self.wire.socket().set_read_timeout(Some(limit)).expect("socket option");
    }

    fn note(&mut self, message: &Message) {
        match message.tag {
            b'S' => {
                let mut parts =
                    message.body.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned());
                if let (Some(name), Some(value)) = (parts.next(), parts.next()) {
                    self.parameters.insert(name, value);
                }
            }
            b'K' if message.body.len() >= 8 => {
                let pid = i32::from_be_bytes(message.body[..4].try_into().expect("four bytes"));
                self.key = Some((pid, message.body[4..].to_vec()));
            }
            _ => {}
        }
    }
}

/// Why a connection gave no reply.
#[derive(Debug)]
pub enum Failure {
    /// The server refused, with an ErrorResponse.
    Server(ServerError),
    /// The connection ended, orderly or by reset.
    Closed,
    /// Nothing came for long.
    Silent,
    /// What came made no sense.
    Broken(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Failure::Silent,
            _ => Failure::Closed,
        }
    }
}

/// The fields of an ErrorResponse or NoticeResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    /// `S`/`V`: ERROR, FATAL, NOTICE …
    pub severity: String,
    /// `C`.
    pub sqlstate: String,
    /// `M`.
    pub message: String,
    /// `D`.
    pub detail: String,
    /// `H`.
    pub hint: String,
}

impl ServerError {
    /// Reads the body of an `E` or `N` message.
    pub fn read(body: &[u8]) -> ServerError {
        let mut error = ServerError::default();
        for field in body.split(|byte| *byte == 0).filter(|field| !field.is_empty()) {
            let value = String::from_utf8_lossy(&field[1..]).into_owned();
            match field[0] {
                b'S' => error.severity = value,
                b'C' => error.sqlstate = value,
                b'M' => error.message = value,
                b'D' => error.detail = value,
                b'H' => error.hint = value,
                _ => {}
            }
        }
        error
    }
}

/// The messages of one reply.
pub struct Reply {
    /// As they came.
    pub messages: Vec<Message>,
    /// Why there is no more, when it did not end as awaited.
    pub end: Option<Failure>,
}

impl std::fmt::Debug for Reply {
    /// The outline: a failing test shows what kind of messages came, not three thousand rows.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "reply `{}` of {} rows, errors {:?}", self.tags(), self.rows(), self.errors())?;
        if let Some(end) = &self.end {
            write!(f, ", then {end:?}")?;
        }
        Ok(())
    }
}

impl Reply {
    /// Tags in order, runs of DataRow and CopyData folded into one: `TDCZ`, `1 2 T D s Z` …
    pub fn tags(&self) -> String {
        let mut tags = String::new();
        for message in &self.messages {
            let tag = char::from(message.tag);
            if !((tag == 'D' || tag == 'd') && tags.ends_with(tag)) {
                tags.push(tag);
            }
        }
        tags
    }

    /// How many DataRow messages came.
    pub fn rows(&self) -> usize {
        self.messages.iter().filter(|message| message.tag == b'D').count()
    }

    /// DataRow values as text; NULL is `<null>`.
    pub fn texts(&self) -> Vec<Vec<String>> {
        self.messages.iter().filter(|message| message.tag == b'D').map(|message| row(&message.body)).collect()
    }

    /// First column of each row.
    pub fn column(&self) -> Vec<String> {
        self.texts().into_iter().filter_map(|row| row.into_iter().next()).collect()
    }

    /// Payload of all CopyData messages together.
    pub fn copied(&self) -> Vec<u8> {
        self.messages.iter().filter(|message| message.tag == b'd').flat_map(|message| message.body.clone()).collect()
    }

    /// Command tags.
    pub fn completions(&self) -> Vec<String> {
        self.messages
            .iter()
            .filter(|message| message.tag == b'C')
            .map(|message| String::from_utf8_lossy(&message.body).trim_end_matches('\0').to_owned())
            .collect()
    }

    /// Every ErrorResponse.
    pub fn errors(&self) -> Vec<ServerError> {
        self.messages
            .iter()
            .filter(|message| message.tag == b'E')
            .map(|message| ServerError::read(&message.body))
            .collect()
    }

    /// The only ErrorResponse; panics when there is none or more than one.
    pub fn error(&self) -> ServerError {
        let mut errors = self.errors();
        assert_eq!(errors.len(), 1, "one error expected in {self:?}");
        errors.remove(0)
    }

    /// Transaction status of the last ReadyForQuery: `I`, `T` or `E`.
    pub fn status(&self) -> char {
        let ready = self.messages.iter().rev().find(|message| message.tag == b'Z');
        ready.map(|message| char::from(message.body[0])).unwrap_or_else(|| panic!("no ReadyForQuery in {self:?}"))
    }

    /// Panics when it holds an error or did not end as awaited; returns itself.
    pub fn fine(self) -> Reply {
        assert!(self.errors().is_empty() && self.end.is_none(), "an untroubled reply expected: {self:?}");
        self
    }
}

fn row(body: &[u8]) -> Vec<String> {
    let count = u16::from_be_bytes([body[0], body[1]]);
    let mut rest = &body[2..];
    (0..count)
        .map(|_| {
            let length = i32::from_be_bytes(rest[..4].try_into().expect("four bytes"));
            rest = &rest[4..];
            let Ok(length) = usize::try_from(length) else { return "<null>".to_owned() };
            let (value, after) = rest.split_at(length);
            rest = after;
            String::from_utf8_lossy(value).into_owned()
        })
        .collect()
}
