//! From the rows of `information_schema` to relations and routines.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use aws_lc_rs::digest;
use weir_policy::catalog::column_types;
use weir_policy::catalog::{Code, Column, Function, Relation, RelationKind, Trigger, TriggerEvent};
use weir_policy::relation::{Engine, RelationId};

use super::connection::{Connection, Row};
use super::{is_mariadb, view_text};
use crate::catalog::content::{Content, Facts, MysqlFacts, Shared};

/// Longest definition of a view or body of a routine that is read, characters; what is longer counts as unreadable.
const DEFINITION_CHARACTERS_MAX: usize = 1024 * 1024;
/// The server's own schemas. Its tables of statistics grow and shrink all the time, and an estimate that moves makes a
/// new version of the snapshot; none is kept of them.
const OWN_SCHEMAS: [&str; 4] = ["mysql", "sys", "information_schema", "performance_schema"];
/// MERGE tables whose parts are asked for one by one; nobody has made many since partitions exist.
const MERGES_MAX: usize = 1000;
/// Engines whose rows are on another server, or in a file.
const FOREIGN_ENGINES: [&str; 4] = ["FEDERATED", "CONNECT", "SPIDER", "SPHINX"];
/// The engine whose tables are others put together, in either server's spelling.
const MERGE_ENGINE: &str = "MRG_MYISAM";

const FACTS: &str = "
select @@global.sql_mode, @@global.lower_case_table_names, @@global.character_set_client, @@global.init_connect <> ''";

const RELATIONS: &str = "
select t.table_schema, t.table_name, t.table_type, t.engine, t.table_rows, t.avg_row_length
from information_schema.tables t where t.table_type <> 'TEMPORARY'";

const COLUMNS: &str = "
select c.table_schema, c.table_name, c.column_name, c.ordinal_position, c.extra, c.data_type
from information_schema.columns c";

/// Of a key over an expression the column is NULL; of one over a column's beginning there is a length.
const KEYS: &str = "
select s.table_schema, s.table_name, s.index_name, s.seq_in_index, s.column_name, s.nullable, s.sub_part
from information_schema.statistics s where s.non_unique = 0";

const VIEWS: &str = "
select v.table_schema, v.table_name, left(v.view_definition, {limit} + 1) from information_schema.views v";

/// MySQL only.
const VIEW_USES: &str = "
select u.view_schema, u.view_name, u.table_schema, u.table_name from information_schema.view_table_usage u";

const ROUTINES: &str = "
select r.routine_schema, r.routine_name, r.external_language, left(r.routine_definition, {limit} + 1), r.sql_mode,
    case when r.security_type = 'DEFINER' then r.definer end
from information_schema.routines r";

const TRIGGERS: &str = "
select t.trigger_schema, t.trigger_name, 'sql', left(t.action_statement, {limit} + 1), t.sql_mode,
    t.event_object_schema, t.event_object_table, t.event_manipulation
from information_schema.triggers t";

/// Reads everything. `information_schema` has no snapshots: what is changed meanwhile may be seen in part. What is then
/// missing counts as unknown; whoever made the change through Weir asks again, and the next comparison sees the others.
pub(in crate::catalog) async fn load(connection: &mut Connection) -> Result<Content, String> {
    let facts = facts(connection).await?;
    let mut relations = Relations::new(connection.rows(RELATIONS, relation).await?);
    relations.add_columns(connection.rows(COLUMNS, column).await?)?;
    relations.add_keys(connection.rows(KEYS, key_part).await?);
    let views = VIEWS.replace("{limit}", &DEFINITION_CHARACTERS_MAX.to_string());
    let views = connection.rows(&views, |row| Ok((name(row)?, definition(row.text(2))))).await?;
    let uses = if is_mariadb(connection) {
        Vec::new()
    } else {
        let make = |row: &Row<'_>| Ok((name(row)?, (row.name(2)?.to_owned(), row.name(3)?.to_owned())));
        connection.rows(VIEW_USES, make).await?
    };
    relations.add_views(views, uses);
    for (schema, merge) in relations.merges() {
        let sql = format!("show create table {}.{}", quoted(&schema), quoted(&merge));
        // A table that cannot be looked at stays one of which nothing is known.
        let text = connection.rows(&sql, |row| Ok(row.text(1))).await.unwrap_or_default();
        relations.add_merge(&schema, &merge, text.into_iter().next().flatten().as_deref());
    }
    let routines = ROUTINES.replace("{limit}", &DEFINITION_CHARACTERS_MAX.to_string());
    let mut functions = connection.rows(&routines, stored).await?;
    functions.sort_by(|one, other| (&one.schema, &one.name, &one.body).cmp(&(&other.schema, &other.name, &other.body)));
    let triggers = TRIGGERS.replace("{limit}", &DEFINITION_CHARACTERS_MAX.to_string());
    let triggers = relations.triggers(connection.rows(&triggers, trigger).await?);
    let (foreign, temporary, code) = (Vec::new(), Vec::new(), Code::default());
    let (relations, facts) = (relations.list, Facts::Mysql(facts));
    Ok(Content { relations, functions, triggers, foreign, temporary, code, facts })
}

