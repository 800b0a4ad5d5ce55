//! The tables that tests run against, made from what the policy file says.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Table;
use crate::catalog::{Catalog, Column, Relation, RelationKind, column_types};
use crate::relation::{Engine, RelationId};
use crate::rule::{Dataset, Glob};
use crate::set::PolicySet;

/// OID of the first table; the server's own are smaller.
const FIRST_OID: u32 = 16_384;
/// PostgreSQL's schema of tables whose dataset names none. MySQL's are in the database that the test says.
const SCHEMA: &str = "public";
/// The column that every table has, and its key unless the dataset or `tables` says another.
const ID: &str = "id";

/// The tables of one database.
#[derive(Debug)]
pub(super) struct Tables {
    engine: Engine,
    database: Arc<str>,
    tables: Vec<Known>,
}

/// A table.
#[derive(Debug)]
struct Known {
    table: Table,
    /// Its columns are those of the section `tables`, and no others.
    described: bool,
}

impl Tables {
    /// Tables that the datasets name in a database, and those that the file describes.
    pub(super) fn new(set: &PolicySet, engine: Engine, database: &Arc<str>) -> Tables {
        let mut tables: BTreeMap<(Arc<str>, Arc<str>), Known> = BTreeMap::new();
        for dataset in &set.datasets {
            for pattern in dataset.relations.iter().filter(|pattern| pattern.speaks_of(engine, database)) {
                let otherwise = match engine {
                    Engine::Postgres => SCHEMA,
                    Engine::Mysql => &**database,
                };
                let (schema, name) = (plain(&pattern.schema, otherwise), plain(&pattern.name, ""));
                if name.is_empty() {
                    continue;
                }
                let known = tables.entry((schema.clone(), name.clone())).or_insert_with(|| Known {
                    table: Table { schema, name, columns: vec![ID.into()], key: Vec::new(), rows: 0 },
                    described: false,
                });
                known.table.extend(dataset);
            }
        }
        for table in &set.tables {
            let known = Known { table: table.clone(), described: true };
            tables.insert((table.schema.clone(), table.name.clone()), known);
        }
        Tables { engine, database: database.clone(), tables: tables.into_values().collect() }
    }

    /// The tables as a snapshot. Those that are not described have these columns too.
    pub(super) fn catalog(&self, columns: &[String]) -> Catalog {
        let relations = self.tables.iter().zip(FIRST_OID..).map(|(known, oid)| {
            let mut names = known.table.columns.clone();
            if !known.described {
                for column in columns {
                    add(&mut names, column);
                }
            }
            self.relation(&known.table, &names, oid)
        });
        Catalog::new(self.engine, &self.database, 1, relations.collect(), Vec::new())
    }

    fn relation(&self, table: &Table, columns: &[Arc<str>], oid: u32) -> Relation {
        let columns: Vec<Column> = columns
            .iter()
            .zip(1_i16..)
            .map(|(name, number)| {
                // Keys are taken for numbers, as most are: what looks one up by a number pins it.
                let is_number = self.engine == Engine::Mysql && table.key.contains(name);
                Column { name: name.clone(), number, type_oid: if is_number { column_types::LONG } else { 0 } }
            })
            .collect();
        let number = |name: &Arc<str>| columns.iter().find(|column| column.name == *name).map(|column| column.number);
        Relation {
            id: RelationId {
                engine: self.engine,
                database: match self.engine {
                    Engine::Postgres => self.database.clone(),
                    Engine::Mysql => "".into(),
                },
                schema: table.schema.clone(),
                name: table.name.clone(),
            },
            oid,
            kind: RelationKind::Table,
            key: table.key.iter().filter_map(number).collect(),
            columns,
            rows_estimate: table.rows,
            row_bytes_mean: 0,
            definition: None,
            depends: Vec::new(),
            parents: Vec::new(),
        }
    }
}

impl Table {
    /// Takes up what a dataset says of the table.
    fn extend(&mut self, dataset: &Dataset) {
        let named = dataset.columns.iter().flatten().filter_map(Glob::literal);
        for column in named.chain(dataset.key.iter().flatten().map(|column| &**column)) {
            add(&mut self.columns, column);
        }
        if self.key.is_empty() {
            self.key = dataset.key.clone().unwrap_or_else(|| vec![ID.into()]);
        }
    }
}

fn add(columns: &mut Vec<Arc<str>>, column: &str) {
    if !columns.iter().any(|known| **known == *column) {
        columns.push(column.into());
    }
}

/// A name that a pattern matches: a star stands for nothing. `otherwise` where nothing is left.
fn plain(pattern: &Glob, otherwise: &str) -> Arc<str> {
    match pattern.as_str().replace('*', "") {
        name if name.is_empty() => otherwise.into(),
        name => name.into(),
    }
}
