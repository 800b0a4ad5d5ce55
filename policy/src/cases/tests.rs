//! The tests of a policy file, played: what passes, what is cut at which row, what is told of a failing one.

use super::*;

const POLICY: &str = r#"version: 1
datasets:
  customers:
    class: personal
    relations: [{ engine: postgres, database: support, name: "public.customers" }]
    columns: [email, "address*"]
    key: [id]
  cards: { class: secret, relations: [{ engine: postgres, database: support, name: "billing.cards*" }] }
  notes: { class: personal, relations: [{ engine: postgres, database: "*", name: notes }] }
who:
  support: { group: support }
  nightly: { account: etl }
rules:
  - name: limits
    who: support
    dataset: customers
    access: [read, export]
    budget: [{ records: 200, per: statement }, { records: 500, per: hour }, { records: 900, per: day }]
    at: { 80%: alert }
    message: "ask #data-access"
  - name: traffic
    who: support
    dataset: notes
    budget: [{ bytes: 10KiB, per: hour }]
  - name: no-cards
    who: any
    dataset: cards
    then: refuse
    except: nightly
    when: { outside: "Mon-Sun 01:00-04:00 UTC" }
  - name: roles
    who: any
    access: [set-role]
    then: alert
"#;

const ALICE: &str = "person: alice, groups: [support], database: support";

fn trial(policy: &str, given: &str, sql: &str, returns: &str, expect: &str) -> Trial {
    let test = format!(
        "tests:\n  - name: case\n    given: {{ {given} }}\n    sql: >-\n      {sql}\n    returns: {{ {returns} }}\n    \
         expect: {{ {expect} }}\n"
    );
    let text = format!("{policy}{test}");
    let (set, _) = PolicySet::load(&text, "policy.yaml").unwrap_or_else(|errors| panic!("{errors:?}\n{text}"));
    let mut trials = set.run_tests();
    assert_eq!(trials.len(), 1);
    trials.remove(0)
}

/// A test that comes out as it says.
#[track_caller]
fn check(given: &str, sql: &str, rows: u64, expect: &str) {
    let trial = trial(POLICY, given, sql, &format!("rows: {rows}"), expect);
    assert!(trial.passed, "{trial}");
}

#[test]
fn the_examples_tests_pass() {
    let text = include_str!("../../../examples/support-desk/policy.yaml");
    let trials = PolicySet::load(text, "policy.yaml").unwrap().0.run_tests();
    for trial in &trials {
        assert!(trial.passed, "{trial}");
        assert_eq!(trial.to_string(), format!("ok    {}", trial.name));
    }
    assert!(trials.len() >= 5);
}

#[test]
fn budgets_cut_at_the_row() {
    check(ALICE, "select email from customers", 159, "decision: allow, rule: limits, alerts: []");
    check(ALICE, "select email from customers", 160, "decision: alert, rule: limits, alerts: [limits]");
    check(ALICE, "select email from customers", 200, "decision: alert");
    check(ALICE, "select id, email from customers", 201, "decision: cut, after: 200, rule: limits");
    check(ALICE, "copy customers to stdout", 201, "decision: cut, after: 200, rule: limits");
    check(ALICE, "select id from customers", 100000, "decision: allow, alerts: []");
    let used = |used: &str| format!("{ALICE}, used: {{ {used} }}");
    check(&used("hour: 450"), "select email from customers", 1000, "decision: cut, after: 50, rule: limits");
    check(&used("day: 850"), "select email from customers", 1000, "decision: cut, after: 50, rule: limits");
    check(&used("hour: 350, day: 850"), "select email from customers", 1000, "decision: cut, after: 50");
    check(&used("30d: 100000"), "select email from customers", 100, "decision: allow");
    check(&used("hour: 500"), "select email from customers", 1, "decision: refuse, rule: limits");
    // A key that is visible may be one that was read before.
    check(&used("hour: 500"), "select id, email from customers", 1, "decision: cut, after: 0, rule: limits");
    check(&used("minute: 500"), "select email from customers where id = 7", 1, "decision: cut, after: 0");
    // One key is one record, however often it comes.
    check(&used("hour: 380"), "select email from customers where id = 7", 1000, "decision: allow");
}

