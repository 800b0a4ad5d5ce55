//! What must not hurt: broken peers, vanished peers, slow peers, a full disk, bad files, signals.

mod frames_of_all_kinds;
mod operator;
mod peers;

use std::net::SocketAddr;

use weir_tests::raw::Raw;

/// Whether a new session is served: what every one of these tests asks of Weir afterwards.
#[track_caller]
fn assert_serving(address: SocketAddr) {
    let mut client = Raw::login(address, "bob", "support");
    assert_eq!(client.query("select 'serving'").fine().column(), ["serving"]);
    client.goodbye();
}
