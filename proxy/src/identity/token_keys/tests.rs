//! Keys of tokens from files and addresses, and what is kept when they cannot be had.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::LocalSet;
use weir_tests::scratch::Scratch;

use super::super::token::tests::{header, now, payload, provider, rules, signed};
use super::*;
use crate::config::ListenerTls;
use crate::tls::Certificate;
use crate::tls::tests::self_signed;

fn token(kid: &str) -> String {
    signed(&header("EdDSA", kid), &payload().to_string(), "EdDSA")
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nLocation: /elsewhere\r\n\r\n{body}", body.len())
}

/// What the test is about, on a runtime of its own.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}

/// A web server that says this to everybody, and counts them.
async fn serve(says: String, asked: Arc<AtomicUsize>) -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = socket.accept().await {
            asked.fetch_add(1, Ordering::SeqCst);
            speak(stream, &says).await;
        }
    });
    port
}

async fn speak(mut stream: impl AsyncRead + AsyncWrite + Unpin, says: &str) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        request.push(byte);
    }
    assert!(request.starts_with(b"GET /keys?v=1 HTTP/1.1\r\n"), "{}", String::from_utf8_lossy(&request));
    let _ = stream.write_all(says.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn at(address: String, ca: &std::path::Path) -> Arc<TokenKeys> {
    let place = Box::new(Place::new(&address, ca).unwrap());
    TokenKeys::load(rules(), KeySource::Place { address, place }).unwrap()
}

#[test]
fn keys_are_fetched_once_a_minute_whatever_clients_send() {
    run(async {
        let asked = Arc::new(AtomicUsize::new(0));
        let port = serve(answer("200 OK", &provider().keys().to_string()), Arc::clone(&asked)).await;
        let keys = at(format!("http://127.0.0.1:{port}/keys?v=1"), std::path::Path::new("/nowhere"));
        assert_eq!(keys.check(&token("ed"), now()), Err(TokenError::UnknownKey), "nothing is believed without keys");
        let kept = Arc::clone(&keys);
        tokio::task::spawn_local(async move { kept.keep(|fetched| assert_eq!(fetched, Ok(3))).await });
        // Whoever comes first waits for the keys.
        assert_eq!(keys.check_fresh(&token("ed"), now()).await.unwrap().account, "alice");
        let began = Instant::now();
        for number in 0..100 {
            let unknown = keys.check_fresh(&token(&format!("made-up-{number}")), now()).await;
            assert_eq!(unknown, Err(TokenError::UnknownKey));
        }
        assert!(began.elapsed() < FETCH_TIMEOUT, "nobody waits for what was asked a moment ago");
        assert!(keys.check(&token("ed"), now()).is_ok());
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn keys_come_over_verified_tls() {
    run(async {
        let folder = Scratch::new("keys");
        let (certificate, key) = self_signed(&folder, "provider");
        let (stranger, _) = self_signed(&folder, "stranger");
        let files = ListenerTls { certificate: certificate.clone(), key, required: true, client_ca: None };
        let server = Certificate::load(&files).unwrap().client_tls(weir_policy::relation::Engine::Mysql).unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let accepting = tokio_rustls::TlsAcceptor::from(Arc::clone(&server.config)).accept(stream);
                if let Ok(stream) = accepting.await {
                    speak(stream, &answer("200 OK", &provider().keys().to_string())).await;
                }
            }
        });
        let fetch = async |host: &str, ca: &std::path::Path| {
            let place = Place::new(&format!("https://{host}:{port}/keys?v=1"), ca).unwrap();
            place.fetch(KEY_SET_BYTES_MAX).await
        };
        assert_eq!(Keys::parse(&fetch("localhost", &certificate).await.unwrap()).unwrap().len(), 3);
        assert!(
            fetch("localhost", &stranger).await.unwrap_err().contains("cannot be reached: invalid peer certificate")
        );
        assert!(fetch("127.0.0.1", &certificate).await.unwrap_err().contains("certificate"), "another name");
    });
}

#[test]
fn answers_that_are_no_keys_leave_those_at_hand() {
    let many = "x".repeat(KEY_SET_BYTES_MAX + 1);
    for (says, expected) in [
        (answer("302 Found", ""), "answers 302 Found: name the address that it leads to"),
        (answer("404 Not Found", ""), "answers 404 Not Found"),
        (answer("200 OK", &many), "answers with more than 262144 bytes"),
        (format!("HTTP/1.1 200 OK\r\n\r\n{many}"), "answers with more than 262144 bytes"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}".to_owned(), "does not answer in full"),
        (answer("200 OK", "{}"), "it has no array `keys`"),
        ("SSH-2.0-OpenSSH\r\n".to_owned(), "does not speak HTTP as it should"),
    ] {
        run(async {
            let port = serve(says, Arc::default()).await;
            let keys = at(format!("http://localhost:{port}/keys?v=1"), std::path::Path::new("/nowhere"));
            keys.exchange(Keys::parse(provider().keys().to_string().as_bytes()).unwrap());
            let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
            let kept = Arc::clone(&keys);
            tokio::task::spawn_local(async move { kept.keep(|fetched| drop(told.send(fetched))).await });
            let heard = hears.recv().await.unwrap().unwrap_err();
            assert!(
                heard.starts_with(&format!("`http://localhost:{port}/keys?v=1` ")) && heard.contains(expected),
                "{heard}"
            );
            assert!(keys.check(&token("ed"), now()).is_ok(), "{expected}");
        });
    }
}

#[test]
fn a_broken_file_of_keys_leaves_those_before() {
    let folder = Scratch::new("keys");
    let path = folder.write("keys.json", provider().keys().to_string());
    let keys = TokenKeys::load(rules(), KeySource::File(path.clone())).unwrap();
    assert!(keys.check(&token("ed"), now()).is_ok());
    for (broken, word) in [("{\"keys\":[", "no JSON object"), ("{\"keys\":[]}", "no key that verifies")] {
        std::fs::write(&path, broken).unwrap();
        let told = keys.reload().unwrap_err();
        assert!(told.contains(word) && told.contains("keys.json"), "{told}");
        assert!(keys.check(&token("ed"), now()).is_ok());
    }
    let mut fewer = provider().keys();
    fewer["keys"].as_array_mut().unwrap().truncate(2);
    std::fs::write(&path, fewer.to_string()).unwrap();
    keys.reload().unwrap();
    assert_eq!(keys.check(&token("ed"), now()), Err(TokenError::UnknownKey), "a key that was withdrawn");
    std::fs::remove_file(&path).unwrap();
    assert!(TokenKeys::load(rules(), KeySource::File(path)).unwrap_err().contains("cannot be read"));
}

#[test]
fn addresses_that_keys_cannot_come_from() {
    use super::super::fetch::checked;
    for good in [
        "https://id.example.com/keys",
        "https://id.example.com:8443",
        "http://127.0.0.1:80/k",
        "http://[::1]/k",
        "http://localhost/k",
    ] {
        assert_eq!(checked(good), Ok(()), "{good}");
    }
    for (wrong, word) in [
        ("http://id.example.com/keys", "is not https"),
        ("http://127.0.0.1.example.com/", "is not https"),
        ("https://alice:secret@id.example.com/", "has a user name"),
        ("ftp://id.example.com/", "another scheme"),
        ("https:///keys", ""),
        ("https://id.example.com:0/", "no usable port"),
        ("https://id.example.com:99999/", ""),
        ("https://id example/", ""),
    ] {
        let told = checked(wrong).unwrap_err();
        assert!(told.contains(word), "{wrong}: {told}");
    }
}
