//! The harness itself, against PostgreSQL: what the other tests take for granted.

use weir_tests::fixture;
use weir_tests::postgres::Postgres;
use weir_tests::raw::{Failure, Raw};
use weir_tests::tap::Tap;

#[test]
fn the_fixture_is_as_described() {
    let postgres = Postgres::shared();
    assert_eq!(postgres.value("support", "select count(*) from customers"), fixture::CUSTOMERS.to_string());
    let mut alice = Raw::login(postgres.address(), "alice", "support");
    let row = alice.query("select id, name, email, language from customers where id = 7").fine().texts();
    assert_eq!(row, [["7", "Customer 7", "customer7@example.org", "pl"]]);
}

#[test]
fn scram_accounts_refuse_a_wrong_password() {
    let fields = [("user", "alice"), ("database", "support")];
    let failure = Raw::try_login(Postgres::shared().address(), &fields, "wrong").expect_err("a wrong password");
    assert!(matches!(&failure, Failure::Server(error) if error.sqlstate == "28P01"), "{failure:?}");
}

#[test]
fn a_tap_records_both_directions() {
    let tap = Tap::start(Postgres::shared().address());
    let mut client = Raw::login(tap.address(), "bob", "support");
    assert_eq!(client.query("select 'through the tap'").column(), ["through the tap"]);
    client.goodbye();
    let recordings = tap.finished(|_| true);
    assert_eq!(recordings.len(), 1);
    assert!(recordings[0].client.windows(17).any(|window| window == b"'through the tap'"));
    assert!(recordings[0].server.windows(15).any(|window| window == b"through the tap"));
}
