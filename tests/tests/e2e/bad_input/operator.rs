//! What operators do: signals, broken files, full volumes.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use weir_tests::frames::{extended, query, sync};
use weir_tests::policies::Budgeted;
use weir_tests::postgres::Postgres;
use weir_tests::process::{self, run};
use weir_tests::raw::{Failure, Raw};
use weir_tests::scratch::Scratch;
use weir_tests::wait;
use weir_tests::weir::{Weir, WeirOptions};

use super::assert_serving;

fn start(policy: &Budgeted) -> Weir {
    Weir::start(Postgres::shared().address(), &WeirOptions::policy(policy.yaml()))
}

#[test]
fn sigterm_drains_what_is_in_flight() {
    let mut weir = start(&Budgeted::default());
    let mut superuser = Postgres::shared().superuser("support");
    let mut clients: Vec<Raw> = (0..10).map(|_| weir.login("alice", "support")).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let sql = "select title, pg_sleep(0.05) from articles where id <= 30 /* draining */";
        if number % 2 == 0 { client.send(&query(sql)) } else { client.send(&[extended(sql, &[]), sync()].concat()) }
    }
    let mut idle = weir.login("bob", "support");
    wait::until_true("all to be in flight", wait::SOON, || {
        superuser.query("select 1 from pg_stat_activity where state = 'active' and query like '%draining%' and pid <> pg_backend_pid()").rows() == 10
    });
    weir.signal("TERM");
    wait::until_true("newcomers to be turned away", Duration::from_secs(1), || {
        let fields = [("user", "bob"), ("database", "support")];
        match std::net::TcpStream::connect(weir.address()) {
            Err(_) => true,
            Ok(_) => Raw::try_login(weir.address(), &fields, weir_tests::fixture::PASSWORD).is_err(),
        }
    });
    for (number, mut client) in clients.into_iter().enumerate() {
        let reply = client.until_ready();
        assert_eq!(reply.rows(), 30, "client {number}: {reply:?}");
        assert!(reply.errors().is_empty(), "client {number}: {reply:?}");
    }
    // An idle session is told, or closed; it does not hold up the end.
    let reply = idle.until(|_| false);
    assert!(matches!(reply.end, Some(Failure::Closed)), "{reply:?}");
    weir.stop();
    let verify = weir.command(&["audit", "verify"]);
    assert_eq!(verify.code, 0, "{} {}", verify.stdout, verify.stderr);
}

#[test]
fn a_query_that_outlasts_the_drain_is_ended() {
    let options = WeirOptions::policy(Budgeted::default().yaml()).limit("startup_secs = 5");
    let mut weir = Weir::start(Postgres::shared().address(), &options);
    let mut alice = weir.login("alice", "support");
    alice.send(&query("select pg_sleep(300) /* outlasts */"));
    let mut superuser = Postgres::shared().superuser("support");
    let active =
        "select 1 from pg_stat_activity where state = 'active' and query like '%outlasts%' and pid <> pg_backend_pid()";
    wait::until_true("the query to run", wait::SOON, || superuser.query(active).rows() == 1);
    let started = Instant::now();
    weir.stop();
    assert!(started.elapsed() < Duration::from_secs(20), "drain_secs is 10, and it took {:?}", started.elapsed());
    wait::until_true("the server to stop as well", wait::SOON, || superuser.query(active).rows() == 0);
}

#[test]
fn a_broken_policy_changes_nothing_and_is_told() {
    let weir = start(&Budgeted::hourly(40));
    let mut alice = weir.login("alice", "support");
    assert_eq!(alice.query("select id, email from customers where id <= 10").fine().rows(), 10);
    for (number, broken) in [
        "mode: [",
        "version: 1\nmode: enforce\nrulez: []\n",
        "",
        "version: 1\nmode: nonsense\n",
        "\0\0\0",
        "version: 99\n",
    ]
    .iter()
    .enumerate()
    {
        std::fs::write(weir.policy_path(), broken).unwrap();
        weir.signal("HUP");
        wait::until_true("a record of the rejected policy", wait::SOON, || {
            let rejected =
                |event: &&serde_json::Value| event["kind"] == "policy" && event.to_string().contains("rejected");
            weir.audit_events().iter().filter(rejected).count() == number + 1
        });
    }
    assert!(!weir.alerts().is_empty(), "nobody was told");
    assert_eq!(alice.query("select id, email from customers order by id").rows(), 40, "the old policy decides");
    assert_eq!(weir.admin("/readyz").0, 200);
    // And a good one is taken afterwards.
    std::fs::write(weir.policy_path(), Budgeted::hourly(60).yaml()).unwrap();
    weir.signal("HUP");
    let rows = wait::until("the good policy", wait::SOON, || {
        let rows = alice.query("select id, email from customers order by id desc").rows();
        (rows > 0).then_some(rows)
    });
    assert_eq!(rows, 20);
}

