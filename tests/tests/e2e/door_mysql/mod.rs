//! MySQL's door: Weir judges clients by what the server keeps of their passwords, and logs in for them.
//!
//! What must never happen: a wrong password passes, an account that does not exist can be told from one that does, or a
//! client that logs in at the server does not log in at Weir.

mod clients;
mod mapped;

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use weir_tests::engine::Engine;
use weir_tests::fixture::PASSWORD;
use weir_tests::mysql::raw::{Login, Raw};
use weir_tests::mysql::reply::{Failure, ServerError};
use weir_tests::mysql::server::{Flavour, MySql};
use weir_tests::scratch::Scratch;
use weir_tests::wait;
use weir_tests::weir::{Weir, WeirOptions};

use super::tls::{NAME, client_config, trust};

/// What MySQL keeps of the fixture's password for caching_sha2_password, with a salt of this test's.
const SHA2: &str = "0x24412430303524303132333435363738396162636465666768696a697264674f655241395239694837306b4366\
                    43594d2f34746c306b774b305a687970315467446b59794d33";

/// Weir in front of the shared server, with verifiers that a test may exchange.
struct Doored {
    weir: Weir,
    folder: Scratch,
}

impl Doored {
    fn start(verifiers: &str, options: WeirOptions) -> Doored {
        let folder = Scratch::new("door");
        let mut options = options;
        options.listener_auth = vec![
            "mode = \"verify\"".to_owned(),
            format!("verifiers = \"{}\"", folder.path().join("verifiers").display()),
        ];
        keep(&folder, verifiers);
        let weir = Weir::start_for(&[(Engine::MySql, MySql::shared().address())], &options);
        Doored { weir, folder }
    }

    fn login(&self, user: &str, password: &str) -> Result<Raw, Failure> {
        Raw::try_login(self.weir.address(), &Login::new(user, "support").password(password))
    }

    fn refused(&self, user: &str, password: &str) -> ServerError {
        match self.login(user, password) {
            Err(Failure::Server(error)) => error,
            other => panic!("{user} with {password}: {other:?}"),
        }
    }
}

