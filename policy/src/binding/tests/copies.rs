//! What statements copy of the fixture's desk, and what labels make of a catalog.

use super::*;
use crate::catalog::Foreign;
use crate::copies::{Copied, Label};

/// Labels in one line: target{columns} dataset key[…].
fn copied_words(copies: &[Copied]) -> String {
    let word = |copied: &Copied| {
        let label = &copied.label;
        let columns = label
            .columns
            .as_ref()
            .map_or("*".to_owned(), |names| names.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(","));
        let mut word = format!("{}{{{columns}}} {}", label.target.name, label.dataset);
        if let Some(key) = &label.key {
            write!(word, " key[{}]", key.join(",")).unwrap();
        }
        if label.target.oid != 0 {
            write!(word, " #{}", label.target.oid).unwrap();
        }
        for (is, flag) in [(copied.temporary, " temporary"), (copied.made, " made"), (copied.own, " own")] {
            word.push_str(if is { flag } else { "" });
        }
        word
    };
    copies.iter().map(word).collect::<Vec<_>>().join(" · ")
}

#[test]
fn copies_are_told_by_target_and_column() {
    let (_, binding) = bound();
    let check = |sql: &str, expected: &str| {
        assert_eq!(copied_words(exposure(&binding, sql).copies()), expected, "{sql}");
    };
    check("create table t as select id, email as e, language from customers", "t{e} customers key[id] made");
    check("create table t (nr, mail) as select id, email from customers", "t{mail} customers key[nr] made");
    check("create table t as select 1 as id, email from customers", "t{email} customers made");
    check("create table t as select email from customers", "t{email} customers made");
    check("create table t as select language, count(*) as n from customers group by 1", "");
    check("create table t as select email from customers with no data", "");
    check("create table t (like customers)", "");
    check("create temp table t as select id, phone from customers", "t{phone} customers key[id] temporary made");
    check("select id, email into t from customers", "t{email} customers key[id] made");
    check("select email into temp t from customers", "t{email} customers temporary made");
    check("create table t as select a.id, b.email from customers a, customers b", "t{email} customers made");
    check(
        "create table t as select id, email from customers union all select 1, 'x' from notes",
        "t{email} customers made",
    );
    check("create table t as select id, string_agg(email, ',') as e from customers group by id", "t{e} customers made");
    check("create table t as select id, lead(email) over () as e from customers", "t{e} customers made");
    check("create materialized view t as select email from customers", "");
    check("insert into notes select id, email from customers", "notes{note} customers key[id] #13");
    check("insert into notes (note, id) select email, id from customers", "notes{note} customers key[id] #13");
    check("insert into notes (note) select email || phone from customers", "notes{note} customers #13");
    check("insert into notes (note) select note from notes", "");
    check("insert into notes (note) values ((select email from customers where id = 7))", "");
    check("insert into notes select id, email from customers where id = 7", "");
    check(
        "insert into notes select customer, mail from v_mail",
        "notes{note} customers key[id] #13 · notes{id,note} shown #13",
    );
    check("insert into notes select id, mail from m_mail", "notes{note} customers key[id] #13");
    check(
        "insert into notes select id, who from events",
        "notes{id,note} events key[id] #13 · notes{id,note} north #13",
    );
    check("insert into scratch select id, email from customers", "scratch{*} customers temporary");
    check("insert into scratch as x (b) select email from customers", "scratch{b} customers temporary");
    check("insert into scratch (a, b) select id, email from customers", "scratch{b} customers key[a] temporary");
    check(
        "update orders set note = c.email from customers c where c.id = orders.customer_id",
        "orders{note} customers #12",
    );
    check(
        "merge into notes n using customers c on c.id = n.id when not matched then insert (id, note) values (c.id, c.email) when matched then update set note = c.phone",
        "notes{note} customers key[id] #13",
    );
    check("update customers set language = email", "customers{language} customers key[id] #10 own");
    check("update customers set language = email where id = 7", "customers{language} customers key[id] #10 own");
    check("update customers set phone = email", "");
    check("update customers set language = lower(language)", "");
    check("insert into customers (email, id) select email, id + 1 from customers", "");
    check("explain insert into notes select id, email from customers", "");
    check("explain analyze insert into notes select id, email from customers", "notes{note} customers key[id] #13");
    check(
        "with m as (insert into notes select id, email from customers returning id) select count(*) from m",
        "notes{note} customers key[id] #13",
    );
    // Nothing is copied, and the rows are known by another name.
    check("alter table customers rename to people", "customers{email,name,phone} customers key[id] #10 own");
    check("alter table customers set schema archive", "customers{email,name,phone} customers key[id] #10 own");
    check(
        "alter table events detach partition events_south",
        "events{*} events key[id] #20 own · events_south{*} events key[id] #22 own",
    );
    check("alter table billing.cards rename column pan to p", "cards{*} cards key[id] #11 own");
    check(
        "alter table customers add x text generated always as (email) stored",
        "customers{*} customers key[id] #10 own",
    );
    check("alter table customers add x text", "");
}

