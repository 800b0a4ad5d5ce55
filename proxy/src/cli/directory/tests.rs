//! What the commands of the directory print, and how they end.

use weir_tests::scratch::Scratch;

use super::super::{BAD_INPUT, FINDING};
use super::*;

const PEOPLE: &str = "\
people:
  alice: { accounts: [alice, { account: report, upstream: db }], groups: [support], manager: dora, until: 2026-12-31 }
  dora: { accounts: [dora], certificates: [CN=dora], hosts: [10.0.0.0/8] }
services:
  etl: { accounts: [{ account: report, upstream: dw }], claims: [{ issuer: https://id.example.com, subject: etl }] }
";

/// Exit code and words, on a day of 2027.
fn answer(run: impl FnOnce(&mut Output<Vec<u8>>) -> Result<(), Failure>) -> (u8, String) {
    let mut output = Output::for_test();
    match run(&mut output) {
        Ok(()) => (0, output.text()),
        Err(failure) => (failure.code, format!("{}{}", output.text(), failure.message)),
    }
}

fn today() -> Date {
    Date::parse("2027-01-01").unwrap()
}

#[test]
fn a_file_is_checked() {
    let folder = Scratch::new("directory");
    let check = |text: &str, json: bool, strict: bool| {
        let file = folder.write("people.yaml", text);
        let (code, told) = answer(|output| check(&file, json, strict, today(), output));
        (code, told.replace(&file.display().to_string(), "people.yaml"))
    };
    assert_eq!(
        check(PEOPLE, false, true),
        (
            0,
            "people.yaml: ok: 2 people, 1 services, 4 accounts, 2 certificates and claims\n  work has ended: alice\n"
                .to_owned()
        )
    );
    let (code, told) = check(PEOPLE, true, true);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, &told["ended"], &told["ok"], &told["accounts"]), (0, &json!(["alice"]), &json!(true), &json!(4)));

    let broken = PEOPLE.replace("[dora]", "[alice]").replace("2026-12-31", "x");
    let (code, told) = check(&broken, false, false);
    assert_eq!(code, BAD_INPUT);
    assert_eq!(told.lines().count(), 2, "{told}");
    let (code, told) = check(&broken, true, false);
    assert_eq!(code, BAD_INPUT);
    let told: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    assert_eq!((&told["ok"], &told["problems"][0]["line"]), (&json!(false), &json!(2)));

    let odd = PEOPLE.replace("CN=dora", "\"O=Example,CN=dora\"");
    assert_eq!(check(&odd, false, false).0, 0);
    assert_eq!(
        check(&odd, false, true),
        (FINDING, {
            let ok = check(&odd, false, false).1;
            format!("{ok}1 warning(s), and --strict was asked for")
        })
    );
}

#[test]
fn somebody_is_shown() {
    let folder = Scratch::new("directory");
    let file = folder.write("people.yaml", PEOPLE);
    let show = |name: &str, json: bool| {
        let command = Show { name: name.to_owned(), config: None, file: Some(file.clone()), json };
        answer(|output| show(&command, today(), output))
    };
    assert_eq!(
        show("alice", false),
        (
            0,
            "alice (person), may not log in: ended on 2026-12-31\n  accounts: alice; report on db\n  groups: support\n  \
             managers, upwards: dora\n  days: until 2026-12-31\n"
                .to_owned()
        )
    );
    let (code, told) = show("report", false);
    assert_eq!(code, 0);
    assert!(told.starts_with("account report (on db) is that of\nalice (person)"), "{told}");
    assert!(told.contains("account report (on dw) is that of\netl (service), may log in"), "{told}");
    let (_, told) = show("dora", true);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["hosts"], &told["certificates"]), (&json!(["10.0.0.0/8"]), &json!(["CN=dora"])));
    assert_eq!(show("nobody", true).0, FINDING);
}

#[test]
fn the_examples_are_good() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/directory");
    let (code, told) = answer(|output| check(&folder.join("people.yaml"), false, true, today(), output));
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("ok: 3 people, 1 services, 5 accounts, 6 certificates and claims"), "{told}");
    let command = ImportArguments {
        csv: Some(folder.join("hr.csv")),
        ldif: None,
        map: ["name=login", "groups=team", "until=contract end"].map(|map| mapped(map).unwrap()).to_vec(),
        output: None,
    };
    let (code, told) = answer(|output| imported(&command, output));
    assert!(code == 0 && told.contains("until: 2027-02-28"), "{told}");
}

#[test]
fn an_import_is_written_whole_or_not_at_all() {
    let folder = Scratch::new("directory");
    let target = folder.path().join("people.yaml");
    let import = |csv: &str, output: Option<&Path>| {
        let command = ImportArguments {
            csv: Some(folder.write("hr.csv", csv)),
            ldif: None,
            map: vec![mapped("name=login").unwrap()],
            output: output.map(Path::to_owned),
        };
        answer(|output| imported(&command, output))
    };
    let good = "login,accounts,until\nbob,bob|bob_report,2026-12-31\nalice,alice,\n";
    let expected = "# From hr.csv by `weir directory import`. Changes belong into the source, or a next import drops them.\n\
        people:\n  # hr.csv:3\n  alice:\n    accounts: [alice]\n  # hr.csv:2\n  bob:\n    accounts: [bob, bob_report]\n    \
        until: 2026-12-31\n";
    assert_eq!(import(good, None), (0, expected.to_owned()));
    assert_eq!(import(good, Some(&target)), (0, String::new()));
    assert_eq!(std::fs::read_to_string(&target).unwrap(), expected);
    // The same account for two: nothing is written over what was good.
    let (code, told) = import("login,accounts\nbob,x\nalice,x\n", Some(&target));
    assert_eq!(code, BAD_INPUT);
    assert!(
        told.ends_with(
            "hr.csv: line 2: account `x` of `bob` is that of `alice` on line 3 as well; leave it out for one"
        ),
        "{told}"
    );
    assert_eq!(std::fs::read_to_string(&target).unwrap(), expected);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside it");
    for wrong in ["name", "login=x", "name="] {
        assert!(mapped(wrong).is_err(), "{wrong}");
    }
}
