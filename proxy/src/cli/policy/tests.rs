//! The policy commands on files and against a live catalog: what they print and how they end.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use weir_tests::policies::{Budgeted, Export};
use weir_tests::scratch::Scratch;
use weir_tests::{fixture, policies};

use super::super::{BAD_INPUT, ENVIRONMENT, FINDING};
use super::*;

/// Runs what somebody types after `weir policy`: exit code, standard output, and what is told on standard error.
fn weir(arguments: &[&str]) -> (u8, String, String) {
    #[derive(clap::Parser)]
    struct Line {
        #[command(subcommand)]
        command: PolicyCommand,
    }
    let line = <Line as clap::Parser>::try_parse_from(["policy"].iter().chain(arguments)).unwrap();
    let mut output = Output::for_test();
    let (code, told) =
        run(&line.command, &mut output).map_or_else(|failure| (failure.code, failure.message), |()| (0, String::new()));
    (code, output.text(), told)
}

const BAD: &str = "version: 1\nrules:\n  - { name: r, who: any, dataset: customers, then: refuse }\n";

#[test]
fn files_are_checked() {
    let folder = Scratch::new("policy-check");
    let write = |name: &str, text: &str| folder.write(name, text).display().to_string();
    let good = write("good.yaml", &Budgeted::default().yaml());
    let bad = write("bad.yaml", BAD);
    let odd = write("odd.yaml", "version: 1\nwho: { nobody: { group: none } }\n");
    let (code, told, _) = weir(&["check", &good]);
    assert_eq!((code, told), (0, format!("{good}: ok: 3 dataset(s), 4 rule(s), 0 test(s)\n")));
    let (code, told, why) = weir(&["check", &bad, &good]);
    assert_eq!(code, FINDING);
    assert_eq!(
        told,
        format!(
            "{bad}:3:35: error: there is no dataset `customers` (hint: none is defined)\n\
             {good}: ok: 3 dataset(s), 4 rule(s), 0 test(s)\n"
        )
    );
    assert_eq!(why, "1 error(s); `weir run` would not take this");
    let (code, told, _) = weir(&["check", &odd]);
    assert_eq!(code, 0, "a warning is no error: {told}");
    assert!(told.starts_with(&format!("{odd}:2:8: warning: no rule uses `nobody` (hint: ")), "{told}");
    assert_eq!(weir(&["check", "--strict", &odd]).0, FINDING);
    let (code, told, _) = weir(&["check", "--json", &bad, &good]);
    let value: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(code, FINDING);
    assert_eq!((&value["errors"], &value["files"][0]["usable"]), (&1.into(), &false.into()));
    assert_eq!(value["files"][0]["diagnostics"][0]["line"], 3);
    assert_eq!(value["files"][1]["hash"].as_str().unwrap().len(), 64);
    let (code, _, why) = weir(&["check", "/nowhere/policy.yaml"]);
    assert_eq!(code, BAD_INPUT);
    assert!(why.starts_with("policy `/nowhere/policy.yaml` cannot be read"), "{why}");
}

#[test]
fn every_policy_of_the_tests_is_taken() {
    let folder = Scratch::new("policy-taken");
    let policies = [
        policies::ALLOW_ALL.to_owned(),
        Budgeted::default().yaml(),
        Budgeted { mode: "observe", export: Export::Refused, ..Budgeted::hourly(7) }.yaml(),
        Budgeted { more_budget: &["{ records: 1500, per: day }"], ..Budgeted::default() }.yaml(),
    ];
    for policy in policies {
        let file = folder.write("policy.yaml", &policy).display().to_string();
        let (code, told, _) = weir(&["check", "--strict", &file]);
        assert_eq!(code, 0, "{told}\n{policy}");
    }
}

#[test]
fn tests_of_files_are_run() {
    let folder = Scratch::new("policy-test");
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/support-desk/policy.yaml");
    let (code, told, _) = weir(&["test", example]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("ok    a look-up passes\n") && told.ends_with(" passed, 0 failed\n"), "{told}");
    let wrong = std::fs::read_to_string(example).unwrap().replacen("after: 50,", "after: 51,", 1);
    let wrong = folder.write("wrong.yaml", wrong).display().to_string();
    let (code, told, why) = weir(&["test", &wrong]);
    assert_eq!((code, &*why), (FINDING, "1 test(s) of the policy failed"));
    assert!(told.contains("expected cut after 51 rows; came cut after 50 rows\n"), "{told}");
    assert!(told.contains("450 → 500 of 500 records per hour: cut\n"), "{told}");
    let (code, told, _) = weir(&["test", "--json", &wrong]);
    let value: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, &value["failed"]), (FINDING, &1.into()));
    let failed = value["files"][0]["tests"].as_array().unwrap().iter().find(|test| test["passed"] == false).unwrap();
    assert_eq!(failed["came"]["reason"]["after"], 500);
    let bad = folder.write("bad.yaml", BAD).display().to_string();
    let (code, told, why) = weir(&["test", &bad]);
    assert_eq!((code, &*why), (FINDING, "1 error(s); their file was not tested"));
    assert!(told.contains("there is no dataset `customers`"), "{told}");
}

#[test]
fn the_schema_is_printed() {
    let (code, told, _) = weir(&["schema"]);
    assert_eq!(code, 0);
    assert_eq!(told, include_str!("../../../../policy/policy.schema.json"));
}

