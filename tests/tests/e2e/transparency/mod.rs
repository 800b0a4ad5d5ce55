//! What policy lets pass, passes byte for byte: recordings on both sides of Weir are compared.
//!
//! Of PostgreSQL's protocol Weir owns three things and no more: the start-up packet, which it rebuilds (same fields), BackendKeyData (its
//! own cancel keys), and, where a sensitive relation is read without the client asking for a description, a
//! Describe of its own whose reply it swallows.

mod mysql;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use weir_tests::fixture::CATALOG_ACCOUNT;
use weir_tests::frames::{self, Message};
use weir_tests::policies::Budgeted;
use weir_tests::postgres::Postgres;
use weir_tests::process::run;
use weir_tests::raw::Raw;
use weir_tests::tap::{Recording, Tap};
use weir_tests::target::direct_only;
use weir_tests::tools::{self, point};
use weir_tests::weir::{Weir, WeirOptions};

/// A tap on each side of a Weir; under `WEIR_TEST_TARGET=direct` the taps stand back to back.
struct Between {
    back: Tap,
    _weir: Option<Weir>,
    front: Tap,
    database: String,
}

impl Between {
    fn new(options: impl FnOnce(&str) -> WeirOptions) -> Between {
        let postgres = Postgres::shared();
        let database = postgres.database("seen");
        let back = Tap::start(postgres.address());
        let weir = (!direct_only()).then(|| Weir::start(back.address(), &options(&database)));
        let onward = weir.as_ref().map_or(back.address(), Weir::address);
        Between { back, _weir: weir, front: Tap::start(onward), database }
    }

    /// Runs a session against the front and compares what both taps saw of it.
    fn check(&self, owned: Owned, session: impl FnOnce(SocketAddr, &str)) -> Injected {
        self.front.clear();
        self.back.clear();
        session(self.front.address(), &self.database);
        // Weir's own connection for the catalog lasts: it is neither awaited nor compared.
        let of_clients = |tap: &Tap| -> Vec<Session> {
            let finished = tap.finished(|recording| !recording.mentions(CATALOG_ACCOUNT));
            finished.iter().filter_map(Session::read).collect()
        };
        let front = of_clients(&self.front);
        let back = of_clients(&self.back);
        assert!(!front.is_empty(), "no session was recorded");
        assert_eq!(back.len(), front.len(), "sessions behind Weir and in front of it");
        let mut injected = Injected::default();
        for (front, back) in front.iter().zip(&back) {
            assert_eq!(back.fields, front.fields, "start-up fields");
            // A description asked for; and a Flush, for the answer of an execution that holds what is behind it.
            injected.describes += compare("to the server", &front.client, &back.client, owned, b"DH");
            injected.replies += compare("to the client", &front.server, &back.server, owned, b"Tnt");
        }
        injected
    }
}

/// What may differ, beyond the start-up packet and the cancel key.
#[derive(Clone, Copy, PartialEq)]
enum Owned {
    Nothing,
    Descriptions,
}

#[derive(Default, Debug, PartialEq)]
struct Injected {
    describes: usize,
    replies: usize,
}

struct Session {
    fields: BTreeMap<String, String>,
    client: Vec<Message>,
    server: Vec<Message>,
}

impl Session {
    /// `None` for a connection that only carried a cancel request.
    fn read(recording: &Recording) -> Option<Session> {
        let client = &recording.client;
        let length = u32::from_be_bytes(client.get(..4)?.try_into().ok()?) as usize;
        let version = u32::from_be_bytes(client.get(4..8)?.try_into().ok()?);
        if version != 196_608 {
            return None;
        }
        let mut parts =
            client[8..length - 1].split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned());
        let mut fields = BTreeMap::new();
        while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            fields.insert(name, value);
        }
        let server = frames::split(&recording.server).into_iter().filter(|message| message.tag != b'K').collect();
        Some(Session { fields, client: frames::split(&client[length..]), server })
    }
}

