//! The loader: what loads and as what, what is told of files that do not, and that no text breaks it.

mod watches;
mod wrong;

use proptest::prelude::*;

use super::*;
use crate::cases::Ending;
use crate::relation::Engine;
use crate::rule::Schedule;

/// Every section and form once, without a finding.
const GOOD: &str = r#"version: 1
mode: enforce
datasets:
  customers:
    class: personal
    relations:
      - { engine: postgres, database: support, name: "public.customers" }
      - { engine: mysql, database: shop, name: users }
    columns: [email, "address*"]
    key: [id]
  cards: { class: secret, relations: [{ engine: postgres, database: "*", name: "cards*" }] }
who:
  support: { group: support, source: [10.0.0.0/8, "::1"] }
  nightly: { account: etl_export, application: pg_dump }
  trusted: [nightly, { person: [root, adm*] }, { not: support, group: dba }]
rules:
  - name: limits
    who: support
    dataset: customers
    budget:
      - { records: 200, per: statement }
      - { records: 500, per: hour }
      - { bytes: 1MiB, per: day }
    at: { 50%: alert, 80%: alert }
    message: "ask #data-access"
  - name: no-export
    who: { not: trusted }
    dataset: [customers, cards]
    access: [export, read]
    then: refuse
    except: { who: [nightly], until: 2027-01-31 }
    when: { outside: "Mon-Fri 22:00-04:00 UTC" }
  - name: roles
    mode: observe
    who: any
    access: [grant, set-role]
    then: alert
defaults:
  unmatched-sensitive: allow
  opaque-sensitive: alert
  unknown-person: alert
  unclassified-egress: { bytes: 200MiB, per: hour, then: alert }
  on-store-failure: continue
tests:
  - name: works
    given: { person: alice, groups: [support], database: support, used: { hour: 450, day: 450 }, at: 2026-11-24 03:00 UTC }
    sql: "select email from customers"
    returns: { rows: 1000 }
    expect: { decision: cut, after: 50, rule: limits, alerts: [limits, roles] }
tables:
  public.customers: { columns: [id, email], key: [id], rows: 68000 }
detect:
  probes:
    - { dataset: customers, statements: 30, per: minute, then: refuse }
    - { who: support, then: allow }
  guesses: [{ statements: 1000 }]
"#;

fn told(text: &str) -> Vec<String> {
    let diagnostics = match PolicySet::load(text, "policy.yaml") {
        Ok((_, warnings)) => {
            assert!(warnings.iter().all(|told| told.severity == Severity::Warning), "{warnings:?}");
            warnings
        }
        Err(errors) => {
            assert!(errors.iter().any(|told| told.severity == Severity::Error), "{errors:?}");
            errors
        }
    };
    diagnostics.iter().map(|told| told.to_string().replacen("policy.yaml:", "", 1)).collect()
}

fn load(text: &str) -> PolicySet {
    PolicySet::load(text, "policy.yaml").unwrap().0
}

/// A good file with one place changed.
fn changed(from: &str, to: &str) -> String {
    assert_eq!(GOOD.matches(from).count(), 1, "{from}");
    GOOD.replacen(from, to, 1)
}

/// What is told about a good file that turns bad in one place.
#[track_caller]
fn check(from: &str, to: &str, expected: &[&str]) {
    assert_eq!(told(&changed(from, to)), expected, "{from} → {to}");
}

/// What is told about rules of people in the group `g` about the dataset `d`.
#[track_caller]
fn check_rules(rules: &str, expected: &[&str]) {
    let text = format!(
        "version: 1\ndatasets:\n  d: {{ class: c, relations: [{{ engine: postgres, database: x, name: t }}] }}\n\
         who:\n  g: {{ group: g }}\nrules:\n{rules}"
    );
    assert_eq!(told(&text), expected, "{rules}");
}

#[test]
fn the_example_and_every_form_load_without_a_word() {
    let example = include_str!("../../../examples/support-desk/policy.yaml");
    for text in [example, GOOD, "version: 1\nmode: enforce\n", "{ version: 1 }"] {
        assert_eq!(told(text), Vec::<String>::new());
    }
}

