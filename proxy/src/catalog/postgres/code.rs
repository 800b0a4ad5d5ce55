//! What runs in a database without being named: triggers, rules, policies, defaults, checks, indexes, operators, casts,
//! types. Asked of the catalog's own dependencies, which know every function, whatever its call looks like.
//! <https://www.postgresql.org/docs/current/catalog-pg-depend.html>
//!
//! What must never happen here: a kind of code that is not asked for, and so taken for none.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tokio_postgres::Row;
use weir_policy::catalog::{Code, Function, Hook, Moment, Operator, Role, Type};

use super::{Connection, get, rows};

/// Functions and types that objects depend on, by the catalog that an object stands in and its number. An operator is
/// the function behind it; a class of operators, what its family brings.
const RUNS: &str = "
select d.classid::pg_catalog.regclass::text, d.objid,
       case when d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass then d.refobjid else o.oprcode::pg_catalog.oid end,
       case when d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass then d.refobjid end,
       case when d.refclassid = 'pg_catalog.pg_opclass'::pg_catalog.regclass then c.opcfamily
            when d.refclassid = 'pg_catalog.pg_opfamily'::pg_catalog.regclass then d.refobjid end
from pg_catalog.pg_depend d
left join pg_catalog.pg_operator o on d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass and o.oid = d.refobjid
left join pg_catalog.pg_opclass c on d.refclassid = 'pg_catalog.pg_opclass'::pg_catalog.regclass and c.oid = d.refobjid
where d.refobjid >= 16384 and d.deptype in ('n', 'a', 'i')
  and (d.refclassid in ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)
    or (d.classid <> 'pg_catalog.pg_proc'::pg_catalog.regclass
        and d.refclassid in ('pg_catalog.pg_type'::pg_catalog.regclass, 'pg_catalog.pg_opclass'::pg_catalog.regclass,
                             'pg_catalog.pg_opfamily'::pg_catalog.regclass)))
  and d.classid in ('pg_catalog.pg_attrdef'::pg_catalog.regclass, 'pg_catalog.pg_constraint'::pg_catalog.regclass,
                    'pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_policy'::pg_catalog.regclass,
                    'pg_catalog.pg_rewrite'::pg_catalog.regclass, 'pg_catalog.pg_trigger'::pg_catalog.regclass,
                    'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass)
order by 1, 2, 3, 4, 5";

/// Functions of families of operators, by family and by the type that they are for.
const FAMILIES: &str = "
select a.amprocfamily, a.amprocrighttype, a.amproc::pg_catalog.oid from pg_catalog.pg_amproc a
where a.amproc::pg_catalog.oid >= 16384
union
select a.amopfamily, a.amoprighttype, o.oprcode::pg_catalog.oid
from pg_catalog.pg_amop a join pg_catalog.pg_operator o on o.oid = a.amopopr
where o.oprcode::pg_catalog.oid >= 16384
order by 1, 2, 3";

/// What else the server computes of a row. The text of a default that may run SQL of its own stands beside it.
const OWNERS: &str = "
select 'pg_attrdef', a.oid, a.adrelid, '',
       case when pg_catalog.pg_get_expr(a.adbin, a.adrelid) ~
                 '(_to_xml|ts_stat|ts_rewrite|dblink|crosstab|connectby|lo_|loread|pg_read|pg_ls|set_config|pg_notify)'
            then pg_catalog.left(pg_catalog.pg_get_expr(a.adbin, a.adrelid), $1) end
from pg_catalog.pg_attrdef a
union all
select 'pg_constraint', c.oid, case when c.conrelid <> 0 then c.conrelid else c.contypid end,
       case when c.conrelid = 0 then 'type' else '' end, null
from pg_catalog.pg_constraint c where c.contype in ('c', 'x', 'f', 'u', 'p')
union all
select 'pg_class', i.indexrelid, i.indrelid, '', null from pg_catalog.pg_index i where i.indexrelid >= 16384
union all
select 'pg_policy', p.oid, p.polrelid, p.polcmd::text, null from pg_catalog.pg_policy p
union all
select 'pg_statistic_ext', s.oid, s.stxrelid, '', null from pg_catalog.pg_statistic_ext s
union all
select 'pg_rewrite', r.oid, r.ev_class, case when r.rulename = '_RETURN' then '' else r.ev_type::text end,
       case when r.rulename <> '_RETURN' then pg_catalog.left(pg_catalog.pg_get_ruledef(r.oid), $1) end
from pg_catalog.pg_rewrite r where r.oid >= 16384 and r.ev_enabled <> 'D'
order by 1, 2";

const TRIGGERS: &str = "
select t.oid, t.tgrelid, t.tgfoid, t.tgtype, t.tgname::text from pg_catalog.pg_trigger t
where not t.tgisinternal and t.tgenabled <> 'D' and t.tgfoid >= 16384 order by t.oid";

const EVENTS: &str = "
select e.evtfoid from pg_catalog.pg_event_trigger e where e.evtenabled <> 'D' and e.evtfoid >= 16384 order by e.evtfoid";

const CASCADES: &str = "
select distinct c.confrelid, c.conrelid from pg_catalog.pg_constraint c
where c.contype = 'f' and (c.confdeltype in ('c', 'n', 'd') or c.confupdtype in ('c', 'n', 'd')) order by 1, 2";

const CASTS: &str = "
select c.castsource, c.casttarget, c.castfunc from pg_catalog.pg_cast c where c.castfunc >= 16384 order by 1, 2, 3";

const OPERATORS: &str = "
select o.oprname::text, o.oprcode::pg_catalog.oid, o.oprleft, o.oprright,
       array(select distinct a.amopfamily from pg_catalog.pg_amop a where a.amopopr = o.oid order by 1)
from pg_catalog.pg_operator o where o.oid >= 16384 order by o.oid";

const RANGES: &str = "
select r.rngtypid, r.rngcanonical::pg_catalog.oid, r.rngsubdiff::pg_catalog.oid from pg_catalog.pg_range r
where r.rngtypid >= 16384 order by 1";

/// What a type is made of, where that is a type of the database's own.
const PARTS: &str = "
select t.oid, t.typbasetype from pg_catalog.pg_type t where t.typbasetype >= 16384
union
select t.oid, t.typelem from pg_catalog.pg_type t where t.typelem >= 16384
union
select t.oid, a.atttypid
from pg_catalog.pg_type t join pg_catalog.pg_attribute a on a.attrelid = t.typrelid
where t.typrelid >= 16384 and a.attnum > 0 and not a.attisdropped and a.atttypid >= 16384
union
select r.rngtypid, r.rngsubtype from pg_catalog.pg_range r where r.rngsubtype >= 16384
order by 1, 2";

/// A session's own types are nobody else's.
const TYPES: &str = "
select t.oid, t.typname::text
from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace
where t.oid >= 16384 and not pg_catalog.starts_with(n.nspname::text, 'pg_temp_')
  and (t.typtype in ('d', 'e', 'r', 'm', 'b') or t.typrelid >= 16384) and t.typcategory <> 'A'
order by 1";

/// Bits of `pg_trigger.tgtype`. <https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_trigger.h>
const ROW: i16 = 1;
const BEFORE: i16 = 2;
const INSERT: i16 = 4;
const DELETE: i16 = 8;
const UPDATE: i16 = 16;
const TRUNCATE: i16 = 32;
const INSTEAD: i16 = 64;

/// What an object runs.
#[derive(Clone, Debug, Default)]
struct Runs {
    functions: BTreeSet<u32>,
    types: BTreeSet<u32>,
    families: BTreeSet<u32>,
}

/// Reads all of it. `functions` are completed by what they call.
pub(super) async fn read(connection: &Connection, functions: &mut [Function]) -> Result<Code, String> {
    let own: BTreeSet<u32> =
        functions.iter().filter(|function| !function.from_extension).map(|function| function.oid).collect();
    let mut runs: HashMap<(String, u32), Runs> = HashMap::new();
    let dependencies = rows(connection, RUNS, |row| {
        let target: (Option<u32>, Option<u32>, Option<u32>) = (get(row, 2)?, get(row, 3)?, get(row, 4)?);
        Ok((get::<String>(row, 0)?, get::<u32>(row, 1)?, target))
    });
    for (catalog, object, (function, type_of, family)) in dependencies.await? {
        let catalog = catalog.trim_start_matches("pg_catalog.").to_owned();
        let entry = runs.entry((catalog, object)).or_default();
        entry.functions.extend(function.filter(|oid| own.contains(oid)));
        entry.types.extend(type_of);
        entry.families.extend(family);
    }
    let mut families: HashMap<u32, Vec<(u32, u32)>> = HashMap::new();
    for (family, of, function) in rows(connection, FAMILIES, three).await? {
        if own.contains(&function) {
            families.entry(family).or_default().push((of, function));
        }
    }
    for entry in runs.values_mut() {
        let brought = entry.families.iter().filter_map(|family| families.get(family)).flatten();
        entry.functions.extend(brought.map(|(_, function)| *function));
    }
    for function in functions.iter_mut() {
        if let Some(entry) = runs.get(&("pg_proc".to_owned(), function.oid)) {
            function.calls = entry.functions.iter().copied().filter(|oid| *oid != function.oid).collect();
        }
    }
    let mut code = Code { events: Vec::new(), ..Code::default() };
    let mut types = of_types(connection, &own, &families, &mut code).await?;
    hooks(connection, &runs, &mut types, &mut code).await?;
    for event in rows(connection, EVENTS, |row| get::<u32>(row, 0)).await? {
        if own.contains(&event) && !code.events.contains(&event) {
            code.events.push(event);
        }
    }
    for (parent, child) in rows(connection, CASCADES, two).await? {
        code.cascades.entry(parent).or_default().push(child);
    }
    operators(connection, &own, &families, &mut code).await?;
    name_types(connection, types, &mut code).await?;
    Ok(code)
}

fn two(row: &Row) -> Result<(u32, u32), String> {
    Ok((get(row, 0)?, get(row, 1)?))
}

fn three(row: &Row) -> Result<(u32, u32, u32), String> {
    Ok((get(row, 0)?, get(row, 1)?, get(row, 2)?))
}

/// What types run by themselves; what stands between types of the server's own alone is `ambient`.
async fn of_types(
    connection: &Connection,
    own: &BTreeSet<u32>,
    families: &HashMap<u32, Vec<(u32, u32)>>,
    code: &mut Code,
) -> Result<BTreeMap<u32, BTreeSet<u32>>, String> {
    const FIRST_OWN: u32 = super::OID_FIRST;
    let mut types: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for (source, target, function) in rows(connection, CASTS, three).await? {
        if !own.contains(&function) {
            continue;
        }
        for of in [source, target].into_iter().filter(|of| *of >= FIRST_OWN) {
            types.entry(of).or_default().insert(function);
        }
        if source < FIRST_OWN && target < FIRST_OWN {
            code.ambient.push(function);
        }
    }
    for (of, function) in families.values().flatten().filter(|(of, _)| *of >= FIRST_OWN) {
        types.entry(*of).or_default().insert(*function);
    }
    for (range, canonical, difference) in rows(connection, RANGES, three).await? {
        for function in [canonical, difference].into_iter().filter(|function| own.contains(function)) {
            types.entry(range).or_default().insert(function);
        }
    }
    Ok(types)
}

async fn hooks(
    connection: &Connection,
    runs: &HashMap<(String, u32), Runs>,
    types: &mut BTreeMap<u32, BTreeSet<u32>>,
    code: &mut Code,
) -> Result<(), String> {
    use Moment::{Delete, Insert, Maintain, Read, Truncate, Update};
    let owners = rows(connection, OWNERS, |row| {
        let object: (String, u32) = (get(row, 0)?, get(row, 1)?);
        Ok((object, get::<u32>(row, 2)?, get::<String>(row, 3)?, get::<Option<String>>(row, 4)?))
    });
    for (object, owner, detail, text) in owners.await? {
        let functions: Vec<u32> =
            runs.get(&object).map(|runs| runs.functions.iter().copied().collect()).unwrap_or_default();
        let (on, role, what) = match (object.0.as_str(), detail.as_str()) {
            ("pg_constraint", "type") => {
                types.entry(owner).or_default().extend(functions);
                continue;
            }
            ("pg_rewrite", "") => {
                if !functions.is_empty() {
                    code.views.entry(owner).or_default().extend(functions);
                }
                continue;
            }
            ("pg_rewrite", event) => {
                // pg_rewrite.ev_type counts the commands.
                let on = match event {
                    "2" => vec![Update],
                    "3" => vec![Insert],
                    "4" => vec![Delete],
                    _ => vec![Read],
                };
                (on, Role::Rule, "rule")
            }
            ("pg_attrdef", _) => (vec![Insert, Update], Role::Value, "default"),
            ("pg_policy", "r") => (vec![Read, Update, Delete], Role::Condition, "policy"),
            ("pg_policy", "a") => (vec![Insert], Role::Condition, "policy"),
            ("pg_policy", "w") => (vec![Update], Role::Condition, "policy"),
            ("pg_policy", "d") => (vec![Delete], Role::Condition, "policy"),
            ("pg_policy", _) => (vec![Read, Insert, Update, Delete], Role::Condition, "policy"),
            ("pg_class", _) => (vec![Read, Insert, Update, Delete, Maintain], Role::Condition, "index"),
            ("pg_statistic_ext", _) => (vec![Maintain], Role::Condition, "statistics"),
            _ => (vec![Insert, Update, Delete], Role::Condition, "constraint"),
        };
        if functions.is_empty() && text.is_none() {
            continue;
        }
        let label: Arc<str> = format!("({what})").into();
        code.hooks.entry(owner).or_default().push(Hook { on, role, label, functions, text });
    }
    let triggers = rows(connection, TRIGGERS, |row| {
        let (oid, relation, function) = three(row)?;
        Ok((oid, relation, function, get::<i16>(row, 3)?, get::<String>(row, 4)?))
    });
    for (oid, relation, function, kind, name) in triggers.await? {
        let moments = [(INSERT, Insert), (DELETE, Delete), (UPDATE, Update), (TRUNCATE, Truncate)];
        let on: Vec<Moment> = moments.iter().filter(|(bit, _)| kind & bit != 0).map(|(_, moment)| *moment).collect();
        let returns_row = kind & ROW != 0 && kind & (BEFORE | INSTEAD) != 0;
        let role = if returns_row { Role::Row } else { Role::Aside };
        let entry = code.hooks.entry(relation).or_default();
        let label = format!("(trigger {name})");
        entry.push(Hook { on: on.clone(), role, label: label.into(), functions: vec![function], text: None });
        // WHEN (…) asks before it runs.
        if let Some(asked) = runs.get(&("pg_trigger".to_owned(), oid)) {
            let functions: Vec<u32> = asked.functions.iter().copied().filter(|asked| *asked != function).collect();
            if !functions.is_empty() {
                let label = "(trigger condition)".into();
                entry.push(Hook { on, role: Role::Condition, label, functions, text: None });
            }
        }
    }
    Ok(())
}

async fn operators(
    connection: &Connection,
    own: &BTreeSet<u32>,
    families: &HashMap<u32, Vec<(u32, u32)>>,
    code: &mut Code,
) -> Result<(), String> {
    let found = rows(connection, OPERATORS, |row| {
        let sides: [u32; 2] = [get(row, 2)?, get(row, 3)?];
        Ok((get::<String>(row, 0)?, get::<u32>(row, 1)?, sides, get::<Vec<u32>>(row, 4)?))
    });
    for (name, function, sides, member_of) in found.await? {
        // Sorting by it asks what stands in its family.
        let members =
            member_of.iter().filter_map(|family| families.get(family)).flatten().map(|(_, function)| *function);
        let functions: BTreeSet<u32> = members.chain([function]).filter(|function| own.contains(function)).collect();
        // An extension's own has none here: it is known, and harmless.
        let types = sides.into_iter().filter(|of| *of >= super::OID_FIRST).collect();
        let operator = Operator { functions: functions.into_iter().collect(), types };
        code.operators.entry(name.into()).or_default().push(operator);
    }
    Ok(())
}

/// Gives each type what its parts run, and a name; those that run nothing are left out.
async fn name_types(
    connection: &Connection,
    mut types: BTreeMap<u32, BTreeSet<u32>>,
    code: &mut Code,
) -> Result<(), String> {
    /// Types within types within types: deeper than anybody builds them.
    const ROUNDS_MAX: usize = 16;
    if types.is_empty() && code.operators.is_empty() {
        return Ok(());
    }
    let parts = rows(connection, PARTS, two).await?;
    for _ in 0..ROUNDS_MAX {
        let mut changed = false;
        for (whole, part) in &parts {
            let Some(of_part) = types.get(part).cloned() else { continue };
            let of_whole = types.entry(*whole).or_default();
            let before = of_whole.len();
            of_whole.extend(of_part);
            changed |= of_whole.len() != before;
        }
        if !changed {
            break;
        }
    }
    // What an operator asks for must have a name, though it runs nothing else.
    for of in code.operators.values().flatten().flat_map(|operator| &operator.types) {
        types.entry(*of).or_default();
    }
    let names: HashMap<u32, String> =
        rows(connection, TYPES, |row| Ok((get(row, 0)?, get(row, 1)?))).await?.into_iter().collect();
    for (oid, functions) in types {
        // An array has no name that anybody writes.
        let name = names.get(&oid).map_or_else(Arc::default, |name| Arc::from(name.as_str()));
        code.types.insert(oid, Type { name, functions: functions.into_iter().collect() });
    }
    Ok(())
}
