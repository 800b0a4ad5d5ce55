//! Who is behind a session: what certificates and tokens prove, the directory of people, and the person that a login
//! resolves to.

pub mod backoff;
pub mod certificate;
mod date;
mod der;
mod directory;
pub mod fetch;
pub mod import;
pub mod jwks;
mod login;
mod persons;
pub mod secrets;
mod strict_json;
pub mod subject;
pub mod token;
pub mod token_keys;
pub mod verifiers;

pub use date::Date;
pub use directory::{Directory, DirectoryError, Entry, Kind, Standing};
pub use login::{Login, Name};
