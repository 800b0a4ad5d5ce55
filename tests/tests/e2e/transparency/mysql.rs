//! The same for MySQL's protocol. There Weir owns the login alone: the greeting offers what Weir can read, and the
//! response is rebuilt. From the first command on, packets are the same on both sides, headers too.

use std::net::SocketAddr;
use std::time::Duration;

use weir_tests::engine::Engine;
use weir_tests::fixture::CATALOG_ACCOUNT;
use weir_tests::mysql::packets::{self, Packet, capability, command};
use weir_tests::mysql::raw::{Login, Prepared, Raw};
use weir_tests::mysql::server::{Flavour, MySql};
use weir_tests::policies::Budgeted;
use weir_tests::process::run;
use weir_tests::tap::{Recording, Tap};
use weir_tests::target::direct_only;
use weir_tests::tools;
use weir_tests::weir::{Weir, WeirOptions};

use super::Random;

/// A tap on each side of a Weir; under `WEIR_TEST_TARGET=direct` the taps stand back to back.
struct Between {
    back: Tap,
    _weir: Option<Weir>,
    front: Tap,
    database: String,
}

impl Between {
    fn new(options: impl FnOnce(&str) -> WeirOptions) -> Between {
        let server = MySql::shared();
        let database = server.database("seen");
        let back = Tap::start(server.address());
        let upstreams = [(Engine::MySql, back.address())];
        let weir = (!direct_only()).then(|| Weir::start_for(&upstreams, &options(&database)));
        let onward = weir.as_ref().map_or(back.address(), |weir| weir.address_for(Engine::MySql));
        Between { back, _weir: weir, front: Tap::start(onward), database }
    }

    /// Runs a session against the front and compares what both taps saw of it behind the login.
    fn check(&self, what: &str, session: impl FnOnce(SocketAddr, &str)) {
        self.front.clear();
        self.back.clear();
        session(self.front.address(), &self.database);
        let of_clients = |tap: &Tap| -> Vec<Conversation> {
            // Weir's own connections are neither awaited nor compared.
            let finished = tap.finished(|recording| !recording.mentions(CATALOG_ACCOUNT));
            finished.iter().filter(|recording| recording.client.len() > 4).map(Conversation::read).collect()
        };
        let (front, back) = (of_clients(&self.front), of_clients(&self.back));
        assert!(!front.is_empty(), "{what}: no session was recorded");
        assert_eq!(back.len(), front.len(), "{what}: sessions behind Weir and in front of it");
        for (front, back) in front.iter().zip(&back) {
            assert!(!front.client.is_empty(), "{what}: nothing was said behind the login");
            compare(&format!("{what}, to the server"), &front.client, &back.client);
            compare(&format!("{what}, to the client"), &front.server, &back.server);
        }
    }
}

/// What was said behind the login.
struct Conversation {
    client: Vec<Packet>,
    server: Vec<Packet>,
}

impl Conversation {
    fn read(recording: &Recording) -> Conversation {
        // The login's packets are numbered through; a command begins anew.
        let client = packets::split(&recording.client).into_iter().skip(1).skip_while(|packet| packet.sequence != 0);
        let server =
            packets::split(&recording.server).into_iter().skip_while(|packet| packet.payload.first() != Some(&0));
        Conversation { client: client.collect(), server: server.skip(1).collect() }
    }
}

#[track_caller]
fn compare(what: &str, front: &[Packet], back: &[Packet]) {
    for (number, (front, back)) in front.iter().zip(back).enumerate() {
        assert!(front == back, "{what}, packet {number}: in front of Weir {front:?}, behind it {back:?}");
    }
    assert_eq!(front.len(), back.len(), "{what}: how many packets in front of Weir and behind it");
}

