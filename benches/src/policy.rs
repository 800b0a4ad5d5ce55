//! Judging: loading and binding a policy, what a statement exposes, admitting it, and charging its rows.

use std::fmt::Write;
use std::sync::Arc;

use weir_policy::analysis::{Context, LexSettings, analyse};
use weir_policy::binding::Binding;
use weir_policy::catalog::Catalog;
use weir_policy::exposure::{Exposure, Origin};
use weir_policy::identity::Who;
use weir_policy::ledger::{Ledger, LedgerTime, Moment, RecordKey};
use weir_policy::meter::{Meter, RowBatch, Then};
use weir_policy::set::PolicySet;
use weir_policy::verdict::Decision;

use crate::database;
use crate::measure::{Bench, Per};

const NOW: LedgerTime = LedgerTime(1_000_000_000);
const AT: Moment = Moment { now: NOW, wall: 1_795_521_600 };
/// Mean bytes of a row, as the meter is told.
const ROW_BYTES: u32 = 120;

const LOOK_UP: &str = "select id, name, email from customers where id = $1";
const EVERYTHING: &str = "select id, name, email from customers";

/// Everything about policy.
pub(crate) fn run(bench: &mut Bench) {
    let small = database::catalog(0);
    if bench.wants("policy") {
        for rules in [1, 100, 1000] {
            let text = policy(rules);
            let name = format!("policy/load, {rules} rules, {} KB", text.len().div_ceil(1024));
            bench.run(&name, Per::Bytes(text.len()), || PolicySet::load(&text, "policy.yaml").is_ok());
        }
        for others in [0, 10_000] {
            let (set, catalog) = (loaded(1), database::catalog(others));
            bench.run(&format!("policy/bind among {others} more relations"), Per::Call, || set.bind(&catalog));
        }
    }
    if bench.wants("admit") {
        admit(bench, &small);
    }
    if bench.wants("charge") {
        charge(bench, &small);
    }
}

fn admit(bench: &mut Bench, catalog: &Catalog) {
    let set = loaded(1);
    let (binding, _) = set.bind(catalog);
    let analysis = analysed(LOOK_UP, catalog);
    let statement = &analysis.statements[0];
    bench.run("admit/exposure of a look-up", Per::Call, || binding.exposure(statement));
    let exposure = exposed(LOOK_UP, catalog, &binding);
    let origins: Vec<Origin> = (1..=3).map(|attribute| Origin { oid: 10, attribute }).collect();
    bench.run("admit/lanes of a look-up", Per::Call, || binding.lanes(&exposure, &origins));
    let plain = exposed("select title from products where sku = $1", catalog, &binding);
    let agent = who(0);
    let mut ledger = Ledger::new();
    bench.run("admit/statement that touches nothing", Per::Call, || set.admit(&agent, &plain, &mut ledger, &AT));
    for rules in [1, 100, 1000] {
        let set = loaded(rules);
        let (binding, _) = set.bind(catalog);
        let exposure = exposed(LOOK_UP, catalog, &binding);
        bench.run(&format!("admit/look-up under {rules} rules, and settled"), Per::Call, || {
            settled(open(&set, &agent, &exposure, &mut ledger), &mut ledger)
        });
    }
    let (set, mut read_much) = (loaded(1), Ledger::new());
    let exposure = exposed(EVERYTHING, catalog, &set.bind(catalog).0);
    let mut meter = open(&set, &agent, &exposure, &mut read_much);
    released(&mut meter, &mut read_much, &(1..=100_000).map(RecordKey).collect::<Vec<_>>());
    settled(meter, &mut read_much);
    let exposure = exposed(LOOK_UP, catalog, &set.bind(catalog).0);
    bench.run("admit/look-up by somebody with 100,000 records", Per::Call, || {
        settled(open(&set, &agent, &exposure, &mut read_much), &mut read_much)
    });
}

