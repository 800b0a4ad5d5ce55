//! Datasets: patterns of relations, sensitive columns, keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decode::{At, Entries, Lenient};
use super::diagnostic::{Findings, shown};
use super::name_of;
use super::raw::{RawDataset, RawDeclassified, RawRelation};
use crate::relation::Engine;
use crate::rule::{Dataset, Declassified, Glob, Place, RelationPattern};

/// Most datasets of a file, and most patterns of them all: each is tried on each relation of a database.
const DATASETS_MAX: usize = 1_000;
const PATTERNS_MAX: usize = 10_000;

/// Most columns of a table, and of a key; the server's own limits.
const COLUMNS_MAX: usize = 1_600;
const KEY_COLUMNS_MAX: usize = 32;

/// The datasets of a file. `names` gets each that stands there, readable or not.
pub(super) fn datasets<'a>(
    entries: &'a Entries<Lenient<RawDataset>>,
    names: &mut BTreeMap<&'a str, Place>,
    findings: &Findings,
) -> Vec<Dataset> {
    let mut datasets = Vec::new();
    let mut patterns = 0_usize;
    for (name, raw) in &entries.0 {
        let Some(checked_name) = name_of(name, "dataset", findings) else { continue };
        if let Some(first) = names.insert(&name.value, name.at) {
            let message = format!("{} is defined twice, first in line {}", shown(&name.value), first.line);
            findings.error(name.at, message, "rename one of them");
            continue;
        }
        let Some(raw) = &raw.0 else { continue };
        patterns = patterns.saturating_add(raw.relations.value.len());
        if datasets.len() >= DATASETS_MAX || patterns > PATTERNS_MAX {
            let message = format!("there are more than {DATASETS_MAX} datasets or {PATTERNS_MAX} relations in them");
            findings.error(name.at, message, "use `*` for relations whose names are alike");
            break;
        }
        datasets.extend(dataset(checked_name, name.at, raw, findings));
    }
    datasets
}

/// Foreign tables that lead to nothing sensitive.
pub(super) fn harmless_foreign(raw: &[Lenient<At<RawRelation>>], findings: &Findings) -> Vec<RelationPattern> {
    let mut patterns = Vec::new();
    for relation in raw.iter().filter_map(|relation| relation.0.as_ref()) {
        if patterns.len() >= PATTERNS_MAX {
            let message = format!("there are more than {PATTERNS_MAX} relations in `harmless-foreign`");
            findings.error(relation.at, message, "use `*` for relations whose names are alike");
            break;
        }
        patterns.extend(pattern(relation, findings));
    }
    patterns
}

/// Views whose output is harmless.
pub(super) fn declassified(raw: &[Lenient<At<RawDeclassified>>], findings: &Findings) -> Vec<Declassified> {
    let mut found: Vec<Declassified> = Vec::new();
    for view in raw.iter().filter_map(|view| view.0.as_ref()) {
        if found.len() >= PATTERNS_MAX {
            findings.error(view.at, format!("there are more than {PATTERNS_MAX} declassified views"), "remove some");
            break;
        }
        let RawDeclassified { engine, database, name, definition } = &view.value;
        if name.value.contains('*') || database.value.contains('*') {
            let message = format!("{} could be several views", shown(&name.value));
            findings.error(name.at, message, "write each in full: each has a definition of its own");
            continue;
        }
        if *engine == Engine::Postgres && !name.value.contains('.') {
            let message = format!("{} could be in several schemas", shown(&name.value));
            findings.error(name.at, message, "write \"schema.view\"");
            continue;
        }
        let relation = RawRelation { engine: *engine, database: database.clone(), name: name.clone() };
        let Some(pattern) = pattern(&At { at: view.at, value: relation }, findings) else { continue };
        found.push(Declassified {
            view: pattern,
            written: name.value.as_str().into(),
            definition: definition.as_ref().map(|hash| hash.value.trim().to_lowercase().into()),
        });
    }
    found
}