/// The fixture bound with labels.
fn labelled(labels: &[Label]) -> Binding {
    let (set, _) = bound();
    set.bind_with(&catalog(), labels).0
}

fn labels_of(binding: &Binding, sql: &str) -> Vec<Label> {
    exposure(binding, sql).copies().iter().map(|copied| copied.label.clone()).collect()
}

#[test]
fn a_copy_is_read_like_a_member_of_its_dataset() {
    let (_, binding) = bound();
    let labels = labels_of(&binding, "insert into notes select id, email from customers");
    let binding = labelled(&labels);
    let exposed = |binding: &Binding, sql: &str| words(&exposure(binding, sql));
    assert_eq!(exposed(&binding, "select id, note from notes"), "read customers{note} key[1]");
    assert_eq!(exposed(&binding, "select id from notes"), "plain");
    assert_eq!(exposed(&binding, "select note from notes where id = 7"), "read customers{note} pin[#0] hidden key[1]");
    let lanes = binding.lanes(&exposure(&binding, "select id, note from notes"), &origins("13.1 13.2"));
    assert_eq!(lane_words(&lanes), "customers/customers [0]", "the same record is the same in the copy");
    // A copy of the copy.
    let more = labels_of(&binding, "insert into orders (note, id) select note, id from notes");
    assert_eq!(
        copied_words(exposure(&binding, "insert into orders (note, id) select note, id from notes").copies()),
        "orders{note} customers key[id] #12"
    );
    let all: Vec<Label> = labels.iter().chain(&more).cloned().collect();
    let binding = labelled(&all);
    assert_eq!(exposed(&binding, "select note from orders"), "read customers{note} hidden key[1]");
    assert_eq!(exposed(&binding, "select total from orders"), "plain");
    // Through a view that was there before, too.
    assert_eq!(exposed(&binding, "select total from v_orders"), exposed(&labelled(&[]), "select total from v_orders"));
}

#[test]
fn a_label_says_everything_where_it_is_not_sure() {
    let (_, binding) = bound();
    let mut labels = labels_of(&binding, "insert into notes select id, email from customers");
    labels[0].columns = Some(["gone".into()].into());
    let binding = labelled(&labels);
    assert_eq!(words(&exposure(&binding, "select id from notes")), "read customers{id} key[1]");
    labels[0].dataset = "no-such-dataset".into();
    assert_eq!(words(&exposure(&labelled(&labels), "select note from notes")), "plain");
    labels[0].dataset = "customers".into();
    labels[0].target.oid = 4711;
    assert_eq!(words(&exposure(&labelled(&labels), "select note from notes")), "plain", "it is gone");
}

#[test]
fn a_label_of_a_name_is_none_of_what_had_the_name_before() {
    let (_, binding) = bound();
    let mut labels = labels_of(&binding, "create table notes as select id, email as note from customers");
    assert_eq!(labels[0].target.oid, 0);
    labels[0].target.schemas = vec!["public".into()];
    assert_eq!(words(&exposure(&labelled(&labels), "select note from notes")), "read customers{note} hidden key[1]");
    labels[0].target.before = vec![13];
    assert_eq!(words(&exposure(&labelled(&labels), "select note from notes")), "plain");
    labels[0].target.before = Vec::new();
    labels[0].target.schemas = vec!["archive".into()];
    assert_eq!(words(&exposure(&labelled(&labels), "select note from notes")), "plain");
}

#[test]
fn a_label_of_the_same_row_keeps_the_key() {
    let (_, binding) = bound();
    let labels = labels_of(&binding, "update customers set language = email");
    let binding = labelled(&labels);
    assert_eq!(words(&exposure(&binding, "select id, language from customers")), "read customers{language} key[1]");
    assert_eq!(
        words(&exposure(&binding, "select id, language, email from customers")),
        "read customers{email,language} key[1]"
    );
}

fn with_foreign(options: &[(&str, &str)], policy: &str) -> (Binding, Catalog) {
    let mut relations = catalog().relations().to_vec();
    relations.push(relation(70, "public", "ext", RelationKind::Foreign, &["id", "email", "language"]));
    let foreign = Foreign {
        server: "loop".to_owned(),
        wrapper: "postgres_fdw".to_owned(),
        options: options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        columns: Vec::new(),
    };
    let catalog = Catalog::new(Engine::Postgres, "support", 2, relations, Vec::new()).with_foreign(vec![(70, foreign)]);
    let (set, warnings) = PolicySet::load(policy, "policy.yaml").unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    (set.bind(&catalog).0, catalog)
}

