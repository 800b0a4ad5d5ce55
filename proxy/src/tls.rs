//! TLS of both legs, built once at the start: rustls with aws-lc-rs, nothing below TLS 1.2.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::config::{ListenerTls, UpstreamTls};
use crate::route;

/// ALPN of PostgreSQL; direct TLS is refused without it.
/// <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL>
const ALPN: &[u8] = b"postgresql";

/// TLS of a listener.
///
/// # Errors
/// Files that cannot be read or do not fit together, in words for the operator.
pub fn server(tls: &ListenerTls) -> Result<route::ClientTls, String> {
    let chain = certificates(&tls.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|error| format!("`{}` holds no usable private key: {error}", tls.key.display()))?;
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| format!("`{}` and its key do not fit: {error}", tls.certificate.display()))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(route::ClientTls { config: Arc::new(config), required: tls.required })
}

/// TLS towards an upstream; `None` where it is off.
///
/// # Errors
/// Roots that cannot be read, or a name that no certificate can bear.
pub fn client(tls: &UpstreamTls) -> Result<Option<route::UpstreamTls>, String> {
    let UpstreamTls::VerifyFull { ca, server_name } = tls else { return Ok(None) };
    let mut roots = rustls::RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates(ca)?);
    if added == 0 {
        return Err(format!("`{}` holds no usable root certificate", ca.display()));
    }
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let server_name = ServerName::try_from(server_name.clone())
        .map_err(|error| format!("`{server_name}` cannot be the name of a server: {error}"))?;
    Ok(Some(route::UpstreamTls { config: Arc::new(config), server_name }))
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
