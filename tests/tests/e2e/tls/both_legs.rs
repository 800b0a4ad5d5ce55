//! TLS on both legs, where a login is relayed between two TLS connections that know nothing of each other.

use std::process::Command;

use weir_tests::audit;
use weir_tests::fixture::PASSWORD;
use weir_tests::frames;
use weir_tests::policies::{Budgeted, DENIED};
use weir_tests::process::run;
use weir_tests::raw::{Failure, Raw};
use weir_tests::tools;
use weir_tests::weir::{Weir, WeirOptions};

use super::certificates::trust;
use super::{LIMIT, NAME, as_alice, ask, client_config, login, psql, tls_listener, tls_postgres, verified};

fn both(mode: &str) -> Weir {
    Weir::start(tls_postgres().address(), &both_options(mode))
}

fn both_options(mode: &str) -> WeirOptions {
    tls_listener(mode).upstream_tls(&trust().root, None)
}

/// What the server offers to log in with.
fn mechanisms(mut client: Raw) -> Vec<String> {
    client.send(&frames::startup(&[("user", "alice"), ("database", "support")]));
    let message = client.receive().unwrap();
    assert_eq!((message.tag, &message.body[..4]), (b'R', 10_i32.to_be_bytes().as_slice()), "{message:?}");
    let names = message.body[4..].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

/// These variables beside those that demand to know the server.
fn with(more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let mut environment = verified(&trust().root);
    environment.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    environment
}

#[test]
fn channel_binding_is_not_offered_where_it_cannot_hold() {
    let config = client_config(&trust().root, &[]);
    let inside = |address| mechanisms(Raw::connect_tls(address, &config, NAME).unwrap());
    // PostgreSQL itself offers it, since its leg is under TLS.
    assert_eq!(inside(tls_postgres().address()), ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]);
    let weir = both("prefer");
    assert_eq!(inside(weir.address()), ["SCRAM-SHA-256"]);
    assert_eq!(mechanisms(Raw::connect(weir.address())), ["SCRAM-SHA-256"]);
}

/// The limit that the README names: a client that could bind the channel, and is not offered to, says so in its proof
/// (GS2 flag `y`), and a server that did offer it takes that for a downgrade by somebody in between. Which it is.
#[test]
fn libpq_logs_in_once_told_not_to_bind_the_channel() {
    let weir = both("require");
    for environment in [with(&[]), with(&[("PGCHANNELBINDING", "prefer")])] {
        let refused = ask(weir.address(), &environment, "select 1");
        assert_ne!(refused.code, 0, "{environment:?}");
        assert!(refused.stderr.contains("SCRAM channel binding negotiation error"), "{}", refused.stderr);
    }
    // One that insists notices by itself, before it proves anything.
    let insists = ask(weir.address(), &with(&[("PGCHANNELBINDING", "require")]), "select 1");
    assert_ne!(insists.code, 0);
    assert!(insists.stderr.contains("channel binding"), "{}", insists.stderr);
    assert!(!insists.stderr.contains("negotiation error"), "the server was asked: {}", insists.stderr);

    let disabled = with(&[("PGCHANNELBINDING", "disable")]);
    let ssl = "select current_user, ssl from pg_stat_ssl where pid = pg_backend_pid()";
    assert_eq!(ask(weir.address(), &disabled, ssl).ok(), "alice|t\n");
    assert!(ask(weir.address(), &disabled, "\\conninfo").ok().contains("SSL connection"));
    let wrong = ask(weir.address(), &with(&[("PGCHANNELBINDING", "disable"), ("PGPASSWORD", "wrong")]), "select 1");
    assert!(wrong.stderr.contains("password authentication failed"), "{}", wrong.stderr);
}

/// The README's other way: on a plain leg of the client, a default libpq client logs in.
#[test]
fn libpq_logs_in_by_default_where_its_own_leg_is_plain() {
    let weir = both("prefer");
    let plain = [("PGSSLMODE", "disable".to_owned())];
    assert_eq!(ask(weir.address(), &plain, "select 'in'").ok(), "in\n");
}

#[test]
fn drivers_that_do_not_bind_channels_work_as_they_are() {
    let weir = both("require");
    let direct = tls_postgres().address();
    let psycopg = "
import psycopg
with psycopg.connect(channel_binding='disable') as connection:
    print(connection.execute('select count(*), sum(id) from customers').fetchone())
    with connection.cursor().copy('copy customers to stdout') as copy:
        print(sum(len(block) for block in copy))
";
    let asyncpg = "
import asyncio, asyncpg, os
async def main():
    connection = await asyncpg.connect()
    print(await connection.fetchrow('select count(*), sum(id) from customers where id > $1', 7))
    print(len(await connection.fetch('select * from customers')))
    await connection.close()
asyncio.run(main())
";
    let node = "
const { Client } = require('pg');
(async () => {
  const client = new Client();
  await client.connect();
  const { rows } = await client.query('select count(*), sum(id) from customers where id > $1', [7]);
  console.log(rows, (await client.query('select * from customers')).rowCount);
  await client.end();
})();
";
    let program = |mut command: Command, flag: &str, text: &str| {
        command.args([flag, text]).env("NODE_EXTRA_CA_CERTS", &trust().root);
        command
    };
    let programs: [(&str, &dyn Fn() -> Command); 3] = [
        ("psycopg", &|| program(tools::python(), "-c", psycopg)),
        ("asyncpg", &|| program(tools::python(), "-c", asyncpg)),
        ("node-postgres", &|| program(tools::node(), "-e", node)),
    ];
    for (name, make) in programs {
        let output = |address| {
            let output = run(&mut as_alice(make(), address, &verified(&trust().root)), b"", LIMIT);
            assert_eq!(output.code, 0, "{name} at {address}: {output:?}");
            output.stdout
        };
        let expected = output(direct);
        assert!(expected.contains("3000"), "{name}: {expected}");
        assert_eq!(output(weir.address()), expected, "{name}");
    }
}

