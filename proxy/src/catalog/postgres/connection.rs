//! Weir's own connection to a PostgreSQL: short, read-only, and wary of what answers.
//!
//! What must never happen here: the account's password in a form that whoever answers can use (in clear, or as MD5)
//! over a leg that is not verified; more memory than is named below for what a server sends.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_postgres::NoTls;
use tokio_rustls::TlsConnector;
use weir_wire::pg::scram::judge_server_first;
use weir_wire::pg::startup::ssl_request;

use crate::catalog::account::{Account, CONNECT_TIMEOUT, Leg, words};
use crate::monitor::carried::Held;
use crate::route::UpstreamTls;

/// Longest message of a server: a row of the catalog with the longest function body that is asked for, many times over.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// All that one connection may bring: a catalog of a million columns is a quarter of it.
const BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Longest SASL challenge: a server's has a hundred bytes.
const CHALLENGE_BYTES_MAX: usize = 4096;
/// AuthenticationSASLContinue.
const SASL_CONTINUE: i32 = 11;
/// Oldest server whose catalog has what is asked for.
const VERSION_MIN: i32 = 120_000;

/// An open connection; closes when dropped.
pub(crate) struct Connection {
    /// Asks.
    pub(crate) client: tokio_postgres::Client,
    /// The server's version as a number.
    pub(crate) version: i32,
    driver: JoinHandle<()>,
    held: Option<Held>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Logs in.
    pub(crate) async fn open(account: &Account, database: &str) -> Result<Connection, String> {
        let (socket, held) = account.socket().await?;
        match &account.tls {
            None => login(account, socket, held, Leg::Open, database).await,
            Some(tls) => {
                let socket = encrypt(socket, tls, &account.address).await?;
                login(account, socket, held, Leg::Verified, database).await
            }
        }
    }

    /// Whether it has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

async fn login<S>(
    account: &Account,
    stream: S,
    held: Option<Held>,
    leg: Leg,
    database: &str,
) -> Result<Connection, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut config = tokio_postgres::Config::new();
    config.user(account.user()).dbname(database).application_name(account.application);
    // The stream is encrypted already where it should be.
    config.ssl_mode(tokio_postgres::config::SslMode::Disable);
    if let Some(password) = account.password()? {
        config.password(password.as_bytes());
    }
    let guarded =
        Guarded { stream, leg, authenticated: false, frame: Frame::Head([0; 5], 0), bytes: 0, challenge: Vec::new() };
    let (client, connection) = tokio::time::timeout(CONNECT_TIMEOUT, config.connect_raw(guarded, NoTls))
        .await
        .map_err(|_| format!("the login of `{}` takes too long", account.user()))?
        .map_err(|error| format!("`{}` cannot log in: {}", account.user(), told(&error)))?;
    let driver = tokio::spawn(async move {
        // Its error also reaches whoever waits for an answer.
        let _ = connection.await;
    });
    let mut connection = Connection { client, version: 0, driver, held };
    connection
        .client
        .batch_execute(
            "set search_path = ''; set statement_timeout = 15000; set lock_timeout = 5000; \
             set idle_in_transaction_session_timeout = 20000; set default_transaction_read_only = on",
        )
        .await
        .map_err(|error| told(&error))?;
    let row = connection
        .client
        .query_one("select pg_catalog.current_setting('server_version_num')::int4, pg_catalog.pg_backend_pid()", &[])
        .await
        .map_err(|error| told(&error))?;
    connection.version = row.try_get(0).map_err(|error| told(&error))?;
    let number: i32 = row.try_get(1).map_err(|error| told(&error))?;
    if let (Some(held), Ok(number)) = (&connection.held, u64::try_from(number)) {
        held.numbered(number);
    }
    if connection.version < VERSION_MIN {
        return Err(format!(
            "the server's version is {}, and weir reads the catalog of PostgreSQL 12 and later",
            connection.version / 10_000
        ));
    }
    Ok(connection)
}

