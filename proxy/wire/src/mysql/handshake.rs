//! The server's greeting and the client's answer.

pub use super::capability::{Capabilities, LocalFiles, Protection, Terms};