fn exposed_in(binding: &Binding, catalog: &Catalog, sql: &str) -> Exposure {
    let path = ["pg_catalog".to_owned(), "public".to_owned()];
    let context = Context { lex: LexSettings::default(), catalog, search_path: &path, temporary: &[] };
    binding.exposure(&analyse(sql.as_bytes(), &context).statements[0])
}

#[test]
fn a_foreign_table_is_what_it_leads_to_or_opaque() {
    let exposed = |options: &[(&str, &str)], policy: &str, sql: &str| {
        let (binding, catalog) = with_foreign(options, policy);
        words(&exposed_in(&binding, &catalog, sql))
    };
    let loop_back = [("dbname", "support"), ("schema_name", "public"), ("table_name", "customers")];
    assert_eq!(exposed(&loop_back, POLICY, "select id, email from ext"), "read customers{email} key[1]");
    assert_eq!(exposed(&loop_back, POLICY, "select language from ext"), "plain");
    let nowhere = [("dbname", "support"), ("schema_name", "public"), ("table_name", "rates")];
    let opaque = "opaque (foreign-table: `public.ext` leads through server `loop` (postgres_fdw) to `public.rates` of database `support`)";
    assert_eq!(exposed(&nowhere, POLICY, "select id, email from ext"), opaque);
    assert_eq!(exposed(&nowhere, POLICY, "select count(*) from ext"), "plain");
    assert_eq!(exposed(&nowhere, POLICY, "insert into ext select 1"), "plain");
    let trusted =
        format!("{POLICY}harmless-foreign: [ {{ engine: postgres, database: support, name: \"public.ext*\" }} ]\n");
    assert_eq!(exposed(&nowhere, &trusted, "select id, email from ext"), "plain");
    // What is put there is nobody's any more.
    for options in [&loop_back, &nowhere] {
        let (binding, catalog) = with_foreign(options, &trusted);
        let exposure = exposed_in(&binding, &catalog, "insert into ext select id, email from customers");
        let away = exposure
            .touched()
            .iter()
            .any(|exposed| exposed.unfollowed && exposed.access == crate::statement::Access::Export);
        assert!(away, "{options:?}");
    }
}

#[test]
fn what_nobody_can_follow_needs_a_rule_for_exports() {
    use crate::identity::Who;
    use crate::ledger::{Ledger, LedgerTime, Moment};
    use crate::verdict::Decision;
    let verdict = |policy: &str, sql: &str| {
        let (set, _) = PolicySet::load(policy, "policy.yaml").unwrap();
        let (binding, _) = set.bind(&catalog());
        let who = Who {
            person: "alice".into(),
            known: true,
            groups: vec!["support".into()],
            account: "alice".into(),
            source: None,
            application: "".into(),
            ..Who::default()
        };
        let moment = Moment { now: LedgerTime(0), wall: 0 };
        match set.admit(&who, &exposure(&binding, sql), &mut Ledger::new(), &moment).decision {
            Decision::Allow(_) => "allow".to_owned(),
            Decision::Deny(denial) => denial.basis.rule.to_string(),
        }
    };
    let more = POLICY.replace("records: 500", "records: 5000");
    for sql in [
        "copy customers to '/tmp/x'",
        "copy (select email from customers) to '/tmp/x'",
        "select pg_notify('x', email) from customers where id = 7",
        "create publication p for table customers",
        "alter publication p add table orders, customers",
    ] {
        assert_eq!(verdict(&more, sql), "defaults.unfollowed-copy", "{sql}");
    }
    assert_eq!(verdict(&more, "copy customers to stdout"), "allow");
    for sql in [
        "copy notes to '/tmp/x'",
        "select pg_notify('x', note) from notes",
        "select pg_notify('x', language) from customers",
        "create publication p for table notes",
        "alter publication p drop table customers",
    ] {
        assert_eq!(verdict(&more, sql), "allow", "{sql}");
    }
    assert_eq!(verdict(&more, "create publication p for all tables"), "defaults.opaque-sensitive");
    let export = more.replace(
        "  - { name: no-cards",
        "  - { name: exports, who: { group: support }, dataset: customers, access: [export], then: allow }\n  - { name: no-cards",
    );
    assert_eq!(verdict(&export, "copy customers to '/tmp/x'"), "allow");
    let lenient = format!("{more}defaults: {{ unfollowed-copy: alert }}\n");
    assert_eq!(verdict(&lenient, "copy customers to '/tmp/x'"), "allow");
}
