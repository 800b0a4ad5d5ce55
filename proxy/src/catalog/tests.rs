//! The loader against a real PostgreSQL. `WEIR_TEST_PYTHON` is set where `tests/setup.sh` has run; there a missing server
//! is a failure, elsewhere it is said and the tests have nothing to say.

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_policy::catalog::{Relation, RelationKind, Resolution};
use weir_policy::relation::RelationName;
use weir_tests::fixture;
use weir_tests::postgres::Postgres;
use weir_tests::scratch::Scratch;

use super::{CatalogView, Catalogs, Freshness};
use crate::config::Config;

/// The shared server; `None` where there is none to run.
pub(crate) fn server() -> Option<&'static Postgres> {
    if std::env::var_os("WEIR_TEST_PYTHON").is_none() && !Path::new("/usr/lib/postgresql").exists() {
        // Past the capture of the test runner: a skipped test must not look like one that passed.
        let _ = std::io::stderr().write_all(b"SKIPPED: no PostgreSQL on this machine; run tests/setup.sh\n");
        return None;
    }
    Some(Postgres::shared())
}

/// Catalogs of a server, and the folder of their configuration: the password is read at each login.
pub(super) struct Read {
    pub(super) catalogs: Arc<Catalogs>,
    _folder: Scratch,
}

impl std::ops::Deref for Read {
    type Target = Catalogs;

    fn deref(&self) -> &Catalogs {
        &self.catalogs
    }
}

/// Catalogs read as `user`.
fn catalogs(postgres: &Postgres, user: &str, password: &str, refresh_secs: u64) -> Read {
    catalogs_over(postgres, user, password, refresh_secs, "tls = 'off'")
}

/// The same, with these lines about TLS.
fn catalogs_over(postgres: &Postgres, user: &str, password: &str, refresh_secs: u64, tls: &str) -> Read {
    catalogs_of("postgres", postgres.address(), user, password, refresh_secs, tls)
}

/// The same, of a server of either engine.
pub(super) fn catalogs_of(
    engine: &str,
    address: SocketAddr,
    user: &str,
    password: &str,
    refresh_secs: u64,
    tls: &str,
) -> Read {
    let (config, folder) = config_of(engine, address, user, password, refresh_secs, tls);
    Read { catalogs: Catalogs::new(&config, &HashMap::new()).unwrap(), _folder: folder }
}

/// The configuration behind, and the folder that the password is in.
pub(super) fn config_of(
    engine: &str,
    address: SocketAddr,
    user: &str,
    password: &str,
    refresh_secs: u64,
    tls: &str,
) -> (Config, Scratch) {
    let folder = Scratch::new("catalog");
    folder.write("password", password);
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(folder.path().join("password"), private).unwrap();
    folder.write(
        "weir.toml",
        format!(
            "state_dir = 'state'\npolicy = 'policy.yaml'\n[[listener]]\nengine = '{engine}'\naddress = '127.0.0.1:1'\n\
             upstream = 'db'\n[listener.auth]\nmode = 'relay'\n[[upstream]]\nname = 'db'\nengine = '{engine}'\naddress = '{address}'\n{tls}\n\
             [upstream.catalog]\nuser = '{user}'\npassword_file = 'password'\nrefresh_secs = {refresh_secs}\n"
        ),
    );
    (Config::load(&folder.path().join("weir.toml")).unwrap(), folder)
}

pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(super) fn find<'a>(view: &'a CatalogView, name: &str) -> Option<&'a Relation> {
    let (schema, name) = name.split_once('.').unwrap();
    let name = RelationName { schema: Some(schema.to_owned()), name: name.to_owned() };
    match view.catalog.resolve(&name, &[]) {
        Resolution::Found(relation) => Some(relation),
        Resolution::Missing => None,
    }
}

