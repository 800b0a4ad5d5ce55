//! What is asked of MySQL's and MariaDB's catalog, and how the answers become a snapshot of the whole server.
//!
//! `information_schema` shows an account what it has rights to, and nothing else: what Weir's account cannot see is
//! missing from the snapshot, which is "unknown" and never "not sensitive". REFERENCES shows relations without a row of
//! them; a view's text needs SHOW VIEW and SELECT, a routine's SHOW_ROUTINE or, on MariaDB, SELECT on `mysql.proc`.
//!
//! What must never happen here: a view that counts as read although what it reads is not known. Such a view keeps
//! neither its definition nor what it depends on, and callers take it for unread.
//!
//! Triggers are shown to whoever has TRIGGER on their tables. Not read: events, which run for nobody who could be asked,
//! and loadable functions.

mod channel;
mod connection;
mod kill;
mod login;
mod relations;
#[cfg(test)]
mod tests;
mod view_text;

pub(crate) use connection::{Connection, Row};
pub(super) use kill::Killer;
pub(super) use relations::load;

use weir_wire::mysql::greeting::Flavour;

/// Changes whenever anything that [`load`] reads has changed, estimates excepted: every row of it, hashed and summed up.
/// What ships with the server is left out but for `mysql` and `sys`, which an administrator can change.
const FINGERPRINT: &str = "
select concat_ws(';',
  version(), @@global.sql_mode, @@global.lower_case_table_names, @@global.character_set_client,
  @@global.init_connect <> '',
  (select concat(count(*), ',', bit_xor({hash}concat_ws(char(0), t.table_schema, t.table_name, t.table_type,
                                               coalesce(t.engine, ''), t.create_time){end}))
     from information_schema.tables t where t.table_schema not in ('information_schema', 'performance_schema')),
  (select concat(count(*), ',', bit_xor({hash}concat_ws(char(0), c.table_schema, c.table_name, c.column_name,
                                               c.ordinal_position, c.extra, c.data_type){end}))
     from information_schema.columns c where c.table_schema not in ('information_schema', 'performance_schema')),
  (select concat(count(*), ',', bit_xor({hash}concat_ws(char(0), s.table_schema, s.table_name, s.index_name,
                                               s.seq_in_index, s.column_name, s.nullable){end}))
     from information_schema.statistics s where s.non_unique = 0),
  (select concat(count(*), ',', bit_xor({hash}concat_ws(char(0), v.table_schema, v.table_name, v.view_definition){end}))
     from information_schema.views v),
  (select concat(count(*), ',', bit_xor({hash}concat_ws(char(0), r.routine_schema, r.routine_name, r.routine_type,
                                               r.routine_definition, r.sql_mode){end}))
     from information_schema.routines r),
  (select concat(count(*), ',', bit_xor({hash}concat_ws(char(0), t.trigger_schema, t.trigger_name,
                                               t.event_object_schema, t.event_object_table, t.event_manipulation,
                                               t.action_statement, t.sql_mode){end}))
     from information_schema.triggers t))";

/// The fingerprint of the catalog now.
pub(super) async fn fingerprint(connection: &mut Connection) -> Result<String, String> {
    // The first 64 bits of a hash, as a number that can be summed up.
    let sql =
        FINGERPRINT.replace("{hash}", "cast(conv(left(sha2(").replace("{end}", ", 256), 16), 16, 10) as unsigned)");
    let rows = connection.rows(&sql, |row| Ok(row.name(0)?.to_owned())).await?;
    rows.into_iter().next().ok_or_else(|| "the server gave no fingerprint".to_owned())
}

/// Whether the server is a MariaDB.
fn is_mariadb(connection: &Connection) -> bool {
    connection.flavour == Flavour::MariaDb
}
