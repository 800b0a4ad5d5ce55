//! `[upstream.monitor]` as it is written: the account that looks for sessions past Weir, and who may be there.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use weir_policy::relation::Engine;

use super::{Problem, own_account, problem, secs};
use crate::config::{Monitor, OwnAccount};
use crate::monitor::allow::{Allowed, Place};
use crate::monitor::default_database;

/// A direct login is to be told within a minute: longer between two looks is no monitor.
const INTERVAL_SECS_MAX: u64 = 60;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMonitor {
    user: String,
    password_file: Option<PathBuf>,
    password_env: Option<Spanned<String>>,
    interval_secs: Option<Spanned<u64>>,
    database: Option<Spanned<String>>,
    #[serde(default)]
    allow: Vec<Spanned<RawAllowed>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAllowed {
    account: Option<String>,
    address: Option<Spanned<String>>,
}

impl RawMonitor {
    pub(super) fn check(self, upstream: &str, engine: Engine, base: &Path) -> Result<Monitor, Problem> {
        let refresh = secs("upstream.monitor.interval_secs", self.interval_secs, 10, 1, INTERVAL_SECS_MAX)?;
        let password = own_account(upstream, self.password_file, self.password_env, base)?;
        if let Some(database) = self.database.as_ref().filter(|_| engine == Engine::Mysql) {
            return Err(problem(
                Some(database.span()),
                format!("the monitor of upstream `{upstream}` names a database, and MySQL's needs none"),
                "remove it",
            ));
        }
        Ok(Monitor {
            account: OwnAccount { user: self.user, password, refresh },
            database: self.database.map_or_else(|| default_database(engine).to_owned(), Spanned::into_inner),
            allow: self.allow.into_iter().map(|allowed| check(upstream, allowed)).collect::<Result<_, _>>()?,
        })
    }
}

fn check(upstream: &str, allowed: Spanned<RawAllowed>) -> Result<Allowed, Problem> {
    let (at, RawAllowed { account, address }) = (allowed.span(), allowed.into_inner());
    if account.is_none() && address.is_none() {
        return Err(problem(
            Some(at),
            format!("the monitor of upstream `{upstream}` allows everybody past weir"),
            "name an account, an address, or both; or remove [upstream.monitor]",
        ));
    }
    let place = address.map(|address| {
        Place::read(address.get_ref()).ok_or_else(|| {
            problem(
                Some(address.span()),
                format!("the monitor of upstream `{upstream}` allows the address `{}`", address.get_ref()),
                "write an address, a network such as 10.0.0.0/8, the name of a host, or \"local\"",
            )
        })
    });
    Ok(Allowed { account, place: place.transpose()? })
}
