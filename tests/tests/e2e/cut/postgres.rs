//! The cut in every state of PostgreSQL's protocol, inside and outside transactions.

use weir_tests::audit::released;
use weir_tests::engine::Engine;
use weir_tests::frames::{self, bind, describe, execute, extended, flush, parse, query, sync};
use weir_tests::policies::{BUDGET_MESSAGE, Budgeted, DENIED, Export};
use weir_tests::raw::{Raw, Reply};
use weir_tests::target::Target;

const ALL: &str = "select id, name, email from customers order by id";

fn desk(policy: &Budgeted) -> Target {
    super::desk(Engine::Postgres, policy)
}

fn login(desk: &Target, user: &str) -> Raw {
    Raw::login(desk.address(), user, "support")
}

/// The reply ends in the operator's refusal and nothing after it; returns how many rows came before.
#[track_caller]
fn assert_denied(reply: &Reply) -> usize {
    let error = reply.error();
    assert_eq!(error.sqlstate, DENIED, "{error:?}");
    assert_eq!(error.severity, "ERROR");
    assert!(error.message.contains(BUDGET_MESSAGE), "the operator's words are missing: {error:?}");
    let everything = format!("{} {} {}", error.message, error.detail, error.hint);
    assert!(everything.contains("W-"), "no reference that an analyst can look up: {error:?}");
    let position = reply.messages.iter().position(|message| message.tag == b'E').expect("there is one");
    let after: Vec<char> = reply.messages[position + 1..].iter().map(|message| char::from(message.tag)).collect();
    assert!(matches!(after.as_slice(), [] | ['Z']), "messages after the refusal: {after:?}");
    reply.rows()
}

/// The session works.
#[track_caller]
fn assert_usable(client: &mut Raw) {
    assert_eq!(client.query("select 'usable'").fine().column(), ["usable"]);
    assert_eq!(client.extended("select $1::text", &["usable too"]).fine().column(), ["usable too"]);
}

#[test]
fn a_cut_result_ends_as_one_that_the_server_ended() {
    let desk = desk(&Budgeted::hourly(500));
    let mut alice = login(&desk, "alice");
    let reply = alice.query(ALL);
    assert_eq!(assert_denied(&reply), 500);
    assert_eq!((reply.tags().as_str(), reply.status()), ("TDEZ", 'I'));
    assert_usable(&mut alice);
}

#[test]
fn named_prepared_statements_are_judged_each_time_they_run() {
    let desk = desk(&Budgeted::hourly(50));
    let mut alice = login(&desk, "alice");
    alice.ask(&[parse("look", "select name, email from customers where id = $1"), sync()].concat()).fine();
    let mut look = |id: u32| alice.ask(&[bind("", "look", &[&id.to_string()], 0), execute("", 0), sync()].concat());
    for id in 1..=50 {
        assert_eq!(look(id).fine().column(), [format!("Customer {id}")]);
    }
    assert_eq!(assert_denied(&look(51)), 0);
    assert_eq!(look(25).fine().column(), ["Customer 25"], "a record that was read already");
    assert_usable(&mut alice);
}

#[test]
fn copy_passes_where_policy_only_observes() {
    let desk = desk(&Budgeted { mode: "observe", records_per_hour: 10, ..Budgeted::default() });
    login(&desk, "alice").query("copy customers to stdout").fine();
}

#[test]
fn a_transaction_fails_as_the_server_fails_it() {
    let desk = desk(&Budgeted::hourly(500));
    let mut alice = login(&desk, "alice");
    assert_eq!(alice.query("begin").status(), 'T');
    alice.query("create temp table mine (n int)").fine();
    let reply = alice.query(ALL);
    assert_eq!((assert_denied(&reply), reply.status()), (500, 'E'));
    let refused = alice.query("select 1");
    assert_eq!((refused.error().sqlstate.as_str(), refused.status()), ("25P02", 'E'));
    assert_eq!(alice.query("rollback").fine().status(), 'I');
    assert_usable(&mut alice);
    assert_eq!(alice.query("select * from mine").error().sqlstate, "42P01", "the transaction was not rolled back");
}

#[test]
fn commit_after_a_cut_rolls_back() {
    let desk = desk(&Budgeted::hourly(20));
    let mut alice = login(&desk, "alice");
    alice.query("begin").fine();
    assert_eq!(assert_denied(&alice.query(ALL)), 20);
    let reply = alice.query("commit").fine();
    assert_eq!((reply.completions(), reply.status()), (vec!["ROLLBACK".to_owned()], 'I'));
    assert_usable(&mut alice);
}