#[test]
fn what_packs_many_records_is_counted() {
    let rows = "tables: { public.customers: { columns: [id, email], key: [id], rows: 150 } }\n";
    let policy = format!("{POLICY}{rows}");
    let ends = |policy: &str, sql: &str, expect: &str| {
        let trial = trial(policy, ALICE, sql, "rows: 1, row-bytes: 2000", expect);
        assert!(trial.passed, "{sql}: {trial}");
    };
    ends(&policy, "select string_agg(email, ',') from customers", "decision: allow");
    ends(&policy.replace("rows: 150", "rows: 201"), "select string_agg(email, ',') from customers", "decision: refuse");
    // How large a table is nobody knows unless it says so.
    ends(POLICY, "select string_agg(email, ',') from customers", "decision: refuse, rule: limits");
    ends(&policy, "select count(*), min(id) from customers", "decision: allow, alerts: []");
}

#[test]
fn rules_and_defaults_decide() {
    let card = "select number from billing.cards where customer_id = 7";
    check(ALICE, card, 1, "decision: refuse, rule: no-cards");
    check(&format!("{ALICE}, account: etl"), card, 1, "decision: alert, rule: defaults.unmatched-sensitive");
    check(
        &format!("{ALICE}, at: 2026-11-24 03:00 UTC"),
        card,
        1,
        "decision: alert, alerts: [defaults.unmatched-sensitive]",
    );
    check(
        "person: bob, database: support",
        "select email from customers",
        9,
        "decision: alert, rule: defaults.unmatched-sensitive",
    );
    check(
        "person: bob, database: support, known: false",
        "select email from customers",
        9,
        "decision: refuse, rule: defaults.unknown-person",
    );
    check("person: bob, database: support, known: false", "select 1", 1, "decision: allow");
    check(ALICE, "select * from nowhere", 1, "decision: refuse, rule: defaults.opaque-sensitive");
    check(ALICE, "set role admin", 0, "decision: alert, alerts: [roles]");
    check(
        "person: bob, database: other",
        "select email from customers",
        9,
        "decision: refuse, rule: defaults.opaque-sensitive",
    );
    check(
        "person: bob, database: other",
        "select body from notes",
        9,
        "decision: alert, rule: defaults.unmatched-sensitive",
    );
}

#[test]
fn columns_that_a_statement_names_need_not_be_described() {
    let sql = "select c.id, c.email, c.language from customers c where c.city = 'x' and exists \
               (select from notes n where n.customer_id = c.id and n.topic = c.topic) order by c.since";
    check(ALICE, sql, 201, "decision: cut, after: 200, rule: limits");
    let described = "tables: { public.customers: { columns: [id, email], key: [id] } }\n";
    let trial =
        trial(&format!("{POLICY}{described}"), ALICE, "select nickname from customers", "rows: 1", "decision: allow");
    assert!(trial.gaps.iter().any(|gap| (gap.code, &*gap.subject) == ("unknown-column", "nickname")), "{trial}");
}

#[test]
fn bytes_are_what_the_test_says() {
    let ends = |returns: &str, expect: &str| {
        let trial = trial(POLICY, ALICE, "select body from notes", returns, expect);
        assert!(trial.passed, "{trial}");
    };
    ends("rows: 102", "decision: allow");
    ends("rows: 103", "decision: cut, after: 102, rule: traffic");
    ends("rows: 103, row-bytes: 50", "decision: allow");
    ends("rows: 11, row-bytes: 1024", "decision: cut, after: 10");
}

#[test]
fn observing_cuts_nothing() {
    for policy in [
        POLICY.replace("version: 1\n", "version: 1\nmode: observe\n"),
        POLICY.replace("name: limits\n", "name: limits\n    mode: observe\n"),
    ] {
        let trial = trial(&policy, ALICE, "select email from customers", "rows: 1000", "decision: alert, rule: limits");
        assert!(trial.passed && trial.came.rows == 1000, "{trial}");
        assert!(trial.came.alerts.iter().any(|alert| alert.kind == crate::verdict::AlertKind::WouldCut), "{trial:?}");
    }
}

