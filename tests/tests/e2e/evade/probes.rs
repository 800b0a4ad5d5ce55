//! Values that no row shows: what a yes or no, a count, an order or an error tells of them, and the honest work that
//! looks like it.

use serde_json::Value;
use weir_tests::audit::{kind, person, released};
use weir_tests::engine::{Client, Engine};
use weir_tests::for_both_engines;
use weir_tests::policies::Budgeted;
use weir_tests::target::Target;
use weir_tests::weir::{Weir, WeirOptions};

for_both_engines!(
    an_oracle_is_seen_before_a_phone_number_is_out,
    an_oracle_of_parameters_is_seen_too,
    questions_can_be_refused,
    an_honest_day_asks_nothing,
    what_was_asked_counts_over_a_restart,
);

/// Seven statements for each of twelve characters.
const PHONE_NUMBER: u32 = 84;

fn desk(engine: Engine, detect: &str) -> Target {
    let policy = format!("{}{detect}", Budgeted::hourly(500).on(engine).yaml());
    Target::front(engine.server(), &WeirOptions::policy(policy))
}

fn login(engine: Engine, desk: &Target, account: &str) -> Client {
    Client::login(engine, desk.address(), account, "support")
}

fn alerts(weir: &Weir, name: &str) -> Vec<Value> {
    released(weir, name);
    let probe = |event: &Value| kind(event) == "alert" && person(event) == name && event["detail"]["code"] == "probe";
    weir.audit_events().into_iter().filter(probe).collect()
}

/// The question of this number: whether a character of a phone number is above another.
fn above(nth: u32) -> String {
    let (place, bit) = (nth / 7 + 1, nth % 7);
    format!("ascii(substr(phone, {place}, 1)) > {}", 40 + bit * 3)
}

fn an_oracle_is_seen_before_a_phone_number_is_out(engine: Engine) {
    let desk = desk(engine, "");
    let oracles: [fn(&str, u32) -> String; 5] = [
        |asked, _| format!("select count(*) from customers where id = 7 and {asked}"),
        |asked, _| {
            format!(
                "select id from articles where id = 1 and exists (select 1 from customers where id = 7 and {asked})"
            )
        },
        |asked, _| {
            format!(
                "select id from articles order by (case when (select {asked} from customers where id = 7) then id else -id end) limit 1"
            )
        },
        |_, nth| format!("select count(*) from customers where id = 7 and phone like '+{nth}%'"),
        |asked, _| {
            format!(
                "select 1 from articles where id = (case when (select {asked} from customers where id = 7) then 1 else 2 end)"
            )
        },
    ];
    for (oracle, account) in oracles.iter().zip(["alice", "bob", "carol", "evader_1", "evader_2"]) {
        let mut thief = login(engine, &desk, account);
        for nth in 0..PHONE_NUMBER {
            let answer = thief.query(&oracle(&above(nth), nth));
            assert!(answer.error.is_none(), "{answer:?}");
        }
        thief.goodbye();
        let name = if account.starts_with("evader") { format!("account:{account}") } else { account.to_owned() };
        let told = alerts(desk.weir(), &name);
        assert_eq!(told.len(), 1, "{account}: {told:#?}");
        let basis = &told[0]["basis"][0];
        assert_eq!(
            (&basis["rule"], &basis["unit"], &basis["limit"], &basis["after"]),
            (&"detect.probes".into(), &"statements".into(), &60.into(), &61.into()),
            "{basis:#}"
        );
        let title = told[0]["detail"]["title"].as_str().unwrap();
        assert!(title.contains("`phone`") && title.contains("61 statements per hour"), "{title}");
    }
}

fn an_oracle_of_parameters_is_seen_too(engine: Engine) {
    let desk = desk(engine, "");
    let mut thief = login(engine, &desk, "alice");
    for nth in 0..PHONE_NUMBER {
        let pattern = format!("+{nth}%");
        let sql = "select count(*) from customers where id = 7 and phone like ?";
        assert_eq!(thief.prepared(sql, &[&pattern]).fine().rows.len(), 1);
    }
    thief.goodbye();
    assert_eq!(alerts(desk.weir(), "alice").len(), 1);
}

fn questions_can_be_refused(engine: Engine) {
    let desk = desk(engine, "detect:\n  probes: [{ dataset: customers, statements: 30, per: hour, then: refuse }]\n");
    let mut thief = login(engine, &desk, "alice");
    let mut answered = 0;
    for nth in 0..PHONE_NUMBER {
        let answer = thief.query(&format!("select count(*) from customers where id = 7 and {}", above(nth)));
        match &answer.error {
            None => answered += 1,
            Some(error) => assert!(error.denied, "{error:?}"),
        }
    }
    thief.assert_usable();
    thief.goodbye();
    assert_eq!(answered, 30);
    released(desk.weir(), "alice");
    let denials = desk
        .weir()
        .audit_events()
        .into_iter()
        .filter(|event| kind(event) == "denial" && person(event) == "alice")
        .count();
    assert_eq!(denials, 54, "each is recorded");
    let mut bob = login(engine, &desk, "bob");
    assert_eq!(bob.query("select name from customers where phone like '+49%' limit 5").fine().rows.len(), 5);
}

fn an_honest_day_asks_nothing(engine: Engine) {
    let policy = Budgeted::hourly(2900).on(engine).yaml();
    let desk = Target::front(engine.server(), &WeirOptions::policy(policy));
    let mut agent = login(engine, &desk, "alice");
    for id in 1..=150 {
        let email = format!("customer{id}@example.org");
        agent.query(&format!("select id, name from customers where email = '{email}'")).fine();
        agent.query(&format!("select id, subject from tickets where customer_id = {id} order by id limit 20")).fine();
        agent
            .query(&format!("select id, name from customers where name like 'Customer {id}%' order by name limit 5"))
            .fine();
        // A log-in, and a search that shows tickets.
        agent.prepared("select id from customers where email = ?", &[&email]).fine();
        agent
            .query(&format!(
                "select t.id, t.subject from tickets t join customers c on c.id = t.customer_id where c.name like 'Customer {id}%' limit 20"
            ))
            .fine();
    }
    // Sign-ups ask whether an address is taken.
    for nth in 0..150 {
        let email = format!("new{nth}@example.org");
        agent.prepared("select 1 as one from customers where email = ? limit 1", &[&email]).fine();
    }
    // A board that is looked at all day.
    for _ in 0..200 {
        agent.query("select count(*) from customers where email like '%@example.org'").fine();
        agent.query("select language, count(*) from customers group by language").fine();
        agent.query("select count(distinct email) from customers where phone is not null").fine();
    }
    agent.goodbye();
    assert_eq!(alerts(desk.weir(), "alice"), Vec::<Value>::new());
}

fn what_was_asked_counts_over_a_restart(engine: Engine) {
    let Target::Weir(mut weir) = desk(engine, "") else { return };
    for part in 0..2 {
        let mut thief = Client::login(engine, weir.address(), "alice", "support");
        for nth in part * 40..(part + 1) * 40 {
            thief.query(&format!("select count(*) from customers where id = 7 and {}", above(nth))).fine();
        }
        thief.goodbye();
        assert_eq!(alerts(&weir, "alice").len(), usize::from(part == 1));
        weir.stop();
        weir.start_again();
    }
}