#[test]
fn what_is_written_is_what_is_checked() {
    let set = load(GOOD);
    assert!(!set.observes());
    assert_eq!(set.on_store_failure(), OnStoreFailure::Continue);
    assert_eq!(set.hash().len(), 64);
    let [customers, cards] = &set.datasets[..] else { panic!("{:?}", set.datasets) };
    assert_eq!((&*customers.name, &*customers.class), ("customers", "personal"));
    let parts = |at: usize| {
        let pattern = &customers.relations[at];
        [pattern.database.as_str(), pattern.schema.as_str(), pattern.name.as_str()]
    };
    assert_eq!(parts(0), ["support", "public", "customers"]);
    assert_eq!(parts(1), ["*", "shop", "users"], "a database of MySQL is a schema");
    assert_eq!(cards.relations[0].schema.as_str(), "*", "a name without schema is meant in every schema");
    assert!(
        customers.is_sensitive("address_2", Engine::Postgres)
            && !customers.is_sensitive("id", Engine::Postgres)
            && cards.is_sensitive("id", Engine::Postgres)
    );
    let [limits, no_export, roles] = &set.rules[..] else { panic!("{:?}", set.rules) };
    assert_eq!(limits.access, BTreeSet::from([crate::statement::Access::Read]), "reading, unless said otherwise");
    assert_eq!((limits.then, &limits.thresholds[..]), (Then::Refuse, &[50, 80][..]));
    assert_eq!((limits.budget.len(), limits.budget[2].amount), (3, 1 << 20));
    let exception = no_export.except.as_ref().unwrap();
    // The first second of 2027-02-01.
    assert_eq!(exception.until, Some(1_801_440_000));
    assert!(matches!(no_export.when, Some(Schedule::Outside(hours)) if (hours.from, hours.until) == (1320, 240)));
    assert!(roles.observe && roles.datasets.is_none());
    let who = |groups: &[&str], account: &str, source: &str| crate::identity::Who {
        person: "p".into(),
        known: true,
        groups: groups.iter().map(|group| Arc::from(*group)).collect(),
        account: account.into(),
        source: source.parse().ok(),
        application: "pg_dump".into(),
        ..crate::identity::Who::default()
    };
    assert!(limits.who.matches(&who(&["support"], "a", "10.9.9.9")));
    assert!(!limits.who.matches(&who(&["support"], "a", "11.0.0.1")), "all conditions of a mapping must hold");
    assert!(!limits.who.matches(&who(&[], "a", "10.9.9.9")));
    assert!(no_export.who.matches(&who(&[], "a", "10.0.0.1")));
    assert!(!no_export.who.matches(&who(&["dba"], "a", "11.0.0.1")), "one entry of a list is enough");
    assert!(!no_export.who.matches(&who(&[], "etl_export", "11.0.0.1")));
    let case = &set.cases[0];
    assert_eq!((&*case.who.account, case.wall, case.rows.count), ("alice", 1_795_489_200, 1000));
    assert_eq!((case.expected.ending, case.expected.after), (Ending::Cut, Some(50)));
    assert_eq!(set.tables[0].rows, 68_000);
}

#[test]
fn defaults_are_strict() {
    let set = load("version: 1\n");
    let expected = Defaults {
        unfollowed_copy: Then::Refuse,
        unmatched_sensitive: Then::Alert,
        opaque_sensitive: Then::Refuse,
        unknown_person: Then::Refuse,
        unclassified_egress: None,
        on_store_failure: OnStoreFailure::Refuse,
    };
    assert_eq!(set.defaults, expected);
    assert!(!set.observes());
    assert!(load("version: 1\nmode: observe\n").observes());
}

