//! The cut at the row, whatever the protocol.

use std::time::Duration;

use weir_tests::audit::{self, released};
use weir_tests::engine::Engine;
use weir_tests::fixture::CUSTOMERS;
use weir_tests::for_both_engines;
use weir_tests::policies::{BUDGET_MESSAGE, Budgeted};
use weir_tests::wait;

use super::{assert_denied, desk, distinct, login};

const ALL: &str = "select id, name, email from customers order by id";

for_both_engines!(
    the_501st_record_does_not_leave,
    the_reference_that_the_client_sees_finds_the_record,
    rows_count_where_no_key_is_visible,
    a_prepared_look_up_passes_500_times_and_no_more,
    a_prepared_reading_is_cut_as_a_text_is,
    several_statements_in_one_query_share_the_budget,
    reading_the_same_records_again_is_free,
    a_statement_has_a_budget_of_its_own,
    big_rows_are_cut_at_the_row_as_well,
    the_servers_query_ends_with_the_cut,
    observe_mode_never_blocks,
    alerts_tell_of_the_threshold_and_the_cut,
    a_refusal_by_rule_needs_no_budget,
);

fn the_501st_record_does_not_leave(engine: Engine) {
    let desk = desk(engine, &Budgeted::hourly(500));
    let mut alice = login(engine, &desk, "alice");
    let answer = alice.query(ALL);
    assert_eq!(assert_denied(&answer), 500);
    assert_eq!(answer.column(), (1..=500).map(|id| id.to_string()).collect::<Vec<_>>());
    alice.assert_usable();
    // One record more is one too many, a known one is not.
    assert_eq!(assert_denied(&alice.query("select id, name from customers where id = 2500")), 0);
    assert_eq!(alice.query("select id, name from customers where id = 7").fine().column(), ["7"]);
    // Counting and what nobody called sensitive are free.
    assert_eq!(alice.query("select count(*) from customers").fine().column(), [CUSTOMERS.to_string()]);
    assert_eq!(alice.query("select id, title from articles").fine().rows.len(), 500);
    alice.goodbye();
    let weir = desk.weir();
    let event = weir.audit_event("the completion that was cut", |event| event["detail"]["outcome"] == "cut");
    assert_eq!(event["detail"]["rows"], 500, "{event:#}");
    assert_eq!(audit::person(&event), "alice");
    let basis = event["basis"].as_array().and_then(|basis| basis.iter().find(|line| line["outcome"] == "cut")).cloned();
    let basis = basis.unwrap_or_else(|| panic!("no basis for the cut: {event:#}"));
    assert_eq!(basis["rule"], "support-customers", "{basis}");
    assert_eq!((&basis["limit"], &basis["before"], &basis["after"]), (&500.into(), &0.into(), &500.into()), "{basis}");
    assert_eq!(released(weir, "alice").records, 500);
}

