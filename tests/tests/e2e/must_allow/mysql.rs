//! MySQL's corpus. `support_of_the_test` stands for the database.

use std::net::SocketAddr;
use std::time::Duration;

use weir_tests::engine::Engine;
use weir_tests::mysql::packets::capability;
use weir_tests::mysql::raw::{Login, Raw};
use weir_tests::mysql::reply::Reply;
use weir_tests::mysql::server::{Flavour, MySql};
use weir_tests::policies::Budgeted;
use weir_tests::process::run;
use weir_tests::target::{Target, direct_only};
use weir_tests::tools::{self, point_mysql};
use weir_tests::weir::WeirOptions;

use super::{Heard, Play, Protocol, assert_untouched, corpus};

/// Fewer statements than this, and the corpus has lost something.
const STATEMENTS_MIN: usize = 280;

/// The server's number for a statement that it runs as text only.
const TEXT_ONLY: u16 = 1295;

impl Play for Raw {
    /// One of the two speaks as old clients do, the other as new ones.
    fn login(address: SocketAddr, account: &str, database: &str, protocol: Protocol) -> Raw {
        let more = match protocol {
            Protocol::Simple => 0,
            Protocol::Extended => capability::DEPRECATE_EOF | capability::SESSION_TRACK,
        };
        Raw::try_login(address, &Login::new(account, database).and(more)).expect("an agent's login")
    }

    fn simple(&mut self, sql: &str) -> Heard {
        heard(&self.query(sql))
    }

    fn extended(&mut self, sql: &str, values: &[&str]) -> Heard {
        let reply = Raw::extended(self, sql, values);
        match &reply.error {
            Some(error) if error.code == TEXT_ONLY => self.simple(sql),
            _ => heard(&reply),
        }
    }

    fn goodbye(self) {
        Raw::goodbye(self);
    }
}

fn heard(reply: &Reply) -> Heard {
    let columns = reply.results.iter().flat_map(|result| &result.columns);
    let lost = reply.end.iter().map(|end| format!("{end:?}"));
    Heard {
        shape: columns.map(|column| format!("{column:?}").into_bytes()).collect(),
        all: reply.packets.iter().map(|packet| [&[packet.sequence], packet.payload.as_slice()].concat()).collect(),
        errors: reply.error.iter().map(|error| format!("{error:?}")).chain(lost).collect(),
    }
}

#[test]
fn an_honest_day_is_untouched() {
    // Its own: rows that another test touches would come back in another order.
    let server = MySql::start();
    let database = server.database("desk");
    let mut corpus = corpus("mysql", &|text| text.replace("support_of_the_test", &database));
    let product = match server.flavour() {
        Flavour::MariaDb => "mariadb",
        Flavour::MySql9 => "mysql9",
    };
    for (_, statements) in &mut corpus {
        statements.retain(|statement| statement.only.as_deref().is_none_or(|only| only == product));
    }
    let count: usize = corpus.iter().map(|(_, statements)| statements.len()).sum();
    assert!(count >= STATEMENTS_MIN, "{count} statements");
    assert_untouched::<Raw>(&server, &database, &corpus);
}

/// Two object mappers as they are: start-up, reflection, look-ups, a unit of work.
#[test]
fn object_mappers_work_under_the_policy() {
    let server = MySql::shared();
    let front = Target::front(server, &WeirOptions::policy(Budgeted::default().on(Engine::MySql).yaml()));
    for program in ["drivers/sqlalchemy_day.py", "drivers/django_day.py"] {
        let [direct, through] = [server.address(), front.address()].map(|address| {
            let mut python = tools::python();
            python.arg(tools::test_file(program));
            point_mysql(&mut python, address, "alice", "support");
            run(&mut python, b"", Duration::from_secs(120)).ok()
        });
        assert_eq!(through, direct, "{program}");
        assert!(direct.contains("all of it"), "{direct}");
    }
    if direct_only() {
        return;
    }
    let alerts = front.weir().alerts();
    assert!(alerts.is_empty(), "{alerts:#?}");
}