/// Asks again until it holds, as sessions would.
pub(super) fn until(catalogs: &Catalogs, database: &str, wanted: impl Fn(&CatalogView) -> bool) -> CatalogView {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let view = wait(catalogs.snapshot("db", database));
        if wanted(&view) {
            return view;
        }
        assert!(Instant::now() < end, "it never came to hold: {:?}", view.state);
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn everything_that_verdicts_need_is_read() {
    let Some(postgres) = server() else { return };
    let database = postgres.database("catalog_whole");
    postgres.psql(
        &database,
        "create schema app; create table app.\"Odd Name\" (a int, b text, c int, primary key (c, a));
         alter table app.\"Odd Name\" drop column b;
         create rule copied as on insert to app.\"Odd Name\" do also select count(*) from billing.cards;
         create function app.parsed(integer) returns bigint language sql
             begin atomic select count(*) from public.customers where id = $1; end;
         create extension if not exists pg_trgm; create temporary table passing (x int); analyze",
    );
    // An account without any right of its own: what is asked is readable by all.
    let catalogs = catalogs(postgres, "bob", fixture::PASSWORD, 30);
    let started = Instant::now();
    let view = wait(catalogs.snapshot("db", &database));
    // Takes 70 ms in a debug build; the bound is for a question that somebody makes quadratic.
    assert!(started.elapsed() < Duration::from_secs(10), "the first load took {:?}", started.elapsed());
    assert_eq!(view.state, Freshness::Fresh);
    assert_eq!(&**view.catalog.database(), database);

    let customers = find(&view, "public.customers").unwrap();
    assert_eq!(customers.kind, RelationKind::Table);
    assert_eq!(customers.key, [1]);
    let columns: Vec<&str> = customers.columns.iter().map(|column| &*column.name).collect();
    assert_eq!(columns, ["id", "name", "email", "phone", "language", "vip", "balance", "created_at"]);
    assert_eq!((customers.columns[1].number, customers.columns[1].type_oid), (2, 25));
    assert_eq!(customers.rows_estimate, fixture::CUSTOMERS);
    assert!((50..300).contains(&customers.row_bytes_mean), "{}", customers.row_bytes_mean);
    assert_eq!(view.catalog.by_oid(customers.oid).unwrap().id, customers.id);

    let odd = find(&view, "app.Odd Name").unwrap();
    assert_eq!(odd.key, [3, 1]);
    assert_eq!(odd.columns.iter().map(|column| column.number).collect::<Vec<_>>(), [1, 3]);
    let cards = find(&view, "billing.cards").unwrap();
    assert!(odd.depends.iter().any(|(oid, _)| *oid == cards.oid), "the rule reads cards: {:?}", odd.depends);

    let directory = find(&view, "public.customer_directory").unwrap();
    assert_eq!(directory.kind, RelationKind::View);
    assert!(directory.definition.as_deref().unwrap().contains("public.customers"), "qualified: {directory:?}");
    assert_eq!(directory.depends, [(customers.oid, 1), (customers.oid, 2), (customers.oid, 3)]);
    assert_eq!(find(&view, "public.language_stats").unwrap().kind, RelationKind::MaterializedView);

    let log = find(&view, "public.contact_log").unwrap();
    assert_eq!((log.kind, &*log.key), (RelationKind::Partitioned, &[1, 4][..]));
    let partition = find(&view, "public.contact_log_2024").unwrap();
    assert_eq!(partition.parents, [log.oid]);
    assert_eq!(view.catalog.children(log.oid).len(), 2);
    assert_eq!(log.rows_estimate, 1700, "those of its partitions together");
    assert!(log.row_bytes_mean > 0);

    let [dynamic] = view.catalog.functions("dynamic_emails") else { panic!("one function") };
    assert_eq!((&*dynamic.language, dynamic.from_extension), ("plpgsql", false));
    assert!(dynamic.body.as_deref().unwrap().contains("execute"));
    let [parsed] = view.catalog.functions("parsed") else { panic!("one function") };
    assert!(parsed.body.as_deref().unwrap().contains("customers"), "a body that was parsed at creation: {parsed:?}");
    let [similarity] = view.catalog.functions("similarity") else { panic!("one function") };
    assert_eq!((similarity.from_extension, &similarity.body), (true, &None));
    assert!(view.catalog.functions("lower").is_empty(), "the server's own");

    let classes = find(&view, "pg_catalog.pg_class").unwrap();
    assert_eq!(classes.oid, 1259);
    assert!(find(&view, "information_schema.columns").unwrap().definition.is_some());
    let toast = view.catalog.relations().iter().find(|relation| relation.depends == [(customers.oid, 0)]).unwrap();
    assert_eq!(&*toast.id.schema, "pg_toast");
    assert!(!view.catalog.has_name("passing"), "temporary relations are their sessions'");
}

#[test]
fn an_idle_refresh_makes_no_new_version_and_a_change_does() {
    let Some(postgres) = server() else { return };
    let database = postgres.database("catalog_refresh");
    let catalogs = catalogs(postgres, fixture::CATALOG_ACCOUNT, fixture::PASSWORD, 1);
    let first = wait(catalogs.snapshot("db", &database));
    // Temporary relations, rows and estimates that hardly moved are no change of meaning.
    postgres.psql(
        &database,
        "create temporary table passing (x int); insert into articles values (9999, '', ''); analyze articles",
    );
    let renewed = wait(catalogs.renew("db", &database));
    assert_eq!(renewed.catalog.version(), first.catalog.version());
    assert!(Arc::ptr_eq(&renewed.catalog, &first.catalog));

    for (change, holds) in [
        ("create table later (a int)", "public.later"),
        ("alter table later rename to afterwards", "public.afterwards"),
        ("create view seen as select email from customers", "public.seen"),
    ] {
        let before = wait(catalogs.snapshot("db", &database)).catalog.version();
        postgres.psql(&database, change);
        let view = until(&catalogs, &database, |view| find(view, holds).is_some());
        assert_ne!(view.catalog.version(), before, "{change}");
    }
    for change in [
        "alter table afterwards add column b text",
        "alter table afterwards add primary key (a)",
        "create or replace view seen as select name as email from customers",
        "create function twice(a int) returns int language sql as 'select a * 2'",
        "create or replace function twice(a int) returns int language sql as 'select a + a'",
        "create table heir () inherits (afterwards)",
        "alter table heir no inherit afterwards",
        "alter role alice in database :\"DBNAME\" set search_path = app",
        "drop function twice(int)",
        "drop table afterwards, heir",
        "insert into tickets (customer_id, subject) select 1, 'more' from generate_series(1, 2000); \
         create index on tickets (agent); analyze tickets",
    ] {
        let before = wait(catalogs.snapshot("db", &database)).catalog.version();
        postgres.psql(&database, change);
        until(&catalogs, &database, |view| view.catalog.version() != before);
    }
    postgres.psql("postgres", &format!("alter role alice in database {database} reset search_path"));
}

#[test]
fn a_renewal_sees_what_was_committed_before_it() {
    let Some(postgres) = server() else { return };
    let database = postgres.database("catalog_renew");
    let catalogs = catalogs(postgres, fixture::CATALOG_ACCOUNT, fixture::PASSWORD, 60);
    wait(catalogs.snapshot("db", &database));
    // Four workers that each change something and must see their own change, while the loads of the others run.
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (catalogs, database) = (&catalogs, &database);
            scope.spawn(move || {
                let mut session = postgres.superuser(database);
                for round in 0..15 {
                    let name = format!("made_{worker}_{round}");
                    session.query(&format!("create table public.{name} (a int)")).fine();
                    let view = wait(catalogs.renew("db", database));
                    assert_eq!(view.state, Freshness::Fresh);
                    assert!(find(&view, &format!("public.{name}")).is_some(), "{name} is not in the renewed snapshot");
                }
            });
        }
    });
    // A connection that would hold the database is gone soon.
    let end = Instant::now() + Duration::from_secs(20);
    let mut superuser = postgres.superuser("postgres");
    let held =
        format!("select 1 from pg_stat_activity where datname = '{database}' and application_name = 'weir catalog'");
    while superuser.query(&held).rows() > 0 {
        assert!(Instant::now() < end, "the connection stays");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_cannot_be_read_is_stale_and_says_why() {
    let Some(postgres) = server() else { return };
    let database = postgres.database("catalog_stale");
    postgres.psql("postgres", "create role catalog_reader login password 'first'");
    let wrong = catalogs(postgres, "catalog_reader", "second", 1);
    let view = wait(wrong.snapshot("db", &database));
    let Freshness::Stale { reason, .. } = &view.state else { panic!("{:?}", view.state) };
    assert!(reason.contains("28P01") && reason.contains("`catalog_reader`"), "{reason}");
    assert!(view.catalog.relations().is_empty());
    assert_eq!(wrong.unready().len(), 1, "{:?}", wrong.unready());
    let elsewhere = wait(wrong.snapshot("nowhere", &database));
    assert!(matches!(elsewhere.state, Freshness::Stale { reason, .. } if reason.contains("nowhere")));

    // The account's password becomes right: sessions need not wait for the refresh period.
    postgres.psql("postgres", "alter role catalog_reader password 'second'");
    let loaded = until(&wrong, &database, |view| view.state == Freshness::Fresh);
    assert!(find(&loaded, "public.customers").is_some());
    assert!(wrong.unready().is_empty());

    // And wrong again: what was read stays, and is no longer called fresh.
    postgres.psql("postgres", "alter role catalog_reader password 'third'");
    let stale = until(&wrong, &database, |view| view.state != Freshness::Fresh);
    assert!(Arc::ptr_eq(&stale.catalog, &loaded.catalog));
    let renewed = wait(wrong.renew("db", &database));
    assert!(matches!(renewed.state, Freshness::Stale { .. }), "{:?}", renewed.state);

    let absent = catalogs(postgres, fixture::CATALOG_ACCOUNT, fixture::PASSWORD, 1);
    let view = wait(absent.snapshot("db", "no_such_database"));
    assert!(matches!(&view.state, Freshness::Stale { reason, .. } if reason.contains("3D000")), "{:?}", view.state);
}

#[test]
fn default_search_paths_are_the_servers() {
    let Some(postgres) = server() else { return };
    let database = postgres.database("catalog_paths");
    let catalogs = catalogs(postgres, fixture::CATALOG_ACCOUNT, fixture::PASSWORD, 60);
    let view = wait(catalogs.snapshot("db", &database));
    assert_eq!(view.search_path_default("carol"), ["$user", "public"]);
    postgres.psql(
        &database,
        "alter database :\"DBNAME\" set search_path = \"Sales\", public;
         alter role carol in database :\"DBNAME\" set search_path = billing, public",
    );
    let view = wait(catalogs.renew("db", &database));
    for (role, expected) in [("carol", vec!["billing", "public"]), ("bob", vec!["Sales", "public"])] {
        assert_eq!(view.search_path_default(role), expected);
        // The server's own word for it.
        let mut session = weir_tests::raw::Raw::login(postgres.address(), role, &database);
        let said = session.query("show search_path").texts()[0][0].clone();
        let plain: Vec<&str> = said.split(", ").map(|schema| schema.trim_matches('"')).collect();
        assert_eq!(plain, expected, "{said}");
    }
}

#[test]
fn over_tls_the_server_is_verified() {
    if server().is_none() {
        return;
    }
    let postgres = Postgres::start();
    let folder = Scratch::new("catalog-tls");
    let (certificate, key) = crate::tls::tests::self_signed(&folder, "server");
    let (other, _) = crate::tls::tests::self_signed(&folder, "other");
    // The server's account must own its key.
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(postgres.scratch().join("data")).unwrap());
    let placed: Vec<String> = [(certificate.as_path(), "tls.crt"), (key.as_path(), "tls.key")]
        .into_iter()
        .map(|(from, name)| {
            let to = postgres.scratch().join(name);
            std::fs::copy(from, &to).unwrap();
            std::fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            std::os::unix::fs::chown(&to, Some(owner), None).unwrap();
            to.display().to_string()
        })
        .collect();
    postgres.psql("postgres", "set password_encryption = md5; create role old login password 'old-password'");
    let verified = |ca: &Path| format!("ca = '{}'\nserver_name = 'localhost'", ca.display());
    let read = |user: &str, password: &str, tls: &str| {
        let catalogs = catalogs_over(&postgres, user, password, 30, tls);
        match wait(catalogs.snapshot("db", "support")).state {
            Freshness::Fresh => String::new(),
            Freshness::Stale { reason, .. } => reason.to_string(),
        }
    };
    let declined = read(fixture::CATALOG_ACCOUNT, fixture::PASSWORD, &verified(&certificate));
    assert!(declined.contains("declines TLS"), "{declined}");

    let hba = "hostssl all weir_catalog 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n\
               host all old 127.0.0.1/32 md5\n";
    std::fs::write(postgres.scratch().join("data/pg_hba.conf"), hba).unwrap();
    postgres.psql("postgres", &format!("alter system set ssl_cert_file = '{}'", placed[0]));
    postgres.psql("postgres", &format!("alter system set ssl_key_file = '{}'", placed[1]));
    postgres.psql("postgres", "alter system set ssl = on");
    postgres.psql("postgres", "select pg_reload_conf()");
    weir_tests::wait::until_true("the server to speak TLS", weir_tests::wait::SOON, || {
        read(fixture::CATALOG_ACCOUNT, fixture::PASSWORD, &verified(&certificate)).is_empty()
    });
    let stranger = read(fixture::CATALOG_ACCOUNT, fixture::PASSWORD, &verified(&other));
    assert!(stranger.contains("TLS with") && stranger.contains("certificate"), "{stranger}");
    let unnamed = read(fixture::CATALOG_ACCOUNT, fixture::PASSWORD, &format!("ca = '{}'", certificate.display()));
    assert!(unnamed.contains("TLS with"), "the certificate does not bear 127.0.0.1: {unnamed}");
    // A password that the answer would give away: only to a verified server.
    let open = read("old", "old-password", "tls = 'off'");
    assert!(open.contains("as md5") && open.contains("scram-sha-256"), "{open}");
    assert_eq!(read("old", "old-password", &verified(&certificate)), "");
}