/// Demands that `back` is `front`, but for messages with a tag in `mine` where Weir may add them. Returns how many
/// it added.
fn compare(direction: &str, front: &[Message], back: &[Message], owned: Owned, mine: &[u8]) -> usize {
    let mut expected = front.iter().peekable();
    let mut added = 0;
    for (number, message) in back.iter().enumerate() {
        if expected.peek() == Some(&message) {
            expected.next();
        } else if owned == Owned::Descriptions && mine.contains(&message.tag) {
            added += usize::from(message.tag != b'H');
        } else {
            panic!("message {number} {direction}: behind Weir {message:?}, in front of it {:?}", expected.peek());
        }
    }
    assert_eq!(expected.next(), None, "messages {direction} that only the front saw");
    added
}

/// Message trains that a client may send; each ends with the server ready for queries.
fn trains() -> Vec<Vec<u8>> {
    let long = format!("select '{}'", "long ".repeat(60_000));
    let train = |parts: &[Vec<u8>]| parts.concat();
    let ready = frames::sync;
    vec![
        frames::query("select 1"),
        frames::query(""),
        frames::query("select 1 as a; select 'two' as b; select from articles where id < 3; ;"),
        frames::query("select 1; select 1/0; select 2"),
        frames::query("selec"),
        frames::query("select id, email, balance, created_at from customers order by id"),
        frames::query("select repeat('x', 300000), null, '' union all select 'y', '', null"),
        frames::query("do $$ begin raise notice 'n'; raise warning 'w'; end $$"),
        frames::query("begin; insert into articles values (9500, 't', 'b', null); select 1/0"),
        frames::query("select 'in a failed transaction or not'"),
        frames::query("rollback"),
        frames::query("set application_name = 'changed'; set timezone = 'Asia/Tokyo'; reset timezone"),
        frames::query("listen news; notify news, 'a'; unlisten news"),
        frames::query("copy (select * from articles order by id) to stdout"),
        frames::query("copy (select id from articles) to stdout (format binary); select 'after'"),
        train(&[
            frames::query(
                "create temp table if not exists loaded (a int, b text); copy loaded from stdin; select count(*) from loaded",
            ),
            frames::copy_data(b"1\tone\n2\t"),
            frames::copy_data(b"two\n"),
            frames::copy_data(b""),
            frames::copy_done(),
        ]),
        train(&[
            frames::query("create temp table if not exists loaded (a int, b text); copy loaded from stdin"),
            frames::copy_data(b"3\tthree\n"),
            frames::copy_fail("changed my mind"),
        ]),
        train(&[frames::extended("select $1::int + $2::int", &["1", "2"]), ready()]),
        train(&[
            frames::parse("s", "select id, name from customers where id <= $1 order by id"),
            frames::describe(b'S', "s"),
            frames::bind("p", "s", &["40"], 1),
            frames::describe(b'P', "p"),
            frames::execute("p", 15),
            frames::execute("p", 15),
            frames::execute("p", 15),
            frames::execute("p", 15),
            frames::close(b'P', "p"),
            frames::close(b'S', "s"),
            ready(),
        ]),
        // Errors in a pipeline: the rest is skipped up to Sync, then life goes on.
        train(&[
            frames::extended("select 'first'", &[]),
            frames::extended("select 1/0", &[]),
            frames::extended("select 'skipped'", &[]),
            ready(),
            frames::extended("select 'second'", &[]),
            ready(),
        ]),
        train(&[frames::parse("bad", "selec"), frames::describe(b'S', "bad"), frames::flush(), ready()]),
        train(&[frames::bind("", "no such statement", &[], 0), ready()]),
        train(&[frames::execute("no such portal", 0), ready()]),
        train(&[frames::close(b'S', "never was"), frames::describe(b'P', "neither"), ready()]),
        train(&[frames::extended("", &[]), ready()]),
        train(&[frames::extended("insert into articles values ($1, 't', 'b', null) returning id", &["9600"]), ready()]),
        train(&[frames::extended("delete from articles where id >= 9500", &[]), ready()]),
        train(&[frames::extended("copy (select id from articles order by id) to stdout", &[]), ready()]),
        // What follows Sync while rows still come.
        train(&[
            frames::extended("select n from generate_series(1, 5000) n", &[]),
            ready(),
            frames::query("select 'right behind'"),
        ]),
        frames::query(&long),
        train(&[frames::extended(&long, &[]), ready()]),
        frames::query("prepare q as select 1; execute q; deallocate q"),
        frames::query(
            "begin; declare c cursor for select id, name from customers; fetch 5 from c; move 3 in c; fetch all from c; commit",
        ),
        frames::query("explain (costs off) select * from customers"),
        frames::query("select * from every_type"),
        train(&[frames::extended("select * from every_type", &[]), ready()]),
    ]
}