#[test]
fn reloading_under_load_fails_no_statement() {
    let weir = start(&Budgeted::default());
    let address = weir.address();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let at_work = std::sync::Arc::new(std::sync::Barrier::new(5));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (stop, at_work) = (std::sync::Arc::clone(&stop), std::sync::Arc::clone(&at_work));
            std::thread::spawn(move || {
                let mut client = Raw::login(address, "bob", "support");
                let mut count = 0_u32;
                at_work.wait();
                while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                    client.query("select name from customers where id = 5").fine();
                    count += 1;
                }
                count
            })
        })
        .collect();
    at_work.wait();
    for budget in 501..=510 {
        std::fs::write(weir.policy_path(), Budgeted::hourly(budget).yaml()).unwrap();
        weir.signal("HUP");
        wait::until_true("the reload to be recorded", wait::SOON, || {
            let loaded =
                |event: &&serde_json::Value| event["kind"] == "policy" && !event.to_string().contains("rejected");
            weir.audit_events().iter().filter(loaded).count() >= usize::try_from(budget - 500).unwrap()
        });
    }
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    for worker in workers {
        assert!(worker.join().unwrap() > 0);
    }
}

#[test]
fn a_bad_configuration_is_told_with_its_place() {
    let weir = start(&Budgeted::default());
    let good = std::fs::read_to_string(weir.config_path()).unwrap();
    let scratch = Scratch::new("config");
    for (what, text, expected) in [
        ("an unknown key", good.replacen("workers = 2", "workers = 2\nworkerz = 3", 1), "workerz"),
        ("a wrong type", good.replacen("workers = 2", "workers = \"two\"", 1), "workers"),
        ("no TOML", good.replacen("workers = 2", "workers = = 2", 1), "weir.toml:4:11"),
        (
            "an upstream of nobody's",
            good.replacen("upstream = \"support-db\"", "upstream = \"other-db\"", 1),
            "other-db",
        ),
    ] {
        let path = scratch.write("weir.toml", text);
        let mut command = Command::new(weir_tests::weir::binary());
        command.args(["config", "check", "--config"]).arg(&path);
        let output = run(&mut command, b"", Duration::from_secs(20));
        assert_ne!(output.code, 0, "{what} was accepted");
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(said.contains(expected) && said.contains("weir.toml"), "{what}: {said}");
        assert!(!said.contains("panicked"), "{what}: {said}");
    }
}

/// A volume of its own for the log, filled by somebody else's file.
struct Volume {
    scratch: Scratch,
}

impl Volume {
    /// `None` where mounting is not allowed: said loudly, for then the test shows nothing.
    fn mount(mib: u32) -> Option<Volume> {
        let scratch = Scratch::new("volume");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"]).arg(scratch.path());
        let output = run(&mut mount, b"", Duration::from_secs(10));
        if output.code == 0 {
            return Some(Volume { scratch });
        }
        eprintln!("SKIPPED: a full audit volume needs a tmpfs, and mount said: {}", output.stderr.trim());
        None
    }

    fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// Leaves no byte free.
    fn fill(&self) {
        use std::io::Write as _;
        let mut file = std::fs::File::create(self.path().join("filler")).unwrap();
        for block in [&[0_u8; 65_536][..], &[0_u8; 4_096][..], &[0_u8; 1][..]] {
            while file.write_all(block).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = process::run(Command::new("umount").arg("-l").arg(self.path()), b"", Duration::from_secs(10));
    }
}

#[test]
fn a_full_audit_volume_stops_sensitive_reads_and_heals_by_itself() {
    let Some(volume) = Volume::mount(24) else { return };
    let mut options = WeirOptions::policy(Budgeted::default().yaml());
    options.state_dir = Some(volume.path().join("state"));
    options.audit.push("segment_mib = 1".to_owned());
    let mut weir = Weir::start(Postgres::shared().address(), &options);
    let mut alice = weir.login("alice", "support");
    let mut received = alice.query("select id, email from customers where id <= 50").fine().rows();
    volume.fill();
    // What is buffered may still be accepted; soon nothing sensitive leaves.
    let refused = wait::until("sensitive reads to be refused", wait::SOON, || {
        let reply = alice.query("select id, email from customers where id between 51 and 52");
        received += reply.rows();
        (!reply.errors().is_empty()).then_some(reply)
    });
    let error = refused.error();
    assert_eq!((error.severity.as_str(), error.sqlstate.len(), refused.rows()), ("ERROR", 5, 0), "{error:?}");
    assert!(
        error.sqlstate.starts_with("53") || error.sqlstate.starts_with("58") || error.sqlstate.starts_with("57"),
        "{error:?}"
    );
    for _ in 0..20 {
        let started = Instant::now();
        let reply = alice.query("select id, email from customers where id > 100 order by id limit 5");
        assert_eq!((reply.rows(), reply.errors().len()), (0, 1), "{reply:?}");
        assert!(started.elapsed() < Duration::from_secs(6), "a refusal took {:?}", started.elapsed());
    }
    assert_ne!(weir.admin("/readyz").0, 200, "ready with a log that cannot be written");
    volume.free();
    wait::until_true("sensitive reads to be served again", wait::SOON, || {
        let reply = alice.query("select id, email from customers where id = 60");
        received += reply.rows();
        reply.errors().is_empty()
    });
    wait::until_true("readiness", wait::SOON, || weir.admin("/readyz").0 == 200);
    assert_serving(weir.address());
    alice.goodbye();
    weir.stop();
    let verify = weir.command(&["audit", "verify"]);
    assert_eq!(verify.code, 0, "{} {}", verify.stdout, verify.stderr);
    let rows: u64 = weir
        .audit_events()
        .iter()
        .filter(|event| event["kind"] == "completion")
        .filter_map(|event| event["detail"]["rows"].as_u64())
        .sum();
    assert!(rows >= u64::try_from(received).unwrap(), "{received} rows left and the log knows of {rows}");
}
