//! What is asked of PostgreSQL's catalog, and how the answers become a snapshot.
//!
//! Every name is schema-qualified and `search_path` is empty, so that nothing a client creates can stand in for what is
//! meant. Nothing needs more rights than those of any account; row widths are finer where the account may read
//! `pg_stats`.

mod code;
mod connection;
mod foreign;
mod search_path;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::TryStreamExt;
use tokio_postgres::Row;
use weir_policy::catalog::{Column, Function, Relation, RelationKind, Volatility};
use weir_policy::relation::{Engine, RelationId};

use super::content::{Content, Facts, Shared};
pub(crate) use connection::{Connection, told};
pub(super) use search_path::SearchPaths;
use search_path::Setting;
pub(crate) use search_path::{of_options as search_path_of_options, parse as parse_search_path};

/// Rows that one of the questions below may have for an answer. Past this the catalog counts as unreadable: a snapshot
/// with parts missing would call what it lacks unknown, but cost memory without end.
const ROWS_MAX: usize = 4_000_000;
/// Longest definition of a view or function that is read; what is longer counts as unreadable.
const DEFINITION_BYTES_MAX: i32 = 1024 * 1024;
/// OIDs below this are the server's own (FirstNormalObjectId).
const OID_FIRST: u32 = 16_384;
/// Size of a page of a relation's file, bytes.
const PAGE_BYTES: f64 = 8192.0;
/// Mean row width that is believed, bytes: a row cannot be larger than a gigabyte.
const ROW_BYTES_MAX: f64 = 1e9;

/// Changes whenever anything that [`load`] reads has changed, estimates and statistics excepted: row versions of the
/// catalog's tables, hashed. Temporary relations come and go and are left out.
const FINGERPRINT: &str = "
select pg_catalog.concat_ws(';',
  (select pg_catalog.concat(count(*), ',', sum(pg_catalog.hashint8extended(c.xmin::text::int8, c.oid::int8)))
     from pg_catalog.pg_class c where c.relpersistence <> 't'),
  (select pg_catalog.concat(count(*), ',', sum(pg_catalog.hashint8extended(a.xmin::text::int8, a.attrelid::int8 * 2048 + a.attnum)))
     from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
     where a.attnum > 0 and c.relpersistence <> 't'),
  (select pg_catalog.concat(count(*), ',', sum(pg_catalog.hashint8extended(r.xmin::text::int8, r.oid::int8)))
     from pg_catalog.pg_rewrite r join pg_catalog.pg_class c on c.oid = r.ev_class where c.relpersistence <> 't'),
  (select pg_catalog.concat(count(*), ',', sum(pg_catalog.hashint8extended(p.xmin::text::int8, p.oid::int8)))
     from pg_catalog.pg_proc p),
  (select pg_catalog.concat(count(*), ',', sum(pg_catalog.hashint8extended(n.xmin::text::int8, n.oid::int8)))
     from pg_catalog.pg_namespace n
     where not pg_catalog.starts_with(n.nspname::text, 'pg_temp_')
       and not pg_catalog.starts_with(n.nspname::text, 'pg_toast_temp_')),
  (select pg_catalog.concat(count(*), ',', sum(pg_catalog.hashint8extended(i.xmin::text::int8, i.inhrelid::int8)))
     from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid where c.relpersistence <> 't'),
  (select pg_catalog.concat(count(*), ',', sum(pg_catalog.hashint8extended(f.xmin::text::int8, f.ftrelid::int8)),
                            ',', sum(pg_catalog.hashint8extended(v.xmin::text::int8, v.oid::int8)))
     from pg_catalog.pg_foreign_table f join pg_catalog.pg_foreign_server v on v.oid = f.ftserver),
  (select pg_catalog.concat(count(*), ',', sum(pg_catalog.hashint8extended(d.xmin::text::int8, d.objid::int8)))
     from pg_catalog.pg_depend d where d.deptype = 'e'),
  (select pg_catalog.concat(count(*), ',', sum(pg_catalog.hashint8extended(x.version, x.oid::int8)))
     from (select t.xmin::text::int8 as version, t.oid from pg_catalog.pg_trigger t where not t.tgisinternal
           union all select t.xmin::text::int8, t.oid from pg_catalog.pg_event_trigger t
           union all select t.xmin::text::int8, t.oid from pg_catalog.pg_policy t
           union all select t.xmin::text::int8, t.oid from pg_catalog.pg_attrdef t
           union all select t.xmin::text::int8, t.oid from pg_catalog.pg_constraint t
           union all select t.xmin::text::int8, t.oid from pg_catalog.pg_cast t
           union all select t.xmin::text::int8, t.oid from pg_catalog.pg_operator t
           union all select t.xmin::text::int8, t.oid from pg_catalog.pg_amop t
           union all select t.xmin::text::int8, t.oid from pg_catalog.pg_amproc t
           union all select t.xmin::text::int8, t.oid from pg_catalog.pg_type t where t.typtype in ('d', 'e', 'b')) x),
  (select pg_catalog.concat(count(*), ',', sum(pg_catalog.hashint8extended(s.xmin::text::int8, s.setrole::int8)),
                            ',', sum(pg_catalog.hashtextextended(r.rolname::text, 0)))
     from pg_catalog.pg_db_role_setting s left join pg_catalog.pg_roles r on r.oid = s.setrole))";

