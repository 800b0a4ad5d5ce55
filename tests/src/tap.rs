//! A relay that records both directions of each connection that passes it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use socket2::{Domain, Socket, Type};

use crate::wait;

/// What passed on one connection.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// From the side that connected.
    pub client: Vec<u8>,
    /// From the side that was connected to.
    pub server: Vec<u8>,
    /// How many of the two directions have ended.
    ended: u8,
}

impl Recording {
    /// Whether the connecting side's first packet holds this text.
    pub fn mentions(&self, text: &str) -> bool {
        let start = &self.client[..self.client.len().min(1024)];
        start.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

/// A recording relay on a loopback port of its own.
#[derive(Debug)]
pub struct Tap {
    address: SocketAddr,
    recordings: Arc<Mutex<Vec<Arc<Mutex<Recording>>>>>,
    stopped: Arc<AtomicBool>,
}

impl Tap {
    /// Relays to `onward`.
    pub fn start(onward: SocketAddr) -> Tap {
        Tap::start_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port"), onward)
    }

    /// Relays what comes to `listener` on to `onward`.
    pub fn start_on(listener: TcpListener, onward: SocketAddr) -> Tap {
        Tap::begin(listener, move || TcpStream::connect(onward))
    }

    /// Relays to `onward`, which sees this address as the client's.
    pub fn start_from(source: Ipv4Addr, onward: SocketAddr) -> Tap {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        Tap::begin(listener, move || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.bind(&SocketAddr::from((source, 0)).into())?;
            socket.connect(&onward.into())?;
            Ok(socket.into())
        })
    }

    fn begin(listener: TcpListener, connect: impl Fn() -> std::io::Result<TcpStream> + Send + 'static) -> Tap {
        let address = listener.local_addr().expect("a bound socket");
        let recordings: Arc<Mutex<Vec<Arc<Mutex<Recording>>>>> = Arc::default();
        let stopped = Arc::new(AtomicBool::new(false));
        let (list, stop) = (Arc::clone(&recordings), Arc::clone(&stopped));
        thread::spawn(move || {
            for client in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(client), Ok(server)) = (client, connect()) else { continue };
                let recording = Arc::new(Mutex::new(Recording::default()));
                list.lock().unwrap().push(Arc::clone(&recording));
                for (from, to, direction) in
                    [(&client, &server, Direction::Client), (&server, &client, Direction::Server)]
                {
                    from.set_nodelay(true).expect("socket option");
                    let (from, to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
                    let recording = Arc::clone(&recording);
                    thread::spawn(move || pump(from, to, direction, &recording));
                }
            }
        });
        Tap { address, recordings, stopped }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The recordings so far that are `wanted`, in order of connecting, once both directions of each have ended.
    pub fn finished(&self, wanted: impl Fn(&Recording) -> bool) -> Vec<Recording> {
        wait::until("both directions of every tapped connection to end", wait::SOON, || {
            let recordings = self.recordings.lock().unwrap();
            let all = recordings.iter().map(|recording| recording.lock().unwrap().clone());
            let all: Vec<Recording> = all.filter(&wanted).collect();
            all.iter().all(|recording| recording.ended == 2).then_some(all)
        })
    }

    /// Forgets what was recorded.
    pub fn clear(&self) {
        self.recordings.lock().unwrap().clear();
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Client,
    Server,
}

fn pump(mut from: TcpStream, mut to: TcpStream, direction: Direction, recording: &Mutex<Recording>) {
    let mut chunk = vec![0_u8; 65_536];
    loop {
        let count = match from.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        {
            let mut recording = recording.lock().unwrap();
            let stream = match direction {
                Direction::Client => &mut recording.client,
                Direction::Server => &mut recording.server,
            };
            stream.extend_from_slice(&chunk[..count]);
        }
        if to.write_all(&chunk[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    recording.lock().unwrap().ended += 1;
}