/// The error in one line, with what the server said.
pub(crate) fn told(error: &tokio_postgres::Error) -> String {
    use std::error::Error;
    let text = match error.as_db_error() {
        Some(server) => format!("{} (SQLSTATE {})", server.message(), server.code().code()),
        None => match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    };
    words(&text)
}

async fn encrypt(
    mut socket: TcpStream,
    tls: &UpstreamTls,
    at: &str,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
    let handshake = async {
        socket.write_all(&ssl_request()).await.map_err(|error| format!("`{at}`: {error}"))?;
        let mut answer = [0];
        socket.read_exact(&mut answer).await.map_err(|error| format!("`{at}`: {error}"))?;
        if answer != *b"S" {
            return Err(format!("`{at}` declines TLS; set tls = \"off\" for this upstream if that is meant"));
        }
        TlsConnector::from(Arc::clone(&tls.config))
            .connect(tls.server_name.clone(), socket)
            .await
            .map_err(|error| format!("TLS with `{at}`: {error}"))
    };
    tokio::time::timeout(CONNECT_TIMEOUT, handshake).await.map_err(|_| format!("TLS with `{at}` takes too long"))?
}

/// Where in a message the stream is.
#[derive(Clone, Copy)]
enum Frame {
    /// In its head, with so many bytes of it.
    Head([u8; 5], usize),
    /// In the method of an authentication request.
    Method([u8; 4], usize, usize),
    /// In its body, with so many bytes to come.
    Body(usize),
    /// In the body of a SASL challenge, with so many bytes to come.
    Challenge(usize),
}

/// Watches what a server sends, message by message, before the driver acts on it.
struct Guarded<S> {
    stream: S,
    leg: Leg,
    authenticated: bool,
    frame: Frame,
    bytes: u64,
    /// A SASL challenge as far as it has come.
    challenge: Vec<u8>,
}

impl<S> Guarded<S> {
    fn watch(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        if self.bytes > BYTES_MAX {
            return Err(io::Error::other(format!("the server sent more than {BYTES_MAX} bytes")));
        }
        while !bytes.is_empty() {
            match &mut self.frame {
                Frame::Body(left) => {
                    let here = (*left).min(bytes.len());
                    bytes = &bytes[here..];
                    *left -= here;
                    if *left == 0 {
                        self.frame = Frame::Head([0; 5], 0);
                    }
                }
                Frame::Challenge(left) => {
                    let here = (*left).min(bytes.len());
                    self.challenge.extend_from_slice(&bytes[..here]);
                    bytes = &bytes[here..];
                    *left -= here;
                    if *left == 0 {
                        // The driver computes what is asked for, on a thread that others need.
                        judge_server_first(&self.challenge).map_err(io::Error::other)?;
                        self.challenge.clear();
                        self.frame = Frame::Head([0; 5], 0);
                    }
                }
                Frame::Head(head, filled) => {
                    head[*filled] = bytes[0];
                    *filled += 1;
                    bytes = &bytes[1..];
                    if *filled == head.len() {
                        let [kind, a, b, c, d] = *head;
                        self.frame = self.enter(kind, i32::from_be_bytes([a, b, c, d]))?;
                    }
                }
                Frame::Method(method, filled, left) => {
                    method[*filled] = bytes[0];
                    *filled += 1;
                    bytes = &bytes[1..];
                    if *filled == method.len() {
                        let (method, left) = (i32::from_be_bytes(*method), *left);
                        self.judge(method)?;
                        self.frame = match (left, method) {
                            (0, _) => Frame::Head([0; 5], 0),
                            (left, SASL_CONTINUE) if left <= CHALLENGE_BYTES_MAX => Frame::Challenge(left),
                            (left, SASL_CONTINUE) => {
                                return Err(io::Error::other(format!("the server sent a challenge of {left} bytes")));
                            }
                            (left, _) => Frame::Body(left),
                        };
                    }
                }
            }
        }
        Ok(())
    }

