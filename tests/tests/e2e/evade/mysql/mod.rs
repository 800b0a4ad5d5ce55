//! The same on MySQL and MariaDB: every sequence is shown to work on the server itself.
//!
//! `OWN` stands for a database of the account's own, which is dropped between the two plays.

mod doors;
mod programs;
mod session;
mod text;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use weir_tests::audit;
use weir_tests::engine::Engine;
use weir_tests::fixture::people_and_evaders;
use weir_tests::mysql::packets::{self, Packet};
use weir_tests::mysql::raw::{Login, Raw};
use weir_tests::mysql::reply::Reply;
use weir_tests::mysql::server::{Flavour, MySql};
use weir_tests::policies::Budgeted;
use weir_tests::target::Target;
use weir_tests::weir::WeirOptions;

use super::numbers_after;

/// Records per person: few, so that every evasion goes far past it.
const BUDGET: usize = 20;

/// How many times a step that is repeated is.
const EACH: u32 = 60;

/// Where a sequence works.
#[derive(Clone, Copy, PartialEq)]
enum On {
    Both,
    MariaDb,
    MySql9,
}

impl On {
    fn here(self, flavour: Flavour) -> bool {
        match self {
            On::Both => true,
            On::MariaDb => flavour == Flavour::MariaDb,
            On::MySql9 => flavour == Flavour::MySql9,
        }
    }
}

