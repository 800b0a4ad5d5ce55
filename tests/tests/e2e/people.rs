//! The directory of people while Weir runs: first and last days at the door, files that break, and its command.

use std::process::Command;

use weir_tests::engine::{Client, Engine};
use weir_tests::fixture;
use weir_tests::for_both_engines;
use weir_tests::policies::Budgeted;
use weir_tests::wait;
use weir_tests::weir::{Weir, WeirOptions};

for_both_engines!(who_has_left_or_not_begun_does_not_log_in, a_broken_directory_leaves_the_one_before_and_alerts);

/// A day, by the words of date(1).
fn day(words: &str) -> String {
    let said = Command::new("date").args(["-u", "-d", words, "+%F"]).output().expect("date");
    assert!(said.status.success(), "{said:?}");
    String::from_utf8_lossy(&said.stdout).trim().to_owned()
}

fn weir(engine: Engine, people: &str) -> Weir {
    let mut options = WeirOptions::policy(Budgeted::hourly(500).on(engine).yaml());
    people.clone_into(&mut options.people);
    Weir::start_for(&[(engine, engine.server().address())], &options)
}

fn people(alice: &str, bob: &str) -> String {
    fixture::PEOPLE
        .replace("alice_ed25519], ", &format!("alice_ed25519], {alice}, "))
        .replace("accounts: [bob], ", &format!("accounts: [bob], {bob}, "))
}

fn log_in(engine: Engine, weir: &Weir, account: &str) -> Result<(), String> {
    match Client::try_login(engine, weir.address(), account, "support", fixture::PASSWORD) {
        // PostgreSQL's server has said by then that the login is good; Weir says no in its place before any statement.
        Ok(mut client) => match &client.query("select 1").error {
            None => Ok(()),
            Some(error) => Err(error.message.clone()),
        },
        Err(answer) => Err(answer.error().message.clone()),
    }
}

fn who_has_left_or_not_begun_does_not_log_in(engine: Engine) {
    let (yesterday, tomorrow) = (day("yesterday"), day("tomorrow"));
    let weir = weir(engine, &people(&format!("until: {yesterday}"), &format!("from: {tomorrow}, until: {tomorrow}")));
    for account in ["alice", "alice_report"] {
        let told = log_in(engine, &weir, account).expect_err("a leaver's account");
        assert!(told.contains(&format!("ended on {yesterday}")), "{told}");
    }
    let told = log_in(engine, &weir, "bob").expect_err("an account before its first day");
    assert!(told.contains(&format!("begins on {tomorrow}")), "{told}");
    assert_eq!(log_in(engine, &weir, "carol"), Ok(()));
    weir.audit_event("the refusal of a leaver", |event| event.to_string().contains(&format!("ended on {yesterday}")));
    // Their last day is theirs to its end, and a first day from its beginning.
    let today = day("today");
    let now = people(&format!("until: {today}"), &format!("from: {today}"));
    std::fs::write(weir.directory_path(), now).unwrap();
    weir.signal("HUP");
    wait::until_true("the directory to be in force", wait::SOON, || {
        weir.log().contains("policy and directory are in force")
    });
    assert_eq!((log_in(engine, &weir, "alice"), log_in(engine, &weir, "bob")), (Ok(()), Ok(())));
}

fn a_broken_directory_leaves_the_one_before_and_alerts(engine: Engine) {
    let weir = weir(engine, &people(&format!("until: {}", day("yesterday")), "from: 2020-01-01"));
    let rejected = || weir.alerts().iter().filter(|alert| alert.to_string().contains("directory-rejected")).count();
    for (number, broken) in
        ["people: [", "people: { x: { accounts: [bob] }, y: { accounts: [bob] } }", ""].iter().enumerate()
    {
        if broken.is_empty() {
            std::fs::remove_file(weir.directory_path()).unwrap();
        } else {
            std::fs::write(weir.directory_path(), broken).unwrap();
        }
        weir.signal("HUP");
        wait::until_true("an alert for each broken directory", wait::SOON, || rejected() == number + 1);
        // Everybody is who they were, leavers too.
        assert!(log_in(engine, &weir, "alice").is_err());
        assert_eq!(log_in(engine, &weir, "bob"), Ok(()));
    }
    let named = weir.alerts().iter().map(ToString::to_string).find(|alert| alert.contains("people.yaml:1:"));
    assert!(named.is_some(), "no alert tells line and column: {:?}", weir.alerts());
    weir.audit_event("the directory that was rejected", |event| event.to_string().contains("reload-directory"));
    let checked = weir.command_alone(&["directory", "check", &weir.directory_path().display().to_string()]);
    assert_eq!(checked.code, 2, "{checked:?}");
    std::fs::write(weir.directory_path(), fixture::PEOPLE).unwrap();
    weir.signal("HUP");
    wait::until_true("alice to be back", wait::SOON, || log_in(engine, &weir, "alice").is_ok());
    let shown = weir.command(&["directory", "show", "alice_report"]);
    assert!(shown.code == 0 && shown.stdout.contains("alice (person), may log in"), "{shown:?}");
}
