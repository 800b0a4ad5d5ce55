//! Verdicts over the fixture of [`binding`](crate::binding), and what holds for every policy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod properties;

use std::sync::Arc;

use crate::binding::Binding;
use crate::binding::tests::{bound, catalog, exposure};
use crate::budget::{Unit, Window};
use crate::identity::Who;
use crate::ledger::{Ledger, LedgerTime, Moment, Replay};
use crate::set::PolicySet;
use crate::verdict::{Alert, Basis, Decision, Verdict};

/// A Monday, 10:00 UTC.
pub(super) const AT: Moment = Moment { now: LedgerTime(1_000_000_000), wall: 1_795_392_000 + 10 * 3600 };

/// Somebody, in these groups; nobody whom the directory knows when the name begins with `?`.
pub(super) fn who(name: &str, groups: &[&str]) -> Who {
    Who {
        person: name.into(),
        known: !name.starts_with('?'),
        groups: groups.iter().map(|group| Arc::from(*group)).collect(),
        account: "app".into(),
        source: Some([10, 0, 0, 7].into()),
        application: "psql".into(),
        ..Who::default()
    }
}

fn basis_words(basis: &Basis) -> String {
    let mut out = format!("{} {}", basis.rule, basis.outcome);
    if let Some(dataset) = &basis.dataset {
        out.push_str(&format!(" {dataset}"));
    }
    if let Some(window) = basis.window {
        out.push_str(&format!(" {}/{} {}/{window}", basis.after, basis.limit, basis.unit));
    }
    out
}

fn alert_words(alert: &Alert) -> String {
    format!("{:?}: {}", alert.kind, alert.message)
}

/// A verdict in lines.
pub(super) fn words(verdict: &Verdict) -> String {
    let mut out = match &verdict.decision {
        Decision::Allow(permit) => {
            let mut word = if permit.sensitive { "allow, recorded".to_owned() } else { "allow".to_owned() };
            if let Some(meter) = &permit.meter {
                for lease in meter.lease() {
                    word.push_str(&format!("; lease {} {}", lease.records, lease.dataset));
                }
            }
            word
        }
        Decision::Deny(denial) => format!("deny: {}", denial.message),
    };
    for alert in &verdict.alerts {
        out.push_str(&format!("\n  ! {}", alert_words(alert)));
    }
    for basis in &verdict.basis {
        out.push_str(&format!("\n  {}", basis_words(basis)));
    }
    out
}

struct Desk {
    set: PolicySet,
    binding: Binding,
    ledger: Ledger,
}

impl Desk {
    fn new() -> Desk {
        let (set, binding) = bound();
        Desk { set, binding, ledger: Ledger::new() }
    }

    fn with(policy: &str) -> Desk {
        let (set, _) = PolicySet::load(policy, "policy.yaml").unwrap();
        let (binding, _) = set.bind(&catalog());
        Desk { set, binding, ledger: Ledger::new() }
    }

    fn used(mut self, dataset: &str, records: u64) -> Desk {
        let replay = Replay { dataset, at: AT.now, keys: &[], unkeyed: records, rows: records, bytes: records * 10 };
        self.ledger.replay(&replay);
        self
    }

    fn judge(&mut self, who: &Who, sql: &str) -> String {
        self.judge_at(who, sql, &AT)
    }

    fn judge_at(&mut self, who: &Who, sql: &str, at: &Moment) -> String {
        let exposure = exposure(&self.binding, sql);
        let verdict = self.set.admit(who, &exposure, &mut self.ledger, at);
        let words = words(&verdict);
        if let Decision::Allow(permit) = verdict.decision
            && let Some(meter) = permit.meter
        {
            meter.settle(&mut self.ledger, at.now);
        }
        words
    }
}

fn check(desk: &mut Desk, who: &Who, sql: &str, expected: &str) {
    let expected: Vec<&str> = expected.lines().map(str::trim_end).filter(|line| !line.trim().is_empty()).collect();
    let expected: Vec<String> = expected
        .iter()
        .enumerate()
        .map(|(index, line)| if index == 0 { line.trim().to_owned() } else { format!("  {}", line.trim()) })
        .collect();
    assert_eq!(desk.judge(who, sql), expected.join("\n"), "{sql}");
}