/// Something that a client does and waits for.
#[derive(Clone)]
enum Move {
    /// A command that brings results as text, or none; or several of them in one write.
    Text(Vec<u8>, usize),
    /// A statement prepared, run with these parameters as often as this, and closed.
    Run(&'static str, &'static [&'static str], usize),
    /// A statement prepared, and read by a cursor in pieces.
    Pieces(&'static str, u32),
    /// A statement prepared whose parameter goes in pieces.
    Long(&'static str, usize),
    /// A statement that cannot be prepared.
    Unprepared(&'static str),
    /// A number of no statement.
    Nobody,
}

fn moves(flavour: Flavour) -> Vec<Move> {
    let say = |sql: &str| Move::Text(packets::query(sql), 1);
    let long = format!("select length('{}')", "long ".repeat(60_000));
    let mut moves = vec![
        say("select 1"),
        say(""),
        say("select 1 as a; select 'two' as b; select id from articles where id < 3; set @x = 1"),
        say("select 1; select * from no_such_table; select 2"),
        say("selec"),
        say("select id, email, balance, created_at from customers order by id"),
        say("select repeat('x', 300000), null, '' union all select 'y', '', null"),
        say("select repeat('x', 17000000)"),
        say("start transaction; insert into articles values (9500, 't', 'b', null)"),
        say("select 'in a transaction'"),
        say("rollback"),
        say("set @mine = 1, time_zone = '+09:00'; set time_zone = default"),
        say("select 1 / 0, cast('abc' as signed); show warnings"),
        say("call two_results(3)"),
        say("call no_such_procedure()"),
        say("select * from every_type"),
        say("show tables; show create table products; show variables like 'autocommit'"),
        say("create temporary table if not exists t (n int); insert into t values (1), (2); drop temporary table t"),
        say("prepare p from 'select ? + 1'; set @a = 41; execute p using @a; deallocate prepare p"),
        say("use information_schema; select database()"),
        say("load data local infile '/no/such/file' into table articles"),
        say(&long),
        Move::Text(packets::query("select 'first'").into_iter().chain(packets::query("select 'second'")).collect(), 2),
        Move::Text(packets::ping(), 1),
        Move::Text(packets::init_db("billing"), 1),
        Move::Text(packets::init_db("no_such_database"), 1),
        Move::Text(packets::command(command::SET_OPTION, &[1, 0]), 1),
        Move::Text(packets::command(command::SET_OPTION, &[0, 0]), 1),
        Move::Text(packets::reset_connection(), 1),
        Move::Run("select ? + ?", &["1", "2"], 3),
        Move::Run("select id, name from customers where id <= ? order by id", &["40"], 2),
        Move::Run("select * from every_type where id <= ?", &["9"], 1),
        Move::Run("insert into articles values (?, 't', 'b', null)", &["9600"], 1),
        Move::Run("delete from articles where id >= ?", &["9500"], 1),
        Move::Run("select * from no_such_table", &[], 1),
        Move::Run("call two_results(?)", &["2"], 2),
        Move::Run("select repeat('x', ?)", &["17000000"], 1),
        Move::Pieces("select id, name from customers where id <= 45 order by id", 15),
        Move::Pieces("select * from articles order by id", 200),
        Move::Long("select length(?)", 100_000),
        Move::Unprepared("selec"),
        Move::Nobody,
    ];
    if flavour == Flavour::MariaDb {
        moves.push(say("begin not atomic select 1; select 2; end"));
    }
    moves
}

/// Makes a move; it ends with the server waiting for a command. A write may be torn into pieces.
fn make(client: &mut Raw, next: &Move, mut tear: impl FnMut(&mut Raw, &[u8])) {
    match next {
        Move::Text(bytes, replies) => {
            tear(client, bytes);
            for _ in 0..*replies {
                let reply = client.text_reply();
                assert!(reply.end.is_none(), "{reply:?}");
            }
        }
        Move::Run(sql, parameters, times) => {
            tear(client, &packets::prepare(sql));
            let Ok(prepared) = client.prepared() else { return };
            for _ in 0..*times {
                tear(client, &packets::execute(prepared.id, 0, parameters));
                let reply = client.binary_reply();
                assert!(reply.end.is_none(), "{sql}: {reply:?}");
            }
            tear(client, &packets::close(prepared.id));
        }
        Move::Pieces(sql, rows) => {
            tear(client, &packets::prepare(sql));
            let prepared = client.prepared().expect("a preparation");
            tear(client, &packets::execute(prepared.id, 1, &[]));
            let opened = client.binary_reply().fine();
            let columns = opened.results[0].columns.clone();
            for _ in 0..3 {
                let reply = client.fetch(&prepared, &columns, *rows);
                assert!(reply.end.is_none(), "{sql}: {reply:?}");
            }
            tear(client, &packets::reset(prepared.id));
            client.text_reply().fine();
            tear(client, &packets::close(prepared.id));
        }
        Move::Long(sql, length) => {
            tear(client, &packets::prepare(sql));
            let prepared = client.prepared().expect("a preparation");
            for piece in vec![b'x'; *length].chunks(30_000) {
                tear(client, &packets::long_data(prepared.id, 0, piece));
            }
            let mut body = prepared.id.to_le_bytes().to_vec();
            body.extend_from_slice(&[0, 1, 0, 0, 0, 0, 1, 0xfc, 0]);
            tear(client, &packets::command(command::STMT_EXECUTE, &body));
            assert_eq!(client.binary_reply().fine().column(), [length.to_string()]);
            tear(client, &packets::close(prepared.id));
        }
        Move::Unprepared(sql) => {
            tear(client, &packets::prepare(sql));
            client.prepared().expect_err("no statement");
        }
        Move::Nobody => {
            let nobody = Prepared { id: 4711, parameters: 0, columns: Vec::new() };
            assert!(client.execute(&nobody, 0, &[]).error.is_some());
            assert!(client.ask(&packets::reset(4711)).error.is_some());
            client.send(&packets::close(4711));
        }
    }
}

/// What sessions may negotiate.
const MANNERS: [u32; 3] =
    [0, capability::DEPRECATE_EOF, capability::DEPRECATE_EOF | capability::SESSION_TRACK | capability::FOUND_ROWS];

fn login(address: SocketAddr, database: &str, capabilities: u32) -> Raw {
    Raw::try_login(address, &Login::new("app", database).and(capabilities)).expect("app's login")
}

#[test]
fn each_move_passes_unchanged() {
    let between = Between::new(|_| WeirOptions::allow_all());
    for manner in MANNERS {
        for (number, next) in moves(MySql::shared().flavour()).iter().enumerate() {
            between.check(&format!("move {number}, capabilities {manner:#x}"), |address, database| {
                let mut client = login(address, database, manner);
                make(&mut client, next, |client, bytes| client.send(bytes));
                client.goodbye();
            });
        }
    }
}

/// Moves in random order on one connection, written in random pieces.
#[test]
fn any_order_in_any_pieces_passes_unchanged() {
    let between = Between::new(|_| WeirOptions::allow_all());
    let moves = moves(MySql::shared().flavour());
    for seed in 1..=10_u64 {
        let mut random = Random(seed);
        let picks: Vec<usize> = (0..20).map(|_| random.below(moves.len())).collect();
        between.check(&format!("seed {seed}, moves {picks:?}"), |address, database| {
            let mut client = login(address, database, MANNERS[random.below(MANNERS.len())]);
            for pick in &picks {
                make(&mut client, &moves[*pick], |client, bytes| {
                    let mut rest = bytes;
                    while !rest.is_empty() {
                        let most = if random.below(3) == 0 { 7 } else { 20_000 };
                        let (piece, after) = rest.split_at(rest.len().min(1 + random.below(most)));
                        client.send(piece);
                        rest = after;
                    }
                });
                // Some moves leave the database.
                client.ask(&packets::init_db(database)).fine();
            }
            client.goodbye();
        });
    }
}

#[test]
fn programs_pass_unchanged() {
    let between = Between::new(|_| WeirOptions::allow_all());
    let script = std::fs::read(tools::test_file("drivers/mysql.sql")).unwrap();
    let program = |name: &str, address, database: &str| match MySql::shared().flavour() {
        Flavour::MariaDb => tools::mariadb(&format!("mariadb{name}"), address, "app", database),
        Flavour::MySql9 => tools::mysql9(&format!("mysql{}", name.trim_start_matches('-')), address, "app", database),
    };
    between.check("the command-line client", |address, database| {
        let mut client = program("", address, database);
        client.args(["--force", "--comments"]);
        run(&mut client, &script, Duration::from_secs(120)).ok();
    });
    between.check("the dump", |address, database| {
        let mut dump = program("-dump", address, database);
        run(&mut dump, b"", Duration::from_secs(120)).ok();
    });
}

/// With budgets over what is read, in observe mode: everything is the server's.
#[test]
fn a_watched_session_is_no_different() {
    let between = Between::new(|database| {
        let policy =
            Budgeted { database: database.to_owned(), mode: "observe", records_per_hour: 10, ..Budgeted::default() };
        WeirOptions::policy(policy.on(Engine::MySql).yaml())
    });
    for (number, next) in moves(MySql::shared().flavour()).iter().enumerate() {
        between.check(&format!("move {number}"), |address, database| {
            let mut client = login(address, database, capability::DEPRECATE_EOF);
            make(&mut client, next, |client, bytes| client.send(bytes));
            client.goodbye();
        });
    }
}