const RELATIONS: &str = "
select c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.reltuples::float8, c.relpages::float8,
       case when c.relkind in ('v', 'm') then pg_catalog.left(pg_catalog.pg_get_viewdef(c.oid), $1 + 1) end,
       c.reltoastrelid
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 't') and c.relpersistence <> 't' and $1 > 0
order by c.oid";

const COLUMNS: &str = "
select a.attrelid, a.attnum, a.attname::text, a.atttypid
from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
where a.attnum > 0 and not a.attisdropped and $1 > 0
  and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 't') and c.relpersistence <> 't'
order by a.attrelid, a.attnum";

const KEYS: &str = "
select i.indrelid, k.attnum
from pg_catalog.pg_index i cross join lateral pg_catalog.unnest(i.indkey) with ordinality as k (attnum, place)
where i.indisprimary and k.place <= i.indnkeyatts and $1 > 0
order by i.indrelid, k.place";

/// Rules of tables are in it as well as the one that makes a view a view.
const DEPENDS: &str = "
select distinct r.ev_class, d.refobjid, d.refobjsubid::int2
from pg_catalog.pg_rewrite r
join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = r.oid
where d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid <> r.ev_class and $1 > 0
order by 1, 2, 3";

const PARENTS: &str = "
select i.inhrelid, i.inhparent from pg_catalog.pg_inherits i where $1 > 0 order by i.inhrelid, i.inhseqno";

/// `{body}` differs by version: bodies that are parsed at creation exist since PostgreSQL 14.
const FUNCTIONS: &str = "
select n.nspname::text, p.proname::text, l.lanname::text,
       case when l.lanname in ('sql', 'plpgsql') then pg_catalog.left({body}, $1 + 1) end,
       exists (select 1 from pg_catalog.pg_depend d
               where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid and d.deptype = 'e'),
       p.oid, p.proargnames, p.proconfig, p.provolatile::text, p.prokind = 'a',
       array(select distinct t from pg_catalog.unnest(p.proargtypes::oid[] || p.proallargtypes || p.prorettype) t
             where t >= {first} order by t),
       case when p.prosecdef then pg_catalog.pg_get_userbyid(p.proowner)::text end
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
join pg_catalog.pg_language l on l.oid = p.prolang
where p.oid >= {first}
order by p.oid";

const SETTINGS: &str = "
select r.rolname::text, s.setdatabase <> 0, s.setconfig
from pg_catalog.pg_db_role_setting s left join pg_catalog.pg_roles r on r.oid = s.setrole
where s.setdatabase in (0, (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()))
  and (s.setrole = 0 or r.oid is not null) and $1 > 0