/// Weir reads the catalog over verified TLS as well, and counts what it decrypted.
#[test]
fn a_budget_ends_at_its_row_and_the_record_tells_of_tls() {
    let options = both_options("prefer");
    let options = WeirOptions { policy: Budgeted::hourly(500).yaml(), ..options };
    let weir = Weir::start(tls_postgres().address(), &options);
    let reading = |mut client: Raw| {
        let reply = client.query("select id, email from customers order by id");
        assert_eq!((reply.rows(), reply.error().sqlstate.as_str()), (500, DENIED), "{reply:?}");
        assert_eq!(client.query("select 'usable'").fine().column(), ["usable"]);
        client.goodbye();
    };
    reading(login(weir.address(), "alice"));
    reading(weir.login("bob", "support"));
    for (person, tls) in [("alice", true), ("bob", false)] {
        let event = weir.audit_event("the completion", |event| {
            audit::kind(event) == "completion" && audit::person(event) == person && event["detail"]["rows"] == 500
        });
        let told = event["session"]["tls"].as_str();
        assert_eq!(told.is_some_and(|told| told.starts_with("TLS")), tls, "{event:#}");
    }
}

#[test]
fn bulk_goes_whole_in_both_directions() {
    const ROWS: usize = 100_000;
    let postgres = tls_postgres();
    let database = postgres.database("bulk");
    postgres.psql(&database, "create table bulk (n int, text text)");
    let weir = both("require");
    let psql = |sql: &str, input: &[u8]| {
        let mut psql = psql(weir.address(), &with(&[("PGCHANNELBINDING", "disable")]));
        psql.env("PGUSER", "app").env("PGDATABASE", &database).args(["-c", sql]);
        run(&mut psql, input, LIMIT).ok()
    };
    // 30 MB, no two lines the same.
    let lines: String = (0..ROWS).map(|n| format!("{n}\t{}\n", format!("{n:010}").repeat(30))).collect();
    psql("copy bulk from stdin", lines.as_bytes());
    let whole = "select count(*) || ' ' || count(distinct n) || ' ' || bool_and(text = repeat(lpad(n::text, 10, '0'), 30)) from bulk";
    assert_eq!(postgres.value(&database, whole), format!("{ROWS} {ROWS} true"));
    assert!(psql("copy (select * from bulk order by n) to stdout", b"") == lines, "COPY gave other lines than it took");
    let selected = psql("select n || E'\t' || text from bulk order by n", b"");
    assert!(selected == lines, "SELECT gave other lines than COPY took");
}

/// A password in clear may pass where both legs hide it, and only there.
#[test]
fn a_password_in_clear_passes_between_two_protected_legs_only() {
    let postgres = tls_postgres();
    postgres.psql("postgres", &format!("create role plainly login password '{PASSWORD}'"));
    let path = postgres.scratch().join("data/pg_hba.conf");
    let rules = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("host all plainly 127.0.0.1/32 password\n{rules}")).unwrap();
    postgres.psql("postgres", "select pg_reload_conf()");
    let fields = [("user", "plainly"), ("database", "support")];
    weir_tests::wait::until("the server to ask for a password in clear", weir_tests::wait::SOON, || {
        let mut client = Raw::connect(postgres.address());
        client.send(&frames::startup(&fields));
        client.receive().is_ok_and(|message| message.body == 3_i32.to_be_bytes()).then_some(())
    });

    let open = Weir::start(postgres.address(), &tls_listener("prefer"));
    let weir = both("prefer");
    let config = client_config(&trust().root, &[]);
    let attempt = |weir: &Weir, tls: bool| {
        let mut client = match tls {
            true => Raw::connect_tls(weir.address(), &config, NAME).unwrap(),
            false => Raw::connect(weir.address()),
        };
        client.send(&frames::startup(&fields));
        client.authenticate(PASSWORD)
    };
    attempt(&weir, true).unwrap();
    for (weir, tls) in [(&weir, false), (&open, true), (&open, false)] {
        let failure = attempt(weir, tls).expect_err("a password that somebody can read");
        let Failure::Server(error) = failure else { panic!("{failure:?}") };
        assert_eq!(error.sqlstate, "28000", "{error:?}");
        assert!(error.message.contains("clear text") && error.hint.contains("scram-sha-256"), "{error:?}");
    }
    drop(login(weir.address(), "alice"));
}
