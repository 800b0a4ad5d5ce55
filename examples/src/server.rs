//! The throw-away servers with the support desk's database in them. Reached over loopback only, by password.

mod mariadb;
mod postgres;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::failure::{Context, Failure};
use crate::process;

pub(crate) use mariadb::Mariadb;
pub(crate) use postgres::Postgres;

/// Customers in each database; that many support records were sold in the theft that S1 and S2 are modelled on.
pub(crate) const CUSTOMERS: u64 = 68_000;

/// The account that Weir reads the catalog with.
pub(crate) const CATALOG_ACCOUNT: &str = "weir_catalog";

/// Customers that one statement of the filling makes: often enough for a line of progress to move.
const FILL_STEP: u64 = 8_500;

/// How long a server may take to accept.
const START_LIMIT: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(20);

/// First and last number of the customers that each statement of the filling makes.
fn fill_steps() -> impl Iterator<Item = (u64, u64)> {
    let step = usize::try_from(FILL_STEP).unwrap_or(usize::MAX);
    (1..=CUSTOMERS).step_by(step).map(|from| (from, (from + FILL_STEP - 1).min(CUSTOMERS)))
}

/// Database servers refuse to run as root: root lends them the account that Debian's package makes.
fn lent_by_root(account: &'static str) -> Result<Option<&'static str>, Failure> {
    let me = process::run(Path::new("/usr/bin/id"), &["-u"], None)?;
    Ok((me == "0").then_some(account))
}

fn give(path: &Path, account: Option<&str>) -> Result<(), Failure> {
    let Some(account) = account else { return Ok(()) };
    let id = |which: &str| -> Result<u32, Failure> {
        let id = process::run(Path::new("/usr/bin/id"), &[which, account], None)?;
        id.parse().context(format_args!("`id {which} {account}` said `{id}`"))
    };
    std::os::unix::fs::chown(path, Some(id("-u")?), Some(id("-g")?))
        .context(format_args!("cannot give {} to {account}", path.display()))
}

/// A program on the PATH or in one of the other folders.
fn program(name: &str, elsewhere: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(elsewhere.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|program| program.exists())
}

fn text(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| Failure::new(format!("{} is not UTF-8", path.display())))
}

#[cfg(test)]
mod tests {
    use super::{CUSTOMERS, fill_steps};

    #[test]
    fn every_customer_is_made_once() {
        let mut next = 1;
        for (from, to) in fill_steps() {
            assert_eq!(from, next);
            next = to + 1;
        }
        assert_eq!(next, CUSTOMERS + 1);
    }
}