fn charge(bench: &mut Bench, catalog: &Catalog) {
    let set = loaded(1);
    let (binding, _) = set.bind(catalog);
    let exposure = exposed(EVERYTHING, catalog, &binding);
    let agent = who(0);
    let fresh = || {
        let mut ledger = Ledger::new();
        let meter = open(&set, &agent, &exposure, &mut ledger);
        (ledger, Some(meter), 0_u128)
    };
    for rows in [1_usize, 500] {
        let again: Vec<RecordKey> = (1..).take(rows).map(RecordKey).collect();
        let bytes = rows * usize::try_from(ROW_BYTES).unwrap_or(0);
        bench.run_prepared(
            &format!("charge/rows seen before, {rows} at a time"),
            Per::Rows(rows, bytes),
            fresh,
            |(ledger, meter, _)| meter.as_mut().map(|meter| released(meter, ledger, &again)),
        );
        bench.run_prepared(
            &format!("charge/new records, {rows} at a time"),
            Per::Rows(rows, bytes),
            fresh,
            |(ledger, meter, next)| {
                let keys: Vec<RecordKey> = (*next + 1..).take(rows).map(RecordKey).collect();
                *next += keys.len() as u128;
                meter.as_mut().map(|meter| released(meter, ledger, &keys))
            },
        );
        let unkeyed = vec![RecordKey::NONE; rows];
        bench.run_prepared(
            &format!("charge/rows without a key, {rows} at a time"),
            Per::Rows(rows, bytes),
            fresh,
            |(ledger, meter, _)| meter.as_mut().map(|meter| released(meter, ledger, &unkeyed)),
        );
    }
    for people in [10, 10_000] {
        let mut ledgers: Vec<Ledger> = (0..people).map(|_| Ledger::new()).collect();
        let people: Vec<Who> = (0..people).map(who).collect();
        let mut turn = 0;
        bench.run(&format!("charge/look-up of one row, {} people in turn", people.len()), Per::Call, || {
            turn = (turn + 1) % people.len();
            let ledger = &mut ledgers[turn];
            let mut meter = open(&set, &people[turn], &exposure, ledger);
            let rows = released(&mut meter, ledger, &[RecordKey(7)]);
            settled(meter, ledger);
            rows
        });
    }
}

/// One rule that counts, and as many others as are asked for, about other people.
fn policy(rules: usize) -> String {
    let mut text = "version: 1
datasets:
  customers:
    class: personal
    relations: [{ engine: postgres, database: support, name: \"public.customers\" }]
    columns: [name, email, phone]
    key: [id]
who:
  desk: { group: desk }
rules:
  - name: desk-customers
    who: desk
    dataset: customers
    budget: [{ records: 100000000000, per: hour }, { records: 1000000000000, per: day }]
    at: { 80%: alert }
"
    .to_owned();
    for index in 1..rules {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  - {{ name: team-{index}, who: {{ group: team-{index} }}, dataset: customers, budget: [{{ records: {}, per: day }}] }}",
            100 + index
        );
    }
    text
}

fn loaded(rules: usize) -> PolicySet {
    PolicySet::load(&policy(rules), "policy.yaml").map(|(set, _)| set).expect("the policy is a good one")
}

fn who(number: usize) -> Who {
    Who {
        person: format!("agent-{number}").into(),
        known: true,
        groups: vec![Arc::from("desk")],
        account: "desk".into(),
        source: None,
        application: "desk".into(),
        ..Who::default()
    }
}

fn analysed(text: &str, catalog: &Catalog) -> weir_policy::statement::Analysis {
    let search_path = database::search_path();
    let lex = LexSettings::default();
    analyse(text.as_bytes(), &Context { lex, catalog, search_path: &search_path, temporary: &[] })
}

fn exposed(text: &str, catalog: &Catalog, binding: &Binding) -> Exposure {
    binding.exposure(&analysed(text, catalog).statements[0])
}

fn open(set: &PolicySet, who: &Who, exposure: &Exposure, ledger: &mut Ledger) -> Meter {
    match set.admit(who, exposure, ledger, &AT).decision {
        Decision::Allow(permit) => permit.meter.expect("a look-up of customers is counted"),
        Decision::Deny(denial) => stop(&denial.message),
    }
}

/// Rows that leave, their leases extended as a session would.
fn released(meter: &mut Meter, ledger: &mut Ledger, keys: &[RecordKey]) -> usize {
    let bytes = vec![ROW_BYTES; keys.len()];
    let mut left = 0;
    loop {
        let charge = meter.charge(ledger, &RowBatch { keys: &keys[left..], row_bytes: &bytes[left..] }, NOW);
        left += charge.rows;
        match charge.then {
            Then::All => break,
            Then::Cut(denial) => stop(&denial.message),
            Then::Extend => match meter.extend(ledger, NOW) {
                Ok(_) => {}
                Err(denial) => stop(&denial.message),
            },
        }
    }
    // A session records them with each lease; kept, they would be bounded and then slow the meter.
    drop(meter.take_charged());
    left
}

fn settled(meter: Meter, ledger: &mut Ledger) -> u64 {
    meter.settle(ledger, NOW).rows
}

fn stop(message: &str) -> ! {
    eprintln!("weir-benches: what should be allowed is denied: {message}");
    std::process::exit(1)
}
