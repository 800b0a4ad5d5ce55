//! A MySQL server that lies: a real one stands behind it, until a client says what it waits for.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::mysql::packets::{self, Cursor, PAYLOAD_MAX, capability};

/// What a client said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It connected and hears nothing yet.
    Connected,
    /// It logs in.
    Login {
        /// As whom.
        user: String,
    },
    /// A statement as text.
    Query {
        /// Its text.
        sql: String,
    },
    /// A statement to prepare.
    Prepare {
        /// Its text.
        sql: String,
    },
}

/// What is done instead of what the real server would do.
#[derive(Clone, Debug)]
pub struct Deed {
    /// Bytes that the client gets.
    pub send: Vec<u8>,
    /// And then.
    pub then: Then,
}

/// How a deed goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The connection is closed.
    Close,
    /// Whatever the client says is kept and not answered.
    Listen,
    /// The real server answers what comes next.
    GoOn,
}

/// Decides on what a client said.
type Mind = dyn Fn(&Told) -> Option<Deed> + Send + Sync;

/// A relay to a real server, on a loopback port of its own, that takes over when its mind says so.
#[derive(Debug)]
pub struct Rogue {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Rogue {
    /// Stands in front of a real server.
    pub fn start(server: SocketAddr, mind: impl Fn(&Told) -> Option<Deed> + Send + Sync + 'static) -> Rogue {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let address = listener.local_addr().expect("a bound socket");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (mind, ears): (Arc<Mind>, _) = (Arc::new(mind), Arc::clone(&heard));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (mind, ears) = (Arc::clone(&mind), Arc::clone(&ears));
                thread::spawn(move || serve(client, server, mind.as_ref(), &ears));
            }
        });
        Rogue { address, heard }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything that clients said after a deed that goes on with [`Then::Listen`].
    pub fn heard(&self) -> Vec<u8> {
        self.heard.lock().expect("nobody panics with it").clone()
    }
}

fn serve(mut client: TcpStream, server: SocketAddr, mind: &Mind, ears: &Mutex<Vec<u8>>) {
    let act = |client: &mut TcpStream, deed: &Deed| {
        let _ = client.write_all(&deed.send);
        match deed.then {
            Then::GoOn => return true,
            Then::Close => {}
            Then::Listen => {
                let mut chunk = [0; 4096];
                while let Ok(count @ 1..) = client.read(&mut chunk) {
                    ears.lock().expect("nobody panics with it").extend_from_slice(&chunk[..count]);
                }
            }
        }
        let _ = client.shutdown(Shutdown::Both);
        false
    };
    if mind(&Told::Connected).is_some_and(|deed| !act(&mut client, &deed)) {
        return;
    }
    let Ok(mut upstream) = TcpStream::connect(server) else { return };
    let (Ok(mut from_upstream), Ok(mut to_client)) = (upstream.try_clone(), client.try_clone()) else { return };
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_upstream, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let mut first = true;
    while let Some(packet) = read_packet(&mut client) {
        let told = told(&packet[4..], std::mem::take(&mut first));
        if let Some(deed) = told.and_then(|told| mind(&told)) {
            if !act(&mut client, &deed) {
                break;
            }
        } else if upstream.write_all(&packet).is_err() {
            break;
        }
    }
    let _ = upstream.shutdown(Shutdown::Both);
}

/// One packet with its header.
fn read_packet(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut packet = vec![0; 4];
    client.read_exact(&mut packet).ok()?;
    let length = usize::from(packet[0]) | usize::from(packet[1]) << 8 | usize::from(packet[2]) << 16;
    packet.resize(4 + length.min(PAYLOAD_MAX), 0);
    client.read_exact(&mut packet[4..]).ok()?;
    Some(packet)
}

fn told(payload: &[u8], first: bool) -> Option<Told> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if first {
        let mut cursor = Cursor(payload);
        let capabilities = cursor.u32()?;
        // A request for TLS says no name.
        if capabilities & capability::SSL != 0 && payload.len() == 32 {
            return None;
        }
        cursor.bytes(28)?;
        return Some(Told::Login { user: text(cursor.cstring()?) });
    }
    let (command, body) = payload.split_first()?;
    match *command {
        packets::command::QUERY => Some(Told::Query { sql: text(body) }),
        packets::command::STMT_PREPARE => Some(Told::Prepare { sql: text(body) }),
        _ => None,
    }
}

/// A column definition of a text column.
pub fn column(name: &str) -> Vec<u8> {
    let mut payload = Vec::new();
    for text in ["def", "support", "t", "t", name, name] {
        packets::lenenc_string(&mut payload, text.as_bytes());
    }
    payload.extend_from_slice(&[0x0c, 45, 0, 0, 1, 0, 0, 0xfd, 0, 0, 0, 0, 0]);
    payload
}

/// Payloads as packets of one answer, numbered from one.
pub fn answer(payloads: &[Vec<u8>]) -> Vec<u8> {
    let numbered = payloads.iter().enumerate();
    numbered
        .flat_map(|(number, payload)| packets::packets(u8::try_from((number + 1) % 256).expect("below 256"), payload))
        .collect()
}

/// EOF with these status flags.
pub fn eof(status: u16) -> Vec<u8> {
    [&[0xfe, 0, 0][..], &status.to_le_bytes()].concat()
}

/// OK with these status flags.
pub fn ok(status: u16) -> Vec<u8> {
    [&[0, 0, 0][..], &status.to_le_bytes(), &[0, 0]].concat()
}

/// A row of texts.
pub fn row(values: &[&str]) -> Vec<u8> {
    let mut payload = Vec::new();
    for value in values {
        packets::lenenc_string(&mut payload, value.as_bytes());
    }
    payload
}