#[test]
fn the_desk_reads_within_its_budget() {
    let alice = who("alice", &["support"]);
    check(&mut Desk::new(), &alice, "select 1", "allow");
    check(&mut Desk::new(), &alice, "select id from customers", "allow");
    check(&mut Desk::new(), &alice, "select count(*) from customers where email = 'a'", "allow, recorded");
    check(
        &mut Desk::new(),
        &alice,
        "select name from customers where id = 7",
        "allow, recorded; lease 1 customers
         desk allowed customers 0/500 records/hour",
    );
    check(
        &mut Desk::new(),
        &alice,
        "select name from customers where email = 'a'",
        "allow, recorded; lease 64 customers
         desk allowed customers 0/500 records/hour",
    );
    check(
        &mut Desk::new().used("customers", 470),
        &alice,
        "select name from customers",
        "allow, recorded; lease 30 customers
         desk allowed customers 470/500 records/hour",
    );
    check(
        &mut Desk::new().used("customers", 500),
        &alice,
        "select name from customers",
        "deny: reading `customers` is limited to 500 records per hour by rule `desk`
         desk refused customers 500/500 records/hour",
    );
    // What may have been read before may be asked for, and ends at the first record that is new.
    for sql in ["select name from customers where id = 7", "select id, name from customers"] {
        check(
            &mut Desk::new().used("customers", 500),
            &alice,
            sql,
            "allow, recorded; lease 0 customers
             desk allowed customers 500/500 records/hour",
        );
    }
    check(
        &mut Desk::new(),
        &alice,
        "select string_agg(email, ',') from customers",
        "deny: reading `customers` is limited to 500 records per hour by rule `desk`
         desk refused customers 0/500 records/hour",
    );
    check(
        &mut Desk::new(),
        &alice,
        "create temp table t as select * from customers",
        "deny: reading `customers` is limited to 500 records per hour by rule `desk`
         desk refused customers 0/500 records/hour",
    );
    check(
        &mut Desk::new(),
        &alice,
        "insert into notes (note) select email from customers where id = 7",
        "allow, recorded; lease 2 customers
         desk allowed customers 0/500 records/hour",
    );
}

#[test]
fn what_may_leave_in_one_row_must_fit_into_what_is_left() {
    let policy = crate::binding::tests::POLICY.replace("records: 500", "records: 1500");
    let alice = who("alice", &["support"]);
    let sql = "select string_agg(email, ',') from customers";
    let refused = "deny: reading `customers` is limited to 1500 records per hour by rule `desk`";
    assert!(Desk::with(&policy).used("customers", 501).judge(&alice, sql).starts_with(refused));
    let mut desk = Desk::with(&policy).used("customers", 500);
    assert!(desk.judge(&alice, sql).starts_with("allow, recorded; lease 1000 customers"));
    assert_eq!(desk.ledger.used("customers", Window::Hour, Unit::Records, AT.now), 1500, "charged, shown or not");
    // What another session has reserved is not there to be taken.
    let mut desk = Desk::with(&policy).used("customers", 450);
    let listing = exposure(&desk.binding, "select email from customers");
    let Decision::Allow(held) = desk.set.admit(&alice, &listing, &mut desk.ledger, &AT).decision else { panic!() };
    assert!(desk.judge(&alice, sql).starts_with(refused));
    held.meter.unwrap().settle(&mut desk.ledger, AT.now);
    assert!(desk.judge(&alice, sql).starts_with("allow"));
}

#[test]
fn where_no_rule_speaks_the_defaults_do() {
    let (bob, stranger) = (who("bob", &["sales"]), who("?", &["support"]));
    check(
        &mut Desk::new(),
        &bob,
        "select email from customers",
        "allow, recorded; lease 64 customers
         ! UnmatchedSensitive: no rule lets you read `customers`
         defaults.unmatched-sensitive alerted customers",
    );
    check(&mut Desk::new(), &bob, "update customers set phone = 'x'", "allow, recorded");
    check(
        &mut Desk::new(),
        &bob,
        "select nonsense(1)",
        "deny: what this statement reaches cannot be told, and the database holds sensitive data (`defaults.opaque-sensitive`)
         defaults.opaque-sensitive refused",
    );
    check(
        &mut Desk::new(),
        &stranger,
        "select email from customers",
        "deny: sensitive data is only for people whom the directory knows (`defaults.unknown-person`)
         defaults.unknown-person refused
         desk allowed customers 0/500 records/hour",
    );
    check(&mut Desk::new(), &stranger, "select count(*) from customers", "allow");
    check(&mut Desk::new(), &stranger, "select * from orders", "allow");
}

#[test]
fn rules_without_a_budget_refuse_and_tell() {
    let bob = who("bob", &["sales"]);
    for sql in ["select pan from billing.cards", "select count(*) from billing.cards"] {
        check(
            &mut Desk::new(),
            &bob,
            sql,
            "deny: `cards` is refused by rule `no-cards`
             no-cards refused cards",
        );
    }
    check(
        &mut Desk::new(),
        &bob,
        "set role admin",
        "allow
         ! Rule: changing the role by rule `roles`
         roles alerted",
    );
    check(
        &mut Desk::new(),
        &bob,
        "select pan, email from billing.cards, customers",
        "deny: `cards` is refused by rule `no-cards`
         ! UnmatchedSensitive: no rule lets you read `customers`
         defaults.unmatched-sensitive alerted customers
         no-cards refused cards",
    );
}

