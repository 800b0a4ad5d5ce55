//! The support database that the tests query, and the accounts that query it.

/// Accounts. Everyone's password is [`PASSWORD`].
pub const ROLES: &str = include_str!("fixture/roles.sql");

/// Tables, views, functions and rows of one support database.
pub const SCHEMA: &str = include_str!("fixture/schema.sql");

/// Accounts and databases of a MySQL server; a word in braces is the flavour's.
pub const MYSQL_ACCOUNTS: &str = include_str!("fixture/mysql_accounts.sql");

/// [`SCHEMA`] for MySQL and MariaDB.
pub const MYSQL_SCHEMA: &str = include_str!("fixture/mysql_schema.sql");

/// The database `billing` of a MySQL server.
pub const MYSQL_BILLING: &str = include_str!("fixture/mysql_billing.sql");

/// Password of every account but the superuser's.
pub const PASSWORD: &str = "pw-of-the-tests-1";

/// How many accounts `evader_0`, `evader_1` … there are.
pub const EVADERS: usize = 100;

/// Rows in `public.customers`.
pub const CUSTOMERS: u64 = 3_000;

/// Account that Weir reads the catalog with.
pub const CATALOG_ACCOUNT: &str = "weir_catalog";

/// Who is behind which account: `alice` has several, `bob` one; `nightly` is a service.
pub const PEOPLE: &str = "\
people:
  alice: { accounts: [alice, alice_report, alice_ed25519], groups: [support] }
  bob: { accounts: [bob], groups: [support] }
  carol: { accounts: [carol], groups: [support] }
  dora: { accounts: [app], groups: [engineering] }
services:
  etl: { accounts: [etl_export], groups: [nightly] }
";

/// [`PEOPLE`] and a person behind each evader's account.
pub fn people_and_evaders() -> String {
    let evaders: String =
        (0..EVADERS).map(|n| format!("  evader_{n}: {{ accounts: [evader_{n}], groups: [support] }}\n")).collect();
    PEOPLE.replacen("people:\n", &format!("people:\n{evaders}"), 1)
}