#[test]
fn a_savepoint_survives_a_cut_and_a_refusal() {
    let desk = desk(&Budgeted::hourly(20));
    let mut alice = login(&desk, "alice");
    alice.query("begin; create temp table mine as select 1 as n; savepoint s").fine();
    assert_eq!(assert_denied(&alice.query(ALL)), 20);
    assert_eq!(alice.query("rollback to s").fine().status(), 'T');
    // Now the budget is spent, and what would be cut before was refused before it ran.
    let reply = alice.query("select name from customers where id = 900");
    assert_eq!((assert_denied(&reply), reply.status()), (0, 'E'));
    assert_eq!(alice.query("rollback to s").fine().status(), 'T');
    assert_eq!(alice.query("select n from mine").fine().column(), ["1"]);
    assert_eq!(alice.query("commit").fine().completions(), ["COMMIT"]);
}

#[test]
fn extended_query_is_cut_and_its_pipeline_skipped_up_to_sync() {
    let desk = desk(&Budgeted::hourly(500));
    let mut alice = login(&desk, "alice");
    alice.send(
        &[
            extended("select 'before'", &[]),
            extended(ALL, &[]),
            extended("select 'skipped'", &[]),
            extended("select count(*) from customers", &[]),
            sync(),
            extended("select 'after'", &[]),
            sync(),
        ]
        .concat(),
    );
    let first = alice.until_ready();
    assert_eq!(assert_denied(&first), 501, "'before' and 500 customers");
    assert_eq!(first.status(), 'I');
    let second = alice.until_ready().fine();
    assert_eq!(second.column(), ["after"]);
    assert_usable(&mut alice);
}

#[test]
fn a_refused_execute_is_skipped_up_to_sync_too() {
    let desk = desk(&Budgeted::hourly(10));
    let mut alice = login(&desk, "alice");
    assert_eq!(assert_denied(&alice.query(ALL)), 10);
    let secret = "select name, email from customers where id = 2000";
    alice.send(
        &[extended(secret, &[]), extended("select 'skipped'", &[]), sync(), extended("select 'after'", &[]), sync()]
            .concat(),
    );
    let first = alice.until_ready();
    assert_eq!((assert_denied(&first), first.status()), (0, 'I'));
    assert_eq!(alice.until_ready().fine().column(), ["after"]);
    // With a client that waits for each answer (Flush), the refusal comes at once and Sync ends it.
    alice.send(&[extended(secret, &[]), flush()].concat());
    let refused = alice.until(|message| message.tag == b'E');
    assert!(refused.end.is_none(), "{refused:?}");
    let rest = alice.ask(&[extended("select 'skipped'", &[]), sync()].concat());
    assert_eq!((rest.tags().as_str(), rest.status()), ("Z", 'I'));
    assert_usable(&mut alice);
}

#[test]
fn a_cut_pipeline_undoes_what_its_implicit_transaction_did() {
    let desk = desk(&Budgeted::hourly(10));
    let mut alice = login(&desk, "alice");
    let insert = "insert into tickets (customer_id, subject) values (1, 'from a cut pipeline')";
    let reply = alice.ask(&[extended(insert, &[]), extended(ALL, &[]), sync()].concat());
    assert_eq!(assert_denied(&reply), 10);
    let count = alice.query("select count(*) from tickets where subject = 'from a cut pipeline'").fine();
    assert_eq!(count.column(), ["0"]);
}

#[test]
fn portals_with_a_row_limit_share_the_budget() {
    let desk = desk(&Budgeted::hourly(500));
    let mut alice = login(&desk, "alice");
    alice.query("begin").fine();
    alice.ask(&[parse("s", ALL), bind("p", "s", &[], 0), sync()].concat()).fine();
    for page in 0..3 {
        let reply = alice.ask(&[execute("p", 130), sync()].concat()).fine();
        assert_eq!((reply.rows(), reply.tags().as_str()), (130, "DsZ"), "page {page}");
    }
    let reply = alice.ask(&[execute("p", 130), sync()].concat());
    assert_eq!((assert_denied(&reply), reply.status()), (110, 'E'));
    alice.query("rollback").fine();
    assert_usable(&mut alice);
}

#[test]
fn a_portal_is_described_or_not_named_or_not_text_or_binary() {
    for format in [0, 1] {
        for (portal, statement) in [("", ""), ("p", "s")] {
            for described in [false, true] {
                let desk = desk(&Budgeted::hourly(60));
                let mut alice = login(&desk, "alice");
                let mut train = vec![parse(statement, "select id, email from customers where id > $1 order by id")];
                train.push(bind(portal, statement, &["100"], format));
                if described {
                    train.push(describe(b'P', portal));
                }
                train.extend([execute(portal, 0), sync()]);
                let reply = alice.ask(&train.concat());
                assert_eq!(assert_denied(&reply), 60, "format {format}, portal `{portal}`, described {described}");
                assert_eq!(reply.tags(), if described { "12TDEZ" } else { "12DEZ" });
                assert_usable(&mut alice);
            }
        }
    }
}

