//! Many people, one account of the server that none of them knows.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use weir_tests::postgres::Postgres;
use weir_tests::weir::{Weir, WeirOptions};

use super::{psql, verifiers, verifying};

/// What only Weir knows.
const SECRET: &str = "a-secret-of-the-desk";

/// A server account `desk_<suffix>` for Weir, and the lines that map to it.
pub(super) fn desk(suffix: &str, lines: &str) -> String {
    let user = format!("desk_{suffix}");
    Postgres::shared().psql(
        "postgres",
        &format!("create role {user} login noinherit password '{SECRET}' in role alice, bob; grant agents to {user}"),
    );
    let secret = secret_file(suffix);
    std::fs::write(&secret, SECRET).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    format!("[[upstream.account]]\nuser = \"{user}\"\nsecret_file = \"{}\"\n{lines}\n", secret.display())
}

/// Lives as long as the server.
fn secret_file(suffix: &str) -> PathBuf {
    Postgres::shared().scratch().join(format!("desk_{suffix}.secret"))
}

fn weir(suffix: &str, lines: &str) -> Weir {
    let accounts = desk(suffix, &format!("for = [\"group:support\"]\n{lines}"));
    let options = WeirOptions { upstream_accounts: accounts, ..verifying(WeirOptions::allow_all(), &verifiers()) };
    Weir::start(Postgres::shared().address(), &options)
}

#[test]
fn the_server_s_own_view_names_the_person() {
    let weir = weir("plain", "");
    let sql = "select usename, application_name from pg_stat_activity where pid = pg_backend_pid()";
    let name = [("PGAPPNAME", "desk tool")];
    assert_eq!(psql(weir.address(), "alice", &name, sql).ok(), "desk_plain|alice: desk tool\n");
    assert_eq!(psql(weir.address(), "bob", &[], sql).ok(), "desk_plain|bob: psql\n");
    // Who is not of the group goes as themselves.
    assert_eq!(psql(weir.address(), "stranger", &[], sql).ok(), "stranger|psql\n");
    let event = weir
        .audit_event("a statement of bob's", |event| event["person"]["id"] == "bob" && event["kind"] == "completion");
    assert_eq!(event["session"]["account"], "bob", "{event}");
    assert!(!weir.log().contains(SECRET));
    let wrong = psql(weir.address(), "alice", &[("PGPASSWORD", SECRET)], "select 1").stderr;
    assert!(wrong.contains("password authentication failed for user \"alice\""), "{wrong}");
}

#[test]
fn each_person_works_under_a_role_that_they_cannot_leave() {
    let weir = weir("role", "set_role = true");
    let who = "select session_user, current_user";
    assert_eq!(psql(weir.address(), "alice", &[], who).ok(), "desk_role|alice\n");
    for leave in [
        "reset role",
        "set role none",
        "set role bob",
        "set local role bob",
        "set session authorization default",
        "reset session authorization",
        "discard all",
        "select set_config('role', 'bob', false)",
        "begin; set role bob",
        "do $$ begin execute 'set role bob'; end $$",
        "update pg_settings set setting = 'bob' where name = 'role'",
    ] {
        let refused = psql(weir.address(), "alice", &[], leave);
        assert_ne!(refused.code, 0, "{leave}");
        assert!(refused.stderr.contains("a role that you cannot leave"), "{leave}: {}", refused.stderr);
    }
    // What has nothing to do with roles is left alone.
    for fine in ["reset all", "discard plans", "set search_path = public", "set statement_timeout = 10000"] {
        assert_eq!(psql(weir.address(), "alice", &[], &format!("{fine}; {who}")).ok(), "desk_role|alice\n", "{fine}");
    }
    // A role that the account is no member of: the server says no, and the client learns it.
    let refused = psql(weir.address(), "carol", &[], who);
    assert!(refused.stderr.contains("role"), "{}", refused.stderr);
}

#[test]
fn a_secret_that_the_server_does_not_take_is_the_operator_s_business() {
    let weir = weir("locked", "");
    std::fs::write(secret_file("locked"), "wrong").unwrap();
    let told = psql(weir.address(), "alice", &[], "select 1").stderr;
    assert!(told.contains("weir cannot log in at the database server"), "{told}");
    assert!(!told.contains("desk_locked"), "{told}");
    assert!(weir.log().contains("desk_locked") && !weir.log().contains("wrong\""), "{}", weir.log());
}
