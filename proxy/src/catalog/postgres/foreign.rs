//! Where foreign tables lead, and which numbers are those of sessions' own tables.

use std::collections::BTreeMap;

use tokio_postgres::Row;
use weir_policy::catalog::Foreign;

use super::connection::Connection;
use super::{get, rows};

/// Tables of sessions' own that are asked for; a server that has more at once gets these, and the others are taken for
/// what their names say.
const TEMPORARY_MAX: usize = 100_000;

/// Users' passwords are in user mappings, which nobody asks for here.
const FOREIGN: &str = "
select f.ftrelid, s.srvname::text, w.fdwname::text, s.srvoptions, f.ftoptions
from pg_catalog.pg_foreign_table f
join pg_catalog.pg_foreign_server s on s.oid = f.ftserver
join pg_catalog.pg_foreign_data_wrapper w on w.oid = s.srvfdw
where $1 > 0 order by f.ftrelid";

const COLUMNS: &str = "
select a.attrelid, a.attnum, a.attfdwoptions
from pg_catalog.pg_attribute a where a.attfdwoptions is not null and a.attnum > 0 and $1 > 0 order by 1, 2";

/// Nothing can stand behind these: no rule, no partition, no child.
const TEMPORARY: &str = "
select c.oid from pg_catalog.pg_class c
where c.relpersistence = 't' and c.relkind = 'r' and not c.relhasrules and not c.relhassubclass
order by 1 limit {limit}";

/// Names and values.
type Options = Vec<(String, String)>;

/// Foreign tables with their servers and options, by OID.
pub(super) async fn foreign(connection: &Connection) -> Result<Vec<(u32, Foreign)>, String> {
    let mut found: BTreeMap<u32, Foreign> = rows(connection, FOREIGN, table).await?.into_iter().collect();
    for (oid, number, options) in rows(connection, COLUMNS, column).await? {
        let name = options.into_iter().find(|(name, _)| name == "column_name");
        if let (Some(foreign), Some((_, name))) = (found.get_mut(&oid), name) {
            foreign.columns.push((number, name));
        }
    }
    Ok(found.into_iter().collect())
}

/// Ordinary tables of sessions' own.
pub(super) async fn temporary(connection: &Connection) -> Result<Vec<u32>, String> {
    rows(connection, &TEMPORARY.replace("{limit}", &TEMPORARY_MAX.to_string()), |row| get(row, 0)).await
}

fn table(row: &Row) -> Result<(u32, Foreign), String> {
    let mut all = options(get(row, 3)?);
    all.extend(options(get(row, 4)?));
    // Some wrappers have them where they should not.
    all.retain(|(name, _)| !name.contains("password"));
    let foreign = Foreign { server: get(row, 1)?, wrapper: get(row, 2)?, options: all, columns: Vec::new() };
    Ok((get(row, 0)?, foreign))
}

fn column(row: &Row) -> Result<(u32, i16, Options), String> {
    Ok((get(row, 0)?, get(row, 1)?, options(get(row, 2)?)))
}

/// Options as the catalog keeps them: `name=value`.
fn options(lines: Option<Vec<String>>) -> Options {
    let lines = lines.unwrap_or_default();
    lines
        .iter()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
