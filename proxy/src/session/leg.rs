//! One side of a session: a socket, plain or under TLS, with what could not be written yet and what is not whole yet.
//!
//! INVARIANT: an idle leg owns no buffer. Bytes are read into one buffer per worker thread; only the beginning of an
//! unfinished frame, or what a slow peer does not take, is kept with the leg.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::monitor::carried::Held;

/// One read of a worker: large enough that a bulk result costs few system calls, small enough to stay in the cache.
const READ_BYTES: usize = 128 * 1024;
/// A kept beginning longer than this grows in place; a shorter one is copied in front of the next read.
const KEPT_BYTES_COPIED: usize = 16 * 1024;

/// The buffer that all legs of one worker thread read into; and a place for a frame that is longer than it.
pub struct ReadBuffer(Vec<u8>, Vec<u8>);

thread_local! {
    static READ_BUFFER: RefCell<ReadBuffer> = RefCell::new(ReadBuffer(vec![0; READ_BYTES], Vec::new()));
}

impl ReadBuffer {
    /// Lends this thread's buffer. Not to be called again inside.
    pub fn lend<R>(use_it: impl FnOnce(&mut ReadBuffer) -> R) -> R {
        READ_BUFFER.with_borrow_mut(use_it)
    }
}

/// A socket in one of its dresses.
pub enum Stream {
    /// No TLS.
    Plain(TcpStream),
    /// TLS towards a client.
    Client(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    /// TLS towards a client that began it without a request.
    Direct(Box<tokio_rustls::server::TlsStream<Replayed>>),
    /// TLS towards an upstream.
    Upstream(Box<tokio_rustls::client::TlsStream<TcpStream>>),
    /// Taken out.
    Closed,
}

/// A socket whose first bytes were already read, to see what they are.
pub struct Replayed {
    first: Vec<u8>,
    socket: TcpStream,
}

impl Replayed {
    /// Gives `first` back in front of what the socket says.
    pub fn new(first: Vec<u8>, socket: TcpStream) -> Replayed {
        Replayed { first, socket }
    }
}

impl AsyncRead for Replayed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.socket).poll_read(cx, buffer);
        }
        let len = self.first.len().min(buffer.remaining());
        buffer.put_slice(&self.first[..len]);
        self.first.drain(..len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Replayed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    // TLS hands over its records side by side; one by one they would cost a call each, and an alert behind a hello
    // would stay unsent.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl Stream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Client(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Direct(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Upstream(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Client(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Direct(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Upstream(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Client(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Direct(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Upstream(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

/// A socket and its buffers.
pub struct Leg {
    stream: Stream,
    /// Beginning of what is not consumed yet.
    kept: Vec<u8>,
    /// Length that `kept` must reach before another look at it.
    need: usize,
    /// What the peer has not taken yet.
    unsent: Vec<u8>,
    /// Lists an upstream's socket as Weir's.
    held: Option<Held>,
}

impl Leg {
    /// A leg over an open socket.
    pub fn new(stream: Stream) -> Leg {
        Leg { stream, kept: Vec::new(), need: 0, unsent: Vec::new(), held: None }
    }

    /// The same, listed as a connection of Weir's as long as it is open.
    #[must_use]
    pub fn held(mut self, held: Option<Held>) -> Leg {
        self.held = held;
        self
    }

    /// Takes out what lists it, to go with its socket.
    pub fn take_held(&mut self) -> Option<Held> {
        self.held.take()
    }

    /// The server has said under which number it knows this connection.
    pub fn numbered(&self, number: u64) {
        if let Some(held) = &self.held {
            held.numbered(number);
        }
    }

    /// Takes the socket out, leaving a closed leg; `None` when bytes are buffered, which must not survive an upgrade
    /// to TLS.
    pub fn take_stream(&mut self) -> Option<Stream> {
        (self.kept.is_empty() && self.unsent.is_empty()).then(|| std::mem::replace(&mut self.stream, Stream::Closed))
    }

    /// Version of TLS that protects the leg; `None` in clear text.
    pub fn tls_version(&self) -> Option<&'static str> {
        let version = match &self.stream {
            Stream::Client(stream) => stream.get_ref().1.protocol_version(),
            Stream::Direct(stream) => stream.get_ref().1.protocol_version(),
            Stream::Upstream(stream) => stream.get_ref().1.protocol_version(),
            Stream::Plain(_) | Stream::Closed => return None,
        };
        Some(match version {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "TLS",
        })
    }

    /// The certificate that the client showed, verified, DER; `None` where it showed none.
    pub fn client_certificate(&self) -> Option<&[u8]> {
        let certificates = match &self.stream {
            Stream::Client(stream) => stream.get_ref().1.peer_certificates(),
            Stream::Direct(stream) => stream.get_ref().1.peer_certificates(),
            Stream::Upstream(_) | Stream::Plain(_) | Stream::Closed => None,
        };
        certificates.and_then(|chain| chain.first()).map(|leaf| leaf.as_ref())
    }

    /// Bytes that wait to be sent.
    pub fn unsent_len(&self) -> usize {
        self.unsent.len()
    }

    /// Bytes that were read and are not consumed yet.
    pub fn kept_len(&self) -> usize {
        self.kept.len()
    }

    /// Whether what was read and is not consumed yet ends with these bytes.
    pub fn kept_ends_with(&self, bytes: &[u8]) -> bool {
        self.kept.ends_with(bytes)
    }

    /// Takes what was kept, to look at it again.
    pub fn take_kept(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.kept)
    }

    /// Keeps what is not consumed yet. `need` is how many bytes it must become before another look is worth it.
    pub fn keep(&mut self, bytes: &[u8], need: usize) {
        self.need = need;
        self.kept.clear();
        self.kept.extend_from_slice(bytes);
        if self.kept.is_empty() && self.kept.capacity() > KEPT_BYTES_COPIED {
            self.kept = Vec::new();
        }
    }

    /// Reads once. Ready with all bytes that are not consumed yet; the caller gives back what it leaves by [`keep`].
    ///
    /// [`keep`]: Leg::keep
    ///
    /// # Errors
    /// The socket's; the end of the stream is `UnexpectedEof`.
    pub fn poll_read<'b>(&mut self, cx: &mut Context<'_>, buffer: &'b mut ReadBuffer) -> Poll<io::Result<&'b [u8]>> {
        let start = self.kept.len();
        if start <= KEPT_BYTES_COPIED && self.need <= READ_BYTES {
            buffer.0[..start].copy_from_slice(&self.kept);
            let mut read = ReadBuf::new(&mut buffer.0[start..READ_BYTES]);
            ready!(self.stream.poll_read(cx, &mut read))?;
            let end = start + read.filled().len();
            return Poll::Ready(if end == start {
                Err(io::ErrorKind::UnexpectedEof.into())
            } else {
                Ok(&buffer.0[..end])
            });
        }
        // A frame longer than one read grows in place until it is whole: nothing looks at it before. What is kept while
        // its turn is waited for was looked at already, so something new must come in any case.
        loop {
            let start = self.kept.len();
            self.kept.resize(start + READ_BYTES, 0);
            let mut read = ReadBuf::new(&mut self.kept[start..]);
            let polled = self.stream.poll_read(cx, &mut read);
            let filled = read.filled().len();
            self.kept.truncate(start + filled);
            ready!(polled)?;
            if filled == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            if start + filled >= self.need {
                buffer.1 = std::mem::take(&mut self.kept);
                self.need = 0;
                return Poll::Ready(Ok(&buffer.1));
            }
        }
    }

    /// Reads and forgets until the peer closes.
    ///
    /// # Errors
    /// The socket's; an orderly end is none.
    pub async fn discard(&mut self) -> io::Result<()> {
        self.keep(&[], 0);
        loop {
            let read = poll_fn(|cx| {
                ReadBuffer::lend(|buffer| {
                    ready!(self.poll_read(cx, buffer))?;
                    Poll::Ready(io::Result::Ok(()))
                })
            });
            match read.await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Queues bytes behind what is unsent.
    pub fn queue(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
    }

    /// Sends at once what the socket takes, and queues the rest.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, mut bytes: &[u8]) -> io::Result<()> {
        if self.unsent.is_empty() {
            while !bytes.is_empty() {
                match self.stream.poll_write(cx, bytes) {
                    Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                    Poll::Ready(Ok(sent)) => bytes = &bytes[sent..],
                    Poll::Ready(Err(error)) => return Err(error),
                    Poll::Pending => break,
                }
            }
        }
        self.unsent.extend_from_slice(bytes);
        Ok(())
    }

    /// Sends what is unsent. Ready when nothing is left.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut sent = 0;
        let result = loop {
            if sent == self.unsent.len() {
                break self.stream.poll_flush(cx);
            }
            match self.stream.poll_write(cx, &self.unsent[sent..]) {
                Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => sent += count,
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        self.unsent.drain(..sent);
        if self.unsent.is_empty() && self.unsent.capacity() > KEPT_BYTES_COPIED {
            self.unsent = Vec::new();
        }
        result
    }

    /// Sends everything. Not cancel safe: what was sent of it is gone.
    pub async fn drain(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_drain(cx)).await
    }

    /// Reads until `parse` finds something in the bytes, which it then consumes. Cancel safe.
    ///
    /// # Errors
    /// The socket's, an early end, or more than `max` bytes without an answer.
    pub async fn read_until<T>(
        &mut self,
        max: usize,
        mut parse: impl FnMut(&[u8]) -> Option<(usize, T)>,
    ) -> io::Result<T> {
        loop {
            let kept = self.take_kept();
            if let Some((used, value)) = parse(&kept) {
                self.keep(kept.get(used..).unwrap_or(&[]), 0);
                return Ok(value);
            }
            if kept.len() > max {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "message is too long"));
            }
            self.kept = kept;
            poll_fn(|cx| {
                ReadBuffer::lend(|buffer| {
                    let bytes = ready!(self.poll_read(cx, buffer))?;
                    let bytes = bytes.to_vec();
                    self.keep(&bytes, 0);
                    Poll::Ready(io::Result::Ok(()))
                })
            })
            .await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// A client may send on while what it sent before waits; that nothing new is there must not look like a read.
    #[tokio::test]
    async fn what_is_kept_is_not_read_again_without_anything_new() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let mut leg = Leg::new(Stream::Plain(socket));
        for kept in [10, KEPT_BYTES_COPIED, KEPT_BYTES_COPIED + 1, 3 * READ_BYTES] {
            leg.keep(&vec![7; kept], 0);
            let read = poll_fn(|cx| {
                Poll::Ready(ReadBuffer::lend(|buffer| leg.poll_read(cx, buffer).map(|bytes| bytes.unwrap().len())))
            });
            assert_eq!(read.await, Poll::Pending, "{kept} bytes are kept");
            assert_eq!(leg.kept_len(), kept);
            peer.write_all(b"more").await.unwrap();
            let read =
                poll_fn(|cx| ReadBuffer::lend(|buffer| leg.poll_read(cx, buffer).map(|bytes| bytes.unwrap().len())));
            assert_eq!(read.await, kept + 4);
        }
    }
}
