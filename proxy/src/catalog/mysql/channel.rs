//! Packets of a server that nobody trusts yet: bounded, numbered, one at a time.

use std::borrow::Cow;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use weir_wire::mysql::error::{ERR, ErrPacket, read_error};
use weir_wire::mysql::packet::{Packet, Scan, put_packet};
use weir_wire::refusal::{WireError, WireSide};

use crate::catalog::account::words;

/// Longest message of a server, bytes: the longest definition that is asked for, four bytes a character, twice over.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest message of a login, bytes: a public key has a tenth of it.
const LOGIN_BYTES_MAX: usize = 64 * 1024;
/// All that one connection may bring: a catalog of a million columns is a quarter of it.
const BYTES_MAX: u64 = 512 * 1024 * 1024;
/// What is read at once, bytes.
const READ_BYTES: usize = 64 * 1024;

/// A stream of bytes in both directions.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

/// A connection as packets.
pub(super) struct Channel {
    stream: Box<dyn Duplex>,
    buffer: Vec<u8>,
    /// What was read of the buffer.
    start: usize,
    /// Number that the next packet must have, whoever sends it.
    seq: u8,
    bytes: u64,
    message_bytes_max: usize,
}

/// Why an answer is not one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server refused; the connection goes on.
    Server {
        /// Error number.
        errno: u16,
        /// Message and SQLSTATE in one line.
        told: String,
    },
    /// The connection is of no more use.
    Broken(String),
}

impl Failure {
    pub(super) fn broken(reason: impl Into<String>) -> Failure {
        Failure::Broken(reason.into())
    }
}

impl From<Failure> for String {
    fn from(failure: Failure) -> String {
        match failure {
            Failure::Server { told, .. } | Failure::Broken(told) => told,
        }
    }
}

impl Channel {
    pub(super) fn new(stream: impl Duplex + 'static) -> Channel {
        let stream = Box::new(stream);
        Channel { stream, buffer: Vec::new(), start: 0, seq: 0, bytes: 0, message_bytes_max: LOGIN_BYTES_MAX }
    }

    /// The stream again, to be encrypted; `None` where the server has sent more than was read. What was not encrypted
    /// must not pass for something that was.
    pub(super) fn into_stream(self) -> Option<Box<dyn Duplex>> {
        (self.start == self.buffer.len()).then_some(self.stream)
    }

    /// Goes on over another stream, with this number.
    pub(super) fn resumed(stream: impl Duplex + 'static, seq: u8) -> Channel {
        Channel { seq, ..Channel::new(stream) }
    }

    /// The login is over: what follows are answers.
    pub(super) fn open(&mut self) {
        self.message_bytes_max = MESSAGE_BYTES_MAX;
    }

    /// Number that the next packet must have.
    pub(super) fn seq(&self) -> u8 {
        self.seq
    }

    /// Sends a command: numbers begin anew.
    pub(super) async fn command(&mut self, payload: &[u8]) -> Result<(), Failure> {
        self.seq = 0;
        self.send(payload).await
    }

    /// Sends what answers the packet before.
    pub(super) async fn send(&mut self, payload: &[u8]) -> Result<(), Failure> {
        let mut packet = Vec::with_capacity(payload.len() + 4);
        self.seq = put_packet(&mut packet, self.seq, payload);
        let sent = async {
            self.stream.write_all(&packet).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|error| Failure::broken(format!("the server cannot be written to: {error}")))
    }

    /// The payload of the server's next packet.
    pub(super) async fn receive(&mut self) -> Result<Cow<'_, [u8]>, Failure> {
        let from = loop {
            let unread = self.buffer.get(self.start..).unwrap_or_default();
            match scan(unread, self.message_bytes_max)? {
                Scan::More(_) => self.fill().await?,
                Scan::Whole(packet) => {
                    if packet.seq != self.seq {
                        return Err(Failure::broken("the server's packets are out of order"));
                    }
                    self.seq = packet.seq_last.wrapping_add(1);
                    let from = self.start;
                    self.start += packet.frame_len;
                    break from;
                }
            }
        };
        match scan(self.buffer.get(from..).unwrap_or_default(), self.message_bytes_max)? {
            Scan::Whole(packet) => Ok(packet.payload()),
            Scan::More(_) => Err(Failure::broken("a packet was lost")),
        }
    }

    async fn fill(&mut self) -> Result<(), Failure> {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.reserve(READ_BYTES);
        let read = self.stream.read_buf(&mut self.buffer).await;
        match read.map_err(|error| Failure::broken(format!("the server cannot be read from: {error}")))? {
            0 => Err(Failure::broken("the server closed the connection")),
            read => {
                self.bytes = self.bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
                if self.bytes > BYTES_MAX {
                    return Err(Failure::broken(format!("the server sent more than {BYTES_MAX} bytes")));
                }
                Ok(())
            }
        }
    }
}

fn scan(unread: &[u8], bytes_max: usize) -> Result<Scan<'_>, Failure> {
    Packet::scan(unread, bytes_max, WireSide::Upstream).map_err(|error| match error {
        WireError::TooLong { length, .. } => {
            Failure::broken(format!("the server announced a message of {length} bytes"))
        }
        other => Failure::broken(other.to_string()),
    })
}

/// The failure that a payload is, where it begins like one.
pub(super) fn refused(payload: &[u8]) -> Option<Failure> {
    if payload.first() != Some(&ERR) {
        return None;
    }
    Some(match read_error(payload) {
        Some(ErrPacket::Error(error)) => Failure::Server {
            errno: error.errno,
            told: words(&format!(
                "{} (error {}, SQLSTATE {})",
                String::from_utf8_lossy(error.message),
                error.errno,
                error.sqlstate()
            )),
        },
        // A report of progress was not asked for.
        Some(ErrPacket::Progress(_)) | None => Failure::broken("the server sent an error that cannot be read"),
    })
}
