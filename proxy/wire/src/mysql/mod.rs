//! The MySQL client/server protocol, as MySQL 8 and 9 and MariaDB 10.11 and later speak it.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html>
//! <https://mariadb.com/kb/en/clientserver-protocol/>

pub mod account;
pub mod auth;
pub mod capability;
pub mod change_user;
pub mod charset;
mod client;
mod command;
mod data;
pub mod door;
pub mod engine;
pub mod error;
pub mod greeting;
pub mod handshake;
pub mod kill;
pub mod login;
#[cfg(test)]
mod login_tests;
pub mod packet;
pub mod prepared;
pub mod resultset;
pub mod row;
#[cfg(test)]
mod tests;
mod told;
mod upstream;

pub use engine::{Facts, Limits, MysqlEngine};
pub use prepared::Binding;
pub use resultset::ResultShape;
mod plugin;
