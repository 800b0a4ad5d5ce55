//! Policy files: the loader over any text, and what a loaded policy then says of a few statements.

use std::sync::{Arc, LazyLock};

use weir_policy::analysis::{Context, LexSettings, analyse};
use weir_policy::catalog::Catalog;
use weir_policy::exposure::Exposure;
use weir_policy::identity::Who;
use weir_policy::ledger::{Ledger, LedgerTime, Moment, RecordKey};
use weir_policy::load::{Diagnostic, Severity};
use weir_policy::meter::{Charge, Meter, RowBatch, Then};
use weir_policy::set::PolicySet;
use weir_policy::statement::Analysis;
use weir_policy::verdict::Decision;

use crate::mutate::Form;
use crate::{Target, Traces, seeds, support_desk};

/// A file is used or something is told of it, with a place that exists; what is told can be shown on a terminal; the
/// same text is read the same way; a policy that observes never refuses or cuts; every reservation goes back.
pub const TARGET: Target = Target {
    name: "policy",
    check,
    form: Form::Bytes,
    dictionary: WORDS,
    seeds: seeds::policies,
    input_bytes_max: 8192,
    memory_bytes_max: (24 << 20, 2048),
    time_ms_max: 1500,
};

const WORDS: &[&[u8]] = &[
    b"version: 1\n",
    b"mode: enforce\n",
    b"mode: observe\n",
    b"datasets:\n",
    b"who:\n",
    b"rules:\n",
    b"defaults:\n",
    b"tests:\n",
    b"tables:\n",
    b"detect:\n",
    b"  customers:\n",
    b"    class: personal\n",
    b"    relations: [{ engine: postgres, database: support, name: \"public.customers\" }]\n",
    b"    columns: [email, phone]\n",
    b"    key: [id]\n",
    b"  - name: a\n",
    b"    who: any\n",
    b"    who: { not: support }\n",
    b"    dataset: customers\n",
    b"    dataset: [customers, cards]\n",
    b"    access: [read, export]\n",
    b"    budget:\n",
    b"      - { records: 5, per: hour }\n",
    b"{ rows: 3, per: statement }",
    b"{ bytes: 200MiB, per: 30d }",
    b"    then: refuse\n",
    b"    then: alert\n",
    b"    then: allow\n",
    b"    at: { 80%: alert }\n",
    b"    message: \"no\"\n",
    b"    except: support\n",
    b"    when: { outside: \"Mon-Fri 08:00-18:00 UTC\" }\n",
    b"until: 2027-01-31",
    b"group: support",
    b"account: alice",
    b"source: [10.0.0.0/8]",
    b"  unmatched-sensitive: refuse\n",
    b"  opaque-sensitive: alert\n",
    b"  unknown-person: alert\n",
    b"  unclassified-egress: { bytes: 10, per: hour, then: refuse }\n",
    b"  on-store-failure: continue\n",
    b"given: { person: alice, groups: [support], engine: postgres, database: support }",
    b"expect: { decision: cut, after: 5 }",
    b"returns: { rows: 9 }",
    b"sql: \"select 1\"",
    b"&a ",
    b"*a",
    b"<<: *a",
    b"!!binary ",
    b"? ",
    b"- ",
    b": ",
    b"\n",
    b"  ",
    b"\t",
    b"|\n",
    b">\n",
    b"{",
    b"}",
    b"[",
    b"]",
    b"'",
    b"\"",
    b"#",
    b"---\n",
    b"...\n",
    b"%YAML 1.2\n",
    b"~",
    b"null",
    b"true",
    b"yes",
    b"no",
    b"on",
    b"0x7f",
    b"1e3",
    b".inf",
    b"-1",
    b"18446744073709551615",
    b"18446744073709551616",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
    b"\xe2\x80\xa8",
];

static CATALOG: LazyLock<Catalog> = LazyLock::new(support_desk::catalog);

static ANALYSES: LazyLock<Vec<Analysis>> = LazyLock::new(|| {
    let search_path = support_desk::search_path();
    let context = Context { lex: LexSettings::default(), catalog: &CATALOG, search_path: &search_path, temporary: &[] };
    let statements = [
        "select 1",
        "select id, email from customers where id = 7",
        "select c.email, k.pan from customers c join billing.cards k on k.customer_id = c.id",
        "select string_agg(email, ',') from customers",
        "copy (select * from customers) to stdout",
        "do 'begin end'",
        "grant select on customers to bob; set role billing; drop table notes",
    ];
    statements.iter().map(|text| analyse(text.as_bytes(), &context)).collect()
});

/// Five digits in a row: a test of so many rows takes its time, and is allowed to.
const LONG_NUMBER_DIGITS: usize = 5;

/// What is told differs from here on by what it is told of.
const WORD_CHARS: usize = 20;

fn check(input: &[u8]) -> Traces {
    let mut traces = Traces::default();
    let Ok(text) = std::str::from_utf8(input) else {
        traces.add("text", "is not UTF-8");
        return traces;
    };
    let loaded = PolicySet::load(text, "policy.yaml");
    let again = PolicySet::load(text, "policy.yaml");
    match (loaded, again) {
        (Ok((set, told)), Ok((same, told_again))) => {
            assert_eq!(told, told_again, "the same text is told of otherwise");
            assert_eq!(set.hash(), same.hash());
            assert!(told.iter().all(|told| told.severity == Severity::Warning), "an error, and yet a policy: {told:?}");
            can_be_shown(text, &told, &mut traces);
            judges(&set, &mut traces);
            if !holds_a_long_number(input) {
                traces.add("tests", set.run_tests().len().min(4));
            }
        }
        (Err(told), Err(told_again)) => {
            assert_eq!(told, told_again, "the same text is told of otherwise");
            assert!(told.iter().any(|told| told.severity == Severity::Error), "no policy, and no error: {told:?}");
            can_be_shown(text, &told, &mut traces);
        }
        (one, _) => panic!("the same text is a policy and is none: {}", one.is_ok()),
    }
    traces
}

