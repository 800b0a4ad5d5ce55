//! Privileges in use, as data: a statement, and how, on what, and what holds afterwards.

use super::*;
use crate::statement::{Access, Privilege};

fn told(privileges: &[Privilege]) -> String {
    let one = |privilege: &Privilege| {
        let after = privilege.after.as_ref().map(|after| format!(" -> {after}")).unwrap_or_default();
        let how = serde_json::to_value(privilege.how).unwrap();
        format!("{} [{}]{after}", how.as_str().unwrap(), privilege.subject)
    };
    privileges.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn of(analysis: &Analysis) -> String {
    told(&analysis.statements.iter().flat_map(|statement| statement.privileges.clone()).collect::<Vec<_>>())
}

#[test]
fn privileges_of_postgres() {
    for (sql, expected) in [
        ("select * from customers", ""),
        ("set search_path = shadow", ""),
        ("set statement_timeout = 0", ""),
        ("set role agents", "set-role [] -> agents"),
        ("set local role \"Agents\"", "set-role [] -> Agents"),
        ("SET SESSION AUTHORIZATION 'bob'", "set-role [] -> bob"),
        ("reset role", "set-role [] -> "),
        ("set role = agents", "set-role [] -> agents"),
        ("select set_config('role', 'agents', true)", "set-role [] -> agents"),
        ("grant select, update on customers to alice, bob", "grant [alice, bob] -> select, update on customers"),
        ("grant agents to alice with admin option", "grant [alice with admin option] -> agents"),
        ("revoke all on customers from public", "revoke [public] -> all on customers"),
        (
            "alter default privileges grant select on tables to alice",
            "grant [default privileges grant select on tables to alice]",
        ),
        ("create role r login password 'secret'", "account [create role r login password ?]"),
        ("create user r", "account [create user r]"),
        ("alter user r with superuser", "account [alter user r with superuser]"),
        ("alter role r rename to s", "account [alter role r rename to s]"),
        ("drop role if exists r", "account [drop role if exists r]"),
        ("alter table customers owner to mallory", "owner [table customers] -> mallory"),
        ("reassign owned by alice to bob", "owner [reassign owned by alice to bob]"),
        ("drop owned by alice", "owner [drop owned by alice]"),
        ("alter system set work_mem = '1GB'", "configure [system work_mem]"),
        ("alter system reset all", "audit-off [system all]"),
        ("alter system set log_statement = 'none'", "audit-off [system log_statement] -> none"),
        ("alter system set log_statement = 'all'", "configure [system log_statement] -> all"),
        (
            "alter database d set log_min_duration_statement to -1",
            "audit-off [database d log_min_duration_statement] -> -1",
        ),
        ("alter role r set pgaudit.log = 'none'", "audit-off [role r pgaudit.log] -> none"),
        ("alter role r in database d reset pgaudit.log", "audit-off [role r in database d pgaudit.log]"),
        ("alter role r set search_path = x", "configure [role r search_path]"),
        ("set pgaudit.log = 'all'", "configure [pgaudit.log] -> all"),
        ("set pgaudit.log = 'all, -read'", "audit-off [pgaudit.log] -> all, -read"),
        ("set pgaudit.log to none", "audit-off [pgaudit.log] -> none"),
        ("reset pgaudit.log", ""),
        ("select set_config('pgaudit.log', 'none', false)", "audit-off [pgaudit.log] -> none"),
        ("set log_statement = 'none'", "audit-off [log_statement] -> none"),
        ("drop extension pgaudit cascade", "audit-off [drop extension pgaudit cascade]"),
        ("drop event trigger pgaudit_ddl_command_end", "audit-off [drop event trigger pgaudit_ddl_command_end]"),
        ("drop extension hstore", ""),
        ("create user mapping for alice server s", ""),
        ("comment on role r is 'grant everything'", ""),
    ] {
        assert_eq!(of(&plain(sql)), expected, "{sql}");
    }
}

#[test]
fn privileges_of_mysql() {
    for (sql, expected) in [
        ("select * from customers", ""),
        ("set names utf8mb4", ""),
        ("set sql_mode = ''", ""),
        ("set role clerk", "set-role [] -> clerk"),
        ("set role default", "set-role [] -> "),
        ("set default role clerk to alice", "account [default role clerk to alice]"),
        ("grant select on support.* to alice@'%'", "grant [alice@'%'] -> select on support.*"),
        ("revoke all privileges, grant option from alice", "revoke [alice] -> all privileges, grant option"),
        ("create user mallory identified by 'secret'", "account [create user mallory identified by ?]"),
        ("alter user alice account unlock", "account [alter user alice account unlock]"),
        ("rename user alice to bob", "account [rename user alice to bob]"),
        ("set password for alice = 'secret'", "account [password for alice = ?]"),
        ("set global max_connections = 5", "configure [max_connections]"),
        ("set @@global.general_log = 0", "audit-off [general_log] -> 0"),
        ("set global server_audit_logging = off", "audit-off [server_audit_logging] -> off"),
        ("set global server_audit_logging = on", "configure [server_audit_logging] -> on"),
        ("set sql_log_bin = 0", "audit-off [sql_log_bin] -> 0"),
        ("set session sql_log_off = 1", "audit-off [sql_log_off] -> 1"),
        ("uninstall plugin server_audit", "audit-off [uninstall plugin server_audit]"),
        ("uninstall component 'file://component_audit_log_filter'", "audit-off [uninstall component ?]"),
        ("install plugin example soname 'ha_example.so'", "configure [install plugin example soname ?]"),
        ("drop table customers", ""),
    ] {
        assert_eq!(of(&mysql::plain(sql)), expected, "{sql}");
    }
}

#[test]
fn rules_see_the_access() {
    let accesses = |sql: &str| plain(sql).statements.iter().flat_map(|one| one.accesses.clone()).collect::<Vec<_>>();
    assert!(accesses("drop extension pgaudit").contains(&Access::AuditOff));
    assert!(accesses("alter system set work_mem = '1GB'").contains(&Access::Configure));
    assert!(accesses("do $$ begin execute 'x'; grant select on customers to alice; end $$").contains(&Access::Grant));
    assert_eq!(accesses("select 1"), []);
}

#[test]
fn no_statement_tells_more_than_it_may() {
    let many = format!("grant {} on customers to alice", vec!["select"; 5000].join(", "));
    let analysis = plain(&many);
    let privilege = &analysis.statements[0].privileges[0];
    assert!(privilege.after.as_ref().unwrap().len() <= 200);
    let script = "set role a; ".repeat(500);
    let uses: usize = plain(&script).statements.iter().map(|statement| statement.privileges.len()).sum();
    assert!(uses <= 500);
}