fn keep(folder: &Scratch, verifiers: &str) {
    let path = folder.write("verifiers", verifiers);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// What the server keeps of these accounts, as an operator takes it over.
fn exported(accounts: &[&str]) -> String {
    let names: Vec<String> = accounts.iter().map(|account| format!("'{account}'")).collect();
    let sql = format!(
        "select concat(user, '\\t0x', hex(authentication_string)) from mysql.user where user in ({})",
        names.join(", ")
    );
    let rows = MySql::shared().administrator("").query(&sql).fine().column();
    assert_eq!(rows.len(), accounts.len());
    rows.join("\n") + "\n"
}

/// Every account with caching_sha2_password, whatever the server has.
fn sha2(accounts: &[&str]) -> String {
    accounts.iter().map(|account| format!("{account}\t{SHA2}\n")).collect()
}

fn plain(verifiers: &str) -> Doored {
    Doored::start(verifiers, WeirOptions::allow_all())
}

/// A login must be worked in full again.
fn forget_logins() {
    MySql::shared().administrator("").query("flush privileges").fine();
}

#[test]
fn an_account_logs_in_with_what_the_server_keeps_of_it() {
    let doored = plain(&exported(&["alice", "bob"]));
    let direct = Raw::login(MySql::shared().address(), "alice", "support");
    for time in ["first", "second"] {
        forget_logins();
        for user in ["alice", "bob", "alice"] {
            let mut client = doored.login(user, PASSWORD).unwrap_or_else(|error| panic!("{time} of {user}: {error:?}"));
            assert_eq!(client.greeting.version, direct.greeting.version);
            let who = client.query("select current_user(), database(), version()").fine().texts();
            assert_eq!(who[0][..2], [format!("{user}@%"), "support".to_owned()]);
            assert_eq!(client.query("select count(*) from customers").fine().column(), ["3000"]);
            client.goodbye();
        }
    }
    let method = MySql::shared().flavour().plugin();
    let event = doored
        .weir
        .audit_event("a login", |event| event["kind"] == "authentication" && event["session"]["account"] == "alice");
    assert_eq!((&event["detail"]["outcome"], &event["detail"]["method"]), (&"success".into(), &method.into()));
}

/// MySQL's own method at the door, whatever the server has behind it: in full under Weir's key and under TLS, and from
/// memory once the password was right.
#[test]
fn caching_sha2_in_front_of_any_server() {
    let options = WeirOptions::allow_all().listener_tls(&trust().good.certificate, &trust().good.key, "prefer");
    let doored = Doored::start(&sha2(&["alice", "bob"]), options);
    let config = client_config(&trust().root, &[]);
    for time in 0..3 {
        if time < 2 {
            forget_logins();
        }
        let mut client = doored.login("alice", PASSWORD).unwrap();
        assert_eq!(client.query("select current_user()").fine().column(), ["alice@%"], "{time}");
        let mut secured = Raw::connect(doored.weir.address());
        secured.greet().unwrap();
        let login = Login::new("bob", "support");
        secured.secure(&config, NAME, login.capabilities).unwrap();
        secured.authenticate(&login).unwrap();
        assert_eq!(secured.query("select current_user()").fine().column(), ["bob@%"], "{time}");
        assert_eq!(doored.refused("alice", "wrong").code, 1045);
    }
}

/// No by the same words, packets and numbers as the server says it.
#[test]
fn who_is_not_let_in_reads_what_the_server_says() {
    let doored = plain(&exported(&["alice"]));
    let of_server = |user: &str, password: &str| match Raw::try_login(
        MySql::shared().address(),
        &Login::new(user, "support").password(password),
    ) {
        Err(Failure::Server(error)) => error,
        other => panic!("{other:?}"),
    };
    let told = |error: &ServerError| (error.code, error.sqlstate.clone(), error.message.clone());
    for password in ["wrong", ""] {
        let (direct, through) = (of_server("alice", password), doored.refused("alice", password));
        // The server may know the client's host by a name.
        let through = (through.code, through.sqlstate, through.message.replace("127.0.0.1", "localhost"));
        assert_eq!((direct.code, direct.sqlstate, direct.message.replace("127.0.0.1", "localhost")), through);
        let (known, unknown) = (doored.refused("alice", password), doored.refused("nobody", password));
        let unknown = (unknown.code, unknown.sqlstate, unknown.message.replace("nobody", "alice"));
        assert_eq!(told(&known), unknown);
    }
    let failed = |account: &str| {
        doored.weir.audit_event(account, |event| {
            event["kind"] == "authentication"
                && event["detail"]["outcome"] == "failure"
                && event["session"]["account"] == account
        })
    };
    for account in ["alice", "nobody"] {
        assert_eq!(failed(account)["detail"]["sqlstate"], "28000");
    }
    assert!(!doored.weir.log().contains("wrong"), "a password is in the log");
    // Nobody that Weir did not let in has been seen by the server: it would count them.
    let aborted = |sql: &str| MySql::shared().administrator("").query(sql).fine().texts()[0][1].clone();
    let before = aborted("show global status like 'Aborted_connects'");
    for _ in 0..3 {
        doored.refused("nobody", "wrong");
        Raw::connect(doored.weir.address()).vanish();
    }
    assert_eq!(aborted("show global status like 'Aborted_connects'"), before);
}

#[test]
fn no_guess_passes_and_guessing_gets_slow() {
    const GUESSES: usize = 2000;
    let doored = plain(&exported(&["alice", "bob"]));
    let (passed, slowed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (doored, passed, slowed) = (&doored, &passed, &slowed);
            scope.spawn(move || {
                for number in 0..GUESSES / 4 {
                    let user = ["alice", "nobody"][(thread + number) % 2];
                    match doored.login(user, &format!("guess {thread} {number}")) {
                        Ok(_) => _ = passed.fetch_add(1, Ordering::Relaxed),
                        Err(Failure::Server(error)) if error.message.contains("too many wrong passwords") => {
                            slowed.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(_) => {}
                    }
                }
            });
        }
    });
    assert_eq!(passed.load(Ordering::Relaxed), 0);
    let slowed = slowed.load(Ordering::Relaxed);
    assert!(slowed > GUESSES * 9 / 10, "{slowed} of {GUESSES} were not even looked at");
    assert!(doored.refused("alice", PASSWORD).message.contains("too many wrong passwords"));
}

