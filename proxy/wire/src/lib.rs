//! Wire protocol engines without I/O: bytes in, steps out.
//!
//! An engine frames what both sides send, keeps the protocol state of one session, and tells the trunk in
//! *steps* what may pass, what needs a decision and what has ended. It never reads a socket, a clock or a policy.
//! *Refuse* and *cut* are operations of the engine, so that nobody else ever builds a packet by hand.
//!
//! INVARIANT: nothing here decodes the values of a data row; rows are counted by their headers, and only the
//! columns that somebody asks for are looked at, in place.
//!
//! ```
//! use weir_wire::pg::frame::{Frame, Header};
//! let ready = [b'Z', 0, 0, 0, 5, b'I'];
//! let header = Header::read(&ready, 1 << 20).unwrap().unwrap();
//! assert_eq!((header.kind, header.frame_len), (b'Z', 6));
//! assert_eq!(Frame::of(&ready, header).body, b"I");
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod mysql;
pub mod pg;
pub mod refusal;
pub mod step;

pub use refusal::{Refusal, WireError, WireSide};
pub use step::{
    ClientStep, ColumnOrigin, Command, Content, Door, Engine, Execution, Moment, Outcome, Prepared, Quote, Run, Shape,
    Telling, Told, Transaction, UpstreamStep, Values,
};
