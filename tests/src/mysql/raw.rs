//! A MySQL client that does only what it is told, packet by packet, and keeps every reply as it came.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::mysql::auth;
use crate::mysql::login::CHARSET;
pub use crate::mysql::login::{Greeting, Login, response_head};
use crate::mysql::packets::{self, Cursor, PAYLOAD_MAX, Packet, capability, status};
use crate::mysql::reply::{Column, Done, Failure, Reply, ResultSet, ServerError, binary_row, text_row};

/// How long a reply may take before the test fails: longer than any honest wait here, so that a hang is a failure
/// with a name and not a stuck run.
const REPLY: Duration = Duration::from_secs(30);

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
    /// Number that the next packet of the login bears.
    sequence: u8,
    /// Capabilities in force.
    pub capabilities: u32,
    /// The server's first packet.
    pub greeting: Greeting,
}

impl Raw {
    /// Opens a connection and reads nothing.
    pub fn connect(address: SocketAddr) -> Raw {
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("cannot reach {address}: {error}"));
        Raw::over(stream)
    }

    /// Logs in with the password that all test accounts share.
    #[track_caller]
    pub fn login(address: SocketAddr, user: &str, database: &str) -> Raw {
        Raw::try_login(address, &Login::new(user, database))
            .unwrap_or_else(|error| panic!("login of {user}: {error:?}"))
    }

    /// Logs in; the error is what the server said, or why the connection ended.
    pub fn try_login(address: SocketAddr, login: &Login<'_>) -> Result<Raw, Failure> {
        let mut raw = Raw::over(TcpStream::connect(address)?);
        raw.greet()?;
        raw.authenticate(login)?;
        Ok(raw)
    }

    fn over(stream: TcpStream) -> Raw {
        stream.set_nodelay(true).expect("socket option");
        stream.set_read_timeout(Some(REPLY)).expect("socket option");
        stream.set_write_timeout(Some(REPLY)).expect("socket option");
        let greeting = Greeting::default();
        Raw { wire: Wire::Plain(stream), buffer: Vec::new(), sequence: 0, capabilities: 0, greeting }
    }

    /// Reads the server's first packet.
    pub fn greet(&mut self) -> Result<(), Failure> {
        let packet = self.receive()?;
        if packet.payload.first() == Some(&0xff) {
            return Err(Failure::Server(ServerError::read(&packet.payload)));
        }
        let greeting = Greeting::read(&packet.payload);
        self.greeting = greeting.ok_or_else(|| Failure::Broken(format!("no greeting: {packet:?}")))?;
        self.sequence = packet.sequence.wrapping_add(1);
        Ok(())
    }

    /// Asks for TLS and puts it on; the server must bear `name`.
    pub fn secure(&mut self, config: &Arc<ClientConfig>, name: &str, capabilities: u32) -> io::Result<()> {
        self.send_next(&response_head(capabilities | capability::SSL, CHARSET));
        self.put_on(config, name)
    }

    /// Puts TLS on a plain connection, asked for or not.
    pub fn put_on(&mut self, config: &Arc<ClientConfig>, name: &str) -> io::Result<()> {
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

    /// Sends the handshake response and answers until the server is content.
    pub fn authenticate(&mut self, login: &Login<'_>) -> Result<(), Failure> {
        let mut capabilities = login.capabilities & self.greeting.capabilities;
        if login.database.is_empty() {
            capabilities &= !capability::CONNECT_WITH_DB;
        }
        if self.tls().is_some() {
            capabilities |= capability::SSL;
        }
        self.capabilities = capabilities;
        let plugin = self.greeting.plugin.clone();
        let nonce = self.greeting.nonce.clone();
        // A plugin that we do not have is answered with nothing: the server then asks for the account's own.
        let answer = auth::answer(&plugin, login.password, &nonce).unwrap_or_default();
        let mut body = response_head(capabilities, login.charset);
        body.extend_from_slice(login.user.as_bytes());
        body.push(0);
        packets::lenenc_string(&mut body, &answer);
        if capabilities & capability::CONNECT_WITH_DB != 0 {
            body.extend_from_slice(login.database.as_bytes());
            body.push(0);
        }
        body.extend_from_slice(plugin.as_bytes());
        body.push(0);
        self.send_next(&body);
        self.converse(login.password, nonce)
    }

    /// COM_CHANGE_USER and the authentication that follows it.
    pub fn change_user(&mut self, login: &Login<'_>) -> Result<(), Failure> {
        let nonce = self.greeting.nonce.clone();
        let plugin = self.greeting.plugin.clone();
        let answer = auth::answer(&plugin, login.password, &nonce).unwrap_or_default();
        let mut body = vec![packets::command::CHANGE_USER];
        body.extend_from_slice(login.user.as_bytes());
        body.push(0);
        packets::lenenc_string(&mut body, &answer);
        body.extend_from_slice(login.database.as_bytes());
        body.push(0);
        body.extend_from_slice(&u16::from(login.charset).to_le_bytes());
        body.extend_from_slice(plugin.as_bytes());
        body.push(0);
        self.send(&packets::packets(0, &body));
        self.converse(login.password, nonce)
    }

    fn converse(&mut self, password: &str, mut nonce: Vec<u8>) -> Result<(), Failure> {
        loop {
            let packet = self.receive()?;
            self.sequence = packet.sequence.wrapping_add(1);
            match packet.payload.split_first() {
                Some((0x00, _)) => return Ok(()),
                Some((0xff, _)) => return Err(Failure::Server(ServerError::read(&packet.payload))),
                Some((0xfe, rest)) => {
                    let mut cursor = Cursor(rest);
                    let plugin = cursor.cstring().map(|name| String::from_utf8_lossy(name).into_owned());
                    let plugin = plugin.ok_or_else(|| Failure::Broken(format!("a switch to nothing: {packet:?}")))?;
                    nonce = cursor.0.strip_suffix(b"\0").unwrap_or(cursor.0).to_vec();
                    let answer = auth::answer(&plugin, password, &nonce).map_err(Failure::Broken)?;
                    self.send_next(&answer);
                }
                // caching_sha2_password: the server remembers us.
                Some((0x01, [3])) => {}
                // It does not: the password itself, sealed by TLS or by the server's key.
                Some((0x01, [4])) if self.tls().is_some() => {
                    self.send_next(&[password.as_bytes(), b"\0"].concat());
                }
                Some((0x01, [4])) => self.send_next(&[2]),
                Some((0x01, key)) => {
                    let sealed = auth::encrypted(password, &nonce, key).map_err(Failure::Broken)?;
                    self.send_next(&sealed);
                }
                _ => return Err(Failure::Broken(format!("in the login: {packet:?}"))),
            }
        }
    }

    /// Sends a payload with the next number of the login.
    pub fn send_next(&mut self, payload: &[u8]) {
        let bytes = packets::packets(self.sequence, payload);
        self.send(&bytes);
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// Sends bytes as they are. A peer that has closed is told by the next read, which is where tests look.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.wire.write_all(bytes);
    }

    /// Sends bytes, telling whether the connection took them.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.write_all(bytes)
    }

    /// The next payload, joined where it took several packets.
    pub fn receive(&mut self) -> Result<Packet, Failure> {
        let mut payload = Vec::new();
        loop {
            while self.buffer.len() < 4 {
                self.fill()?;
            }
            let header = [self.buffer[0], self.buffer[1], self.buffer[2], 0];
            let length = usize::try_from(u32::from_le_bytes(header)).expect("three bytes");
            while self.buffer.len() < 4 + length {
                self.fill()?;
            }
            let sequence = self.buffer[3];
            payload.extend_from_slice(&self.buffer[4..4 + length]);
            self.buffer.drain(..4 + length);
            if length < PAYLOAD_MAX {
                return Ok(Packet { sequence, payload });
            }
        }
    }

    /// Waits until at least so many bytes have come that nobody has read, or nothing more will.
    pub fn await_bytes(&mut self, count: usize) {
        while self.buffer.len() < count && self.fill().is_ok() {}
    }

    fn fill(&mut self) -> Result<(), Failure> {
        let mut chunk = vec![0_u8; 65_536];
        match self.wire.read(&mut chunk)? {
            0 => Err(Failure::Closed),
            count => {
                self.buffer.extend_from_slice(&chunk[..count]);
                Ok(())
            }
        }
    }

    /// COM_QUERY and everything that comes of it.
    pub fn query(&mut self, sql: &str) -> Reply {
        self.ask(&packets::query(sql))
    }

    /// Sends these bytes, and reads what one command with text results brings.
    pub fn ask(&mut self, bytes: &[u8]) -> Reply {
        self.send(bytes);
        self.text_reply()
    }

    /// Everything that a text command brings.
    pub fn text_reply(&mut self) -> Reply {
        self.reply(Rows::Text)
    }

    /// Everything that an execution of a prepared statement brings.
    pub fn binary_reply(&mut self) -> Reply {
        self.reply(Rows::Binary)
    }

    /// COM_STMT_PREPARE.
    pub fn prepare(&mut self, sql: &str) -> Result<Prepared, Failure> {
        self.send(&packets::prepare(sql));
        self.prepared()
    }

    /// What COM_STMT_PREPARE brings.
    pub fn prepared(&mut self) -> Result<Prepared, Failure> {
        let packet = self.receive()?;
        if packet.payload.first() == Some(&0xff) {
            return Err(Failure::Server(ServerError::read(&packet.payload)));
        }
        let broken = || Failure::Broken(format!("no answer to a prepare: {packet:?}"));
        let mut cursor = Cursor(packet.payload.get(1..).ok_or_else(broken)?);
        let id = cursor.u32().ok_or_else(broken)?;
        let columns = usize::from(cursor.u16().ok_or_else(broken)?);
        let parameters = usize::from(cursor.u16().ok_or_else(broken)?);
        let mut lists = [Vec::new(), Vec::new()];
        for (list, count) in lists.iter_mut().zip([parameters, columns]) {
            for _ in 0..count {
                let packet = self.receive()?;
                if packet.payload.first() == Some(&0xff) {
                    return Err(Failure::Server(ServerError::read(&packet.payload)));
                }
                let column = Column::read(&packet.payload);
                list.push(column.ok_or_else(|| Failure::Broken(format!("no definition: {packet:?}")))?);
            }
            if count > 0 && self.capabilities & capability::DEPRECATE_EOF == 0 {
                self.receive()?;
            }
        }
        let [_, columns] = lists;
        Ok(Prepared { id, parameters, columns })
    }

    /// Prepares and runs with text parameters; the statement is closed again. A statement that cannot be prepared is
    /// a reply with its error.
    pub fn extended(&mut self, sql: &str, parameters: &[&str]) -> Reply {
        let prepared = match self.prepare(sql) {
            Ok(prepared) => prepared,
            Err(Failure::Server(error)) => return Reply { error: Some(error), ..Reply::default() },
            Err(end) => return Reply { end: Some(end), ..Reply::default() },
        };
        let reply = self.execute(&prepared, 0, parameters);
        self.send(&packets::close(prepared.id));
        reply
    }

    /// COM_STMT_EXECUTE.
    pub fn execute(&mut self, prepared: &Prepared, cursor: u8, parameters: &[&str]) -> Reply {
        self.send(&packets::execute(prepared.id, cursor, parameters));
        self.binary_reply()
    }

    /// COM_STMT_FETCH of an open cursor over these columns.
    pub fn fetch(&mut self, prepared: &Prepared, columns: &[Column], rows: u32) -> Reply {
        self.send(&packets::fetch(prepared.id, rows));
        let mut reply = Reply::default();
        let mut result = ResultSet { columns: columns.to_vec(), ..ResultSet::default() };
        if let Err(end) = self.rows(&mut result, &mut reply, Rows::Binary) {
            reply.end = Some(end);
        }
        reply.results.push(result);
        reply
    }

    fn reply(&mut self, rows: Rows) -> Reply {
        let mut reply = Reply::default();
        loop {
            let mut result = ResultSet::default();
            let outcome = self.result(&mut result, &mut reply, rows);
            let more = result.done.as_ref().is_some_and(Done::more);
            if !result.columns.is_empty() || result.done.is_some() {
                reply.results.push(result);
            }
            match outcome {
                Ok(()) if more && reply.error.is_none() => {}
                Ok(()) => return reply,
                Err(end) => {
                    reply.end = Some(end);
                    return reply;
                }
            }
        }
    }

    fn note(&mut self, reply: &mut Reply) -> Result<Packet, Failure> {
        let packet = self.receive()?;
        reply.packets.push(packet.clone());
        Ok(packet)
    }

    fn result(&mut self, result: &mut ResultSet, reply: &mut Reply, rows: Rows) -> Result<(), Failure> {
        // MariaDB tells progress between anything, where it was asked to; our clients never ask.
        let packet = self.note(reply)?;
        let broken = || Failure::Broken(format!("no result: {packet:?}"));
        match packet.payload.first() {
            Some(0x00) => {
                result.done = Some(Done::ok(&packet.payload).ok_or_else(broken)?);
                return Ok(());
            }
            Some(0xff) => {
                reply.error = Some(ServerError::read(&packet.payload));
                return Ok(());
            }
            // What COM_SET_OPTION and COM_DEBUG are answered with.
            Some(0xfe) if packet.payload.len() < 9 => {
                result.done = Some(Done::eof(&packet.payload).ok_or_else(broken)?);
                return Ok(());
            }
            // A file of ours: never sent; an empty packet says so.
            Some(0xfb) => {
                reply.packets.push(packet.clone());
                self.send(&packets::packets(packet.sequence.wrapping_add(1), b""));
                return self.result(result, reply, rows);
            }
            _ => {}
        }
        let count = Cursor(&packet.payload).lenenc().ok_or_else(broken)?;
        for _ in 0..count {
            let packet = self.note(reply)?;
            if packet.payload.first() == Some(&0xff) {
                reply.error = Some(ServerError::read(&packet.payload));
                return Ok(());
            }
            let column = Column::read(&packet.payload);
            result.columns.push(column.ok_or_else(|| Failure::Broken(format!("no definition: {packet:?}")))?);
        }
        if self.capabilities & capability::DEPRECATE_EOF == 0 {
            let packet = self.note(reply)?;
            let done = Done::eof(&packet.payload).ok_or_else(|| Failure::Broken(format!("no EOF: {packet:?}")))?;
            if done.status & status::CURSOR_EXISTS != 0 {
                result.done = Some(done);
                return Ok(());
            }
        }
        self.rows(result, reply, rows)
    }

    fn rows(&mut self, result: &mut ResultSet, reply: &mut Reply, rows: Rows) -> Result<(), Failure> {
        let modern = self.capabilities & capability::DEPRECATE_EOF != 0;
        loop {
            let packet = self.note(reply)?;
            let payload = &packet.payload;
            let broken = |what: &str| Failure::Broken(format!("{what}: {packet:?}"));
            match payload.first() {
                Some(0xff) => {
                    reply.error = Some(ServerError::read(payload));
                    return Ok(());
                }
                Some(0xfe) if modern && payload.len() < PAYLOAD_MAX => {
                    result.done = Some(Done::ok(payload).ok_or_else(|| broken("no end of rows"))?);
                    return Ok(());
                }
                Some(0xfe) if !modern && payload.len() < 9 => {
                    result.done = Some(Done::eof(payload).ok_or_else(|| broken("no end of rows"))?);
                    return Ok(());
                }
                _ => {
                    let row = match rows {
                        Rows::Text => text_row(payload, result.columns.len()),
                        Rows::Binary => binary_row(payload, &result.columns),
                    };
                    result.rows.push(row.ok_or_else(|| broken("no row"))?);
                }
            }
        }
    }

    /// Orderly end: COM_QUIT, and waits until the other side closes.
    pub fn goodbye(mut self) {
        self.send(&packets::quit());
        while self.receive().is_ok() {}
    }

    /// Disappears without a word: a reset where something was left to read.
    pub fn vanish(self) {
        let _ = self.wire.socket().shutdown(Shutdown::Both);
    }

    /// Says that nothing more follows from us.
    pub fn close_sending(&mut self) {
        let _ = self.wire.socket().shutdown(Shutdown::Write);
    }

    /// Changes how long a reply may take.
    pub fn patience(&mut self, limit: Duration) {
        self.wire.socket().set_read_timeout(Some(limit)).expect("socket option");
    }

    /// The remote side's address.
    pub fn peer(&self) -> SocketAddr {
        self.wire.socket().peer_addr().expect("a connected socket")
    }
}

/// A prepared statement.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Its number.
    pub id: u32,
    /// How many parameters it takes.
    pub parameters: usize,
    /// Columns of its result, as the server described them.
    pub columns: Vec<Column>,
}

#[derive(Clone, Copy, Debug)]
enum Rows {
    Text,
    Binary,
}