/// The session goes on as somebody else only after they have shown their own password, and without it not at all.
#[test]
fn a_change_of_the_user_is_judged_anew() {
    for verifiers in [exported(&["alice", "bob"]), sha2(&["alice", "bob"])] {
        let doored = plain(&verifiers);
        let mut client = doored.login("alice", PASSWORD).unwrap();
        let number = client.query("select connection_id()").fine().column();
        for user in ["bob", "alice", "bob"] {
            client.change_user(&Login::new(user, "support")).unwrap();
            let who = client.query("select current_user()").fine().column();
            assert_eq!(who, [format!("{user}@%")]);
            assert_eq!(client.query("select connection_id()").fine().column(), number);
        }
        doored.weir.audit_event("bob's session", |event| {
            event["kind"] == "authentication"
                && event["session"]["account"] == "bob"
                && event["detail"]["outcome"] == "success"
        });
        let wrong = client.change_user(&Login::new("alice", "support").password("wrong"));
        assert!(matches!(wrong, Err(Failure::Server(ref error)) if error.code == 1045), "{wrong:?}");
        assert!(client.query("select 1").end.is_some(), "the session is over");
        let mut client = doored.login("alice", PASSWORD).unwrap();
        let unknown = client.change_user(&Login::new("nobody", "support"));
        assert!(matches!(unknown, Err(Failure::Server(ref error)) if error.code == 1045), "{unknown:?}");
    }
}

/// What was remembered of a password goes with the verifier that it fitted.
#[test]
fn a_reload_forgets_passwords() {
    let doored = plain(&sha2(&["alice"]));
    for _ in 0..2 {
        doored.login("alice", PASSWORD).unwrap().goodbye();
    }
    keep(&doored.folder, "# nobody\n");
    doored.weir.signal("HUP");
    wait::until("alice to be nobody", wait::SOON, || doored.login("alice", PASSWORD).is_err().then_some(()));
    assert_eq!(doored.refused("alice", PASSWORD).code, 1045);
    // One that is broken changes nothing.
    keep(&doored.folder, &sha2(&["alice"]));
    doored.weir.signal("HUP");
    wait::until("alice to be back", wait::SOON, || doored.login("alice", PASSWORD).ok());
    keep(&doored.folder, "alice\thunter2\n");
    doored.weir.signal("HUP");
    wait::until("the refusal of the file", wait::SOON, || doored.weir.log().contains("is no verifier").then_some(()));
    doored.login("alice", PASSWORD).unwrap();
    assert!(!doored.weir.log().contains("hunter2"));
}

/// A password that the server does not share: the server's own no reaches the client.
#[test]
fn a_verifier_that_the_server_does_not_share() {
    let server = MySql::shared();
    let method = match server.flavour() {
        Flavour::MariaDb => "identified via mysql_native_password using password('another-one')",
        Flavour::MySql9 => "identified with caching_sha2_password by 'another-one'",
    };
    server.script("", &format!("create user if not exists elsewhere@'%' {method}"));
    let doored = plain(&sha2(&["elsewhere"]));
    let refused = doored.refused("elsewhere", PASSWORD);
    assert_eq!(refused.code, 1045);
    assert!(doored.weir.log().contains("does not let an account in"), "{}", doored.weir.log());
}