const HOURS: &str = r#"
version: 1
datasets: { a: { class: x, relations: [ { engine: postgres, database: support, name: public.customers } ] } }
rules:
  - name: office
    who: { not: { group: night } }
    dataset: a
    then: refuse
    except: { who: { person: carol }, until: 2026-11-24 }
    when: { outside: "Mon-Fri 08:00-18:00 UTC" }
    message: "Not at this hour"
  - { name: all, who: any, dataset: a, access: [read, export], then: allow }
"#;

#[test]
fn hours_and_exceptions_are_kept() {
    let (bob, carol, dora) = (who("bob", &[]), who("carol", &[]), who("dora", &["night"]));
    let sql = "select id from customers";
    let evening = Moment { wall: AT.wall + 10 * 3600, ..AT };
    let next = Moment { wall: AT.wall + 58 * 3600, ..AT };
    let is_refused = |who: &Who, at: &Moment| Desk::with(HOURS).judge_at(who, sql, at).starts_with("deny: Not at");
    assert!(!is_refused(&bob, &AT));
    assert!(is_refused(&bob, &evening));
    assert!(!is_refused(&carol, &evening));
    assert!(is_refused(&carol, &next), "the exception has ended");
    assert!(!is_refused(&dora, &next));
}

const EGRESS: &str = r#"
version: 1
datasets: { a: { class: x, relations: [ { engine: postgres, database: support, name: public.customers } ] } }
rules: [ { name: all, who: any, dataset: a, then: allow } ]
defaults: { unclassified-egress: { bytes: 1000, per: hour, then: THEN } }
"#;

#[test]
fn bytes_that_nobody_classified_are_counted() {
    use crate::meter::{RowBatch, Then};
    let bob = who("bob", &[]);
    for (then, kind) in [("alert", "UnclassifiedEgress"), ("refuse", "cut")] {
        let mut desk = Desk::with(&EGRESS.replace("THEN", then));
        assert_eq!(desk.set.egress(), Some((1000, Window::Hour)));
        let exposure = exposure(&desk.binding, "select * from orders");
        assert!(!exposure.is_plain());
        let verdict = desk.set.admit(&bob, &exposure, &mut desk.ledger, &AT);
        let Decision::Allow(permit) = verdict.decision else { panic!("{then}") };
        assert!(!permit.sensitive);
        let mut meter = permit.meter.unwrap();
        meter.set_lanes(desk.binding.lanes(&exposure, &[]));
        let mut left = 0;
        let mut told = Vec::new();
        while left < 30 {
            let sizes = vec![100; 30 - left];
            let charge = meter.charge(&mut desk.ledger, &RowBatch { keys: &[], row_bytes: &sizes }, AT.now);
            left += charge.rows;
            told.extend(charge.alerts.iter().map(|alert| format!("{:?}", alert.kind)));
            match charge.then {
                Then::All => {}
                Then::Extend => assert!(meter.extend(&mut desk.ledger, AT.now).is_ok()),
                Then::Cut(denial) => {
                    assert_eq!(denial.message, "1000 bytes per hour of data that nobody classified are used up");
                    told.push("cut".to_owned());
                    break;
                }
            }
        }
        assert_eq!((left, told), (if then == "alert" { 30 } else { 10 }, vec![kind.to_owned()]));
        meter.settle(&mut desk.ledger, AT.now);
        assert_eq!(desk.ledger.used(super::UNCLASSIFIED, Window::Hour, Unit::Records, AT.now), 0);
        let again = desk.judge(&bob, "select * from orders");
        assert_eq!(again.starts_with("deny"), then == "refuse", "{again}");
        assert!(desk.judge(&bob, "vacuum notes").starts_with("allow"));
        assert!(desk.judge(&bob, "select * from customers").starts_with("allow, recorded; lease 64 a"));
    }
}

#[test]
fn observing_tells_and_lets_pass() {
    let policy = format!("mode: observe\n{}", crate::binding::tests::POLICY);
    let mut desk = Desk::with(&policy).used("customers", 500);
    let alice = who("alice", &["support"]);
    check(
        &mut desk,
        &alice,
        "select name from customers",
        "allow, recorded; lease 64 customers
         ! WouldRefuse: would have been refused: reading `customers` is limited to 500 records per hour by rule `desk`
         desk would-refuse customers 500/500 records/hour",
    );
    check(
        &mut desk,
        &who("?", &[]),
        "select pan, nonsense(1) from billing.cards",
        "allow, recorded; lease 64 cards
         ! WouldRefuse: would have been refused: `cards` is refused by rule `no-cards`
         ! WouldRefuse: would have been refused: sensitive data is only for people whom the directory knows (`defaults.unknown-person`)
         ! WouldRefuse: would have been refused: what this statement reaches cannot be told, and the database holds sensitive data (`defaults.opaque-sensitive`)
         defaults.opaque-sensitive would-refuse
         defaults.unknown-person would-refuse
         no-cards would-refuse cards",
    );
}