fn the_reference_that_the_client_sees_finds_the_record(engine: Engine) {
    let desk = desk(engine, &Budgeted::hourly(5));
    let text = login(engine, &desk, "alice").query(ALL).error().message;
    let start = text.find("W-").unwrap_or_else(|| panic!("no reference in {text}"));
    let reference: String = text[start..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let event =
        desk.weir().audit_event("with the client's reference", |event| event["reference"] == reference.as_str());
    assert_eq!(audit::person(&event), "alice");
}

fn rows_count_where_no_key_is_visible(engine: Engine) {
    let desk = desk(engine, &Budgeted::hourly(500));
    let mut alice = login(engine, &desk, "alice");
    assert_eq!(assert_denied(&alice.query("select email from customers")), 500);
    alice.assert_usable();
    assert_eq!(assert_denied(&alice.query("select email from customers")), 0);
}

fn a_prepared_look_up_passes_500_times_and_no_more(engine: Engine) {
    let desk = desk(engine, &Budgeted::hourly(500));
    let mut alice = login(engine, &desk, "alice");
    let mut look = |id: u32| alice.prepared("select name, email from customers where id = ?", &[&id.to_string()]);
    for id in 1..=500 {
        assert_eq!(look(id).fine().column(), [format!("Customer {id}")]);
    }
    assert_eq!(assert_denied(&look(501)), 0);
    assert_eq!(look(250).fine().column(), ["Customer 250"], "a record that was read already");
    assert_eq!(assert_denied(&look(502)), 0);
    alice.assert_usable();
    assert_eq!(released(desk.weir(), "alice").records, 500);
}

fn a_prepared_reading_is_cut_as_a_text_is(engine: Engine) {
    let desk = desk(engine, &Budgeted::hourly(500));
    let mut alice = login(engine, &desk, "alice");
    let answer = alice.prepared("select id, name, email from customers where id > ? order by id", &["0"]);
    assert_eq!(assert_denied(&answer), 500);
    assert_eq!(answer.column(), (1..=500).map(|id| id.to_string()).collect::<Vec<_>>());
    alice.assert_usable();
    assert_eq!(assert_denied(&alice.prepared("select name from customers where id = ?", &["600"])), 0);
    alice.assert_usable();
    assert_eq!(released(desk.weir(), "alice").records, 500);
}

fn several_statements_in_one_query_share_the_budget(engine: Engine) {
    let desk = desk(engine, &Budgeted::hourly(500));
    let mut alice = login(engine, &desk, "alice");
    let answer = alice.query(
        "select id, name from customers where id <= 300; \
         select id, name from customers where id > 300 order by id; \
         select 'never reached'",
    );
    assert_eq!(assert_denied(&answer), 500);
    assert_eq!(distinct([&answer]).len(), 500);
    alice.assert_usable();
}

fn reading_the_same_records_again_is_free(engine: Engine) {
    let desk = desk(engine, &Budgeted::hourly(500));
    let mut alice = login(engine, &desk, "alice");
    for _ in 0..20 {
        assert_eq!(alice.query("select id, name from customers where id <= 100").fine().rows.len(), 100);
        assert_eq!(alice.query("select name from customers where id = 50").fine().rows.len(), 1);
        assert_eq!(alice.prepared("select email from customers where id = ?", &["51"]).fine().rows.len(), 1);
    }
    assert_eq!(assert_denied(&alice.query(ALL)), 500, "the first hundred were known, four hundred were new");
}

fn a_statement_has_a_budget_of_its_own(engine: Engine) {
    let policy = Budgeted { more_budget: &["{ records: 200, per: statement }"], ..Budgeted::default() };
    let desk = desk(engine, &policy);
    let mut alice = login(engine, &desk, "alice");
    assert_eq!(assert_denied(&alice.query("select id, name from customers where id <= 1000 order by id")), 200);
    assert_eq!(assert_denied(&alice.query("select id, name from customers where id > 1000 order by id")), 200);
    let tail = alice.query("select id, name from customers where id > 2900 order by id limit 50");
    assert_eq!(tail.fine().rows.len(), 50);
    assert_eq!(
        assert_denied(&alice.query("select id, name from customers where id > 2000 order by id")),
        50,
        "the hour's rest"
    );
}

fn big_rows_are_cut_at_the_row_as_well(engine: Engine) {
    let desk = desk(engine, &Budgeted::hourly(25));
    let mut alice = login(engine, &desk, "alice");
    // About 100 KB each: many times what any buffer on the way holds.
    let answer = alice.query("select id, email, repeat(name, 9000) from customers order by id");
    assert_eq!(assert_denied(&answer), 25);
    assert_eq!(answer.column(), (1..=25).map(|id| id.to_string()).collect::<Vec<_>>());
    alice.assert_usable();
}

fn the_servers_query_ends_with_the_cut(engine: Engine) {
    let desk = desk(engine, &Budgeted::hourly(10));
    let mut alice = login(engine, &desk, "alice");
    // Slow after the first rows, which fill more than the server's buffer: without a cancel it would go on for minutes.
    let wait = match engine {
        Engine::Postgres => "case when id > 40 then pg_sleep(2)::text end",
        Engine::MySql => "case when id > 40 then sleep(2) end",
    };
    let sql = format!("select /* slow one */ id, email, repeat('x', 1000), {wait} from customers where id < 200");
    assert_eq!(assert_denied(&alice.query(&sql)), 10);
    wait::until_true("the server to stop the query that was cut", Duration::from_secs(2), || {
        engine.server().running("select /* slow one */") == 0
    });
    alice.assert_usable();
}

fn observe_mode_never_blocks(engine: Engine) {
    let desk = desk(engine, &Budgeted { mode: "observe", records_per_hour: 10, ..Budgeted::default() });
    let mut alice = login(engine, &desk, "alice");
    let everyone = usize::try_from(CUSTOMERS).unwrap();
    for _ in 0..2 {
        assert_eq!(alice.query(ALL).fine().rows.len(), everyone);
        assert_eq!(alice.prepared("select email from customers", &[]).fine().rows.len(), everyone);
        assert_eq!(alice.query("select pan from billing.cards").fine().rows.len(), 1000);
    }
    alice.goodbye();
    let weir = desk.weir();
    let event = weir.audit_event("that it would have been cut", |event| event.to_string().contains("would-cut"));
    assert_eq!(audit::person(&event), "alice");
    weir.audit_event("that it would have been refused", |event| event.to_string().contains("would-refuse"));
    assert!(audit::of_kind(&weir.audit_events(), "denial").is_empty());
}

fn alerts_tell_of_the_threshold_and_the_cut(engine: Engine) {
    let desk = desk(engine, &Budgeted::hourly(100));
    let mut alice = login(engine, &desk, "alice");
    alice.query("select id, name from customers where id <= 79").fine();
    let weir = desk.weir();
    assert!(weir.alerts().is_empty(), "below the threshold: {:?}", weir.alerts());
    alice.query("select id, name from customers where id <= 80").fine();
    wait::until_true("an alert at 80 %", wait::SOON, || weir.alerts().len() == 1);
    alice.query("select id, name from customers where id <= 90").fine();
    assert_eq!(assert_denied(&alice.query(ALL)), 100);
    wait::until_true("an alert for the cut, and none for crossing 80 % twice", wait::SOON, || weir.alerts().len() == 2);
    let text = serde_json::to_string(&weir.alerts()).unwrap();
    for part in ["alice", "customers", "support-customers"] {
        assert!(text.contains(part), "no `{part}` in the alerts: {text}");
    }
}

fn a_refusal_by_rule_needs_no_budget(engine: Engine) {
    let desk = desk(engine, &Budgeted::default());
    let mut alice = login(engine, &desk, "alice");
    for sql in ["select * from billing.cards", "select pan from billing.cards where id = 1"] {
        for answer in [alice.query(sql), alice.prepared(sql, &[])] {
            let error = answer.error();
            assert!(error.denied, "{sql}: {error:?}");
            assert!(error.message.contains("card data is not for the support desk"), "{sql}: {error:?}");
            assert!(!error.message.contains(BUDGET_MESSAGE));
            assert_eq!(answer.rows.len(), 0, "{sql}");
        }
    }
    assert_eq!(alice.query("select count(*) from articles").fine().column(), ["500"]);
    alice.assert_usable();
}
