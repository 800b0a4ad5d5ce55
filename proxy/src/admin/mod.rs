//! Health and metrics over HTTP/1.1: `/healthz`, `/readyz`, `/metrics`. Read-only, on loopback unless configured otherwise.
//!
//! What must never happen here: a slow or hostile peer of this port costs more than one small buffer for a few seconds,
//! or keeps a monitor from being answered for longer than that.

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Time for a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a whole connection, one request and its answer: a scrape takes milliseconds.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections at once.
const CONNECTIONS_MAX: usize = 32;
/// Bytes of a request's head (hyper's smallest buffer).
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What the answers are made from.
pub struct Admin {
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    /// Reasons why no client should be sent here now; none when ready.
    pub unready: Box<dyn Fn() -> Vec<String> + Send + Sync>,
}

/// Serves until the task is dropped.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let admin = Arc::clone(&admin);
        tokio::task::spawn_local(async move {
            let service = service_fn(move |request| {
                let response = answer(&admin, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                // A place is for one request, so that idle connections cannot hold them all.
                .keep_alive(false)
                .header_read_timeout(HEADER_TIMEOUT)
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(TokioIo::new(socket), service);
            // A peer that breaks HTTP or is slow only loses its own connection.
            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
            drop(place);
        });
    }
}

fn answer(admin: &Admin, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    const JSON: &str = "application/json";
    const TEXT: &str = "text/plain; charset=utf-8";
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match request.uri().path() {
        "/healthz" => response(StatusCode::OK, JSON, "{\"status\":\"alive\"}\n".to_owned()),
        "/readyz" => {
            let reasons = (admin.unready)();
            let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            let body = serde_json::json!({ "ready": reasons.is_empty(), "reasons": reasons });
            response(status, JSON, format!("{body}\n"))
        }
        "/metrics" => response(StatusCode::OK, "text/plain; version=0.0.4", admin.metrics.render()),
        _ => response(StatusCode::NOT_FOUND, TEXT, "try /healthz, /readyz or /metrics\n".to_owned()),
    }
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