#[test]
fn copy_out_is_cut() {
    let desk = desk(&Budgeted::hourly(500));
    let mut alice = login(&desk, "alice");
    let reply = alice.query("copy customers (id, name, email) to stdout");
    assert_denied(&reply);
    assert!(reply.tags().starts_with("Hd") && reply.tags().ends_with("EZ"), "{}", reply.tags());
    let copied = reply.copied();
    assert!(copied.ends_with(b"\n"), "a torn last line: {}", copied[copied.len().saturating_sub(60)..].escape_ascii());
    let lines = copied.split(|byte| *byte == b'\n').count() - 1;
    assert!((1..=500).contains(&lines), "{lines} lines left");
    let log = released(desk.weir(), "alice");
    assert_eq!(log.rows, u64::try_from(lines).unwrap());
    assert!(log.records >= log.rows && log.records <= 500, "{log:?}");
    assert_usable(&mut alice);
}

#[test]
fn copy_out_is_refused_where_export_is() {
    let policy = Budgeted { export: Export::Refused, ..Budgeted::default() };
    let desk = desk(&policy);
    let mut alice = login(&desk, "alice");
    for sql in [
        "copy customers to stdout",
        "copy (select name from customers) to stdout",
        "copy public.customers (email) to stdout (format binary)",
        "select 1; copy customers to stdout",
    ] {
        let reply = alice.query(sql);
        assert_eq!(reply.errors().len(), 1, "{sql}: {reply:?}");
        assert_eq!((reply.copied().len(), reply.status()), (0, 'I'), "{sql}");
        assert_usable(&mut alice);
    }
    let reply = alice.ask(&[extended("copy customers to stdout", &[]), sync()].concat());
    assert_eq!((reply.errors().len(), reply.copied().len()), (1, 0));
    // The reading of single customers goes on.
    assert_eq!(alice.query("select name from customers where id = 3").fine().column(), ["Customer 3"]);
}

#[test]
fn cursors_share_the_budget() {
    let desk = desk(&Budgeted::hourly(500));
    let mut alice = login(&desk, "alice");
    alice.query(&format!("begin; declare c scroll cursor for {ALL}")).fine();
    assert_eq!(alice.query("fetch 200 from c").fine().rows(), 200);
    assert_eq!(alice.query("fetch backward 100 from c").fine().rows(), 100, "read before: free");
    assert_eq!(alice.query("fetch absolute 200 from c").fine().rows(), 1);
    assert_eq!(alice.query("fetch forward 200 from c").fine().rows(), 200);
    let reply = alice.query("fetch all from c");
    assert_eq!((assert_denied(&reply), reply.status()), (100, 'E'));
    alice.query("rollback").fine();
    assert_usable(&mut alice);
}

#[test]
fn cursors_with_hold_and_through_the_extended_protocol_too() {
    let desk = desk(&Budgeted::hourly(300));
    let mut alice = login(&desk, "alice");
    alice.query("declare h cursor with hold for select email from customers order by id").fine();
    assert_eq!(alice.extended("fetch 250 from h", &[]).fine().rows(), 250);
    assert_eq!(assert_denied(&alice.extended("fetch 250 from h", &[])), 50);
    alice.query("close h").fine();
    assert_usable(&mut alice);
}

#[test]
fn several_statements_in_one_query_share_the_budget() {
    let desk = desk(&Budgeted::hourly(500));
    let mut alice = login(&desk, "alice");
    let reply = alice.query(
        "select id, name from customers where id <= 300; \
         select id, name from customers where id > 300 order by id; \
         select 'never reached'",
    );
    assert_eq!(assert_denied(&reply), 500);
    assert_eq!(reply.completions(), ["SELECT 300"]);
    assert_usable(&mut alice);
}

#[test]
fn returning_draws_on_the_budget() {
    let desk = desk(&Budgeted::hourly(30));
    let mut alice = login(&desk, "alice");
    alice.query("begin").fine();
    let reply = alice.query("update customers set vip = vip where id > 100 returning id, name, email");
    assert_eq!((assert_denied(&reply), reply.status()), (30, 'E'));
    alice.query("rollback").fine();
    assert_usable(&mut alice);
}

#[test]
fn a_refusal_by_rule_needs_no_budget() {
    let desk = desk(&Budgeted::default());
    let mut alice = login(&desk, "alice");
    for sql in ["select * from billing.cards", "select pan from billing.cards where id = 1", "table billing.cards"] {
        let error = alice.query(sql).error();
        assert!(error.message.contains("card data is not for the support desk"), "{sql}: {error:?}");
        assert!(!error.message.contains(BUDGET_MESSAGE));
    }
    assert_eq!(alice.ask(&[query("select count(*) from articles")].concat()).fine().column(), ["500"]);
    let described = alice.ask(&[parse("c", "select pan from billing.cards"), describe(b'S', "c"), sync()].concat());
    // Preparing and describing read nothing; running does.
    let reply = alice.ask(&[bind("", "c", &[], 0), execute("", 0), sync()].concat());
    assert_eq!(reply.rows(), 0, "{described:?} {reply:?}");
    assert!(!reply.errors().is_empty() || !described.errors().is_empty());
    assert_usable(&mut alice);
    alice.send(&frames::terminate());
}