order by s.setdatabase, s.setrole";

/// `reset_val` is the server's own where neither the database nor the account of this connection overrides it.
const SERVER_PATH: &str = "
select s.reset_val from pg_catalog.pg_settings s
where s.name = 'search_path'
  and not exists (select 1 from pg_catalog.pg_db_role_setting d, pg_catalog.unnest(d.setconfig) as line
                  where pg_catalog.starts_with(line, 'search_path=')
                    and d.setdatabase in (0, (select b.oid from pg_catalog.pg_database b where b.datname = pg_catalog.current_database()))
                    and d.setrole in (0, (select r.oid from pg_catalog.pg_roles r where r.rolname = current_user)))";

const WIDTHS: &str = "
select s.schemaname::text, s.tablename::text, s.inherited, sum(s.avg_width)::float8
from pg_catalog.pg_stats s where $1 > 0 group by 1, 2, 3 order by 1, 2, 3";

/// The fingerprint of the catalog now.
pub(super) async fn fingerprint(connection: &Connection) -> Result<String, String> {
    let row = connection.client.query_one(FINGERPRINT, &[]).await.map_err(|error| told(&error))?;
    row.try_get(0).map_err(|error| told(&error))
}

/// Reads everything, in one snapshot of the server's but for row widths.
pub(super) async fn load(connection: &Connection, database: &str) -> Result<Content, String> {
    let begin = "begin transaction isolation level repeatable read read only";
    connection.client.batch_execute(begin).await.map_err(|error| told(&error))?;
    let content = read(connection, database).await;
    // Also after an error: the connection may serve again.
    connection.client.batch_execute("rollback").await.map_err(|error| told(&error))?;
    let mut content = content?;
    // A slow or refused look at statistics costs precision, not the catalog.
    match rows(connection, WIDTHS, width).await {
        Ok(widths) => set_widths(&mut content.relations, widths),
        Err(reason) => tracing::debug!(database, %reason, "row widths are estimated from file sizes"),
    }
    sum_partitions(&mut content.relations);
    Ok(content)
}

async fn read(connection: &Connection, database: &str) -> Result<Content, String> {
    let database: Arc<str> = database.into();
    let mut shared = Shared::default();
    let mut relations = Vec::new();
    let mut toast_owners = Vec::new();
    for raw in rows(connection, RELATIONS, relation).await? {
        if raw.toast != 0 {
            toast_owners.push((raw.toast, raw.relation.oid));
        }
        let mut relation = raw.relation;
        relation.id = RelationId {
            engine: Engine::Postgres,
            database: Arc::clone(&database),
            schema: shared.text(&relation.id.schema),
            name: shared.text(&relation.id.name),
        };
        relations.push(relation);
    }
    let places: HashMap<u32, usize> =
        relations.iter().enumerate().map(|(place, relation)| (relation.oid, place)).collect();
    for (oid, mut column) in rows(connection, COLUMNS, column).await? {
        if let Some(place) = places.get(&oid) {
            column.name = shared.text(&column.name);
            relations[*place].columns.push(column);
        }
    }
    for (oid, number) in rows(connection, KEYS, |row| Ok((get(row, 0)?, get(row, 1)?))).await? {
        if let Some(place) = places.get(&oid) {
            relations[*place].key.push(number);
        }
    }
    for (oid, on, number) in
        rows(connection, DEPENDS, |row| Ok((get::<u32>(row, 0)?, get(row, 1)?, get(row, 2)?))).await?
    {
        if let Some(place) = places.get(&oid) {
            relations[*place].depends.push((on, number));
        }
    }
    // The out-of-line values of a table: reading its TOAST relation is reading the table.
    for (toast, owner) in toast_owners {
        if let Some(place) = places.get(&toast) {
            relations[*place].depends.push((owner, 0));
        }
    }
    for (oid, parent) in rows(connection, PARENTS, |row| Ok((get::<u32>(row, 0)?, get(row, 1)?))).await? {
        if let Some(place) = places.get(&oid) {
            relations[*place].parents.push(parent);
        }
    }
    let body = match connection.version {
        ..140_000 => "p.prosrc",
        _ => "coalesce(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc)",
    };
    let functions = FUNCTIONS.replace("{body}", body).replace("{first}", &OID_FIRST.to_string());
    let mut functions = rows(connection, &functions, function).await?;
    let code = code::read(connection, &mut functions).await?;
    let server = rows(connection, SERVER_PATH, |row| get::<Option<String>>(row, 0)).await;
    let settings = rows(connection, SETTINGS, setting).await?;
    let server = server?.into_iter().next().flatten();
    let facts = Facts::Postgres(SearchPaths::new(server.as_deref(), settings));
    let foreign = foreign::foreign(connection).await?;
    let temporary = foreign::temporary(connection).await?;
    Ok(Content { relations, functions, triggers: Vec::new(), foreign, temporary, code, facts })
}

