//! Who is behind a session: what certificates and tokens prove, the directory of people, and the person that a login
//! resolves to.

pub mod backoff;
mod date;
mod der;
mod directory;
mod login;
pub mod secrets;
pub mod subject;
pub mod verifiers;

pub use date::Date;
pub use directory::{Directory, DirectoryError, Entry, Kind, Standing};
pub use login::{Login, Name};
