//! TLS of both legs, built once at the start: rustls with aws-lc-rs, nothing below TLS 1.2. Certificates towards clients
//! can be read again while sessions run; new handshakes then use the new one.

mod authorities;
mod end_point;

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use weir_policy::relation::Engine;

use crate::config::{ListenerTls, UpstreamTls};
use crate::route;
use authorities::Authorities;

/// ALPN of PostgreSQL; direct TLS is refused without it.
/// <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL>
const ALPN: &[u8] = b"postgresql";

/// Protocols that are named in a handshake: MySQL names none.
fn protocols(engine: Engine) -> Vec<Vec<u8>> {
    match engine {
        Engine::Postgres => vec![ALPN.to_vec()],
        Engine::Mysql => Vec::new(),
    }
}

/// The certificate of a listener, which can be exchanged while sessions run.
#[derive(Debug)]
pub struct Certificate {
    files: ListenerTls,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
    /// Whose certificates clients may show.
    authorities: Option<Arc<Authorities>>,
}

impl Certificate {
    /// Reads the certificate and its key.
    ///
    /// # Errors
    /// Files that cannot be read or do not fit together, in words for the operator.
    pub fn load(files: &ListenerTls) -> Result<Arc<Certificate>, String> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let current = RwLock::new(read(files, &provider)?);
        let authorities = client_verifier(files, &provider)?.map(|verifier| Arc::new(Authorities::new(verifier)));
        Ok(Arc::new(Certificate { files: files.clone(), provider, current, authorities }))
    }

    /// TLS of the listener, with this certificate as it is at each handshake.
    ///
    /// # Errors
    /// When the TLS library cannot be set up, in words for the operator.
    pub fn client_tls(self: &Arc<Self>, engine: Engine) -> Result<route::ClientTls, String> {
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("tls: {error}"))?;
        let builder = match &self.authorities {
            Some(authorities) => builder.with_client_cert_verifier(Arc::<Authorities>::clone(authorities)),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::<Certificate>::clone(self));
        config.alpn_protocols = protocols(engine);
        // A resumed session is shown no certificate, and would outlive one that was taken away. PostgreSQL resumes none
        // either: database connections are long, and a handshake is little beside a login.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(route::ClientTls { config: Arc::new(config), certificate: Arc::clone(self), required: self.files.required })
    }

    /// What a login can be bound to of the certificate that clients are shown now. `None`: nothing.
    pub fn end_point(&self) -> Option<Vec<u8>> {
        let current = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        current.cert.first().and_then(|certificate| end_point::hash(certificate))
    }

    /// Reads the files again; when they are not usable, the certificate in use stays.
    ///
    /// # Errors
    /// As [`Certificate::load`].
    pub fn reload(&self) -> Result<(), String> {
        let fresh = read(&self.files, &self.provider)?;
        let verifier = client_verifier(&self.files, &self.provider)?;
        if let (Some(authorities), Some(verifier)) = (&self.authorities, verifier) {
            authorities.exchange(verifier);
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// TLS towards an upstream; `None` where it is off.
///
/// # Errors
/// Roots that cannot be read, or a name that no certificate can bear.
pub fn client(tls: &UpstreamTls, engine: Engine) -> Result<Option<route::UpstreamTls>, String> {
    let UpstreamTls::VerifyFull { ca, server_name } = tls else { return Ok(None) };
    let mut config = verifying(ca)?;
    config.alpn_protocols = protocols(engine);
    let server_name = ServerName::try_from(server_name.clone())
        .map_err(|error| format!("`{server_name}` cannot be the name of a server: {error}; set server_name"))?;
    Ok(Some(route::UpstreamTls { config: Arc::new(config), server_name }))
}

/// TLS towards a web server.
///
/// # Errors
/// Roots that cannot be read.
pub fn web(ca: &Path) -> Result<rustls::ClientConfig, String> {
    let mut config = verifying(ca)?;
    // The name of HTTP/1.1 in RFC 7301, 6.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// TLS that takes certificates under these roots and no others.
fn verifying(ca: &Path) -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates(ca)?);
    if added == 0 {
        return Err(format!("`{}` holds no usable root certificate", ca.display()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("tls: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// What judges clients' certificates; `None` where they show none.
fn client_verifier(
    files: &ListenerTls,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn rustls::server::danger::ClientCertVerifier>>, String> {
    let Some(path) = &files.client_ca else { return Ok(None) };
    let verifier = authorities::verifier(certificates(path)?, provider);
    verifier.map(Some).map_err(|reason| format!("client_ca `{}`: {reason}", path.display()))
}

fn read(files: &ListenerTls, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, String> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| format!("`{}` holds no usable private key: {error}", files.key.display()))?;
    let pair = CertifiedKey::from_der(chain, key, provider).map_err(|error| {
        format!("`{}` and `{}` do not fit together: {error}", files.certificate.display(), files.key.display())
    })?;
    Ok(Arc::new(pair))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("`{}` cannot be read as certificates: {error}", path.display());
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))?.collect();
    let found = found.map_err(|error| wrong(&error))?;
    if found.is_empty() {
        return Err(wrong(&io::Error::from(io::ErrorKind::InvalidData)));
    }
    Ok(found)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::PathBuf;
    use std::process::Command;
    use std::time::Duration;

    use tokio_rustls::{TlsAcceptor, TlsConnector};
    use weir_tests::process::run;
    use weir_tests::scratch::Scratch;

    use super::*;

    /// A certificate for `localhost` that signs itself, made by the `openssl` that PostgreSQL's packages bring.
    pub(crate) fn self_signed(folder: &Scratch, name: &str) -> (PathBuf, PathBuf) {
        let (certificate, key) = (folder.path().join(format!("{name}.crt")), folder.path().join(format!("{name}.key")));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
        openssl.args(["-subj", &format!("/CN={name}"), "-addext", "subjectAltName=DNS:localhost"]);
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        openssl.arg("-keyout").arg(&key).arg("-out").arg(&certificate);
        run(&mut openssl, b"", Duration::from_secs(60)).ok();
        (certificate, key)
    }

    /// What a client that trusts `ca` and expects `name` gets from a server with this configuration.
    fn handshake(server: &route::ClientTls, ca: &Path, name: &str) -> Result<CertificateDer<'static>, String> {
        let to = UpstreamTls::VerifyFull { ca: ca.to_owned(), server_name: name.to_owned() };
        let client = client(&to, Engine::Postgres).unwrap().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (near, far) = tokio::io::duplex(64 * 1024);
            let accepting = TlsAcceptor::from(Arc::clone(&server.config)).accept(far);
            let connecting = TlsConnector::from(client.config).connect(client.server_name, near);
            let (accepted, connected) = tokio::join!(accepting, connecting);
            let connected = connected.map_err(|error| error.to_string())?;
            accepted.map_err(|error| error.to_string())?;
            let (_, session) = connected.get_ref();
            assert_eq!(session.alpn_protocol(), Some(ALPN));
            Ok(session.peer_certificates().unwrap()[0].clone().into_owned())
        })
    }

    #[test]
    fn a_reload_changes_the_certificate_and_a_bad_one_changes_nothing() {
        let folder = Scratch::new("tls");
        let (first, first_key) = self_signed(&folder, "first");
        let (second, second_key) = self_signed(&folder, "second");
        let files = ListenerTls {
            certificate: folder.path().join("server.crt"),
            key: folder.path().join("server.key"),
            required: true,
            client_ca: None,
        };
        let place = |certificate: &Path, key: &Path| {
            std::fs::copy(certificate, &files.certificate).unwrap();
            std::fs::copy(key, &files.key).unwrap();
        };
        place(&first, &first_key);
        let certificate = Certificate::load(&files).unwrap();
        let server = certificate.client_tls(Engine::Postgres).unwrap();
        assert!(server.required);
        assert_eq!(handshake(&server, &first, "localhost").unwrap(), certificates(&first).unwrap()[0]);
        let stranger = handshake(&server, &second, "localhost").unwrap_err();
        assert!(stranger.contains("certificate"), "{stranger}");
        assert!(handshake(&server, &first, "elsewhere").is_err(), "another name");

        // Halves of two pairs, then no certificate at all: the first stays.
        place(&second, &first_key);
        assert!(certificate.reload().unwrap_err().contains("do not fit together"));
        std::fs::write(&files.certificate, "nothing of the kind").unwrap();
        assert!(certificate.reload().unwrap_err().contains("server.crt"));
        assert!(handshake(&server, &first, "localhost").is_ok());

        place(&second, &second_key);
        certificate.reload().unwrap();
        assert_eq!(handshake(&server, &second, "localhost").unwrap(), certificates(&second).unwrap()[0]);
        assert!(handshake(&server, &first, "localhost").is_err(), "the first is no longer shown");
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let missing = client(
            &UpstreamTls::VerifyFull { ca: "/nowhere/ca.pem".into(), server_name: "db".to_owned() },
            Engine::Postgres,
        );
        assert!(missing.err().unwrap().contains("`/nowhere/ca.pem`"));
        let folder = Scratch::new("tls");
        let (ca, _) = self_signed(&folder, "ca");
        let unnamed = client(&UpstreamTls::VerifyFull { ca, server_name: "not a name".to_owned() }, Engine::Postgres);
        assert!(unnamed.err().unwrap().contains("set server_name"));
        assert!(client(&UpstreamTls::Off, Engine::Postgres).unwrap().is_none());
    }
}
