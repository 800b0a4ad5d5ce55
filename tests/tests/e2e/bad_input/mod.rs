//! What must not hurt: broken peers, vanished peers, slow peers, a full disk, bad files, signals.

mod frames_of_all_kinds;
mod mysql_packets;
mod mysql_rogue;
mod operator;
mod peers;

use std::net::SocketAddr;

use weir_tests::engine::{Client, Engine};

/// Whether a new session is served: what every one of these tests asks of Weir afterwards.
#[track_caller]
fn assert_serving(address: SocketAddr) {
    assert_serving_on(Engine::Postgres, address);
}

/// The same for a protocol.
#[track_caller]
fn assert_serving_on(engine: Engine, address: SocketAddr) {
    let mut client = Client::login(engine, address, "bob", "support");
    assert_eq!(client.query("select 'serving'").fine().column(), ["serving"]);
    client.goodbye();
}
