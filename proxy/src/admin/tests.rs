//! The port as a monitor, a browser and an attacker see it: raw sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::PrometheusBuilder;

use super::{Admin, CONNECTIONS_MAX, serve};

struct Port {
    address: SocketAddr,
    draining: Arc<AtomicBool>,
}

/// A port on a thread of its own, which ends with the process.
fn port() -> Port {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || metrics::counter!("weir_test_total").increment(7));
    let draining = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&draining);
    let unready = move || if seen.load(Ordering::Relaxed) { vec!["stopping".to_owned()] } else { Vec::new() };
    let admin = Admin { metrics: recorder.handle(), unready: Box::new(unready) };
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            serve(tokio::net::TcpListener::from_std(socket).unwrap(), Arc::new(admin)).await
        });
    });
    Port { address, draining }
}

impl Port {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Everything that comes back for these bytes, until the other side closes.
    fn answer(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // A reset after a refusal is a refusal, too.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    fn get(&self, path: &str) -> String {
        self.answer(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
    }
}

#[test]
fn monitors_are_answered() {
    let port = port();
    let health = port.get("/healthz");
    assert!(health.starts_with("HTTP/1.1 200 OK\r\n") && health.ends_with("{\"status\":\"alive\"}\n"), "{health}");
    let ready = port.get("/readyz");
    assert!(ready.starts_with("HTTP/1.1 200") && ready.ends_with("{\"ready\":true,\"reasons\":[]}\n"), "{ready}");
    port.draining.store(true, Ordering::Relaxed);
    let unready = port.get("/readyz?verbose=1");
    assert!(unready.starts_with("HTTP/1.1 503"), "{unready}");
    assert!(unready.ends_with("{\"ready\":false,\"reasons\":[\"stopping\"]}\n"), "{unready}");
    assert!(port.get("/healthz").starts_with("HTTP/1.1 200"), "stopping is not dying");
    let metrics = port.get("/metrics");
    assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
    assert!(metrics.contains("weir_test_total 7"), "{metrics}");
    assert!(port.get("/").starts_with("HTTP/1.1 404"));
    assert!(port.answer(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").starts_with("HTTP/1.1 405"));
    let head = port.answer(b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn what_is_no_request_is_closed() {
    let port = port();
    for bytes in
        [&b"\x16\x03\x01\x02\x00\x01"[..], b"GET / HTTP/9.9\r\n\r\n", b"\0\0\0\x08\x04\xd2\x16\x2f", b"GET\r\n\r\n"]
    {
        let answer = port.answer(bytes);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    let endless = [b"GET / HTTP/1.1\r\nX: ".as_slice(), &[b'a'; 100_000]].concat();
    let mut stream = port.connect();
    // It may close before all of it is sent.
    let _ = stream.write_all(&endless);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert!(port.get("/healthz").starts_with("HTTP/1.1 200"));
}

#[test]
fn slow_peers_are_dropped_and_do_not_keep_monitors_out() {
    let port = port();
    let started = Instant::now();
    // Every place is taken by peers that say half a request, or nothing.
    let mut slow: Vec<TcpStream> = (0..CONNECTIONS_MAX).map(|_| port.connect()).collect();
    for (number, stream) in slow.iter_mut().enumerate() {
        if number % 2 == 0 {
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHo").unwrap();
        }
    }
    assert!(port.get("/healthz").starts_with("HTTP/1.1 200"));
    assert!(started.elapsed() < Duration::from_secs(15), "a monitor waited {:?}", started.elapsed());
    for stream in &mut slow {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&rest));
    }
    assert!(started.elapsed() < Duration::from_secs(15), "slow peers stayed for {:?}", started.elapsed());
}