/// A configuration for a live server, and a policy about one of its databases.
fn configure(folder: &Scratch, address: &str, policy: &str) -> String {
    folder.write("password", fixture::PASSWORD);
    std::fs::set_permissions(folder.path().join("password"), PermissionsExt::from_mode(0o600)).unwrap();
    folder.write("policy.yaml", policy);
    folder.write("people.yaml", "people:\n  Alice A.: { accounts: [alice], groups: [support] }\n");
    let text = format!(
        "state_dir = 'state'\npolicy = 'policy.yaml'\ndirectory = 'people.yaml'\n[[listener]]\nengine = 'postgres'\n\
         address = '127.0.0.1:1'\nupstream = 'db'\n[listener.auth]\nmode = 'relay'\n[[upstream]]\nname = 'db'\nengine = 'postgres'\naddress = '{address}'\n\
         tls = 'off'\n[upstream.catalog]\nuser = '{}'\npassword_file = 'password'\n",
        fixture::CATALOG_ACCOUNT
    );
    folder.write("weir.toml", text).display().to_string()
}

#[test]
fn datasets_are_compared_with_the_live_catalog() {
    let Some(postgres) = crate::catalog::tests::server() else { return };
    let database = postgres.database("compare");
    let folder = Scratch::new("policy-compare");
    let policy = Budgeted { database: database.clone(), ..Budgeted::default() }.yaml();
    let config = configure(&folder, &postgres.address().to_string(), &policy);
    let file = folder.path().join("policy.yaml").display().to_string();
    let (code, told, _) = weir(&["check", "--strict", "--config", &config, &file]);
    assert_eq!(code, 0, "{told}");
    folder.write("policy.yaml", policy.replace("public.customers", "public.clients"));
    let (code, told, _) = weir(&["check", "--config", &config, &file]);
    assert_eq!(code, 0);
    assert!(
        told.contains(&format!(":7:9: warning: dataset `customers` matches nothing in database `{database}`")),
        "{told}"
    );
    let (code, _, why) = weir(&["check", "--config", &config, "--database", "no_such_database", &file]);
    assert_eq!(code, ENVIRONMENT);
    assert!(why.contains("no_such_database"), "{why}");
}

#[test]
fn a_statement_is_explained_under_the_live_catalog() {
    let Some(postgres) = crate::catalog::tests::server() else { return };
    let database = postgres.database("explain");
    postgres.psql(
        &database,
        "create view desk as select d.id, d.email, t.subject from customer_directory d \
         join tickets t on t.customer_id = d.id; create schema bob; create table bob.articles (secret text)",
    );
    let folder = Scratch::new("explain");
    let policy = Budgeted { database: database.clone(), ..Budgeted::default() }.yaml();
    let config = configure(&folder, &postgres.address().to_string(), &policy);
    let ask = |role: &str, sql: &str, more: &[&str]| {
        let arguments = ["explain", "--config", &config, "--database", &database, "--role", role, "--sql", sql];
        weir(&[&arguments, more].concat())
    };
    let (code, told, _) = ask("alice", "select email from desk where id = 4711", &[]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("understood full"), "{told}");
    assert!(
        told.contains("read public.customers; releases email")
            && told.contains("through public.desk and public.customer_directory"),
        "{told}"
    );
    assert!(!told.contains("4711"), "a literal is repeated: {told}");
    // The same words mean another relation to somebody with a schema of their own.
    assert!(ask("bob", "table articles", &[]).1.contains("read bob.articles; releases secret"));
    assert!(ask("alice", "table articles", &[]).1.contains("read public.articles"));
    assert!(ask("bob", "table articles", &["--search-path", "public"]).1.contains("read public.articles"));
    let (code, told, _) = ask("alice", "select * from nowhere", &[]);
    assert_eq!(code, FINDING);
    assert!(told.contains("nowhere (unknown)") && told.contains("unknown-relation"), "{told}");

    let (code, told, _) = ask("alice", "select email from customers", &["--used", "hour=450", "--rows", "1000"]);
    assert_eq!(code, 0, "{told}");
    assert!(
        told.contains("Alice A. of support: cut after 50 rows")
            && told.contains("support-customers on customers: 450 → 500 of 500 records per hour: cut")
            && told.contains(&format!("the client reads: {}", policies::BUDGET_MESSAGE)),
        "{told}"
    );
    let (_, told, _) = ask("mallory", "select email from customers", &[]);
    assert!(told.contains("account:mallory, whom the directory does not know: refused"), "{told}");

    let sql = "select count(*) from customers; select string_agg(email, ',') from customers";
    let (code, told, _) = ask("alice", sql, &["--json"]);
    assert_eq!(code, 0, "{told}");
    let value: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(value["statements"][0]["relations"][0]["released"], serde_json::json!([]));
    assert_eq!(value["statements"][1]["relations"][0]["packed"], serde_json::json!(["email"]));
    assert_eq!(value["statements"][1]["relations"][0]["packed_whole"], serde_json::json!(true));
    assert_eq!(value["verdict"]["decision"], "refuse");

    let candidate = folder.write("next.yaml", policies::ALLOW_ALL).display().to_string();
    let (_, told, _) = ask("alice", "select email from customers", &["--policy", &candidate]);
    assert!(told.contains("Alice A. of support: allowed"), "{told}");
    folder.write("next.yaml", BAD);
    assert_eq!(ask("alice", "select 1", &["--policy", &candidate]).0, BAD_INPUT);
    assert_eq!(ask("alice", "select 1", &["--upstream", "other"]).0, BAD_INPUT);
    assert_eq!(ask("alice", "select 1", &["--at", "soon"]).0, BAD_INPUT);
    assert_eq!(ask("alice", "select 1", &["--used", "hour=5", "--used", "day=4"]).0, BAD_INPUT);
    assert_eq!(ask("alice", "select 1", &["--rows", "10000001"]).0, BAD_INPUT);
    let nowhere =
        ["explain", "--config", &config, "--database", "no_such_database", "--role", "a", "--sql", "select 1"];
    assert_eq!(weir(&nowhere).0, ENVIRONMENT);
}