async fn facts(connection: &mut Connection) -> Result<MysqlFacts, String> {
    let (version, mariadb) = (connection.version, is_mariadb(connection));
    let rows = connection
        .rows(FACTS, |row| {
            Ok(MysqlFacts {
                version,
                mariadb,
                sql_mode: row.name(0)?.to_owned(),
                lower_case_table_names: row.number(1)?.unwrap_or_default(),
                character_set_client: row.name(2)?.to_owned(),
                has_init_connect: row.number(3)?.unwrap_or(0_u8) != 0,
            })
        })
        .await?;
    rows.into_iter().next().ok_or_else(|| "the server does not say what it starts sessions with".to_owned())
}

type Name = (String, String);

fn name(row: &Row<'_>) -> Result<Name, String> {
    Ok((row.name(0)?.to_owned(), row.name(1)?.to_owned()))
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text that was asked for up to one character more than is kept; an empty one is one without the right to read it.
fn definition(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty() && text.chars().nth(DEFINITION_CHARACTERS_MAX).is_none())
}

struct RawRelation {
    name: Name,
    kind: RelationKind,
    is_merge: bool,
    rows_estimate: u64,
    row_bytes_mean: u32,
}

fn relation(row: &Row<'_>) -> Result<RawRelation, String> {
    let engine = row.text(3).unwrap_or_default();
    let is_merge = engine.eq_ignore_ascii_case(MERGE_ENGINE);
    let kind = match row.name(2)? {
        // What a MERGE table shows is in others, as with a view.
        "VIEW" => RelationKind::View,
        _ if is_merge => RelationKind::View,
        "SEQUENCE" => RelationKind::Other,
        _ if FOREIGN_ENGINES.iter().any(|foreign| engine.eq_ignore_ascii_case(foreign)) => RelationKind::Foreign,
        // Also what is kept in memory, and tables with a history.
        _ => RelationKind::Table,
    };
    let name = name(row)?;
    let (mut rows, mut bytes): (Option<u64>, Option<u64>) = (row.number(4)?, row.number(5)?);
    if OWN_SCHEMAS.iter().any(|own| name.0.eq_ignore_ascii_case(own)) {
        (rows, bytes) = (None, None);
    }
    // An empty table is known to be one: the engines count as they write. Unknown is NULL.
    let rows_min = u64::from(kind == RelationKind::Table);
    Ok(RawRelation {
        name,
        kind,
        is_merge,
        rows_estimate: rows.map_or(0, |rows| rows.max(rows_min)),
        row_bytes_mean: bytes.map_or(0, |bytes| u32::try_from(bytes).unwrap_or(u32::MAX)),
    })
}

struct RawColumn {
    of: Name,
    name: String,
    number: i16,
    type_number: u32,
    is_invisible: bool,
}

fn column(row: &Row<'_>) -> Result<RawColumn, String> {
    let number = row.number(3)?.ok_or("a column of the catalog has no number")?;
    let is_invisible = row.text(4).is_some_and(|extra| extra.to_ascii_uppercase().contains("INVISIBLE"));
    let type_number = row.text(5).map_or(0, |name| type_number(&name));
    Ok(RawColumn { of: name(row)?, name: row.name(2)?.to_owned(), number, type_number, is_invisible })
}

/// The protocol's number of a type; 0 where it is not known.
fn type_number(name: &str) -> u32 {
    const TYPES: [(&str, u32); 15] = [
        ("tinyint", 1),
        ("smallint", 2),
        ("int", column_types::LONG),
        ("float", 4),
        ("double", 5),
        ("timestamp", 7),
        ("bigint", 8),
        ("mediumint", 9),
        ("date", 10),
        ("time", 11),
        ("datetime", 12),
        ("year", 13),
        ("decimal", 246),
        ("varchar", 253),
        ("char", 254),
    ];
    TYPES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map_or(0, |(_, number)| *number)
}

