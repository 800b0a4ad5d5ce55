//! MySQL's authentication as far as Weir has a part of its own in it: it judges clients at the door, and logs in
//! upstream, for itself and for them.
//!
//! What must never happen here: a password or what stands for one in a log, an error or `Debug`; a judgement whose time
//! or packets tell whether an account exists.

pub(crate) mod crypt;
pub(crate) mod login;
pub(crate) mod proof;
pub mod verifier;
