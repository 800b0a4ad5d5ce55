//! Servers that ask for what they must not have, and servers that lie: each gets nothing, and is told of by name.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use aws_lc_rs::rsa::{KeySize, OAEP_SHA1_MGF1SHA1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weir_wire::mysql::greeting::Greeting;
use weir_wire::mysql::handshake::Secret;
use weir_wire::mysql::packet::put_packet;

use super::super::Connection;
use super::super::channel::{Channel, Failure};
use super::super::login::Login;
use crate::catalog::account::{Account, Leg};
use crate::catalog::tests::{config_of, wait};
use crate::mysql::login::{Conversation, Trust};
use crate::mysql::verifier::Proven;

const PASSWORD: &str = "a-password-that-is-nobody-elses";
const CHALLENGE: [u8; 20] = *b"abcdefghijklmnopqrst";
const PROTOCOL_41: u32 = 1 << 9;
const SSL: u32 = 1 << 11;
/// All that a login needs, and everything dangerous: files, compression, several statements.
const EVERYTHING: u32 = !SSL;
const OK: &[u8] = &[0, 0, 0, 2, 0, 0, 0];

fn greeting(capabilities: u32, plugin: &str) -> Vec<u8> {
    let [a, b, c, d] = capabilities.to_le_bytes();
    let mut payload = b"\x0a9.7.0\0\x07\0\0\0".to_vec();
    payload.extend_from_slice(&CHALLENGE[..8]);
    payload.extend_from_slice(&[0, a, b, 45, 2, 0, c, d, 21]);
    payload.extend_from_slice(&[0; 10]);
    payload.extend_from_slice(&CHALLENGE[8..]);
    payload.push(0);
    payload.extend_from_slice(plugin.as_bytes());
    payload.push(0);
    payload
}

fn switch(plugin: &str, challenge: &[u8]) -> Vec<u8> {
    [&[0xFE], plugin.as_bytes(), &[0], challenge, &[0]].concat()
}

/// What a server of the script's does: each packet is sent as it stands, after one of the client's; then it listens to
/// the end, and tells all that it was sent.
fn server(packets: Vec<Vec<u8>>) -> (SocketAddr, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut heard = Vec::new();
        for packet in packets {
            socket.write_all(&packet).unwrap();
            let mut head = [0; 4];
            if socket.read_exact(&mut head).is_err() {
                return heard;
            }
            let length = u32::from_le_bytes([head[0], head[1], head[2], 0]);
            let mut body = vec![0; usize::try_from(length).unwrap()];
            if socket.read_exact(&mut body).is_err() {
                return heard;
            }
            heard.extend_from_slice(&body);
        }
        let _ = socket.read_to_end(&mut heard);
        heard
    });
    (address, thread)
}

fn numbered(seq: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    put_packet(&mut packet, seq, payload);
    packet
}