/// One step of a sequence. What a step brings may be an error.
#[derive(Clone, Copy)]
enum Step {
    /// A statement as text.
    Say(&'static str),
    /// A statement of the administrator's, past Weir.
    Outside(&'static str),
    /// A statement that is no UTF-8.
    Bytes(&'static [u8]),
    /// A statement prepared and run.
    Prepared(&'static str),
    /// A statement prepared, another said, the first run.
    Across(&'static str, &'static str),
    /// For `{}` from 1 to 60.
    Each(&'static str),
    /// The same with a statement behind each.
    EachThen(&'static str, &'static str),
    /// A command with this body.
    Command(u8, &'static str),
    /// Another login with these capabilities and this character set.
    Login(u32, u8),
    /// Another login that asks for less.
    LoginWithout(u32),
}

/// A way to many customers.
type Evasion = (&'static str, On, &'static [Step]);

struct Player<'s> {
    server: &'s MySql,
    client: Raw,
    heard: Vec<Packet>,
    address: SocketAddr,
    user: String,
}

impl Player<'_> {
    fn take(&mut self, reply: Reply) -> bool {
        self.heard.extend(reply.packets);
        reply.end.is_none()
    }

    fn say(&mut self, sql: &[u8]) -> bool {
        let text = String::from_utf8_lossy(sql);
        // Only what is text can name a database of one's own.
        let sql = if text.contains("OWN") {
            text.replace("OWN", &format!("own_{}", self.user)).into_bytes()
        } else {
            sql.to_vec()
        };
        let reply = self.client.ask(&packets::command(packets::command::QUERY, &sql));
        self.take(reply)
    }

    fn again(&mut self, login: &Login<'_>) -> bool {
        let client = Raw::try_login(self.address, login).ok();
        let in_again = client.is_some();
        self.client = client.unwrap_or_else(|| Raw::connect(self.address));
        in_again
    }

    /// `false` when there is nobody left to talk to.
    fn step(&mut self, step: Step) -> bool {
        match step {
            Step::Say(sql) => self.say(sql.as_bytes()),
            Step::Outside(sql) => {
                let sql = sql.replace("OWN", &format!("own_{}", self.user));
                self.server.administrator("").query(&sql).fine();
                true
            }
            Step::Bytes(sql) => self.say(sql),
            Step::Prepared(sql) => {
                let sql = sql.replace("OWN", &format!("own_{}", self.user));
                let reply = self.client.extended(&sql, &[]);
                self.take(reply)
            }
            Step::Across(sql, between) => {
                let Ok(prepared) = self.client.prepare(sql) else { return true };
                if !self.say(between.as_bytes()) {
                    return false;
                }
                let reply = self.client.execute(&prepared, 0, &[]);
                self.take(reply)
            }
            Step::Each(sql) => (1..=EACH).all(|number| self.say(sql.replace("{}", &number.to_string()).as_bytes())),
            Step::EachThen(sql, then) => (1..=EACH)
                .all(|number| self.say(sql.replace("{}", &number.to_string()).as_bytes()) && self.say(then.as_bytes())),
            Step::Command(byte, body) => {
                let body = body.replace("OWN", &format!("own_{}", self.user));
                let reply = self.client.ask(&packets::command(byte, body.as_bytes()));
                self.take(reply)
            }
            Step::Login(capabilities, charset) => {
                let user = self.user.clone();
                self.again(&Login { charset, ..Login::new(&user, "support").and(capabilities) })
            }
            Step::LoginWithout(capabilities) => {
                let user = self.user.clone();
                let login = Login::new(&user, "support");
                self.again(&Login { capabilities: login.capabilities & !capabilities, ..login })
            }
        }
    }
}

/// Runs the steps; numbers of the customers in whatever came back, in text.
fn play(server: &MySql, address: SocketAddr, user: &str, steps: &[Step]) -> BTreeSet<u32> {
    let client = Raw::login(address, user, "support");
    let mut player = Player { server, client, heard: Vec::new(), address, user: user.to_owned() };
    let _all_played = steps.iter().all(|step| player.step(*step));
    let mut found = BTreeSet::new();
    for packet in &player.heard {
        for mark in [&b"customer"[..], b"+49 30 ", b"Customer "] {
            numbers_after(&packet.payload, mark, &mut found);
        }
    }
    found
}

/// Plays all of them through Weir and directly. Through Weir first, while nothing of it exists.
fn check(evasions: &[Evasion]) {
    let server = MySql::start();
    let mut options = WeirOptions::policy(Budgeted::hourly(BUDGET as u64).on(Engine::MySql).yaml());
    options.people = people_and_evaders();
    let front = Target::front(&server, &options);
    let (mut leaks, mut held, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    let here = evasions.iter().filter(|(_, on, _)| on.here(server.flavour()));
    for (number, (name, _, steps)) in here.enumerate() {
        let user = format!("evader_{number}");
        server.script("", &format!("grant all privileges on `own\\_{user}`.* to {user}@'%'"));
        let through = play(&server, front.address(), &user, steps).len();
        server.script("", &format!("drop database if exists own_{user}"));
        let direct = play(&server, server.address(), &user, steps).len();
        server.script("", &format!("drop database if exists own_{user}"));
        if direct <= 2 * BUDGET {
            idle.push(format!("{name}: {direct} customers"));
        }
        if through > BUDGET {
            leaks.push(format!("{name}: {through} customers"));
        } else {
            held.push((name, user));
        }
    }
    assert!(idle.is_empty(), "these prove nothing, for they do not work without Weir:\n{}", idle.join("\n"));
    assert!(
        leaks.is_empty(),
        "{} of {} evasions got past {BUDGET}:\n{}",
        leaks.len(),
        leaks.len() + held.len(),
        leaks.join("\n")
    );
    // Whatever was held back is in the log under the name of who tried.
    let events = front.weir().audit_events();
    let silent: Vec<&str> = held
        .iter()
        .filter(|(_, user)| {
            !events
                .iter()
                .any(|event| audit::person(event) == user && (event["kind"] == "denial" || event["decision"] == "cut"))
        })
        .map(|(name, _)| **name)
        .collect();
    assert!(silent.is_empty(), "held back without a record: {silent:?}");
    assert_eq!(front.weir().log().matches("panicked").count(), 0);
}

/// The other side of it: what has a sensitive name and is something else is not cut where the server says so.
#[test]
fn a_table_of_ones_own_is_not_taken_for_the_sensitive_one() {
    let server = MySql::start();
    let mut options = WeirOptions::policy(Budgeted::hourly(BUDGET as u64).on(Engine::MySql).yaml());
    options.people = people_and_evaders();
    let front = Target::front(&server, &options);
    server.script("", "grant all privileges on `own`.* to evader_1@'%'");
    let mut client = Raw::login(front.address(), "evader_1", "support");
    for sql in [
        "create database own",
        "create table own.customers (id int primary key, email varchar(80))",
        "insert into own.customers select id, concat('mine', id) from articles where id <= 100",
        "use own",
    ] {
        client.query(sql).fine();
    }
    assert_eq!(client.query("select * from customers").fine().rows(), 100);
    assert_eq!(client.extended("select id, email from customers", &[]).fine().rows(), 100);
    assert_eq!(client.query("select count(*) from support.customers").fine().rows(), 1);
    assert_eq!(client.query("select email from support.customers").rows(), BUDGET);
}
