//! The harness itself, against PostgreSQL: what the other tests take for granted.

use weir_tests::fixture;
use weir_tests::mysql;
use weir_tests::mysql::packets::capability;
use weir_tests::mysql::server::{Flavour, MySql};
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

#[test]
fn mysqls_fixture_is_as_described() {
    let server = MySql::shared();
    assert_eq!(server.value("support", "select count(*) from customers"), fixture::CUSTOMERS.to_string());
    for capabilities in [0, capability::DEPRECATE_EOF] {
        let login = mysql::raw::Login::new("alice", "support").and(capabilities);
        let mut alice = mysql::raw::Raw::try_login(server.address(), &login).expect("alice's login");
        let sql = "select id, name, email, language from customers where id = 7";
        let expected = [["7", "Customer 7", "customer7@example.org", "pl"]];
        assert_eq!(alice.query(sql).fine().texts(), expected);
        assert_eq!(alice.extended(sql, &[]).fine().texts(), expected);
        let reply =
            alice.extended("select name from customers where id = ? or email = ?", &["1", "customer2@example.org"]);
        assert_eq!(reply.fine().column(), ["Customer 1", "Customer 2"]);
        let several = alice.query("select 1; select 2; set @a = 1; call two_results(2)").fine();
        assert_eq!(several.results.len(), 6, "{several:?}");
        assert_eq!(several.rows(), 2 + 2 + 3);
        assert_eq!(alice.query("selec").error().sqlstate, "42000");
    }
}

#[test]
fn mysqls_binary_rows_are_its_text_rows() {
    let mut alice = mysql::raw::Raw::login(MySql::shared().address(), "alice", "support");
    let sql = "select id, i1, u1, i2, i3, i8, u8, f4, f8, n, c, v, t, d, ti, dt, ts, y, e, s, j from every_type";
    assert_eq!(alice.extended(sql, &[]).fine().texts(), alice.query(sql).fine().texts());
}

#[test]
fn mysqls_accounts_refuse_a_wrong_password() {
    let login = mysql::raw::Login::new("alice", "support").password("wrong");
    let failure = mysql::raw::Raw::try_login(MySql::shared().address(), &login).expect_err("a wrong password");
    assert!(matches!(&failure, mysql::reply::Failure::Server(error) if error.code == 1045), "{failure:?}");
}

#[test]
fn mysqls_sessions_change_their_user() {
    let mut client = mysql::raw::Raw::login(MySql::shared().address(), "alice", "support");
    client.change_user(&mysql::raw::Login::new("bob", "billing")).expect("bob's password");
    assert_eq!(
        client.query("select concat(substring_index(user(), '@', 1), ' ', database())").column(),
        ["bob billing"]
    );
    client.change_user(&mysql::raw::Login::new("alice", "support").password("wrong")).expect_err("a wrong password");
}

#[test]
fn a_mysql_server_is_the_one_that_was_asked_for() {
    let server = MySql::shared();
    let version = server.value("", "select version()");
    assert_eq!(version.contains("MariaDB"), server.flavour() == Flavour::MariaDb, "{version}");
    // MariaDB prefixes it with what old replicas want to hear.
    let greeted = mysql::raw::Raw::login(server.address(), "alice", "").greeting.version;
    assert_eq!(greeted.trim_start_matches("5.5.5-"), version);
}
