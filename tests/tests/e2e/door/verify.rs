//! `mode = "verify"` with the server's own verifiers, in front of that server.

use std::process::Command;

use weir_tests::fixture::PASSWORD;
use weir_tests::postgres::Postgres;
use weir_tests::process::run;
use weir_tests::raw::{Failure, Raw};
use weir_tests::scratch::Scratch;
use weir_tests::tools::{self, point};
use weir_tests::wait;
use weir_tests::weir::{Weir, WeirOptions};

use super::{LIMIT, import, psql, verifiers, verifying};
use crate::tls::trust;

fn weir() -> Weir {
    Weir::start(Postgres::shared().address(), &verifying(WeirOptions::allow_all(), &verifiers()))
}

#[test]
fn psql_logs_in_by_the_server_s_own_verifiers() {
    let weir = weir();
    assert_eq!(psql(weir.address(), "alice", &[], "select current_user, session_user").ok(), "alice|alice\n");
    let login = weir.audit_event("the login", |event| event["kind"] == "authentication");
    assert_eq!(login["detail"]["method"], "scram-sha-256", "{login}");
    assert_eq!(login["detail"]["outcome"], "success", "{login}");
    assert_eq!(login["person"]["auth"], "scram-sha-256", "{login}");
    assert_eq!(login["person"]["id"], "alice", "{login}");
    let log = weir.log() + &std::fs::read_to_string(weir.config_path()).unwrap();
    assert!(!log.contains(PASSWORD) && !log.contains("SCRAM-SHA-256$"), "{log}");
}

#[test]
fn a_wrong_password_and_an_account_that_does_not_exist_look_the_same() {
    let weir = weir();
    for user in ["alice", "nobody"] {
        let refused = psql(weir.address(), user, &[("PGPASSWORD", "wrong")], "select 1");
        assert_eq!(refused.code, 2, "{refused:?}");
        let words = format!("FATAL:  password authentication failed for user \"{user}\"\n");
        assert!(refused.stderr.ends_with(&words), "{}", refused.stderr);
        let failure = weir.audit_event("the failure", |event| {
            event["detail"]["outcome"] == "failure" && event["session"]["account"] == user
        });
        assert_eq!(failure["detail"]["sqlstate"], "28P01", "{failure}");
        assert_eq!(failure["detail"]["method"], "scram-sha-256", "{failure}");
    }
    // Without a password psql leaves to ask for one, and nothing is held against it.
    let unasked = psql(weir.address(), "alice", &[("PGPASSWORD", "")], "select 1");
    assert!(unasked.stderr.contains("no password supplied"), "{}", unasked.stderr);
    assert_eq!(psql(weir.address(), "alice", &[], "select 1").ok(), "1\n");
}

#[test]
fn whoever_guesses_has_to_wait() {
    let weir = weir();
    let try_with =
        |password: &str| match Raw::try_login(weir.address(), &[("user", "bob"), ("database", "support")], password) {
            Ok(_) => panic!("let in"),
            Err(Failure::Server(error)) => error,
            Err(other) => panic!("{other:?}"),
        };
    for _ in 0..5 {
        assert_eq!(try_with("wrong").sqlstate, "28P01");
    }
    // Nor is the right one looked at now; other accounts are.
    for password in ["wrong", PASSWORD] {
        let told = try_with(password);
        assert_eq!(told.message, "too many wrong passwords for user \"bob\"");
        assert_eq!((told.sqlstate.as_str(), told.hint.starts_with("try again in ")), ("28000", true), "{told:?}");
    }
    assert_eq!(psql(weir.address(), "carol", &[], "select 1").ok(), "1\n");
    wait::until("bob to be heard again", wait::SOON, || {
        (psql(weir.address(), "bob", &[], "select 1").code == 0).then_some(())
    });
}

fn day(make: impl Fn() -> Command, file: &str, before: &[&str]) {
    let postgres = Postgres::shared();
    let database = postgres.database("door");
    let weir = Weir::start(postgres.address(), &verifying(WeirOptions::allow_all(), &verifiers()));
    let mut command = make();
    command.args(before).arg(tools::test_file(file));
    point(&mut command, weir.address(), "app", &database);
    let output = run(&mut command, b"", LIMIT).ok();
    assert!(output.contains("all of it"), "{output}");
    weir.audit_event("the login", |event| event["person"]["auth"] == "scram-sha-256");
}

#[test]
fn psycopg_has_its_day() {
    day(tools::python, "drivers/psycopg_day.py", &[]);
}

#[test]
fn asyncpg_has_its_day() {
    day(tools::python, "drivers/asyncpg_day.py", &[]);
}

#[test]
fn node_postgres_has_its_day() {
    day(tools::node, "drivers/node_day.js", &["--no-deprecation"]);
}

#[test]
fn jdbc_has_its_day() {
    day(tools::java, "drivers/JdbcDay.java", &[]);
}

#[test]
fn libpq_binds_the_login_to_the_certificate() {
    let options = WeirOptions::allow_all().listener_tls(&trust().good.certificate, &trust().good.key, "require");
    let weir = Weir::start(Postgres::shared().address(), &verifying(options, &verifiers()));
    let root = trust().root.display().to_string();
    let tls = [("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", &root), ("PGCHANNELBINDING", "require")];
    assert_eq!(psql(weir.address(), "alice", &tls, "select 'bound'").ok(), "bound\n");
    weir.audit_event("a bound login", |event| event["detail"]["method"] == "scram-sha-256-plus");
    let loose = [tls[0], tls[1], ("PGCHANNELBINDING", "disable")];
    assert_eq!(psql(weir.address(), "alice", &loose, "select 'loose'").ok(), "loose\n");
    weir.audit_event("a login that is not bound", |event| event["detail"]["method"] == "scram-sha-256");
}

/// The server's passwords and Weir's verifiers are two things, and an operator must learn when they part.
#[test]
fn a_password_that_changed_on_the_server_is_told_to_the_operator() {
    let postgres = Postgres::start();
    let folder = Scratch::new("verifiers");
    let file = folder.path().join("verifiers");
    import(&postgres, &file);
    let weir = Weir::start(postgres.address(), &verifying(WeirOptions::allow_all(), &file));
    assert_eq!(psql(weir.address(), "alice", &[], "select 1").ok(), "1\n");
    postgres.psql("postgres", "alter role alice password 'another'");
    let told = psql(weir.address(), "alice", &[], "select 1").stderr;
    assert!(told.contains("weir cannot log in at the database server"), "{told}");
    assert!(weir.log().contains("import them again"), "{}", weir.log());
    // A file that is broken changes nothing, and a good one is in force after a hang-up.
    std::fs::write(&file, "nonsense\n").unwrap();
    weir.signal("HUP");
    wait::until_true("an alert", wait::SOON, || {
        weir.alerts().iter().any(|alert| alert["detail"]["code"] == "verifiers-rejected")
    });
    std::fs::write(&file, "").unwrap();
    import(&postgres, &file);
    weir.signal("HUP");
    wait::until("the new password", wait::SOON, || {
        (psql(weir.address(), "alice", &[("PGPASSWORD", "another")], "select 1").code == 0).then_some(())
    });
}