fn dataset(name: Arc<str>, at: Place, raw: &RawDataset, findings: &Findings) -> Option<Dataset> {
    let class = name_of(&raw.class, "class", findings);
    if raw.relations.value.is_empty() {
        findings.error(
            raw.relations.at,
            format!("{} has no relations", shown(&name)),
            "name one, or remove the dataset",
        );
    }
    let mut relations: Vec<RelationPattern> = Vec::with_capacity(raw.relations.value.len());
    for relation in raw.relations.value.iter().filter_map(|relation| relation.0.as_ref()) {
        let Some(pattern) = pattern(relation, findings) else { continue };
        let same = |other: &RelationPattern| {
            (other.engine, &other.database, &other.schema, &other.name)
                == (pattern.engine, &pattern.database, &pattern.schema, &pattern.name)
        };
        match relations.iter().find(|other| same(other)) {
            Some(first) => {
                let message = format!("this relation stands here twice, first in line {}", first.at.line);
                findings.warning(pattern.at, message, "keep one of them");
            }
            None => relations.push(pattern),
        }
    }
    let columns = raw.columns.as_ref().map(|columns| {
        if columns.value.is_empty() {
            findings.error(columns.at, "no column is sensitive", "leave `columns` out to mean every column");
        }
        if columns.value.len() > COLUMNS_MAX {
            let hint = "use `*` for columns whose names are alike";
            findings.error(columns.at, format!("there are more than {COLUMNS_MAX} columns"), hint);
            return Vec::new();
        }
        columns
            .value
            .iter()
            .filter(|column| is_plain(column, findings))
            .map(|column| Glob::new(&column.value))
            .collect()
    });
    let key = raw.key.as_ref().map(|key| keys(key, "key", findings));
    let tenant = raw.tenant.as_ref().map_or_else(Vec::new, |tenant| keys(tenant, "tenant", findings));
    let watched = raw.watched.unwrap_or_default();
    Some(Dataset { name, class: class?, relations, columns, key, tenant, watched, at })
}

fn keys(key: &At<Vec<At<String>>>, what: &str, findings: &Findings) -> Vec<Arc<str>> {
    if key.value.is_empty() {
        let hint = match what {
            "key" => "leave `key` out to mean the primary key of the database".to_owned(),
            _ => format!("leave `{what}` out"),
        };
        findings.error(key.at, format!("no column is the {what}"), hint);
    }
    if key.value.len() > KEY_COLUMNS_MAX {
        let hint = "name the columns of the primary key";
        findings.error(key.at, format!("a {what} has at most {KEY_COLUMNS_MAX} columns"), hint);
        return Vec::new();
    }
    let mut keys: Vec<Arc<str>> = Vec::new();
    for column in &key.value {
        if column.value.contains('*') {
            let message = format!("{} could be several columns", shown(&column.value));
            findings.error(column.at, message, format!("write each column of the {what} in full"));
        } else if keys.iter().any(|other| **other == *column.value) {
            findings.error(column.at, format!("{} stands here twice", shown(&column.value)), "keep one of them");
        } else if is_plain(column, findings) {
            keys.push(column.value.as_str().into());
        }
    }
    keys
}

fn pattern(raw: &At<RawRelation>, findings: &Findings) -> Option<RelationPattern> {
    let RawRelation { engine, database, name } = &raw.value;
    if !(is_plain(database, findings) & is_plain(name, findings)) {
        return None;
    }
    let (database, schema, relation) = match engine {
        Engine::Postgres => match name.value.split_once('.') {
            None => (database.value.as_str(), "*", name.value.as_str()),
            Some((schema, relation)) if !schema.is_empty() && !relation.is_empty() && !relation.contains('.') => {
                (database.value.as_str(), schema, relation)
            }
            Some(_) => {
                let message = format!("{} is no name of a relation", shown(&name.value));
                findings.error(name.at, message, "write \"schema.relation\"; the database has a key of its own");
                return None;
            }
        },
        Engine::Mysql if name.value.contains('.') => {
            let message = format!("{} is no name of a table", shown(&name.value));
            findings.error(name.at, message, "write the table alone; the database has a key of its own");
            return None;
        }
        Engine::Mysql => ("*", database.value.as_str(), name.value.as_str()),
    };
    Some(RelationPattern {
        engine: *engine,
        database: Glob::new(database),
        schema: Glob::new(schema),
        name: Glob::new(relation),
        at: raw.at,
    })
}

/// Whether this is a name as catalogs show it; tells when it is not.
fn is_plain(name: &At<String>, findings: &Findings) -> bool {
    if name.value.is_empty() {
        findings.error(name.at, "an empty name means nothing", "write the name, or `*`");
        return false;
    }
    if name.value.contains(['"', '`']) || name.value.chars().any(char::is_control) {
        let message = format!("{} has quotes in it", shown(&name.value));
        findings.error(name.at, message, "write names as the catalog shows them, without the quotes of SQL");
        return false;
    }
    true
}
