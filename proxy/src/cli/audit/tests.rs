//! The audit commands on real logs: text and JSON, stories, exit codes.

use weir_audit_store::event::{
    Alert, Basis, Body, Charge, Completion, Count, Denial, Lease, Leases, Outcome, Person, RelationUse, Session,
    SessionStart, Severity, Shutdown, Statement,
};
use weir_audit_store::{Event, Options, Store, Urgency};
use weir_tests::scratch::Scratch;

use super::super::{BAD_INPUT, ENVIRONMENT, FINDING};
use super::*;

/// A closed log of so many records; the third has a reference.
fn log(folder: &Scratch, records: u64) -> PathBuf {
    let dir = folder.path().join("audit");
    let (store, _) = Store::open(Options::new(&dir), Box::new(|_| {})).unwrap();
    for number in 1..=records {
        let body = Body::Shutdown(Shutdown { reason: format!("number {number}") });
        let mut event = Event::new(number, number, "boot", body);
        event.reference = (number == 3).then(|| "W-7F3K-9Q2M".to_owned());
        event.decision = Some(if number % 10 == 0 { Decision::Deny } else { Decision::Allow });
        store.append(&event, Urgency::Relaxed).unwrap();
    }
    store.close().unwrap();
    dir
}

/// Exit code, and the words on standard output or of the failure, as a program gets them.
fn audit(arguments: &[&str]) -> (u8, String) {
    audit_on(false, arguments)
}

fn audit_on(terminal: bool, arguments: &[&str]) -> (u8, String) {
    #[derive(clap::Parser)]
    struct Line {
        #[command(subcommand)]
        command: AuditCommand,
    }
    let line = <Line as clap::Parser>::try_parse_from(std::iter::once(&"audit").chain(arguments)).unwrap();
    let mut output = Output::for_test();
    match run_for(&line.command, terminal, &mut output) {
        Ok(()) => (0, output.text()),
        Err(failure) => (failure.code, failure.message),
    }
}

fn numbers(text: &str) -> Vec<u64> {
    text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_u64().unwrap()).collect()
}

#[test]
fn records_are_shown_and_exported() {
    let folder = Scratch::new("audit");
    let dir = log(&folder, 30);
    let dir = dir.to_str().unwrap();
    assert_eq!(numbers(&audit(&["tail", "-n", "3", "--dir", dir]).1), [28, 29, 30]);
    assert_eq!(numbers(&audit(&["tail", "--dir", dir]).1), (11..=30).collect::<Vec<_>>());
    assert_eq!(numbers(&audit(&["export", "--format", "jsonl", "--dir", dir]).1), (1..=30).collect::<Vec<_>>());
    assert_eq!(numbers(&audit(&["export", "--from", "29", "--dir", dir]).1), [29, 30]);
    assert_eq!(numbers(&audit(&["show", "7", "--dir", dir]).1), [7]);
    assert_eq!(numbers(&audit(&["show", "W-7F3K-9Q2M", "--dir", dir]).1), [3]);
    assert_eq!(numbers(&audit(&["show", "w-7f3k-9q2m", "--dir", dir]).1), [3], "as somebody reads it out");
    assert_eq!(numbers(&audit(&["search", "--decision", "deny", "--dir", dir]).1), [10, 20, 30]);
    assert_eq!(numbers(&audit(&["search", "--decision", "deny", "-n", "1", "--dir", dir]).1), [30]);
    assert_eq!(
        numbers(&audit(&["search", "--until", "1970-01-02", "--kind", "shutdown", "-n", "2", "--dir", dir]).1),
        [29, 30]
    );
    assert_eq!(audit(&["search", "--since", "1d", "--dir", dir]), (0, String::new()));
    assert_eq!(audit(&["search", "--since", "soon", "--dir", dir]).0, BAD_INPUT);
    for absent in ["31", "0", "W-0000-0000"] {
        let (code, told) = audit(&["show", absent, "--dir", dir]);
        assert_eq!((code, told), (FINDING, format!("the log has no record `{absent}`")));
    }
    assert_eq!(audit(&["tail", "--dir", "/nowhere"]).0, ENVIRONMENT);
}

