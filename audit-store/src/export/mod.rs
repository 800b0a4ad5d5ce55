//! Records for others to read: events of a published schema for a SIEM, and a sentence for people.
//!
//! Pure: a record comes in, text goes out. What must never happen: a raw control or line separator in what is exported,
//! or a key of a record (not even hashed: the hashes are for budgets, and their use is to recognise people's data again).

mod ocsf;
mod parts;
mod sentence;

pub use ocsf::{OCSF_VERSION, Ocsf};
pub use parts::deciding;
pub use sentence::sentence;