struct KeyPart {
    of: Name,
    index: String,
    place: u32,
    /// `None` where no column by itself is meant, or one that may be NULL.
    column: Option<String>,
}

fn key_part(row: &Row<'_>) -> Result<KeyPart, String> {
    let is_whole = row.text(5).is_none_or(|nullable| nullable.is_empty() || nullable == "NO") && row.text(6).is_none();
    Ok(KeyPart {
        of: name(row)?,
        index: row.name(2)?.to_owned(),
        place: row.number(3)?.unwrap_or_default(),
        column: row.text(4).filter(|_| is_whole),
    })
}

fn stored(row: &Row<'_>) -> Result<Function, String> {
    routine(row).map(|routine| Function { definer: row.text(5).map(Into::into), ..routine })
}

fn routine(row: &Row<'_>) -> Result<Function, String> {
    Ok(Function {
        schema: row.name(0)?.into(),
        name: row.name(1)?.into(),
        language: row.text(2).map_or_else(|| "sql".to_owned(), |language| language.to_ascii_lowercase()).into(),
        body: definition(row.text(3)),
        from_extension: false,
        sql_mode: row.text(4).map(Into::into),
        ..Function::default()
    })
}

struct RawTrigger {
    on: Name,
    event: TriggerEvent,
    program: Function,
}

fn trigger(row: &Row<'_>) -> Result<RawTrigger, String> {
    let event = match row.name(7)? {
        "INSERT" => TriggerEvent::Insert,
        "UPDATE" => TriggerEvent::Update,
        "DELETE" => TriggerEvent::Delete,
        other => return Err(format!("a trigger of the catalog waits for `{other}`, which weir does not know")),
    };
    Ok(RawTrigger { on: (row.name(5)?.to_owned(), row.name(6)?.to_owned()), event, program: routine(row)? })
}

/// Relations in order of their names, while they are put together.
struct Relations {
    list: Vec<Relation>,
    places: HashMap<Name, usize>,
    /// The same without regard to case, for texts and for what a server lists in another spelling than it stores.
    folded: HashMap<Name, usize>,
    merges: Vec<usize>,
    shared: Shared,
}

impl Relations {
    fn new(mut raw: Vec<RawRelation>) -> Relations {
        raw.sort_by(|one, other| one.name.cmp(&other.name));
        raw.dedup_by(|one, other| one.name == other.name);
        let mut relations = Relations {
            list: Vec::with_capacity(raw.len()),
            places: HashMap::with_capacity(raw.len()),
            folded: HashMap::with_capacity(raw.len()),
            merges: Vec::new(),
            shared: Shared::default(),
        };
        let mut numbers = Numbers::default();
        for raw in raw {
            let place = relations.list.len();
            if raw.is_merge {
                relations.merges.push(place);
            }
            relations.list.push(Relation {
                id: RelationId {
                    engine: Engine::Mysql,
                    database: Arc::default(),
                    schema: relations.shared.text(&raw.name.0),
                    name: relations.shared.text(&raw.name.1),
                },
                oid: numbers.of(&raw.name),
                kind: raw.kind,
                columns: Vec::new(),
                key: Vec::new(),
                rows_estimate: raw.rows_estimate,
                row_bytes_mean: raw.row_bytes_mean,
                definition: None,
                depends: Vec::new(),
                parents: Vec::new(),
            });
            relations.folded.insert(folded(&raw.name), place);
            relations.places.insert(raw.name, place);
        }
        relations
    }

    fn place(&self, name: &Name) -> Option<usize> {
        self.places.get(name).or_else(|| self.folded.get(&folded(name))).copied()
    }

    /// Those that `*` leaves out stand last, so that the others are where a reader of a result finds them.
    fn add_columns(&mut self, mut columns: Vec<RawColumn>) -> Result<(), String> {
        columns.sort_by_key(|column| (column.is_invisible, column.number));
        for column in columns {
            let Some(place) = self.place(&column.of) else { continue };
            let name = self.shared.text(&column.name);
            self.list[place].columns.push(Column { name, number: column.number, type_oid: column.type_number });
        }
        Ok(())
    }