#[test]
fn a_log_is_verified_and_a_changed_one_is_found() {
    let folder = Scratch::new("audit");
    let dir = log(&folder, 30);
    let shown = dir.to_str().unwrap();
    let (code, told) = audit(&["verify", "--dir", shown]);
    assert_eq!(code, 0, "{told}");
    assert!(told.starts_with("30 record(s)") && told.ends_with("the log is what was written\n"), "{told}");
    let latest = dir.join("latest.checkpoint");
    let kept = folder.path().join("kept.checkpoint");
    std::fs::copy(&latest, &kept).unwrap();
    let kept = kept.to_str().unwrap();
    assert_eq!(audit(&["verify", "--checkpoint", kept, "--dir", shown]).0, 0);
    let (code, told) = audit(&["verify", "--key", kept, "--dir", shown]);
    assert_eq!(code, BAD_INPUT);
    assert!(told.contains("no public key"), "{told}");

    let segment = std::fs::read_dir(&dir).unwrap().flatten().map(|entry| entry.path());
    let segment = segment.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "log")).unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes.windows(9).position(|window| window == b"number 15").unwrap();
    bytes[at + 7] = b'9';
    std::fs::write(&segment, &bytes).unwrap();
    let (code, told) = audit(&["verify", "--dir", shown]);
    assert_eq!(code, FINDING, "{told}");
    let (code, told) = audit(&["export", "--dir", shown]);
    assert_eq!(code, FINDING, "{told}");
    assert!(told.contains("weir audit verify"), "{told}");
}