fn can_be_shown(text: &str, told: &[Diagnostic], traces: &mut Traces) {
    let lines = u64::try_from(text.split(['\n', '\r']).count()).unwrap_or(u64::MAX);
    for diagnostic in told {
        assert!(!diagnostic.message.trim().is_empty(), "nothing is said: {diagnostic:?}");
        assert!(diagnostic.column > 0, "no such column: {diagnostic:?}");
        // A line may also end at characters that YAML 1.1 knew; the end of the file is a place behind the last line.
        let ends =
            lines.saturating_add(u64::try_from(text.matches(['\u{85}', '\u{2028}', '\u{2029}']).count()).unwrap_or(0));
        assert!((1..=ends + 1).contains(&diagnostic.line), "no such line in {lines}: {diagnostic:?}");
        let shown = diagnostic.to_string();
        assert!(!shown.chars().any(char::is_control), "it cannot be shown: {shown:?}");
        let words: Vec<&str> = diagnostic.message.split('`').step_by(2).collect();
        let words: String = words.concat().chars().filter(char::is_ascii_alphabetic).take(WORD_CHARS).collect();
        traces.add("told", (diagnostic.severity, words));
    }
}

/// Binds the policy to the desk's database and lets two people run a few statements under it.
fn judges(set: &PolicySet, traces: &mut Traces) {
    let (binding, told) = set.bind(&CATALOG);
    for diagnostic in &told {
        assert!(!diagnostic.to_string().chars().any(char::is_control), "it cannot be shown: {diagnostic:?}");
    }
    for known in [true, false] {
        let who = who(known);
        let mut ledger = Ledger::new();
        for (index, analysis) in ANALYSES.iter().enumerate() {
            let exposures: Vec<Exposure> =
                analysis.statements.iter().map(|statement| binding.exposure(statement)).collect();
            let exposure = binding.merge(&exposures);
            let now = LedgerTime(1_000_000 + u64::try_from(index).unwrap_or(0) * 1000);
            // A Tuesday, noon.
            let verdict = set.admit(&who, &exposure, &mut ledger, &Moment { now, wall: 1_795_521_600 });
            let alerts = verdict.alerts.len().min(3);
            let outcome = match verdict.decision {
                Decision::Allow(permit) => match permit.meter {
                    Some(meter) => played(meter, &mut ledger, now, set.observes()),
                    None => "allowed",
                },
                Decision::Deny(denial) => {
                    assert!(!set.observes(), "a policy that observes refuses: {denial:?}");
                    assert!(!denial.message.trim().is_empty(), "a denial without words: {denial:?}");
                    "denied"
                }
            };
            traces.add(outcome, (index, known, alerts));
        }
        for line in ledger.snapshot(LedgerTime(u64::MAX / 2)) {
            assert_eq!(line.reserved, 0, "a reservation stays behind: {line:?}");
        }
    }
}

fn who(known: bool) -> Who {
    Who {
        person: if known { "alice".into() } else { "account:mallory".into() },
        known,
        groups: if known { vec!["support".into()] } else { Vec::new() },
        account: if known { Arc::from("alice") } else { Arc::from("mallory") },
        source: Some(std::net::Ipv4Addr::new(10, 1, 2, 3).into()),
        application: "desk".into(),
        ..Who::default()
    }
}

/// Twenty rows, the last ten the same as the first.
fn played(mut meter: Meter, ledger: &mut Ledger, now: LedgerTime, observes: bool) -> &'static str {
    const ROWS: usize = 20;
    const EXTENSIONS_MAX: usize = 100;
    let width = meter.lanes().len();
    let keys: Vec<RecordKey> =
        (0..ROWS * width).map(|place| RecordKey(u128::try_from(place / width.max(1) % 10 + 1).unwrap_or(1))).collect();
    let bytes = [120; ROWS];
    let mut left = 0;
    let mut extensions = 0;
    let outcome = loop {
        let batch = RowBatch { keys: &keys[left * width..], row_bytes: &bytes[left..] };
        let Charge { rows, then, .. } = meter.charge(ledger, &batch, now);
        left += rows;
        assert!(left <= ROWS, "{left} rows were released of {ROWS}");
        match then {
            Then::All => {
                assert_eq!(left, ROWS, "all were released, and are not");
                break "released";
            }
            Then::Cut(_) => break "cut",
            Then::Extend => {
                extensions += 1;
                assert!(extensions <= EXTENSIONS_MAX, "the meter wants more and more leases");
                if meter.extend(ledger, now).is_err() {
                    break "cut";
                }
            }
        }
    };
    assert!(!observes || outcome == "released", "a policy that observes cuts");
    let released = meter.rows();
    assert_eq!(usize::try_from(released).ok(), Some(left), "the meter counts otherwise");
    let settlement = meter.settle(ledger, now);
    assert_eq!(settlement.rows, released);
    outcome
}

fn holds_a_long_number(text: &[u8]) -> bool {
    text.split(|byte| !byte.is_ascii_digit()).any(|digits| digits.len() >= LONG_NUMBER_DIGITS)
}