/// How many ReadyForQuery a train brings.
fn readies(train: &[u8]) -> usize {
    frames::split(train).iter().filter(|message| matches!(message.tag, b'Q' | b'S')).count()
}

#[test]
fn each_train_passes_unchanged() {
    let between = Between::new(|_| WeirOptions::allow_all());
    for (number, train) in trains().into_iter().enumerate() {
        let injected = between.check(Owned::Nothing, |address, database| {
            let mut client = Raw::login(address, "app", database);
            client.send(&train);
            for _ in 0..readies(&train) {
                let reply = client.until_ready();
                assert!(reply.end.is_none(), "train {number}: {reply:?}");
            }
            client.goodbye();
        });
        assert_eq!(injected, Injected::default());
    }
}

/// Trains in random order on one connection, written in random pieces, while replies are read as they come.
#[test]
fn any_order_in_any_pieces_passes_unchanged() {
    let between = Between::new(|_| WeirOptions::allow_all());
    let trains = trains();
    for seed in 1..=12_u64 {
        let mut random = Random(seed);
        let mut story = String::new();
        between.check(Owned::Nothing, |address, database| {
            let mut client = Raw::login(address, "app", database);
            for _ in 0..25 {
                let pick = random.below(trains.len());
                let _ = write!(story, " {pick}");
                let mut rest = trains[pick].as_slice();
                while !rest.is_empty() {
                    let most = if random.below(3) == 0 { 7 } else { 20_000 };
                    let (piece, after) = rest.split_at(rest.len().min(1 + random.below(most)));
                    client.send(piece);
                    rest = after;
                }
                for _ in 0..readies(&trains[pick]) {
                    let reply = client.until_ready();
                    assert!(reply.end.is_none(), "seed {seed}, trains{story}: {:?}", reply.end);
                }
            }
            client.goodbye();
        });
    }
}

#[test]
fn programs_pass_unchanged() {
    let between = Between::new(|_| WeirOptions::allow_all());
    let script = std::fs::read(tools::test_file("drivers/psql.sql")).unwrap();
    between.check(Owned::Nothing, |address, database| {
        let mut psql = tools::client("psql");
        psql.args(["-X", "-q", "-f", "-"]);
        point(&mut psql, address, "app", database);
        run(&mut psql, &script, Duration::from_secs(120)).ok();
    });
    between.check(Owned::Nothing, |address, database| {
        let mut dump = tools::client("pg_dump");
        point(&mut dump, address, "app", database);
        run(&mut dump, b"", Duration::from_secs(120)).ok();
    });
}

/// With budgets over what is read, in observe mode: rows, errors and order are the server's; Weir asks for the
/// descriptions that clients left out, and nobody sees the answers.
#[test]
fn a_watched_session_differs_by_descriptions_only() {
    let between = Between::new(|database| {
        let policy =
            Budgeted { database: database.to_owned(), mode: "observe", records_per_hour: 10, ..Budgeted::default() };
        WeirOptions::policy(policy.yaml())
    });
    let mut asked = 0;
    for (number, train) in trains().into_iter().enumerate() {
        let injected = between.check(Owned::Descriptions, |address, database| {
            let mut client = Raw::login(address, "app", database);
            client.send(&train);
            for _ in 0..readies(&train) {
                let reply = client.until_ready();
                assert!(reply.end.is_none(), "train {number}: {reply:?}");
            }
            client.goodbye();
        });
        // A question that the server skips after an error has no answer.
        assert!(injected.replies <= injected.describes, "train {number}: {injected:?}");
        asked += injected.describes;
    }
    // A client that reads customers and never describes: the second witness must have been asked.
    let injected = between.check(Owned::Descriptions, |address, database| {
        let mut client = Raw::login(address, "app", database);
        let train =
            [frames::extended("select id, email from customers where id < $1", &["20"]), frames::sync()].concat();
        assert_eq!(client.ask(&train).fine().rows(), 19);
        client.goodbye();
    });
    if !direct_only() {
        assert!(asked + injected.describes > 0, "Weir never asked for a description");
    }
}

/// A small generator (xorshift) whose seed a failing test prints.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }
}