/// What Weir says of a server that sends these packets, and what it sent it.
fn check(packets: Vec<Vec<u8>>, tls: &str) -> (String, Vec<u8>) {
    let (address, thread) = server(packets);
    let (config, _folder) = config_of("mysql", address, "weir_catalog", PASSWORD, 30, tls);
    let account = Account::for_catalog(&config.upstreams[0], None).unwrap();
    let reason = wait(Connection::open(&account)).err().expect("the server is believed");
    let heard = thread.join().unwrap();
    assert!(!contains(&heard, PASSWORD.as_bytes()), "the password was sent: {reason}");
    (reason, heard)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn no_file_of_this_machine_is_given() {
    let greeting = numbered(0, &greeting(EVERYTHING, "mysql_native_password"));
    let mut request = vec![0xFB];
    request.extend_from_slice(b"/etc/hostname");
    // Sent in answer to the first query, and by a server that hopes for one file even before it.
    let (reason, heard) = check(vec![greeting.clone(), numbered(2, OK), numbered(1, &request)], "tls = 'off'");
    assert!(reason.contains("asked for a file of this machine"), "{reason}");
    assert!(heard.ends_with(b"set names utf8mb4"), "nothing follows the request: {heard:?}");
    let capabilities = u32::from_le_bytes(heard[..4].try_into().unwrap());
    assert_eq!(capabilities & (1 << 7), 0, "the capability was not asked for");
    assert_eq!(capabilities & (1 << 5 | 1 << 26 | 1 << 16 | 1 << 17), 0, "nor compression, nor several results");
    let (reason, _) = check(vec![greeting, numbered(2, &request)], "tls = 'off'");
    assert!(reason.contains("cannot be followed"), "{reason}");
}

#[test]
fn nobody_unverified_is_given_the_password_in_clear() {
    for first in ["mysql_native_password", "caching_sha2_password", "mysql_clear_password"] {
        let greeting = numbered(0, &greeting(EVERYTHING, first));
        let (reason, _) =
            check(vec![greeting.clone(), numbered(2, &switch("mysql_clear_password", b""))], "tls = 'off'");
        assert!(reason.contains("in clear") && reason.contains("verify-full"), "{reason}");
        for (plugin, says) in [
            ("mysql_old_password", "`mysql_old_password`"),
            ("dialog", "`dialog`"),
            ("sha256_password", "`sha256_password`"),
            ("\x1b[31m", "` [31m`"),
        ] {
            let (reason, _) = check(vec![greeting.clone(), numbered(2, &switch(plugin, &CHALLENGE))], "tls = 'off'");
            assert!(reason.contains(says), "{reason}");
        }
        let (reason, _) = check(vec![greeting.clone(), numbered(2, &[0xFE])], "tls = 'off'");
        assert!(reason.contains("`mysql_old_password`"), "{reason}");
        let (reason, _) = check(vec![greeting, numbered(2, &switch("mysql_native_password", b"short"))], "tls = 'off'");
        assert!(reason.contains("challenge is too short"), "{reason}");
    }
}

#[test]
fn what_is_said_before_tls_is_no_answer_after_it() {
    let folder = weir_tests::scratch::Scratch::new("rogue");
    let (ca, _) = crate::tls::tests::self_signed(&folder, "ca");
    let tls = format!("ca = '{}'\nserver_name = 'localhost'", ca.display());
    let (reason, heard) = check(vec![numbered(0, &greeting(EVERYTHING, "mysql_native_password"))], &tls);
    assert!(reason.contains("declines TLS"), "{reason}");
    assert!(heard.is_empty(), "not even a name");
    let greeting = numbered(0, &greeting(EVERYTHING | SSL, "mysql_native_password"));
    let (reason, heard) = check(vec![[greeting, numbered(2, OK)].concat()], &tls);
    assert!(reason.contains("goes on in clear"), "{reason}");
    assert!(!contains(&heard, b"weir_catalog"), "the name comes under TLS: {heard:?}");
}

#[test]
fn lies_are_told_of_and_cost_nothing() {
    let greeted = || numbered(0, &greeting(EVERYTHING, "mysql_native_password"));
    let login = |answer: &[u8]| vec![greeted(), answer.to_vec()];
    let query = |answer: Vec<u8>| vec![greeted(), numbered(2, OK), answer];
    let column = |seq| numbered(seq, b"\x03def\0\0\0\x01a\0\x0c\x2d\0\0\x01\0\0\xfd\0\0\0\0\0");
    let eof = |seq, status: u8| numbered(seq, &[0xFE, 0, 0, status, 0]);
    let rows = |rows: &[Vec<u8>]| [[numbered(1, &[1]), column(2), eof(3, 2)].concat(), rows.concat()].concat();
    for (packets, says) in [
        (vec![numbered(0, b"\x0b9.7.0\0")], "another protocol version"),
        (vec![numbered(0, b"\x0a9.7.0\0")], "malformed"),
        (vec![numbered(0, &greeting(PROTOCOL_41, ""))], "older than MySQL 5.7"),
        (vec![numbered(0, b"\xff\x10\x04Too many connections")], "declines: Too many connections (error 1040"),
        (vec![numbered(1, &greeting(EVERYTHING, ""))], "out of order"),
        (vec![vec![1, 0, 1, 0, 1]], "a message of 65537 bytes"),
        (login(&[0xFF, 0xFF, 0xFF, 2]), "a message of 16777215 bytes"),
        (login(&numbered(2, b"\xff\x15\x04#28000Access denied")), "Access denied (error 1045, SQLSTATE 28000)"),
        (login(&numbered(2, b"\xff")), "an error that cannot be read"),
        (login(&numbered(2, b"")), "cannot be followed"),
        (login(&numbered(2, &[1, 4])), "cannot be followed"),
        (login(&numbered(2, &[1, 3])), "cannot be followed"),
        (login(&numbered(7, OK)), "out of order"),
        (query(numbered(1, &[0xFD, 0xFF, 0xFF, 0xFF])), "number of columns"),
        (query(numbered(1, &[])), "number of columns"),
        (query(numbered(1, &[0, 0, 0, 10, 0, 0, 0])), "more answers than it was asked for"),
        (query([numbered(1, &[1]), column(2), column(3)].concat()), "columns do not end"),
        (query(rows(&[numbered(4, &[9, b'x'])])), "a row that cannot be read"),
        (query(rows(&[numbered(4, &[1, b'x', 0])])), "a row that cannot be read"),
        (query(rows(&[eof(4, 8)])), "more answers than it was asked for"),
        (query(rows(&[numbered(4, b"\xff\xff\xff\x01\x01\x01\0\0\0\0")])), "an error that cannot be read"),
        (query(rows(&[vec![1, 0, 0x80, 4]])), "a message of 8388609 bytes"),
    ] {
        let (reason, _) = check(packets, "tls = 'off'");
        assert!(reason.contains(says), "{says}: {reason}");
    }
}

fn greeted() -> Greeting {
    Greeting::read(&greeting(EVERYTHING, "caching_sha2_password")).unwrap()
}

/// The conversation behind the login packet, with a server of the test's: what it is answered, and how it ends.
async fn converse(leg: Leg, is_local: bool, says: Vec<Vec<u8>>) -> (Result<(), Failure>, Vec<Vec<u8>>) {
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    let login = Login { user: "weir_catalog", proven: Proven::Password(Secret::new(PASSWORD.into())), leg, is_local };
    let trust = match (leg, is_local) {
        (Leg::Verified, _) => Trust::Verified,
        (Leg::Open, true) => Trust::Way,
        (Leg::Open, false) => Trust::Nobody,
    };
    let mut conversation = Conversation::begin(&greeted(), trust);
    let mut channel = Channel::resumed(near, 2);
    let talk = async {
        let mut answers = Vec::new();
        let mut seq = 2;
        for payload in says {
            far.write_all(&numbered(seq, &payload)).await.unwrap();
            seq += 1;
            if payload == [1, 3] {
                continue;
            }
            let mut head = [0; 4];
            match tokio::time::timeout(Duration::from_millis(500), far.read_exact(&mut head)).await {
                Ok(Ok(_)) => {}
                _ => break,
            }
            let mut body = vec![0; usize::from(head[0]) | usize::from(head[1]) << 8];
            far.read_exact(&mut body).await.unwrap();
            answers.push(body);
            seq += 1;
        }
        drop(far);
        answers
    };
    tokio::join!(login.converse(&mut channel, &mut conversation), talk)
}

#[test]
fn the_password_itself_goes_to_the_server_alone() {
    let (private, pem) = crate::rsa::tests::pair(KeySize::Rsa2048);
    let key = [&[1], pem.as_bytes()].concat();
    // Verified by its certificate: in clear under TLS.
    let (ended, answers) = wait(converse(Leg::Verified, false, vec![vec![1, 4], OK.to_vec()]));
    assert_eq!((ended, answers), (Ok(()), vec![[PASSWORD.as_bytes(), b"\0"].concat()]));
    let (_, answers) = wait(converse(Leg::Verified, false, vec![switch("mysql_clear_password", b"")]));
    assert_eq!(answers, [[PASSWORD.as_bytes(), b"\0"].concat()]);
    // On this machine: encrypted with the key that the server gives when it is asked.
    let (ended, answers) = wait(converse(Leg::Open, true, vec![vec![1, 4], key.clone(), OK.to_vec()]));
    assert_eq!((ended, answers.len(), &*answers[0]), (Ok(()), 2, &[2][..]));
    let mut plain = vec![0; private.key_size_bytes()];
    let plain = private.decrypt(&OAEP_SHA1_MGF1SHA1, &answers[1], &mut plain, None).unwrap();
    let unmasked: Vec<u8> = plain.iter().zip(CHALLENGE.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    assert_eq!(unmasked, [PASSWORD.as_bytes(), b"\0"].concat());
    // Across a network nobody vouches for the key.
    let (ended, answers) = wait(converse(Leg::Open, false, vec![vec![1, 4], key.clone()]));
    assert!(matches!(&ended, Err(Failure::Broken(reason)) if reason.contains("verify-full")), "{ended:?}");
    assert!(answers.is_empty());
    // A key that nobody asked for, for another plugin, or twice.
    for says in [
        vec![key.clone()],
        vec![switch("mysql_native_password", &CHALLENGE), vec![1, 4]],
        vec![vec![1, 4], switch("caching_sha2_password", &CHALLENGE), key.clone()],
        vec![vec![1, 4], key.clone(), key.clone()],
        vec![vec![1, 4], b"\x01no key at all".to_vec()],
    ] {
        let (ended, answers) = wait(converse(Leg::Open, true, says));
        assert!(matches!(ended, Err(Failure::Broken(_))), "{ended:?}");
        assert!(answers.iter().all(|answer| !contains(answer, PASSWORD.as_bytes())));
    }
    let (ended, _) = wait(converse(Leg::Open, true, vec![switch("caching_sha2_password", &CHALLENGE); 20]));
    assert!(matches!(&ended, Err(Failure::Broken(reason)) if reason.contains("does not end")), "{ended:?}");
}
