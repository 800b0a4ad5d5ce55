//! Nobody gains a record by a crash: killed at random points of a running workload, over and over.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use weir_tests::engine::{Client, Engine};
use weir_tests::fixture::PASSWORD;
use weir_tests::{for_both_engines, wait};

use super::{policy, weir};

for_both_engines!(kills_at_random_points_give_nobody_a_record);

/// Kill points of one run.
const KILLS: u32 = 20;
/// So many that most rounds still let something leave: each crash costs up to a lease of each session.
const BUDGET: usize = 1000;

/// What the present moment adds up to, so that every run kills elsewhere; told when a run fails.
fn seed() -> u64 {
    let told = std::env::var("WEIR_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    told.unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        since.as_secs() ^ u64::from(since.subsec_nanos())
    })
}

fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// Reads in one of several manners until the other side is gone or nothing is left; what was received.
fn read(engine: Engine, address: std::net::SocketAddr, account: &str, seed: u64) -> BTreeSet<String> {
    let mut received = BTreeSet::new();
    let mut state = seed;
    let Ok(mut client) = Client::try_login(engine, address, account, "support", PASSWORD) else { return received };
    loop {
        let from = next(&mut state) % 2900 + 1;
        let answer = match next(&mut state) % 3 {
            0 => client.query(&format!("select id, email from customers where id >= {from} order by id limit 9")),
            1 => client.query(&format!("select id, phone from customers where id = {from}")),
            _ => client.query(&format!(
                "select id, email, {} from customers where id > {from} order by id limit 30",
                engine.sleep("0.0005")
            )),
        };
        received.extend(answer.column());
        if answer.lost.is_some() || answer.error.is_some() {
            return received;
        }
    }
}

fn kills_at_random_points_give_nobody_a_record(engine: Engine) {
    let rule = format!("    budget: [{{ records: {BUDGET}, per: day }}]\n");
    let mut weir = weir(engine, &policy(engine, &rule), "");
    let seed = seed();
    let mut state = seed;
    let mut received: BTreeSet<String> = BTreeSet::new();
    let mut grew = 0;
    for round in 0..KILLS {
        let address = weir.address();
        let readers: Vec<_> = ["alice", "alice_report"]
            .map(|account| {
                let seed = next(&mut state);
                thread::spawn(move || read(engine, address, account, seed))
            })
            .into();
        // A point in time and no condition: a crash waits for none.
        let point = Instant::now() + Duration::from_micros(next(&mut state) % 700_000);
        wait::until_true("the point of the crash", wait::SOON, || Instant::now() >= point);
        if round == KILLS / 2 {
            // The policy is read again in the middle of everything.
            weir.signal("HUP");
        }
        weir.kill();
        let before = received.len();
        for reader in readers {
            received.extend(reader.join().unwrap());
        }
        grew += u32::from(received.len() > before);
        assert!(received.len() <= BUDGET, "{} of {BUDGET} left by round {round}, seed {seed}", received.len());
        weir.start_again();
    }
    received.extend(
        Client::login(engine, weir.address(), "alice", "support")
            .query("select id, email from customers order by id desc")
            .column(),
    );
    assert!(received.len() <= BUDGET, "{} of {BUDGET} left in all, seed {seed}", received.len());
    assert!(grew > 0, "no round let anything leave, seed {seed}: this has tried nothing");
    eprintln!(
        "{engine:?}: {} of {BUDGET} left over {KILLS} crashes, in {grew} of them something, seed {seed}",
        received.len()
    );
    let verify = weir.command(&["audit", "verify"]);
    assert_eq!(verify.code, 0, "{} {}", verify.stdout, verify.stderr);
}
