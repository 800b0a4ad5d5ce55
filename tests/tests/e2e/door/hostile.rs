//! A server that wants more than a login.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use weir_tests::fixture::PASSWORD;
use weir_tests::frames;
use weir_tests::raw::{Failure, Raw};
use weir_tests::scratch::Scratch;
use weir_tests::weir::{Weir, WeirOptions};

use super::{verifiers, verifying};

/// Iterations that stopped pgbouncer.
const ITERATIONS: u64 = 1 << 31;

/// A server that answers every login with a challenge of so many iterations.
fn endless() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let Ok(socket) = socket else { return };
            std::thread::spawn(move || challenge(socket));
        }
    });
    address
}

fn challenge(mut socket: TcpStream) -> Option<()> {
    let mut buffer = [0; 4096];
    let mut hear = |socket: &mut TcpStream| {
        let len = socket.read(&mut buffer).ok().filter(|len| *len > 0)?;
        Some(String::from_utf8_lossy(&buffer[..len]).into_owned())
    };
    let ask = |socket: &mut TcpStream, kind: i32, data: &[u8]| {
        let body = [kind.to_be_bytes().as_slice(), data].concat();
        socket.write_all(&frames::frame(b'R', &body)).ok()
    };
    hear(&mut socket)?;
    ask(&mut socket, 10, b"SCRAM-SHA-256\0\0")?;
    let initial = hear(&mut socket)?;
    let (_, nonce) = initial.rsplit_once("r=")?;
    ask(&mut socket, 11, format!("r={nonce}server,s=MDEyMzQ1Njc4OWFiY2RlZg==,i={ITERATIONS}").as_bytes())?;
    hear(&mut socket).map(|_| ())
}

#[test]
fn a_server_that_asks_for_two_billion_iterations_is_refused_at_once() {
    let folder = Scratch::new("hostile");
    let secret = folder.write("secret", "a secret");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let accounts = format!("[[upstream.account]]\nuser = \"desk\"\nsecret_file = \"{}\"\n", secret.display());
    let options = WeirOptions { upstream_accounts: accounts, ..verifying(WeirOptions::allow_all(), &verifiers()) };
    let weir = Weir::start(endless(), &options);
    for _ in 0..5 {
        let started = Instant::now();
        let fields = [("user", "alice"), ("database", "support")];
        match Raw::try_login(weir.address(), &fields, PASSWORD) {
            Err(Failure::Server(error)) => assert!(error.message.contains("weir cannot log in"), "{error:?}"),
            other => panic!("{other:?}"),
        }
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    }
    assert!(weir.log().contains("the server asks for 2147483648 iterations"), "{}", weir.log());
    weir.audit_event("the refusal", |event| {
        event["kind"] == "authentication" && event["session"]["account"] == "alice"
    });
}