#[test]
fn what_is_not_a_policy_is_told() {
    let check = |text: &str, expected: &str| assert_eq!(told(text), [expected], "{text}");
    check("", "1:1: error: there is nothing in this file (hint: begin with `version: 1`)");
    check("# only\n", "1:1: error: there is nothing in this file (hint: begin with `version: 1`)");
    check("hello", "1:1: error: expected a policy: a mapping that begins with `version: 1`, found `hello`");
    check("mode: enforce\n", "1:1: error: `version` is missing (hint: add `version`)");
    check("version: 2\n", "1:10: error: this version of Weir reads policies of version 1 (hint: write `version: 1`)");
    check("version: one\n", "1:10: error: expected a whole number, found `one`");
    check(
        "version: 1\nrules:\n  - name: [x\n",
        "3:11: error: unclosed bracket '[' (hint: the text is not YAML as Weir reads it: check indentation, quotes and \
         colons)",
    );
    check(
        &"[".repeat(100_000),
        "1:33: error: this is more than a policy needs (hint: at most 200000 values, 32 levels, 1000 anchors and aliases; \
         use `*`, groups of the directory and named sets)",
    );
    check(
        &"#".repeat(FILE_BYTES_MAX + 1),
        "1:1: error: this file has 1048577 bytes; a policy has at most 1048576 (hint: use `*` and named sets instead of \
         long lists)",
    );
}

#[test]
fn findings_are_bounded() {
    let rules = "  - { name: r }\n".repeat(5_000);
    assert_eq!(told(&format!("version: 1\nrules:\n{rules}")).len(), 100);
    let names: String =
        (0..2_000).map(|at| format!("  - {{ name: r{at}, who: any, access: ddl, then: alert }}\n")).collect();
    let errors = told(&format!("version: 1\nrules:\n{names}"));
    assert_eq!(
        errors,
        ["1003:5: error: there are more than 1000 rules (hint: let one rule speak of several groups and datasets)",]
    );
}

#[test]
fn aliases_repeat_and_do_not_explode() {
    let text = "version: 1\nwho:\n  a: &a { group: g }\n  b: { not: *a }\nrules:\n  \
                - { name: r, who: b, access: ddl, then: alert, except: a }\n";
    assert_eq!(told(text), Vec::<String>::new());
    let mut bomb = "version: 1\nwho:\n  a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let aliases = vec![format!("*a{}", level - 1); 8].join(", ");
        bomb.push_str(&format!("  a{level}: &a{level} [{aliases}]\n"));
    }
    let errors = told(&bomb);
    assert!(errors.len() == 1 && errors[0].contains("more than a policy needs"), "{errors:?}");
}

#[test]
fn diagnostics_are_data_too() {
    let errors = PolicySet::load("version: 3", "p.yaml").unwrap_err();
    let value = serde_json::to_value(&errors[0]).unwrap();
    assert_eq!(value["severity"], "error");
    assert_eq!((&value["file"], &value["line"], &value["column"]), (&"p.yaml".into(), &1.into(), &10.into()));
}

#[test]
fn the_committed_schema_is_current() {
    let current = format!("{:#}\n", PolicySet::json_schema());
    let committed = include_str!("../../policy.schema.json");
    assert!(
        committed == current,
        "write the output of `weir policy schema` to policy/policy.schema.json; it should be\n{current}"
    );
}

proptest! {
    #[test]
    fn no_text_is_too_broken(text in "\\PC{0,200}|[ \\n\\[\\]{}:&*!|>%#'\"a-c0-9-]{0,200}") {
        let _ = told(&text);
    }

    #[test]
    fn no_change_is_too_broken(
        at in 0..GOOD.len(),
        cut in 0..60_usize,
        put in "\\PC{0,12}|[\\[\\]{}:&*!|>%#\\-\\n\\t\\x00]{0,6}| (any|refuse|allow|1|0|99999999999999999999|-1|1e9|~|<<)",
    ) {
        let end = (at + cut).min(GOOD.len());
        let text = format!("{}{put}{}", &GOOD[..at], &GOOD[end..]);
        let lines = u64::try_from(text.lines().count()).unwrap() + 1;
        match PolicySet::load(&text, "policy.yaml") {
            Ok((set, _)) => prop_assert!(set.rules.len() <= 4),
            Err(errors) => {
                prop_assert!(errors.iter().any(|told| told.severity == Severity::Error));
                for told in errors {
                    prop_assert!(!told.message.is_empty() && told.line >= 1 && told.column >= 1 && told.line <= lines);
                    let has_control = |text: &str| text.chars().any(char::is_control);
                    prop_assert!(!has_control(&told.message) && !has_control(&told.hint), "{told}");
                }
            }
        }
    }

    #[test]
    fn lines_in_another_order_are_never_too_broken(order in Just((0..GOOD.lines().count()).collect::<Vec<_>>()).prop_shuffle()) {
        let lines: Vec<&str> = GOOD.lines().collect();
        let text: String = order.iter().map(|at| format!("{}\n", lines[*at])).collect();
        let _ = told(&text);
    }
}