    fn enter(&self, kind: u8, length: i32) -> io::Result<Frame> {
        let body = usize::try_from(length).ok().and_then(|length| length.checked_sub(4));
        match body.filter(|body| *body <= MESSAGE_BYTES_MAX) {
            None => Err(io::Error::other(format!("the server announced a message of {length} bytes"))),
            Some(body) if kind == b'R' && !self.authenticated => match body.checked_sub(4) {
                Some(left) => Ok(Frame::Method([0; 4], 0, left)),
                None => Err(io::Error::other("the server's authentication request is too short")),
            },
            Some(0) => Ok(Frame::Head([0; 5], 0)),
            Some(body) => Ok(Frame::Body(body)),
        }
    }

    /// <https://www.postgresql.org/docs/current/protocol-message-formats.html>
    fn judge(&mut self, method: i32) -> io::Result<()> {
        match method {
            0 => self.authenticated = true,
            3 | 5 if self.leg == Leg::Open => {
                let name = if method == 3 { "in clear" } else { "as md5" };
                return Err(io::Error::other(format!(
                    "the server wants the password {name}, which weir does not send without verified TLS; \
                     use scram-sha-256 for this account, or tls = \"verify-full\""
                )));
            }
            _ => {}
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Poll::Ready(Ok(())) = read {
            self.watch(&buffer.filled()[before..])?;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the guard says of these bytes, in every chunking of one cut.
    fn check(leg: Leg, bytes: &[u8]) -> Result<(), String> {
        let run = |cut: usize| {
            let frame = Frame::Head([0; 5], 0);
            let mut guard = Guarded { stream: (), leg, authenticated: false, frame, bytes: 0, challenge: Vec::new() };
            let (first, second) = bytes.split_at(cut);
            guard.watch(first).and_then(|()| guard.watch(second)).map_err(|error| error.to_string())
        };
        let whole = run(bytes.len());
        for cut in 0..bytes.len() {
            assert_eq!(run(cut), whole, "cut at {cut}");
        }
        whole
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = i32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind], length.as_slice(), body].concat()
    }

    #[test]
    fn a_password_is_only_given_to_a_verified_server() {
        let clear = message(b'R', &3_i32.to_be_bytes());
        let md5 = message(b'R', &[0, 0, 0, 5, 1, 2, 3, 4]);
        let notice = message(b'N', b"SNOTICE\0\0");
        assert!(check(Leg::Open, &[notice.clone(), clear.clone()].concat()).unwrap_err().contains("in clear"));
        assert!(check(Leg::Open, &md5).unwrap_err().contains("as md5"));
        assert_eq!(check(Leg::Verified, &[clear, md5.clone()].concat()), Ok(()));
        // After the login the same bytes mean nothing.
        let accepted = message(b'R', &0_i32.to_be_bytes());
        assert_eq!(check(Leg::Open, &[accepted, md5].concat()), Ok(()));
        let sasl = message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
        assert_eq!(check(Leg::Open, &[notice, sasl].concat()), Ok(()));
    }

    #[test]
    fn what_a_server_asks_to_compute_is_bounded() {
        let challenge = |iterations: &str| {
            let body = [b"\0\0\0\x0b".as_slice(), b"r=abc,s=QUJD,i=", iterations.as_bytes()].concat();
            check(Leg::Verified, &message(b'R', &body))
        };
        assert_eq!(challenge("4096"), Ok(()));
        assert!(challenge("2147483648").unwrap_err().contains("2147483648 iterations"));
        assert!(challenge(&"9".repeat(5000)).unwrap_err().contains("a challenge of"));
    }

    #[test]
    fn lengths_are_judged_at_the_head() {
        for length in [i32::MIN, -1, 0, 3, i32::MAX, 16 * 1024 * 1024 + 5] {
            let head = [b"D", length.to_be_bytes().as_slice()].concat();
            assert!(check(Leg::Open, &head).unwrap_err().contains(&length.to_string()));
        }
        assert!(check(Leg::Open, &message(b'R', &[0, 0])).unwrap_err().contains("too short"));
        assert_eq!(check(Leg::Open, &message(b'Z', b"I")), Ok(()));
        assert_eq!(check(Leg::Open, &[message(b'1', b""), message(b'1', b"")].concat()), Ok(()));
    }
}
