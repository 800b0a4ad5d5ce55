//! MySQL's side of the harness: throw-away servers, a client that speaks the protocol byte by byte, and a server that
//! lies.

pub mod auth;
pub mod login;
pub mod packets;
pub mod raw;
pub mod reply;
pub mod rogue;
pub mod server;