#[test]
fn statements_to_mysql_are_played_in_their_own_grammar() {
    let policy = POLICY
        .replace(
            "engine: postgres, database: support, name: \"public.customers\"",
            "engine: mysql, database: support, name: customers",
        )
        .replace(
            "engine: postgres, database: support, name: \"billing.cards*\"",
            "engine: mysql, database: billing, name: \"cards*\"",
        )
        .replace("engine: postgres, database: \"*\", name: notes", "engine: mysql, database: \"*\", name: notes");
    let alice = "engine: mysql, person: alice, groups: [support], database: support";
    let check = |given: &str, sql: &str, rows: u64, expect: &str| {
        let trial = trial(&policy, given, sql, &format!("rows: {rows}"), expect);
        assert!(trial.passed, "{trial}");
    };
    check(
        alice,
        "select `id`, `email` from `customers` # all of them",
        1000,
        "decision: cut, after: 200, rule: limits",
    );
    check(alice, "SELECT EMAIL FROM support.Customers LIMIT 10, 5", 5, "decision: allow");
    check(alice, "select email from customers where id = 7", 1, "decision: allow");
    check(alice, "select language from customers", 1000, "decision: allow");
    check(alice, "select pan from billing.cards", 1, "decision: refuse, rule: no-cards");
    check(
        &alice.replace("database: support", "database: billing"),
        "select pan from cards",
        1,
        "decision: refuse, rule: no-cards",
    );
    check(alice, "select email from customers into outfile '/tmp/x'", 0, "decision: refuse, rule: limits");
    check(alice, "select group_concat(note) from notes", 1, "decision: allow");
    check(alice, "set role admin", 0, "decision: alert, rule: roles");
}

#[test]
fn what_came_is_shown_beside_what_was_expected() {
    let given = format!("{ALICE}, used: {{ hour: 450 }}");
    let shown = |sql: &str, expect: &str| trial(POLICY, &given, sql, "rows: 1000", expect).to_string();
    assert_eq!(
        shown("select email from customers", "decision: cut, after: 200, rule: no-cards, alerts: []"),
        "FAIL  case (policy.yaml:36)
      expected cut after 200 rows; came cut after 50 rows
      expected by no-cards; came by limits
      expected alerts of nothing; came alerts of limits
      the client reads: ask #data-access
      limits on customers: 0 → 50 of 200 records per statement: allowed
      limits on customers: 450 → 500 of 500 records per hour: cut
      limits on customers: 450 → 500 of 900 records per day: allowed"
    );
    assert_eq!(
        shown("select x from nowhere", "decision: allow"),
        "FAIL  case (policy.yaml:36)
      expected allow; came refuse
      the client reads: what this statement reaches cannot be told, and the database holds sensitive data \
         (`defaults.opaque-sensitive`)
      defaults.opaque-sensitive: refused
      not understood: nowhere (unknown-relation); no dataset names this table: describe it in `tables`"
    );
    let failed = trial(POLICY, &given, "select email from customers", "rows: 1", "decision: cut");
    let value = serde_json::to_value(&failed).unwrap();
    assert_eq!(value["differences"][0]["expected"], "cut");
    assert_eq!((&value["passed"], &value["line"]), (&false.into(), &36.into()));
    assert_eq!(value["came"]["decision"], "alert");
}

#[test]
fn many_rows_are_played_in_time() {
    let policy = POLICY.replace("records: 200, per: statement", "records: 100000, per: statement");
    let policy = policy.replace("records: 500, per: hour", "records: 900000, per: hour");
    let policy = policy.replace("records: 900, per: day", "records: 950000, per: day");
    let trial =
        trial(&policy, ALICE, "select id, email from customers", "rows: 1000000", "decision: cut, after: 100000");
    assert!(trial.passed, "{trial}");
}

#[test]
fn the_documented_policy_passes_its_tests() {
    let document = include_str!("../../../docs/policy.md");
    let example = document.split("```yaml\n").find(|block| block.starts_with("version: 1")).unwrap();
    let example = example.split("```").next().unwrap();
    let (set, warnings) = PolicySet::load(example, "policy.md").unwrap();
    assert_eq!(warnings, []);
    let trials = set.run_tests();
    assert!(!trials.is_empty());
    for trial in trials {
        assert!(trial.passed, "{trial}");
    }
}