/// A reader of the output that leaves when it has seen these words.
struct Until(&'static str, Vec<u8>);

impl Write for Until {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if String::from_utf8_lossy(&self.1).contains(self.0) {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        self.1.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_log_is_followed_while_it_is_written_until_nobody_reads() {
    let folder = Scratch::new("audit");
    let dir = log(&folder, 5);
    let (store, _) = Store::open(Options::new(&dir), Box::new(|_| {})).unwrap();
    let enough = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = std::sync::Arc::clone(&enough);
    let writer = std::thread::spawn(move || {
        for number in 6.. {
            let body = Body::Shutdown(Shutdown { reason: format!("number {number}") });
            store.append(&Event::new(number, number, "boot", body), Urgency::Durable).unwrap();
            if seen.load(std::sync::atomic::Ordering::Relaxed) {
                return store.close().map(|_| ()).unwrap();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let mut output = Output::over(Until("\"number 40\"", Vec::new()));
    tail(&dir, 2, true, Shown::Json, &mut output).unwrap();
    assert!(output.is_closed(), "it ended because nobody read");
    enough.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
}

#[test]
fn a_log_needs_one_place() {
    let folder = Scratch::new("audit");
    log(&folder, 1);
    let config = "state_dir = '.'\npolicy = 'p'\n[[listener]]\nengine = 'postgres'\naddress = '127.0.0.1:1'\n\
                  upstream = 'db'\n[listener.auth]\nmode = 'relay'\n[[upstream]]\nname = 'db'\nengine = 'postgres'\naddress = '127.0.0.1:1'\ntls = 'off'\n\
                  [upstream.catalog]\nuser = 'x'\n";
    let config = folder.write("weir.toml", config);
    assert_eq!(numbers(&audit(&["tail", "--config", config.to_str().unwrap()]).1), [1]);
    assert_eq!(audit(&["tail", "--config", "/nowhere/weir.toml"]).0, BAD_INPUT);
    let command = <super::super::Arguments as clap::CommandFactory>::command();
    for arguments in [&["weir", "audit", "tail"][..], &["weir", "audit", "tail", "--dir", "a", "--config", "b"]] {
        assert!(command.clone().try_get_matches_from(arguments).is_err());
    }
}

/// Alice's statement, cut at the end of her hour, between two others; and a stranger with a terminal in mind.
fn desk(folder: &Scratch) -> PathBuf {
    let event = |number: u64, statement: u64, body: Body| {
        let mut event = Event::new(1_795_514_430_000 + number, number, "boot", body);
        event.session = Some(Session {
            id: "s-1".to_owned(),
            client: "10.20.30.40:50122".to_owned(),
            listener: "desk".to_owned(),
            upstream: "main".to_owned(),
            database: "support".to_owned(),
            account: "desk".to_owned(),
            application: Some("desk-tool".to_owned()),
            tls: None,
        });
        event.person = Some(Person {
            id: "alice".to_owned(),
            known: true,
            groups: vec!["support".to_owned()],
            auth: "relayed".to_owned(),
        });
        let relation = RelationUse {
            name: "public.customers".to_owned(),
            access: "read".to_owned(),
            columns: vec!["email".to_owned(), "id".to_owned()],
            used: Vec::new(),
            via: vec!["public.clients".to_owned()],
            source: "parser".to_owned(),
        };
        event.statement = (statement > 0).then(|| {
            Statement {
                id: format!("s-1.{statement}"),
                verb: "select".to_owned(),
                sha256: "ab".repeat(32),
                bytes: 41,
                relations: vec![relation],
                coverage: "full".to_owned(),
                ..Statement::default()
            }
            .with_text("select id, email from clients where region = $1")
        });
        event.policy = Some("cd".repeat(32));
        event
    };
    let basis = |outcome: &str, before: u64, after: u64| {
        vec![Basis {
            rule: "support-customers".to_owned(),
            dataset: "customers".to_owned(),
            window: "hour".to_owned(),
            unit: "records".to_owned(),
            limit: 500,
            before,
            after,
            outcome: outcome.to_owned(),
        }]
    };
    let leases = |granted: u64| Leases {
        leases: vec![Lease { dataset: "customers".to_owned(), unit: "records".to_owned(), granted }],
    };
    let done = |outcome: Outcome, rows: u64| {
        Body::Completion(Completion {
            outcome,
            rows,
            bytes: rows * 80,
            records: vec![Count { dataset: "customers".to_owned(), count: rows }],
            doors: Vec::new(),
            duration_us: 12_345,
            sqlstate: (outcome == Outcome::Cut).then(|| "54000".to_owned()),
            tag: None,
        })
    };
    let reference = || Some("W-7F3K-9Q2M".to_owned());
    let mut events = vec![
        event(1, 0, Body::SessionStart(SessionStart::default())),
        event(2, 1, Body::Admission(leases(64))),
        event(3, 2, Body::Admission(leases(30))),
        event(4, 1, done(Outcome::Complete, 1)),
        event(5, 2, Body::Lease(leases(20))),
        event(6, 2, done(Outcome::Cut, 50)),
        event(
            7,
            2,
            Body::Alert(Alert { code: "cut".to_owned(), title: "alice: enough".to_owned(), severity: Severity::High }),
        ),
        event(
            8,
            3,
            Body::Denial(Denial {
                code: "no-cards".to_owned(),
                message: "no\u{1b}[2J\u{202e}cards".to_owned(),
                ..Denial::default()
            }),
        ),
    ];
    events[2].decision = Some(Decision::Allow);
    events[2].basis = basis("allowed", 450, 450);
    events[4].decision = Some(Decision::Allow);
    events[5].decision = Some(Decision::Cut);
    events[5].basis = basis("cut", 450, 500);
    let charge = |keys: &str, unkeyed| Charge {
        dataset: "customers".to_owned(),
        keys: keys.to_owned(),
        unkeyed,
        ..Charge::default()
    };
    events[5].charged = vec![charge("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 48)];
    events[5].reference = reference();
    events[6].basis = basis("cut", 450, 500);
    events[6].reference = reference();
    let dir = folder.path().join("audit");
    let (store, _) = Store::open(Options::new(&dir), Box::new(|_| {})).unwrap();
    for event in &events {
        store.append(event, Urgency::Relaxed).unwrap();
    }
    store.close().unwrap();
    dir
}

#[test]
fn people_get_a_line_for_each_record() {
    let folder = Scratch::new("audit");
    let dir = desk(&folder);
    let dir = dir.to_str().unwrap();
    let (code, text) = audit_on(true, &["tail", "--dir", dir]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((code, lines.len()), (0, 8), "{text}");
    assert_eq!(
        lines[0],
        "2026-11-24 10:00:30.001Z       #1 session-start  alice connected from 10.20.30.40:50122 to database support on \
         main as desk"
    );
    assert_eq!(
        lines[2],
        "2026-11-24 10:00:30.003Z       #3 admitted       alice may run select on public.customers; up to 30 records of \
         customers may leave"
    );
    assert_eq!(
        lines[5],
        "2026-11-24 10:00:30.006Z       #6 cut            select on public.customers by alice was cut (SQLSTATE 54000): \
         50 rows and 4000 bytes left, 50 records of customers · support-customers, customers: 450 → 500 of 500 records \
         per hour (cut) · W-7F3K-9Q2M"
    );
    assert!(lines[7].ends_with("by alice was refused: no\\u{1b}[2J\\u{202e}cards"), "{}", lines[7]);
    // The form that is asked for wins over the terminal.
    assert_eq!(numbers(&audit_on(true, &["tail", "--json", "--dir", dir]).1), (1..=8).collect::<Vec<_>>());
    assert_eq!(numbers(&audit_on(true, &["tail", "--format", "json", "--dir", dir]).1), (1..=8).collect::<Vec<_>>());
    assert_eq!(audit(&["tail", "--format", "text", "--dir", dir]).1, text);
    let cut = ["search", "--decision", "cut", "--dir", dir];
    assert_eq!(audit_on(true, &cut).1, format!("{}\n", lines[5]));
    assert_eq!(numbers(&audit(&cut).1), [6]);
    let command = <super::super::Arguments as clap::CommandFactory>::command();
    let both = ["weir", "audit", "tail", "--dir", dir, "--json", "--format", "text"];
    assert!(command.try_get_matches_from(both).is_err());
}

#[test]
fn a_reference_or_a_number_brings_the_whole_story() {
    let folder = Scratch::new("audit");
    let dir = desk(&folder);
    let dir = dir.to_str().unwrap();
    let expected = "\
reference   W-7F3K-9Q2M
statement   s-1.2
text        select id, email from clients where region = $1
            41 bytes, SHA-256 abababababababababababababababababababababababababababababababab
does        select, understood: full
reaches     public.customers, read: email, id, through public.clients (seen by parser)
person      alice, known to the directory, in support, identified by: relayed
session     s-1, from 10.20.30.40:50122 by listener desk, no TLS, application desk-tool
database    support on main, account desk
policy      SHA-256 cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd

#3          2026-11-24 10:00:30.003Z  admitted
            alice may run select on public.customers; up to 30 records of customers may leave
            support-customers, customers: 450 → 450 of 500 records per hour (allowed)
#5          2026-11-24 10:00:30.005Z  lease
            alice goes on with select on public.customers; up to 20 more records of customers may leave
#6          2026-11-24 10:00:30.006Z  cut
            select on public.customers by alice was cut (SQLSTATE 54000): 50 rows and 4000 bytes left, 50 records of customers
            support-customers, customers: 450 → 500 of 500 records per hour (cut)
            charged to customers: 2 record(s) by key, 48 without
            took 12.345 ms
#7          2026-11-24 10:00:30.007Z  alert
            high alert (cut): alice: enough
            support-customers, customers: 450 → 500 of 500 records per hour (cut)
";
    for what in ["W-7F3K-9Q2M", "w-7f3k-9q2m", "3", "5", "6", "7"] {
        let (code, told) = audit_on(true, &["show", what, "--dir", dir]);
        assert_eq!((code, told.as_str()), (0, expected), "{what}");
        assert_eq!(numbers(&audit(&["show", what, "--dir", dir]).1), [3, 5, 6, 7]);
    }
    assert_eq!(numbers(&audit(&["show", "1", "--dir", dir]).1), [1], "a record of no statement stands alone");
    let (code, told) = audit_on(true, &["show", "8", "--dir", dir]);
    assert!(code == 0 && told.contains("refused: no\\u{1b}[2J\\u{202e}cards\n"), "{told}");
    assert!(!told.contains('\u{1b}'), "nothing clears the analyst's screen");
}

#[test]
fn a_siem_gets_an_event_for_each_record() {
    let folder = Scratch::new("audit");
    let dir = desk(&folder);
    let shown = dir.to_str().unwrap();
    let (code, text) = audit(&["export", "--format", "ocsf", "--dir", shown]);
    let events: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |name: fn(&serde_json::Value) -> &serde_json::Value| {
        events.iter().map(|event| name(event).as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(code, 0);
    assert_eq!(told(|event| &event["class_uid"]), [6005, 6005, 6005, 6005, 6005, 6005, 2004, 6005]);
    assert_eq!(told(|event| &event["metadata"]["sequence"]), (1..=8).collect::<Vec<_>>());
    assert!(text.chars().all(|character| character == '\n' || weir_audit_store::is_safe_to_show(character)));

    // What goes out as it is can be found in the log byte by byte.
    let segment = std::fs::read(dir.join("00000000000000000001.log")).unwrap();
    let (_, text) = audit(&["export", "--dir", shown]);
    for line in text.lines() {
        assert!(segment.windows(line.len()).any(|window| window == line.as_bytes()), "{line}");
    }
}

#[test]
fn cron_hears_of_what_is_wrong_and_of_nothing_else() {
    let folder = Scratch::new("audit");
    let dir = log(&folder, 30);
    let shown = dir.to_str().unwrap();
    assert_eq!(audit(&["verify", "--quiet", "--stale-after", "1m", "--dir", shown]), (0, String::new()));
    let (code, told) = audit(&["verify", "--json", "--dir", shown]);
    let report: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (code, &report["sound"], &report["records"], &report["stale"]),
        (0, &true.into(), &30.into(), &false.into())
    );

    // A log that grows under a Weir that cannot sign.
    let latest = std::fs::read_dir(&dir).unwrap().flatten().map(|entry| entry.path());
    for path in latest.filter(|path| path.display().to_string().contains("checkpoint")) {
        std::fs::remove_file(path).unwrap();
    }
    assert_eq!(audit(&["verify", "--dir", shown]).0, 0, "nothing is proved, and nothing is wrong");
    let (code, told) = audit(&["verify", "--quiet", "--stale-after", "1m", "--dir", shown]);
    assert_eq!(code, FINDING, "{told}");
    assert!(told.contains("records 1 to 30 are under no checkpoint") && told.contains("never"), "{told}");
    assert_eq!(audit(&["verify", "--stale-after", "soon", "--dir", shown]).0, BAD_INPUT);
    assert_eq!(audit(&["verify", "--dir", "/nowhere"]).0, ENVIRONMENT);
    std::fs::write(dir.join("keys/log.pub"), "rubbish").unwrap();
    assert_eq!(audit(&["verify", "--dir", shown]).0, BAD_INPUT);
}
