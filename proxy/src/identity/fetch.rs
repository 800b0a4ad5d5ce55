//! One document from a web server that an operator named: HTTPS with verified certificates, or HTTP to this host itself.
//!
//! INVARIANT: everything is bounded: the time of all steps together, the bytes of the answer, and where it comes from.
//! A redirect is not followed, since it leads to a place that nobody wrote down.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{ACCEPT, HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long all of it may take: a provider that needs longer is down.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest address, bytes.
const ADDRESS_BYTES_MAX: usize = 2048;

/// Where a document is, and how its server proves itself.
#[derive(Clone, Debug)]
pub struct Place {
    uri: Uri,
    host: String,
    port: u16,
    tls: Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>,
}

/// Whether this is the address of a document rather than the path of a file.
pub fn is_address(text: &str) -> bool {
    text.contains("://")
}

/// Whether an address can be fetched from, before any file is read.
///
/// # Errors
/// What is wrong with it.
pub fn checked(address: &str) -> Result<(), String> {
    parsed(address).map(|_| ())
}

fn parsed(address: &str) -> Result<(Uri, String, u16, bool), String> {
    if address.len() > ADDRESS_BYTES_MAX {
        return Err(format!("is longer than {ADDRESS_BYTES_MAX} bytes"));
    }
    let uri: Uri = address.parse().map_err(|_| "is no URL".to_owned())?;
    let authority = uri.authority().ok_or_else(|| "has no host".to_owned())?;
    if authority.as_str().contains('@') {
        return Err("has a user name in it; key sets are public, leave it out".to_owned());
    }
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    if host.is_empty() {
        return Err("has no host".to_owned());
    }
    let secure = match uri.scheme_str() {
        Some("https") => true,
        Some("http") if is_loopback(&host) => false,
        Some("http") => {
            return Err("is not https: whoever sits between could answer with keys of their own".to_owned());
        }
        _ => return Err("has another scheme than https".to_owned()),
    };
    // A port that is no number reads as none where it is asked for.
    let port = match authority.as_str().strip_prefix(authority.host()) {
        Some("" | ":") => Some(if secure { 443 } else { 80 }),
        Some(behind) => behind.strip_prefix(':').and_then(|port| port.parse().ok()).filter(|port| *port != 0),
        None => None,
    };
    let port = port.ok_or_else(|| "has no usable port".to_owned())?;
    Ok((uri, host, port, secure))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Place {
    /// A document at this address, whose server is verified by the roots in `ca`.
    ///
    /// # Errors
    /// What is wrong with the address or the roots.
    pub fn new(address: &str, ca: &Path) -> Result<Place, String> {
        let (uri, host, port, secure) = parsed(address).map_err(|reason| format!("`{address}` {reason}"))?;
        let tls = match secure {
            false => None,
            true => {
                let name = ServerName::try_from(host.clone())
                    .map_err(|_| format!("`{address}`: `{host}` cannot be the name of a server"))?;
                Some((Arc::new(crate::tls::web(ca)?), name))
            }
        };
        Ok(Place { uri, host, port, tls })
    }

    /// Fetches the document: the answer to one GET, no longer than this.
    ///
    /// Cancel safe: whoever stops waiting closes the connection.
    ///
    /// # Errors
    /// Why there is none, in words for the operator.
    pub async fn fetch(&self, bytes_max: usize) -> Result<Bytes, String> {
        match tokio::time::timeout(FETCH_TIMEOUT, self.get(bytes_max)).await {
            Ok(fetched) => fetched,
            Err(_) => Err(format!("did not answer within {} s", FETCH_TIMEOUT.as_secs())),
        }
    }

    async fn get(&self, bytes_max: usize) -> Result<Bytes, String> {
        let told = |error: std::io::Error| format!("cannot be reached: {error}");
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(told)?;
        match &self.tls {
            // `localhost` is a name, and a name can be given to any address.
            None if !stream.peer_addr().map_err(told)?.ip().is_loopback() => {
                Err("is http, and its host is not this one: use https".to_owned())
            }
            None => self.ask(stream, bytes_max).await,
            Some((config, name)) => {
                let connecting = TlsConnector::from(Arc::clone(config)).connect(name.clone(), stream);
                self.ask(connecting.await.map_err(told)?, bytes_max).await
            }
        }
    }

    async fn ask<S>(&self, stream: S, bytes_max: usize) -> Result<Bytes, String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let told = |error: hyper::Error| format!("does not speak HTTP as it should: {error}");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(told)?;
        let target = self.uri.path_and_query().map_or("/", |target| target.as_str());
        let request = Request::get(target)
            .header(HOST, self.uri.authority().map_or(self.host.as_str(), |authority| authority.as_str()))
            .header(USER_AGENT, concat!("weir/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json")
            .body(Empty::<Bytes>::new())
            .map_err(|error| format!("cannot be asked for: {error}"))?;
        let answering = async {
            let answer = sender.send_request(request).await.map_err(told)?;
            match answer.status() {
                StatusCode::OK => {}
                status if status.is_redirection() => {
                    return Err(format!("answers {status}: name the address that it leads to"));
                }
                status => return Err(format!("answers {status}")),
            }
            let body = Limited::new(answer.into_body(), bytes_max).collect().await;
            body.map(|body| body.to_bytes()).map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
                true => format!("answers with more than {bytes_max} bytes"),
                false => format!("does not answer in full: {error}"),
            })
        };
        tokio::pin!(answering, connection);
        // The connection moves the bytes; its own end may come with the last of them.
        tokio::select! {
            biased;
            answer = &mut answering => answer,
            ended = &mut connection => match ended {
                Ok(()) => answering.await,
                Err(error) => Err(told(error)),
            },
        }
    }
}