/// What grows faster than the text would be felt here: each is a megabyte.
#[test]
#[allow(clippy::disallowed_methods)]
fn hostile_files_are_read_in_time() {
    let fill = |head: &str, piece: &dyn Fn(usize) -> String| {
        let mut text = head.to_owned();
        for at in 0.. {
            let piece = piece(at);
            if text.len() + piece.len() + 2 > FILE_BYTES_MAX {
                break;
            }
            text.push_str(&piece);
        }
        text
    };
    let rule = "  - { name: r, who: any, then: alert, access: ddl }\n";
    let texts = [
        ("unknown names", format!("{}]\n", fill("version: 1\nwho:\n  a: [", &|at| format!("n{at}, ")))),
        ("sets", fill("version: 1\nwho:\n", &|at| format!("  a{at}: b{at}\n"))),
        ("keys", fill("version: 1\n", &|at| format!("k{at}: 1\n"))),
        (
            "keys, then one twice",
            fill(&fill("version: 1\n", &|at| format!("k{at}: 1\n"))[..500_000], &|_| "\nmode: x".to_owned()),
        ),
        ("rules", fill("version: 1\nrules:\n", &|_| rule.to_owned())),
        ("rules that differ", fill("version: 1\nrules:\n", &|at| rule.replace("r,", &format!("r{at},")))),
        (
            "expectations",
            fill(
                &format!(
                    "version: 1\nrules:\n{rule}tests:\n  - name: t\n    given: {{ person: a, database: b }}\n    sql: x\n    \
                      expect:\n      decision: allow\n      alerts:\n"
                ),
                &|at| format!("        - r{at}\n"),
            ),
        ),
        (
            "a key",
            fill(
                "version: 1\ndatasets:\n  d:\n    class: c\n    relations: [{ engine: mysql, database: a, name: b }]\n    key:\n",
                &|at| format!("      - c{at}\n"),
            ),
        ),
        (
            "relations",
            fill("version: 1\ndatasets:\n  d:\n    class: c\n    relations:\n", &|at| {
                format!("      - {{ engine: mysql, database: a, name: t{at} }}\n")
            }),
        ),
        ("people of two rules", {
            let names: String = (0..9_000).map(|at| format!("p{at}, ")).collect();
            let rule = |name: &str| {
                format!("  - {{ name: {name}, who: {{ person: [{names}] }}, access: ddl, then: alert }}\n")
            };
            format!("version: 1\nrules:\n{}{}", rule("a"), rule("b"))
        }),
        ("nothing but dashes", "- ".repeat(FILE_BYTES_MAX / 2)),
        ("one long line", format!("version: {}", "x".repeat(FILE_BYTES_MAX - 100))),
        ("colons", ": ".repeat(FILE_BYTES_MAX / 2)),
        ("quotes", "'\"".repeat(FILE_BYTES_MAX / 2)),
        ("anchors", fill("version: 1\nx:\n", &|at| format!("  - &a{at} x\n"))),
    ];
    for (name, text) in texts {
        let started = std::time::Instant::now();
        let told = told(&text);
        let taken = started.elapsed();
        assert!(told.len() <= 200, "{name}: {}", told.len());
        assert!(taken < std::time::Duration::from_secs(20), "{name}: {taken:?}");
    }
}