/// The rows of an answer, made into what is kept of them one by one.
async fn rows<T>(
    connection: &Connection,
    sql: &str,
    make: impl Fn(&Row) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let parameters: &[i32] = if sql.contains("$1") { &[DEFINITION_BYTES_MAX] } else { &[] };
    let answer = connection.client.query_raw(sql, parameters).await.map_err(|error| told(&error))?;
    let mut answer = std::pin::pin!(answer);
    let mut made = Vec::new();
    while let Some(row) = answer.try_next().await.map_err(|error| told(&error))? {
        if made.len() >= ROWS_MAX {
            return Err(format!("the catalog has more than {ROWS_MAX} rows of one kind"));
        }
        made.push(make(&row)?);
    }
    Ok(made)
}

fn get<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, place: usize) -> Result<T, String> {
    row.try_get(place).map_err(|error| told(&error))
}

struct RawRelation {
    relation: Relation,
    toast: u32,
}

fn relation(row: &Row) -> Result<RawRelation, String> {
    let (rows, pages): (f64, f64) = (get(row, 4)?, get(row, 5)?);
    let width = if rows >= 1.0 { pages * PAGE_BYTES / rows } else { 0.0 };
    let relation = Relation {
        id: RelationId {
            engine: Engine::Postgres,
            database: Arc::default(),
            schema: get::<&str>(row, 1)?.into(),
            name: get::<&str>(row, 2)?.into(),
        },
        oid: get(row, 0)?,
        kind: match get::<&str>(row, 3)? {
            "r" => RelationKind::Table,
            "p" => RelationKind::Partitioned,
            "v" => RelationKind::View,
            "m" => RelationKind::MaterializedView,
            "f" => RelationKind::Foreign,
            _ => RelationKind::Other,
        },
        columns: Vec::new(),
        key: Vec::new(),
        rows_estimate: estimate(rows),
        row_bytes_mean: mean_width(width),
        definition: definition(get(row, 6)?),
        depends: Vec::new(),
        parents: Vec::new(),
    };
    Ok(RawRelation { relation, toast: get(row, 7)? })
}

fn column(row: &Row) -> Result<(u32, Column), String> {
    Ok((get(row, 0)?, Column { name: get::<&str>(row, 2)?.into(), number: get(row, 1)?, type_oid: get(row, 3)? }))
}

fn function(row: &Row) -> Result<Function, String> {
    Ok(Function {
        schema: get::<&str>(row, 0)?.into(),
        name: get::<&str>(row, 1)?.into(),
        language: get::<&str>(row, 2)?.into(),
        body: definition(get(row, 3)?),
        from_extension: get(row, 4)?,
        sql_mode: None,
        oid: get(row, 5)?,
        arguments: get::<Option<Vec<String>>>(row, 6)?.unwrap_or_default().into_iter().map(Arc::from).collect(),
        search_path: own_path(&get::<Option<Vec<String>>>(row, 7)?.unwrap_or_default()),
        volatility: match get::<&str>(row, 8)? {
            "i" => Volatility::Immutable,
            "s" => Volatility::Stable,
            _ => Volatility::Volatile,
        },
        is_aggregate: get(row, 9)?,
        calls: Vec::new(),
        types: get(row, 10)?,
        definer: get::<Option<String>>(row, 11)?.map(Into::into),
    })
}

