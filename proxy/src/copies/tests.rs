//! Labels through catalogs that change, restarts, and the bound on their number.

use weir_audit_store::event::{Person, Statement};
use weir_policy::catalog::{Column, RelationKind};
use weir_policy::copies::Target;
use weir_policy::relation::RelationId;

use super::*;

fn id(engine: Engine, schema: &str, name: &str) -> RelationId {
    let database = if engine == Engine::Postgres { "d" } else { "" };
    RelationId { engine, database: database.into(), schema: schema.into(), name: name.into() }
}

fn relation(engine: Engine, oid: u32, name: &str, columns: &[&str]) -> Relation {
    let columns = columns.iter().zip(1_i16..);
    Relation {
        id: id(engine, "s", name),
        oid,
        kind: RelationKind::Table,
        columns: columns.map(|(name, number)| Column { name: (*name).into(), number, type_oid: 25 }).collect(),
        key: Vec::new(),
        rows_estimate: 1,
        row_bytes_mean: 1,
        definition: None,
        depends: Vec::new(),
        parents: Vec::new(),
    }
}

fn catalog(engine: Engine, version: u64, relations: Vec<Relation>) -> Catalog {
    let database = if engine == Engine::Postgres { "d" } else { "" };
    Catalog::new(engine, database, version, relations, Vec::new())
}

fn label(engine: Engine, oid: u32, name: &str, columns: &[&str]) -> Label {
    Label {
        dataset: "customers".into(),
        source: id(engine, "public", "customers"),
        records: id(engine, "public", "customers"),
        target: Target { schemas: vec!["s".into()], name: name.into(), oid, before: Vec::new() },
        columns: Some(columns.iter().map(|name| Arc::from(*name)).collect()),
        key: None,
    }
}

const BY: By<'_> = By { person: "alice", statement: "1.1", time_ms: 7 };

fn event(body: Body) -> Event {
    let mut event = Event::new(1, 1, "boot", body);
    event.person = Some(Person { id: "alice".to_owned(), ..Person::default() });
    event.statement = Some(Statement { id: "1.1".to_owned(), ..Statement::default() });
    event
}

fn columns(copies: &Copies, catalog: &Catalog) -> Vec<(String, u32, Vec<String>)> {
    let laid = copies.laid("main", catalog);
    let line = |label: &Label| {
        let columns = label.columns.iter().flatten().map(ToString::to_string).collect();
        (label.target.name.to_string(), label.target.oid, columns)
    };
    laid.labels.iter().map(line).collect()
}

#[test]
fn a_label_follows_its_table_by_number() {
    let copies = Copies::default();
    let at = |version, relations| catalog(Engine::Postgres, version, relations);
    let table = |oid, name: &str, columns: &[&str]| relation(Engine::Postgres, oid, name, columns);
    let first = at(1, vec![]);
    let (records, ids) = copies.add("main", &first, vec![label(Engine::Postgres, 0, "t", &["e"])], &BY);
    assert_eq!((records.len(), ids.len()), (1, 1));
    assert_eq!(columns(&copies, &first), [("t".to_owned(), 0, vec!["e".to_owned()])]);
    // It is not there yet, and the transaction is open.
    assert!(copies.observe("main", &at(2, vec![])).is_empty());
    let there = at(3, vec![table(10, "t", &["id", "e"])]);
    assert_eq!(copies.observe("main", &there).len(), 1);
    assert_eq!(columns(&copies, &there), [("t".to_owned(), 10, vec!["e".to_owned()])]);
    // Another name for it, and for its column; a table that gets the old name is another one.
    let renamed = at(4, vec![table(10, "u", &["id", "x"]), table(11, "t", &["id", "e"])]);
    assert_eq!(copies.observe("main", &renamed).len(), 1);
    assert_eq!(columns(&copies, &renamed), [("u".to_owned(), 10, vec!["x".to_owned()])]);
    // Somebody who still has an older catalog does not end it.
    assert!(copies.observe("main", &first).is_empty());
    let gone = copies.observe("main", &at(5, vec![table(11, "t", &["id", "e"])]));
    assert!(matches!(gone.as_slice(), [Body::CopyEnded(_)]), "{gone:?}");
    assert!(columns(&copies, &renamed).is_empty());
    assert_eq!(copies.list().len(), 0);
}

#[test]
fn what_the_log_says_is_known_again() {
    let at = |version, relations| catalog(Engine::Postgres, version, relations);
    let there = at(3, vec![relation(Engine::Postgres, 10, "t", &["id", "e"])]);
    let copies = Copies::default();
    let mut log = Vec::new();
    log.extend(copies.add("main", &at(1, vec![]), vec![label(Engine::Postgres, 0, "t", &["e"])], &BY).0);
    log.extend(copies.observe("main", &there));
    let later = By { statement: "1.2", ..BY };
    log.extend(copies.add("main", &there, vec![label(Engine::Postgres, 0, "gone", &["e"])], &later).0);
    let again = Copies::default();
    log.iter().for_each(|body| again.replay(&event(body.clone())));
    assert_eq!(again.replayed(), 2);
    assert_eq!(columns(&again, &there).len(), 2);
    assert_eq!(again.list()[0].1.person, "alice");
    // Records of one label are one label.
    assert_eq!(columns(&again, &there)[0], ("t".to_owned(), 10, vec!["e".to_owned()]));
    let after = again.observe("main", &at(4, vec![]));
    assert!(matches!(after.as_slice(), [Body::CopyEnded(_)]), "only what was there: {after:?}");
    again.replay(&event(after[0].clone()));
    assert_eq!(again.replayed(), 1);
}

#[test]
fn a_second_copy_is_told_only_where_it_says_more() {
    let copies = Copies::default();
    let there = catalog(Engine::Postgres, 1, vec![relation(Engine::Postgres, 10, "t", &["id", "e", "f"])]);
    let add =
        |columns: &[&str]| copies.add("main", &there, vec![label(Engine::Postgres, 10, "t", columns)], &BY).0.len();
    assert_eq!((add(&["e"]), add(&["e"]), add(&["f"])), (1, 0, 1));
    assert_eq!(columns(&copies, &there), [("t".to_owned(), 10, vec!["e".to_owned(), "f".to_owned()])]);
    assert_eq!(copies.list().len(), 1);
    let before = copies.version();
    assert!(copies.add("main", &there, vec![label(Engine::Postgres, 10, "t", &["e"])], &BY).0.is_empty());
    assert_eq!(copies.version(), before);
}

#[test]
fn mysqls_tables_end_when_they_are_dropped() {
    let copies = Copies::default();
    let there = catalog(Engine::Mysql, 1, vec![relation(Engine::Mysql, 5, "T", &["id", "e"])]);
    copies.add("main", &there, vec![label(Engine::Mysql, 0, "t", &["e"])], &BY);
    assert!(copies.observe("main", &there).is_empty());
    assert!(copies.dropped("main", &there, "other", "t").is_empty());
    // One reading that misses it proves nothing.
    assert!(copies.observe("main", &catalog(Engine::Mysql, 2, vec![])).is_empty());
    assert_eq!(copies.dropped("main", &there, "S", "T").len(), 1);
    assert!(columns(&copies, &there).is_empty());
}

#[test]
fn there_is_an_end_to_copies() {
    let copies = Copies::default();
    let there = catalog(Engine::Postgres, 1, vec![]);
    let labels = (0..LABELS_MAX).map(|number| label(Engine::Postgres, 0, &format!("t{number}"), &["e"])).collect();
    copies.add("main", &there, labels, &BY);
    assert!(!copies.has_room(1) && copies.has_room(0));
}