    /// The primary key; where there is none, the unique key without NULLs that has the fewest columns.
    fn add_keys(&mut self, parts: Vec<KeyPart>) {
        let mut keys: BTreeMap<(usize, String), Vec<KeyPart>> = BTreeMap::new();
        for part in parts {
            if let Some(place) = self.place(&part.of) {
                keys.entry((place, part.index.clone())).or_default().push(part);
            }
        }
        let mut best: HashMap<usize, (bool, usize)> = HashMap::new();
        for ((place, index), mut parts) in keys {
            parts.sort_by_key(|part| part.place);
            let columns = &self.list[place].columns;
            let number = |name: &str| {
                columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)).map(|column| column.number)
            };
            let key: Option<Vec<i16>> = parts.iter().map(|part| part.column.as_deref().and_then(number)).collect();
            let Some(key) = key else { continue };
            let rank = (index != "PRIMARY", key.len());
            if best.get(&place).is_none_or(|best| rank < *best) {
                best.insert(place, rank);
                self.list[place].key = key;
            }
        }
    }

    fn add_views(&mut self, views: Vec<(Name, Option<String>)>, uses: Vec<(Name, Name)>) {
        let mut used: HashMap<Name, Vec<Name>> = HashMap::new();
        for (view, relation) in uses {
            used.entry(view).or_default().push(relation);
        }
        for (name, definition) in views {
            let Some(place) = self.place(&name) else { continue };
            let Some(definition) = definition else { continue };
            let Some(named) = view_text::named(&definition) else { continue };
            let used = used.remove(&name).unwrap_or_default();
            // What it reads for certain must be there, or what it depends on is only known in part.
            if named.sources.iter().chain(&used).any(|source| self.place(source).is_none()) {
                continue;
            }
            let mut depends: Vec<(u32, i16)> = named
                .pairs
                .iter()
                .chain(&used)
                .filter_map(|name| self.place(name))
                .filter(|on| *on != place)
                .map(|on| (self.list[on].oid, 0))
                .collect();
            depends.sort_unstable();
            depends.dedup();
            let view = &mut self.list[place];
            view.definition = Some(definition);
            view.depends = depends;
        }
    }

    /// Triggers of the relations that are here, in order of their names.
    fn triggers(&self, mut raw: Vec<RawTrigger>) -> Vec<Trigger> {
        let order = |trigger: &RawTrigger| (trigger.program.schema.clone(), trigger.program.name.clone());
        raw.sort_by_key(order);
        let on = |raw: &RawTrigger| self.place(&raw.on).map(|place| self.list[place].oid);
        raw.into_iter()
            .filter_map(|raw| on(&raw).map(|on| Trigger { on, event: raw.event, program: raw.program }))
            .collect()
    }

    /// MERGE tables, whose parts only their own text tells.
    fn merges(&self) -> Vec<Name> {
        let name = |place: &usize| {
            let id = &self.list[*place].id;
            (id.schema.to_string(), id.name.to_string())
        };
        self.merges.iter().take(MERGES_MAX).map(name).collect()
    }

    fn add_merge(&mut self, schema: &str, merge: &str, text: Option<&str>) {
        let Some(place) = self.place(&(schema.to_owned(), merge.to_owned())) else { return };
        let parts = text.and_then(view_text::union);
        let known: Option<Vec<(u32, i16)>> = parts.and_then(|parts| {
            let oid = |(database, name): (Option<String>, String)| {
                let part = self.place(&(database.unwrap_or_else(|| schema.to_owned()), name))?;
                Some((self.list[part].oid, 0))
            };
            parts.into_iter().map(oid).collect()
        });
        self.list[place].depends = known.unwrap_or_default();
    }
}

/// A name as comparisons without regard to case take it.
fn folded((schema, name): &Name) -> Name {
    (schema.to_lowercase(), name.to_lowercase())
}

/// Numbers for relations, which the servers have none of that lasts: made from the names, so that they outlive a load.
#[derive(Default)]
struct Numbers(HashSet<u32>);

impl Numbers {
    fn of(&mut self, (schema, name): &Name) -> u32 {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(schema.as_bytes());
        context.update(&[0]);
        context.update(name.as_bytes());
        let mut number = 0;
        if let Some(first) = context.finish().as_ref().first_chunk::<4>() {
            number = u32::from_le_bytes(*first);
        }
        // 0 stands for "none". Two of ten thousand relations meet once in a hundred servers.
        while number == 0 || !self.0.insert(number) {
            number = number.wrapping_add(1);
        }
        number
    }
}