/// The path that a function sets for itself, as names are looked up in it.
fn own_path(settings: &[String]) -> Option<Vec<String>> {
    let path = parse_search_path(settings.iter().find_map(|line| line.strip_prefix("search_path="))?);
    let server = (!path.iter().any(|schema| schema == "pg_catalog")).then(|| "pg_catalog".to_owned());
    Some(server.into_iter().chain(path).collect())
}

fn setting(row: &Row) -> Result<Setting, String> {
    let lines: Option<Vec<String>> = get(row, 2)?;
    Ok(Setting { role: get(row, 0)?, here: get(row, 1)?, lines: lines.unwrap_or_default() })
}

fn width(row: &Row) -> Result<((String, String), bool, f64), String> {
    Ok(((get(row, 0)?, get(row, 1)?), get(row, 2)?, get(row, 3)?))
}

/// A text that was asked for up to one character more than is kept; an empty one is a body kept elsewhere.
fn definition(text: Option<String>) -> Option<String> {
    let characters_max = usize::try_from(DEFINITION_BYTES_MAX).unwrap_or(0);
    text.filter(|text| !text.is_empty() && text.chars().nth(characters_max).is_none())
}

/// A count that the server keeps as a float; negative means unknown.
fn estimate(rows: f64) -> u64 {
    if !rows.is_finite() || rows < 1.0 {
        return 0;
    }
    // Saturates far above any table.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rows = rows as u64;
    rows
}

fn mean_width(bytes: f64) -> u32 {
    if !bytes.is_finite() || bytes <= 0.0 {
        return 0;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let bytes = bytes.clamp(1.0, ROW_BYTES_MAX) as u32;
    bytes
}

/// Widths from statistics, where the account may see them; those of the table itself before those with children.
fn set_widths(relations: &mut [Relation], widths: Vec<((String, String), bool, f64)>) {
    let mut by_name: HashMap<(String, String), f64> = HashMap::new();
    for (name, inherited, width) in widths {
        if !inherited {
            by_name.insert(name, width);
        } else {
            by_name.entry(name).or_insert(width);
        }
    }
    for relation in relations {
        let name = (relation.id.schema.to_string(), relation.id.name.to_string());
        if let Some(width) = by_name.get(&name) {
            relation.row_bytes_mean = mean_width(*width);
        }
    }
}

/// A partitioned parent holds no rows itself; its estimates are those of its partitions together.
fn sum_partitions(relations: &mut [Relation]) {
    let mut children: HashMap<u32, Vec<usize>> = HashMap::new();
    for (place, relation) in relations.iter().enumerate() {
        for parent in &relation.parents {
            children.entry(*parent).or_default().push(place);
        }
    }
    for place in 0..relations.len() {
        if relations[place].kind != RelationKind::Partitioned {
            continue;
        }
        let (mut rows, mut bytes) = (0_u64, 0_u64);
        let mut todo = vec![place];
        // A tree by construction of the server's; the bound is for one that lies.
        let mut steps = 0;
        while let Some(at) = todo.pop() {
            steps += 1;
            if steps > relations.len() {
                break;
            }
            let relation = &relations[at];
            if relation.kind != RelationKind::Partitioned {
                rows = rows.saturating_add(relation.rows_estimate);
                bytes = bytes.saturating_add(relation.rows_estimate.saturating_mul(u64::from(relation.row_bytes_mean)));
            }
            todo.extend(children.get(&relation.oid).into_iter().flatten());
        }
        let parent = &mut relations[place];
        parent.rows_estimate = parent.rows_estimate.max(rows);
        if let Some(mean) = bytes.checked_div(rows)
            && parent.row_bytes_mean == 0
        {
            parent.row_bytes_mean = u32::try_from(mean).unwrap_or(u32::MAX);
        }
    }
}
